//! Works requests to erase buyers off, as long as no other gateway does: at once what can go at once, and again every while, until
//! nothing names the buyer any more.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::view::is_open;
use super::{Control, ControlError};
use crate::clock;
use crate::failpoint::{self, Point};
use crate::record::LetterId;
use crate::seldom::Seldom;
use crate::store::{BuyerLetter, BuyerName, ErasureRow, FORGOTTEN_MS};

/// Between looks for requests.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between looks for requests that were done so long ago that they are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// Between looks at one request that waits for something which may be over at any moment: a look reads all dead letters.
const WAITS_MS: i64 = 60_000;
/// Between looks at one that waits for a campaign: that may be shortened.
const KEPT_MS: i64 = 600_000;
/// Who works requests off holds this.
const LEASE: &str = "erasures";
const LEASE_MS: i64 = 30_000;
/// Requests of one turn.
const AT_ONCE: u32 = 20;

/// What was erased, by kind.
type Counts = BTreeMap<&'static str, u64>;

/// What this process knows of an open request.
#[derive(Clone, Copy)]
pub(super) struct Looked {
    /// As the request was: with another one it is looked at again at once.
    settled_at: i64,
    lists: bool,
    /// When it is looked at again.
    next: i64,
    /// No attempt of before the request can be written any more, and none is left.
    swept: bool,
}

impl Control {
    /// Works requests off, as long as the handle is kept.
    pub fn keep_erasing(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let control = self.clone();
        let owner = uuid::Uuid::now_v7().simple().to_string();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let (mut tick, mut forget) = (clock::every(LOOK_EVERY), clock::every(FORGET_EVERY));
            let (mut trouble, mut looked) = (Seldom::default(), HashMap::new());
            loop {
                let turn = tokio::select! {
                    _ = tick.tick() => control.work_erasures(&owner, &mut looked).await,
                    _ = forget.tick() => control.forget_erasures().await,
                };
                if let Err(error) = turn
                    && trouble.met(&error.to_string(), Instant::now()).is_some()
                {
                    tracing::warn!(%error, "buyers who are to be erased are not for now");
                }
            }
        }))
    }

    /// One turn: requests whose time it is.
    async fn work_erasures(
        &self,
        owner: &str,
        looked: &mut HashMap<String, Looked>,
    ) -> Result<(), ControlError> {
        let (mut after, mut first_error) = (String::new(), Ok(()));
        let mut open_ones = HashSet::new();
        loop {
            let open = self.store.open_erasures(&after, AT_ONCE).await?;
            let Some(last) = open.last() else { break };
            after.clone_from(&last.id);
            for erasure in &open {
                open_ones.insert(erasure.id.clone());
                let known = looked
                    .get(&erasure.id)
                    .filter(|known| (known.settled_at, known.lists) == (erasure.settled_at, erasure.lists));
                let now = (self.clock)();
                if known.is_some_and(|known| now < known.next) {
                    continue;
                }
                if !self.store.lease(LEASE, owner, now, LEASE_MS).await? {
                    return Ok(());
                }
                let swept = known.is_some_and(|known| known.swept);
                let (next, outcome) = match self.work_erasure(erasure, swept).await {
                    Ok(next) => (next, Ok(())),
                    Err(error) => (now + WAITS_MS, Err(error)),
                };
                let swept = outcome.is_ok() && now >= erasure.settled_at;
                let (settled_at, lists) = (erasure.settled_at, erasure.lists);
                let known = Looked {
                    settled_at,
                    lists,
                    next,
                    swept,
                };
                looked.insert(erasure.id.clone(), known);
                // One that fails keeps no other from being worked off.
                first_error = first_error.and(outcome);
            }
        }
        looked.retain(|id, _| open_ones.contains(id));
        first_error
    }

    async fn forget_erasures(&self) -> Result<(), ControlError> {
        let before = (self.clock)().saturating_sub(FORGOTTEN_MS);
        Ok(self.store.forget_erasures(before).await?)
    }

    /// Does of a request what can be done now, and ends it where nothing is left; says when to look again. `swept`: nothing is
    /// left of what was attempted.
    async fn work_erasure(&self, erasure: &ErasureRow, swept: bool) -> Result<i64, ControlError> {
        let now = (self.clock)();
        let Some(buyer) = erasure.buyer() else {
            return Ok(now);
        };
        if erasure.lists && erasure.lists_at.is_none() {
            let lists = self.take_off_lists(erasure, buyer).await?;
            self.erased(erasure, "lists", lists).await?;
        }
        if !swept {
            for campaign in self.store.sampled_campaigns(buyer).await? {
                let attempts = self
                    .store
                    .erase_attempts(&campaign, buyer.user, erasure.asked_at)
                    .await?;
                self.erased(erasure, "attempts", attempts).await?;
            }
        }
        let letters = self.work_letters(erasure, buyer, now).await?;
        for each in self.store.buyer_campaigns(buyer, erasure.asked_at).await? {
            if each.due_at <= now && each.waits.is_empty() && !letters.contains_key(&each.campaign) {
                self.work_orders(erasure, &each.campaign, now).await?;
            }
        }
        let left = self.store.buyer_campaigns(buyer, erasure.asked_at).await?;
        if left.is_empty() && letters.is_empty() && now >= erasure.settled_at {
            self.end_erasing(erasure, buyer, now).await?;
        }
        let is_due = left.iter().any(|each| each.due_at <= now) || !letters.is_empty();
        let soonest = left
            .iter()
            .map(|each| each.due_at)
            .filter(|due_at| *due_at > now)
            .min();
        let next = now
            + if is_due || left.is_empty() {
                WAITS_MS
            } else {
                KEPT_MS
            };
        let settles = Some(erasure.settled_at).filter(|settled_at| *settled_at > now);
        Ok(next.min(soonest.unwrap_or(next)).min(settles.unwrap_or(next)))
    }

    async fn work_orders(&self, erasure: &ErasureRow, campaign: &str, now: i64) -> Result<(), ControlError> {
        loop {
            let erased = self.store.erase_orders(erasure, campaign, now).await?;
            if erased.orders == 0 {
                return Ok(());
            }
            let counts = [
                ("orders", erased.orders),
                ("order_changes", erased.changes),
                ("deliveries", erased.deliveries),
            ];
            self.store.note_erased(&erasure.id, &Counts::from(counts)).await?;
        }
    }

    /// Erases letters that are worked off and whose campaign needs the buyer no more; by campaign, how many are left.
    async fn work_letters(
        &self,
        erasure: &ErasureRow,
        buyer: BuyerName<'_>,
        now: i64,
    ) -> Result<BTreeMap<String, u64>, ControlError> {
        let (mut left, mut erased, mut due) = (BTreeMap::new(), 0, HashMap::new());
        let mut after: Option<LetterId> = None;
        loop {
            let (letters, next) = self.store.buyer_letters(buyer, after.as_ref()).await?;
            for each in letters {
                if each.order.placed_at > erasure.asked_at {
                    continue;
                }
                let campaign = each.order.campaign.clone();
                let is_due = match due.get(&campaign) {
                    Some(is_due) => *is_due,
                    None => self.store.erased_from(&campaign).await? <= now,
                };
                due.insert(campaign.clone(), is_due);
                match is_due && self.work_letter(erasure, each).await? {
                    true => erased += 1,
                    false => *left.entry(campaign).or_default() += 1,
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        self.erased(erasure, "letters", erased).await?;
        Ok(left)
    }

    async fn work_letter(&self, erasure: &ErasureRow, letter: BuyerLetter) -> Result<bool, ControlError> {
        match is_open(&letter) {
            true => Ok(false),
            false => Ok(self.store.erase_letter(erasure, letter).await?),
        }
    }

    /// Erases the last traces, and what names the buyer in the request itself.
    async fn end_erasing(
        &self,
        erasure: &ErasureRow,
        buyer: BuyerName<'_>,
        now: i64,
    ) -> Result<(), ControlError> {
        let (lines, jobs) = self.store.erase_traces(erasure, now).await?;
        self.erased(erasure, "audit", lines).await?;
        self.erased(erasure, "jobs", jobs).await?;
        // A job that goes on needs its filter.
        if self.store.jobs_of_buyer(buyer).await?.is_empty() {
            failpoint::hit(Point::P4);
            self.store.end_erasure(erasure, now).await?;
            tracing::info!(erasure = erasure.id, "a buyer is erased");
        }
        Ok(())
    }

    async fn erased(&self, erasure: &ErasureRow, kind: &'static str, more: u64) -> Result<(), ControlError> {
        Ok(self
            .store
            .note_erased(&erasure.id, &Counts::from([(kind, more)]))
            .await?)
    }
}
