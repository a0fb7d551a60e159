//! The book: what campaigns and revisions say about the orders that can have been admitted under them.
//!
//! Landing takes an order's receipt from a topic, and holds it against what the database knows without it. Revisions
//! never change, so each is read once. A campaign does: it gets SKUs, units and activations. So it is read again where
//! an order is one for which that matters, before anything is decided about it.

mod facts;

use std::collections::{BTreeSet, HashMap, HashSet};

pub(super) use self::facts::CLOCKS_MS;
use self::facts::Facts;
use super::Landing;
use super::batch::{Batch, Claim, Weight};
use super::state::Awaits;
use super::wait::End;
use crate::campaign::Skus;
use crate::clock::now_ms;
use crate::order::{OrderEvent, check_event};
use crate::revision::Revision;
use crate::store::{CampaignRow, Store, StoreResult};

/// Revisions remembered; when there are more, all are forgotten.
const REVISIONS_MAX: usize = 512;

/// Campaign and revision.
type Wanted = (String, u32);

/// What the database knows of campaigns and their revisions.
#[derive(Debug, Default)]
pub(super) struct Book {
    campaigns: HashMap<String, Known>,
}

#[derive(Debug, Default)]
struct Known {
    uid: String,
    shards: u32,
    /// All of its revisions have this list.
    skus: Skus,
    sku_ids: HashSet<String>,
    /// Revisions that were ever in force.
    activated: BTreeSet<u32>,
    revisions: HashMap<u32, Facts>,
}

impl Book {
    /// What is to be read before these orders can be weighed.
    fn wanted(&self, batch: &Batch<'_>) -> BTreeSet<Wanted> {
        let orders = batch.slices.iter().flat_map(|slice| &slice.orders);
        let unknown = |event: &&OrderEvent| {
            let known = self.campaigns.get(&event.campaign);
            !known.is_some_and(|known| {
                known.sku_ids.contains(&event.sku) && known.revisions.contains_key(&event.revision)
            })
        };
        orders
            .map(|(_, event)| event)
            .filter(unknown)
            .map(|event| (event.campaign.clone(), event.revision))
            .collect()
    }

    /// The campaigns of orders that are weighed by what may have changed since it was read: units that limits follow
    /// from, that a revision was not in force yet, or that there was another campaign of this id. What an order says of its limits is no sign of it: its gateway
    /// may know units as old as those here.
    fn doubted(&self, batch: &Batch<'_>) -> BTreeSet<String> {
        let mut doubted = BTreeSet::new();
        for (event, claim) in batch.orders() {
            let known = self.campaigns.get(&event.campaign);
            let facts = known.and_then(|known| known.revisions.get(&event.revision));
            let Some((known, facts)) = known.zip(facts) else {
                continue;
            };
            let is_another = claim.is_some_and(|claim| claim.uid != known.uid);
            let is_certain =
                known.activated.contains(&event.revision) && !facts.follows_stock() && !is_another;
            if !is_certain && !doubted.contains(&event.campaign) {
                doubted.insert(event.campaign.clone());
            }
        }
        doubted
    }

    /// Forgets everything where there is too much of it, before a batch is read up on: what that wants stays.
    fn trim(&mut self) {
        let remembered = self.campaigns.values().map(|known| known.revisions.len());
        if remembered.sum::<usize>() >= REVISIONS_MAX {
            self.campaigns.clear();
        }
    }

    fn put(&mut self, reading: &Reading, number: u32, revision: Option<Revision>) {
        let known = self.renew(reading);
        let skus = &known.skus;
        let facts = revision.map(|revision| Facts::of(&reading.row.campaign, skus, number, revision));
        known.revisions.extend(facts.map(|facts| (number, facts)));
    }

    /// Takes over what a campaign is by now.
    fn renew(&mut self, reading: &Reading) -> &mut Known {
        let campaign = &reading.row.campaign;
        let known = self.campaigns.entry(campaign.id.clone()).or_default();
        // Plans are checked against the SKUs there are, and limits may follow from their units and attributes.
        let is_same = (known.shards, &known.uid) == (campaign.shards, &campaign.uid);
        if !(is_same && known.skus == campaign.skus) {
            *known = Known {
                uid: campaign.uid.clone(),
                shards: campaign.shards,
                skus: campaign.skus.clone(),
                sku_ids: campaign.skus.iter().map(|sku| sku.id.clone()).collect(),
                ..Known::default()
            };
        }
        known.activated.clone_from(&reading.activated);
        known
    }

    /// `claim`: of an order that comes without its receipt, which it gets here. `now`: milliseconds since 1970-01-01 UTC.
    fn weigh(
        &self,
        event: &mut OrderEvent,
        sealed: bool,
        claim: Option<Claim<'_>>,
        Clock { now, deadline_ms }: Clock,
    ) -> Weight {
        let known = self.campaigns.get(&event.campaign);
        let facts = known.and_then(|known| known.revisions.get(&event.revision));
        let Some((known, facts)) = known.zip(facts) else {
            let (campaign, revision) = (&event.campaign, event.revision);
            return Weight::Unknown(format!(
                "revision {revision} of campaign {campaign} is not in the database"
            ));
        };
        if let Some(what) = claim.and_then(|claim| facts.lacks(claim.evaluator)) {
            return Weight::Unknown(what);
        }
        if !known.activated.contains(&event.revision) {
            return never_in_force(event, sealed);
        }
        if let Some(claim) = claim {
            facts.complete(event);
            let checked = check_event(event);
            if let Err(why) = checked.and_then(|()| known.check_claim(claim, event.placed_at, deadline_ms)) {
                return Weight::Implausible(why);
            }
        }
        let checked = match known.sku_ids.contains(&event.sku) {
            false => Err(format!("campaign {} has no SKU {}", event.campaign, event.sku)),
            true if event.shard >= known.shards => Err(format!(
                "campaign {} has no shard {}",
                event.campaign, event.shard
            )),
            true => facts.check(event, sealed, claim.is_some(), now),
        };
        checked.map_or_else(Weight::Implausible, |()| Weight::Plausible)
    }
}

/// What orders are held against, and is in no database.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// Milliseconds since 1970-01-01 UTC.
    now: i64,
    /// See [`Config::deadline`](super::Config::deadline).
    deadline_ms: i64,
}

impl Known {
    /// Whether an order can be what its record says of it; `at` is when it was admitted.
    fn check_claim(&self, claim: Claim<'_>, at: i64, deadline_ms: i64) -> Result<(), String> {
        if claim.uid != self.uid {
            return Err(format!(
                "it was admitted to another campaign of this id: its uid is {:?}, and this one's {:?}",
                claim.uid, self.uid
            ));
        }
        let apart = at.saturating_sub(claim.asked_at).saturating_abs();
        let most = deadline_ms.saturating_add(CLOCKS_MS);
        match apart <= most {
            true => Ok(()),
            false => Err(format!(
                "it was asked for at {} and admitted at {at}, {apart} ms apart, and no gateway asks for longer than {most} \
                 ms: somebody used an old order again, or the clock of a gateway or of Redis is wrong. If it is, set it and \
                 replay the order",
                claim.asked_at
            )),
        }
    }
}

/// A campaign as it was read, and its revisions that were ever in force.
#[derive(Clone, Debug)]
struct Reading {
    row: CampaignRow,
    activated: BTreeSet<u32>,
}

impl Reading {
    /// Of those of these campaigns that there are.
    async fn of(store: &Store, ids: &[String]) -> StoreResult<Vec<Self>> {
        let rows = store.campaigns_named(ids).await?;
        let mut activated = store.activated(ids).await?;
        let reading = |row: CampaignRow| Self {
            activated: activated.remove(&row.campaign.id).unwrap_or_default(),
            row,
        };
        Ok(rows.into_iter().map(reading).collect())
    }
}

/// A revision admits nobody before the database has its activation: that is written before any gateway can learn of
/// it. A seal says that a gateway admitted the order, so the database is the one to doubt then, as after a restored
/// backup, and the order waits as for a revision that is not there.
fn never_in_force(event: &OrderEvent, sealed: bool) -> Weight {
    let (campaign, revision) = (&event.campaign, event.revision);
    let what = format!("revision {revision} of campaign {campaign} was never activated");
    match sealed {
        true => Weight::Unknown(what),
        false => Weight::Implausible(format!("{what}, and the order carries no seal")),
    }
}

impl Landing {
    /// Weighs the orders of a batch; partitions with an order of no known revision are held from there on.
    pub(super) fn weigh(&mut self, batch: &mut Batch<'_>) -> Result<(), End> {
        self.book.trim();
        let wanted = self.book.wanted(batch);
        for wanted in &wanted {
            self.read_up(wanted)?;
        }
        self.look_again(batch, &wanted)?;
        // Revisions that were known are read again where their campaign turned out to have other SKUs or units by now.
        for again in self.book.wanted(batch).difference(&wanted) {
            self.read_up(again)?;
        }
        let clock = Clock {
            now: now_ms(),
            deadline_ms: i64::try_from(self.config.deadline.as_millis()).unwrap_or(i64::MAX),
        };
        let book = &self.book;
        let waits = batch.weigh(|event, sealed, claim| book.weigh(event, sealed, claim, clock));
        for slice in &batch.slices {
            if !waits.iter().any(|(partition, ..)| *partition == slice.partition) {
                self.state.awaits_no_more(slice.partition, Awaits::Revision);
            }
        }
        for (partition, offset, what) in waits {
            self.await_at(partition, offset, Awaits::Revision, &what);
        }
        Ok(())
    }

    /// Reads the campaigns again that are doubted, but for those that this batch has read already: all at once and
    /// once per batch, however many such records somebody writes.
    fn look_again(&mut self, batch: &Batch<'_>, read: &BTreeSet<Wanted>) -> Result<(), End> {
        let mut doubted = self.book.doubted(batch);
        doubted.retain(|id| read.iter().all(|(campaign, _)| campaign != id));
        if doubted.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = doubted.into_iter().collect();
        let readings = self.ask(async |store| Reading::of(store, &ids).await)?;
        for reading in &readings {
            self.book.renew(reading);
        }
        Ok(())
    }

    fn read_up(&mut self, (campaign, number): &Wanted) -> Result<(), End> {
        let ids = [campaign.clone()];
        let read = self.ask(async |store| {
            let reading = Reading::of(store, &ids).await?.pop();
            let revision = store.revision(campaign, *number).await?;
            Ok(reading.zip(Some(revision)))
        })?;
        if let Some((reading, revision)) = read {
            self.book.put(&reading, *number, revision);
        }
        Ok(())
    }

    /// Asks the database until it answers.
    fn ask<T>(&mut self, asked: impl AsyncFn(&Store) -> StoreResult<T>) -> Result<T, End> {
        let store = self.store.clone();
        self.persist("landing waits for the database", async || asked(&store).await)
    }
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
