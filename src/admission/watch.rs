//! The watch: reads every campaign's shard state a few times a second, so that a gateway learns of
//! reopened stock, newer activations and lost state without an order having to find out.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;

use super::Admission;
use super::lane::Lane;
use super::verify::Standing;
use crate::engine::EngineError;
use crate::lua::calls::{self, ShardStatus};
use crate::lua::codec::Reply;
use crate::lua::fixed;

/// Every so many looks the list of campaigns is read from the database.
const SYNC_EVERY: u32 = 4;

/// Runs until dropped.
pub struct Watch(tokio::task::JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Admission {
    /// Starts the watch of this gateway.
    pub fn watch(self: &Arc<Self>) -> Watch {
        let admission = self.clone();
        Watch(tokio::spawn(async move {
            let every = admission.shared.config.load().watch_every;
            // Beside each other: a campaign may take seconds to load when its rules have large prechecks.
            let looks = repeat(every, || admission.look());
            let syncs = repeat(every * SYNC_EVERY, || admission.sync());
            futures_util::future::join(looks, syncs).await;
        }))
    }

    async fn sync(&self) {
        if let Err(why) = self.shared.rules.sync().await {
            tracing::warn!(why, "campaigns could not be read from the database");
        }
    }

    /// One look at every campaign this gateway knows.
    pub async fn look(&self) {
        for active in self.shared.ruleset.all() {
            let _ = self.lane(&active.campaign.id).await;
        }
        let lanes = self.lanes();
        join_all(lanes.iter().map(|lane| self.look_at(lane))).await;
        let in_outbox = lanes.iter().map(|lane| lane.local.in_outbox()).sum();
        self.in_outbox.store(in_outbox, Ordering::Relaxed);
    }

    async fn look_at(&self, lane: &Lane) {
        let counts = lane.local.take_counts();
        match self.read(lane, &counts).await {
            Ok((incarnation, reply)) => match calls::watch_reply(reply) {
                Ok(status) => self.apply(lane, &incarnation, &status),
                Err(error) => tracing::error!(%error, "watch"),
            },
            // A call whose reply was lost may have counted: rather a count too few than twice.
            Err(EngineError::Unknown { .. }) => {}
            Err(_) => lane.local.put_back(counts),
        }
    }

    /// Who answered, and what.
    async fn read(
        &self,
        lane: &Lane,
        counts: &BTreeMap<String, u64>,
    ) -> Result<(String, Reply), EngineError> {
        let engine = &self.shared.engine;
        let incarnation = match lane.local.verified() {
            Some(incarnation) => incarnation,
            None => engine.incarnation().await?,
        };
        let (key, args) = (lane.shard.state(), calls::watch_args(counts));
        match engine.run_on(&incarnation, &fixed::WATCH, &key, args).await {
            Ok(reply) => Ok((incarnation, reply)),
            Err(error) => {
                if let EngineError::Changed { .. } = error {
                    lane.local.forget(&incarnation);
                }
                Err(error)
            }
        }
    }

    fn apply(&self, lane: &Lane, incarnation: &str, status: &ShardStatus) {
        let Some(active) = self.shared.ruleset.get(&lane.shard.campaign) else {
            return;
        };
        let was_verified = lane.local.verified().is_some();
        match Standing::of(status, &active, incarnation) {
            Standing::Whole => lane.local.verify(incarnation.to_owned()),
            standing => {
                lane.local.forget(incarnation);
                // The name may have changed since it was asked for: the next look asks again.
                if !(was_verified && matches!(standing, Standing::Unverified)) {
                    self.shared.judge(&active, standing);
                }
                return;
            }
        }
        for (sku, remaining) in &status.stock {
            lane.local.set_stock(sku, *remaining);
        }
        let epoch = status.fence.as_ref().map_or(0, |fence| fence.epoch);
        lane.local.seen_now(status.now);
        lane.local.seen_outbox(status);
        lane.local.seen_epoch(epoch);
        if epoch > active.activation.epoch {
            self.load_soon(lane, epoch);
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

async fn repeat<F: Future<Output = ()>>(every: Duration, mut work: impl FnMut() -> F) {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        work().await;
    }
}
