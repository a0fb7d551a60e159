//! The watch: reads the shard state of the campaigns that orders come for a few times a second, so that a gateway learns
//! of reopened stock, newer activations and lost state without an order having to find out. Of the others it learns
//! by the pulse (see [`super::pulse`]), and one gateway looks at each of them once a minute.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::Admission;
use super::lane::Lane;
use crate::clock;
use crate::engine::EngineError;
use crate::lua::calls::{self, ShardStatus};
use crate::lua::fixed;
use crate::lua::pause::pause_args;
use crate::lua::reply::Reply;
use crate::ruleset::Active;
use crate::state::{Condition, Whose};

/// After so many looks the list of campaigns is read from the database, and the pulse is felt.
const SLOWLY: u32 = 4;
/// Between two pulses that somebody asks for.
const PULSE_GAP: Duration = Duration::from_millis(100);
/// Looks on their way at the same time: orders, which share the connection, wait for no more than these.
const LOOKS_AT_ONCE: usize = 32;

impl Admission {
    /// Starts the watch of this gateway, which runs until it is dropped.
    pub fn watch(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let admission = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let every = admission.shared.config.load().watch_every;
            // First of all: a memory that is lost from here on has another mark.
            admission.pulse().await;
            let looks = repeat(every, &admission.rhythm.again, || admission.look_where_due());
            let pulses = repeat(every * SLOWLY, &admission.shared.wake, || async {
                admission.pulse().await;
                tokio::time::sleep(PULSE_GAP).await;
            });
            // Beside them: a campaign may take seconds to load when its rules have large prechecks.
            let never = Notify::new();
            let syncs = repeat(every * SLOWLY, &never, || admission.sync());
            futures_util::future::join3(looks, pulses, syncs).await;
        }))
    }

    async fn sync(&self) {
        if let Err(why) = self.shared.rules.sync().await
            && self.shared.tells(&why)
        {
            tracing::warn!(why, "campaigns could not be read from the database");
        }
        let leads = self.shared.rebuilder.lead().await;
        self.rhythm.leads.store(leads, Ordering::Relaxed);
    }

    /// One look at every campaign this gateway knows.
    #[cfg(feature = "testing")]
    pub async fn look(&self) {
        self.keep_lanes().await;
        self.look_at_all(&self.lanes()).await;
        self.sum_up();
    }

    /// One look at every campaign that needs one now.
    pub async fn look_where_due(&self) {
        self.keep_lanes().await;
        let mut due = self.lanes();
        due.retain(|lane| lane.local.is_due());
        self.look_at_all(&due).await;
        self.sum_up();
    }

    /// A lane for each campaign that there is, and none for those that are gone.
    async fn keep_lanes(&self) {
        for active in self.shared.ruleset.all() {
            let _ = self.lane(&active.campaign.id).await;
        }
        let mut lanes = self.lanes.write().expect("no panic holds this lock");
        lanes.retain(|campaign, _| self.shared.ruleset.has(campaign));
    }

    fn sum_up(&self) {
        let in_outbox = self.lanes().iter().map(|lane| lane.local.in_outbox()).sum();
        self.in_outbox.store(in_outbox, Ordering::Relaxed);
    }

    pub(super) async fn look_at_all(&self, lanes: &[Arc<Lane>]) {
        // One question for all whose server is not known.
        let unknown = lanes.iter().any(|lane| lane.local.verified().is_none());
        let name = match unknown {
            true => self.shared.engine.incarnation().await.ok(),
            false => None,
        };
        let looks = lanes.iter().map(|lane| self.look_at(lane, name.as_deref()));
        let looks = stream::iter(looks.collect::<Vec<_>>());
        looks.buffer_unordered(LOOKS_AT_ONCE).collect::<()>().await;
    }

    /// `name` is the server's, asked for just now; it counts where none is verified.
    async fn look_at(&self, lane: &Lane, name: Option<&str>) {
        let Some(incarnation) = lane.local.verified().or_else(|| name.map(str::to_owned)) else {
            return;
        };
        let asked = lane.local.elapsed();
        lane.local.pace.begin_look();
        let counts = lane.local.take_counts();
        match self.read(lane, &incarnation, &counts).await {
            Ok(reply) => match calls::watch_reply(reply) {
                Ok(status) => {
                    self.apply(lane, &incarnation, &status, asked);
                    return self.pause_late(lane, &status).await;
                }
                Err(error) => {
                    if self.shared.tells(&error.to_string()) {
                        tracing::error!(campaign = lane.shard.campaign, %error, "the state of a campaign cannot be read");
                    }
                }
            },
            // A call whose reply was lost may have counted: rather a count too few than twice.
            Err(EngineError::Unknown { .. }) => {}
            Err(_) => lane.local.put_back(counts),
        }
        lane.local.pace.suspect();
    }

    async fn read(
        &self,
        lane: &Lane,
        incarnation: &str,
        counts: &BTreeMap<String, u64>,
    ) -> Result<Reply, EngineError> {
        let (key, args) = (lane.shard.state(), calls::watch_args(counts));
        let engine = &self.shared.engine;
        let reply = engine.run_on(incarnation, &fixed::WATCH, &key, args).await;
        if let Err(EngineError::Changed { .. }) = reply {
            lane.local.forget(incarnation);
        }
        reply
    }

    fn apply(&self, lane: &Lane, incarnation: &str, status: &ShardStatus, asked: u64) {
        // Whatever has become of the state, the clock is right.
        lane.local.seen_now(status.now, asked);
        let Some(active) = self.shared.ruleset.get(&lane.shard.campaign) else {
            return;
        };
        let was_verified = lane.local.verified().is_some();
        let entries = u64::try_from(status.outbox).unwrap_or(0);
        let epoch = match Condition::of(status, &active.campaign, incarnation) {
            Condition::Whole(fence) => {
                lane.local.verify(incarnation.to_owned());
                lane.local.pace.note_look(asked, true, entries);
                fence.epoch
            }
            condition => {
                lane.local.forget(incarnation);
                if let Some(epoch) = newer(status, &active) {
                    // Or the campaign is gone: then this finds out.
                    self.load_soon(lane, epoch);
                }
                if was_verified {
                    // It may not be the only one.
                    self.shared.wake.notify_one();
                }
                if was_verified && condition == Condition::Unverified {
                    // The name may have changed since it was asked for: the next look asks again.
                    lane.local.pace.suspect();
                } else {
                    lane.local.pace.note_look(asked, false, entries);
                    self.shared.judge(&active, condition);
                }
                return;
            }
        };
        self.learn(lane, &active, status, asked);
        lane.local.seen_epoch(epoch, asked);
        if epoch > active.activation.epoch {
            self.load_soon(lane, epoch);
        }
    }

    /// A pause, or a resume, reached the database but not this shard: finish it. One that came after it there stays.
    async fn pause_late(&self, lane: &Lane, status: &ShardStatus) {
        let campaign = &lane.shard.campaign;
        let known = self.shared.ruleset.pause(campaign);
        let Some(active) = self.shared.ruleset.get(campaign) else {
            return;
        };
        // Behind a closed gate there is nothing to do: whoever opens it brings the pause along.
        let is_open = matches!(
            Whose::of(status.fence.as_ref(), &active.campaign.uid),
            Whose::Ours(_)
        );
        if known.number <= status.pause.number || !is_open {
            return;
        }
        let args = pause_args(&active.campaign.uid, known);
        match self
            .shared
            .engine
            .run(&fixed::PAUSE, &lane.shard.state(), args)
            .await
        {
            Ok(_) => lane.local.pace.suspect(),
            Err(error) => tracing::debug!(campaign, %error, "a pause is not in force yet"),
        }
    }

    /// What a whole state says. A SKU that this gateway has not heard of yet begins with no units, and is not sold out.
    fn learn(&self, lane: &Lane, active: &Active, status: &ShardStatus, asked: u64) {
        for sku in &active.campaign.skus {
            if let Some(remaining) = status.stock.get(&sku.id) {
                lane.local.set_stock(&sku.id, *remaining, asked);
            }
        }
        lane.local.seen_outbox(status);
        lane.local.seen_pause(status.pause);
    }

    /// Reads the stock for somebody who wants to see it, unless it was read just now.
    pub(super) async fn show(&self, lane: &Lane) {
        if lane.local.is_fresh() {
            return;
        }
        let _one = lane.local.showing.lock().await;
        let Some(active) = self.shared.ruleset.get(&lane.shard.campaign) else {
            return;
        };
        let Some(incarnation) = lane.local.verified().filter(|_| !lane.local.is_fresh()) else {
            return;
        };
        let asked = lane.local.elapsed();
        let reply = self.read(lane, &incarnation, &BTreeMap::new()).await;
        let Some(status) = reply.ok().and_then(|reply| calls::watch_reply(reply).ok()) else {
            return;
        };
        lane.local.seen_now(status.now, asked);
        if Condition::of(&status, &active.campaign, &incarnation).is_whole() {
            let entries = u64::try_from(status.outbox).unwrap_or(0);
            lane.local.pace.note_look(asked, true, entries);
            self.learn(lane, &active, &status, asked);
        } else if let Some(epoch) = newer(&status, &active) {
            // It may be gone: nobody is to be told of it then.
            let _ = self.shared.load(&active.campaign.id, epoch).await;
        } else {
            // The watch finds out what that means.
            lane.local.pace.suspect();
        }
    }

    /// Does not wait for it: see [`Admission::watch`].
    fn load_soon(&self, lane: &Lane, epoch: u64) {
        let Some(loading) = lane.local.begin_load() else {
            return;
        };
        let (rules, campaign) = (self.shared.rules.clone(), lane.shard.campaign.clone());
        tokio::spawn(async move {
            if let Err(why) = rules.load(&campaign, epoch).await {
                tracing::warn!(campaign, why, "the active revision could not be read");
            }
            drop(loading);
        });
    }
}

/// The epoch that the shard is at, where this gateway has not heard of it.
fn newer(status: &ShardStatus, active: &Active) -> Option<u64> {
    match Whose::of(status.fence.as_ref(), &active.campaign.uid) {
        Whose::Ours(there) if there.epoch > active.activation.epoch => Some(there.epoch),
        _ => None,
    }
}

/// Works once in a while, and when told to.
async fn repeat<F: Future<Output = ()>>(every: Duration, now: &Notify, mut work: impl FnMut() -> F) {
    let mut tick = clock::every(every);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = now.notified() => {}
        }
        work().await;
    }
}
