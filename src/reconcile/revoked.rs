//! Giving back what revoked orders hold in the engine: the database refused them, so nobody will ever
//! get what they took.
//!
//! An order is revoked only after the engine lost something, and what is full in the database then stands for what
//! the engine forgot. So an oversold order gives back its counters and not its unit, which never existed; one
//! beyond a limit gives back its unit and every charge but those of the counters that are full. One that was lost on
//! its way, or a dead letter, and was given up gives back everything.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};

use super::work::Work;
use super::{RebuildError, Reconcile};
use crate::lua::calls;
use crate::lua::fence::Fence;
use crate::lua::fixed;
use crate::lua::keys::Shard;
use crate::order::{Charge, DISCARDED, LOST, OVER_LIMIT, OrderId};
use crate::plan::CheckedPlan;
use crate::ruleset::Compiled;
use crate::seldom::Seldom;
use crate::state::Condition;
use crate::store::Revocation;

/// Between two looks at the database.
const EVERY: Duration = Duration::from_secs(1);
/// Orders of one round per campaign.
const PAGE: u32 = 500;
/// Orders that one call looks up.
const LOOKUPS: usize = 100;
/// Calls on their way at the same time.
const CALLS_AT_ONCE: usize = 16;

/// Runs until dropped.
pub struct GivingBack(tokio::task::JoinHandle<()>);

impl Drop for GivingBack {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reconcile {
    /// Looks every second for revoked orders that still hold something.
    pub fn keep_giving_back(self: &Arc<Self>) -> GivingBack {
        let reconcile = self.clone();
        GivingBack(tokio::spawn(async move {
            let mut tick = tokio::time::interval(EVERY);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut trouble = Seldom::default();
            loop {
                tick.tick().await;
                if let Err(error) = reconcile.give_back().await
                    && trouble.met(&error.to_string(), Instant::now()).is_some()
                {
                    tracing::warn!(%error, "what revoked orders hold could not be looked for");
                }
            }
        }))
    }

    /// One round over all campaigns: how many orders have given back. Those behind a closed gate wait for
    /// the rebuild, after which they hold nothing.
    pub async fn give_back(&self) -> Result<u64, RebuildError> {
        let mut given = 0;
        for campaign in self.store.campaigns_with_revoked().await? {
            let lease = format!("give-back:{campaign}");
            if !self.hold(&lease).await? {
                continue;
            }
            match self.give_back_in(&Shard::new(&campaign, 0), &lease).await {
                Ok(0) => {}
                Ok(orders) => {
                    given += orders;
                    tracing::info!(campaign, orders, "revoked orders gave back what they held");
                }
                Err(error) => tracing::warn!(campaign, %error, "revoked orders still hold what they took"),
            }
        }
        Ok(given)
    }

    /// Everything that revoked orders of one campaign hold, as far as no other process is at it.
    pub(super) async fn give_back_of(&self, campaign: &str) -> Result<(), RebuildError> {
        let lease = format!("give-back:{campaign}");
        while !self.store.revoked(campaign, 1).await?.is_empty() && self.hold(&lease).await? {
            let given = self.give_back_in(&Shard::new(campaign, 0), &lease).await;
            // Let go at once: whoever gives back from now on has to wait for nobody.
            self.store.lease(&lease, &self.owner, (self.clock)(), 0).await?;
            if given? == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn give_back_in(&self, shard: &Shard, lease: &str) -> Result<u64, RebuildError> {
        let row = self.row(&shard.campaign).await?;
        let (campaign, now) = (&row.campaign, (self.clock)());
        let waiting = self.store.revoked(&campaign.id, PAGE).await?;
        let ids: Vec<OrderId> = waiting.iter().map(Revocation::id).collect();
        if row.schedule.is_archived(now) {
            // With its keys goes whatever they held.
            self.store.mark_given_back(&campaign.id, &ids, now).await?;
            return Ok(0);
        }
        let work = self.work(shard, lease).await?;
        let Condition::Whole(fence) = work.condition(campaign).await? else {
            return Ok(0);
        };
        let revision = self.revision(campaign, row.activation.revision).await?;
        let compiled = Compiled::build(campaign.clone(), revision)?;
        let (work, fence, plan) = (&work, &fence, &*compiled.family.plan);
        let of_others = &work.of_others(&waiting, campaign.buckets).await?;
        let released: Vec<bool> = stream::iter(waiting)
            .map(|revocation| async move {
                match of_others.contains(&revocation.id()) {
                    // It holds nothing, and the other one goes on holding.
                    true => Ok(true),
                    false => work.release(fence, &revocation, plan).await,
                }
            })
            .buffered(CALLS_AT_ONCE)
            .try_collect()
            .await?;
        let done: Vec<OrderId> = ids
            .into_iter()
            .zip(&released)
            .filter_map(|(order, released)| released.then_some(order))
            .collect();
        self.store.mark_given_back(&campaign.id, &done, now).await?;
        Ok(done.len() as u64)
    }
}

impl Work<'_> {
    /// Those whose id the engine knows for another order: a record that somebody made up may have taken it in the
    /// database. What the engine holds under that id is not theirs to give back.
    async fn of_others(
        &self,
        waiting: &[Revocation],
        buckets: u32,
    ) -> Result<HashSet<OrderId>, RebuildError> {
        let mut of_others = HashSet::new();
        for revocations in waiting.chunks(LOOKUPS) {
            let ids = revocations
                .iter()
                .map(|revocation| (revocation.id(), revocation.order.attempt.user.as_str()));
            let reply = self.run(&fixed::LOOKUP, calls::lookup_args(ids, buckets)).await?;
            let found = calls::lookup_reply(reply)?.orders;
            let others = revocations.iter().zip(found).filter(|(revocation, found)| {
                let placed = found.as_ref().map(|found| &found.placed);
                placed.is_some_and(|placed| {
                    let order = &revocation.order;
                    placed.user != order.attempt.user || placed.fingerprint() != order.fingerprint
                })
            });
            of_others.extend(others.map(|(revocation, _)| revocation.id()));
        }
        Ok(of_others)
    }

    /// Whether the order holds nothing any more; `false` where the fence moved meanwhile. A call that is
    /// repeated finds the record's flag and does nothing.
    async fn release(
        &self,
        fence: &Fence,
        revocation: &Revocation,
        plan: &CheckedPlan,
    ) -> Result<bool, RebuildError> {
        let (units, charges) = returns(revocation);
        let attempt = &revocation.order.attempt;
        let order = (attempt.order, attempt.user.as_str());
        let args = calls::release_args(fence, order, &attempt.sku, units, &charges, plan);
        let reply = self.run(&fixed::RELEASE, args).await?;
        Ok(calls::release_reply(reply)?)
    }
}

/// Units and charges that come back.
pub(super) fn returns(revocation: &Revocation) -> (u32, Vec<Charge>) {
    if ![OVER_LIMIT, LOST, DISCARDED].contains(&revocation.reason.as_str()) {
        return (0, revocation.order.charges.clone());
    }
    let full = |charge: &&Charge| !revocation.counters.contains(&charge.counter);
    let charges = revocation.order.charges.iter().filter(full).cloned().collect();
    (revocation.order.attempt.quantity, charges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{LandedOrder, OrderEvent};

    fn revoked(reason: &str, full: &[&str]) -> Revocation {
        let charge = |counter: &str| Charge {
            counter: counter.into(),
            window: 0,
            rolling_ms: 0,
            subject: "ada".into(),
            cost: 2,
            limit: None,
        };
        let event = OrderEvent {
            quantity: 2,
            charges: vec![charge("a/units"), charge("b/units")],
            ..crate::order::fixture::event(1)
        };
        Revocation {
            order: LandedOrder::accepted(event),
            reason: reason.into(),
            counters: full.iter().map(|counter| (*counter).to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_full_in_the_database_does_not_come_back() {
        let counters = |revocation| {
            let (units, charges) = returns(&revocation);
            let counters: Vec<String> = charges.into_iter().map(|charge| charge.counter).collect();
            (units, counters.join(" "))
        };
        for reason in ["oversold", "unknown-sku"] {
            assert_eq!(counters(revoked(reason, &[])), (0, "a/units b/units".to_owned()));
        }
        assert_eq!(
            counters(revoked("over-limit", &["a/units"])),
            (2, "b/units".to_owned())
        );
        assert_eq!(
            counters(revoked("over-limit", &["a/units", "b/units"])),
            (2, String::new())
        );
        for reason in ["lost", "discarded"] {
            assert_eq!(counters(revoked(reason, &[])), (2, "a/units b/units".to_owned()));
        }
    }
}
