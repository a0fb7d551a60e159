//! Giving back in the engine what orders gave back in the database: those that were revoked, cancelled, expired or refunded, and
//! dead letters that were discarded. The database says what comes back; the engine's record of the order says whether it has
//! come back already.
//!
//! An order is revoked only after the engine lost something, and what is full in the database then stands for what
//! the engine forgot. So an oversold order gives back its counters and not its unit, which never existed; one
//! beyond a limit gives back its unit and every charge but those of the counters that are full.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::work::{REST_MAX, Work};
use super::{RebuildError, Reconcile};
use crate::clock;
use crate::failpoint::{self, Point};
use crate::lua::calls::{self, Returned};
use crate::lua::fence::Fence;
use crate::lua::fixed;
use crate::lua::keys::Shard;
use crate::order::OrderId;
use crate::plan::CheckedPlan;
use crate::ruleset::Compiled;
use crate::seldom::Seldom;
use crate::state::Condition;
use crate::store::Released;

/// Between two looks at the database, where nobody says that there is something.
const EVERY: Duration = Duration::from_millis(500);
/// Orders of one round per campaign.
const PAGE: u32 = 500;
/// Orders that one call looks up.
const LOOKUPS: usize = 100;
/// Orders and charges that one call gives back: it takes the engine a millisecond or so.
const ORDERS_OF_A_CALL: usize = 32;
const CHARGES_OF_A_CALL: usize = 128;

impl Reconcile {
    /// Looks again and again for released orders that still hold something in the engine, until the handle is dropped.
    pub fn keep_giving_back(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let reconcile = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut tick = clock::every(EVERY);
            let mut trouble = Seldom::default();
            loop {
                tokio::select! {
                    _ = tick.tick() => {}
                    () = reconcile.released.notified() => {}
                }
                if let Err(error) = reconcile.give_back().await
                    && trouble.met(&error.to_string(), Instant::now()).is_some()
                {
                    tracing::warn!(%error, "what released orders hold could not be looked for");
                }
            }
        }))
    }

    /// An order was released just now: what it holds in the engine is given back at once.
    pub fn give_back_soon(&self) {
        self.released.notify_one();
    }

    /// Everything that released orders of all campaigns hold: how many have given back. Those behind a closed gate wait for
    /// the rebuild, after which they hold nothing.
    pub async fn give_back(&self) -> Result<u64, RebuildError> {
        self.store.adopt_revocations().await?;
        let mut given = 0;
        for campaign in self.store.campaigns_with_releases().await? {
            match self.give_back_all_of(&campaign).await {
                Ok(0) => {}
                Ok(orders) => {
                    given += orders;
                    tracing::info!(campaign, orders, "released orders gave back what they held");
                }
                Err(error) => tracing::warn!(campaign, %error, "released orders still hold what they took"),
            }
        }
        Ok(given)
    }

    /// Everything that released orders of one campaign hold, as far as no other process is at it.
    pub(super) async fn give_back_of(&self, campaign: &str) -> Result<(), RebuildError> {
        self.store.adopt_revocations().await?;
        if !self.store.waiting_releases(campaign, 1).await?.is_empty() {
            self.give_back_all_of(campaign).await?;
        }
        Ok(())
    }

    async fn give_back_all_of(&self, campaign: &str) -> Result<u64, RebuildError> {
        let lease = format!("give-back:{campaign}");
        let (mut all, mut more) = (0, true);
        while more && self.hold(&lease).await? {
            let given = self.give_back_in(&Shard::new(campaign, 0), &lease).await;
            // Let go at once: whoever gives back from now on has to wait for nobody.
            self.store.lease(&lease, &self.owner, (self.clock)(), 0).await?;
            let given = given?;
            all += given;
            more = given == u64::from(PAGE);
        }
        Ok(all)
    }

    async fn give_back_in(&self, shard: &Shard, lease: &str) -> Result<u64, RebuildError> {
        let row = self.row(&shard.campaign).await?;
        let (campaign, now) = (&row.campaign, (self.clock)());
        let waiting = self.store.waiting_releases(&campaign.id, PAGE).await?;
        let ids: Vec<OrderId> = waiting.iter().map(Released::id).collect();
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
        let of_others = work.of_others(&waiting, campaign.buckets).await?;
        // One of another's id holds nothing, and the other one goes on holding.
        let (mut done, own): (Vec<&Released>, Vec<&Released>) =
            waiting.iter().partition(|each| of_others.contains(&each.id()));
        let mut own = own.as_slice();
        while !own.is_empty() {
            let (some, others) = own.split_at(of_a_call(own));
            if !work.release(&fence, some, &compiled.family.plan).await? {
                break;
            }
            done.extend(some);
            own = others;
        }
        failpoint::hit(Point::L3);
        let done: Vec<OrderId> = done.into_iter().map(Released::id).collect();
        self.store.mark_given_back(&campaign.id, &done, now).await?;
        Ok(done.len() as u64)
    }
}

/// How many of the orders one call takes.
fn of_a_call(orders: &[&Released]) -> usize {
    let mut charges = 0;
    let fitting = orders.iter().take(ORDERS_OF_A_CALL).take_while(|each| {
        charges += each.order.charges.len();
        charges <= CHARGES_OF_A_CALL
    });
    fitting.count().max(1)
}

impl Work<'_> {
    /// Those whose id the engine knows for another order: a record that somebody made up may have taken it in the
    /// database. What the engine holds under that id is not theirs to give back.
    async fn of_others(&self, waiting: &[Released], buckets: u32) -> Result<HashSet<OrderId>, RebuildError> {
        let mut of_others = HashSet::new();
        for releases in waiting.chunks(LOOKUPS) {
            let ids = releases
                .iter()
                .map(|each| (each.id(), each.order.attempt.user.as_str()));
            let reply = self.run(&fixed::LOOKUP, calls::lookup_args(ids, buckets)).await?;
            let found = calls::lookup_reply(reply)?.orders;
            let others = releases.iter().zip(found).filter(|(each, found)| {
                let placed = found.as_ref().map(|found| &found.placed);
                placed.is_some_and(|placed| {
                    let order = &each.order;
                    placed.user != order.attempt.user || placed.fingerprint() != order.fingerprint
                })
            });
            of_others.extend(others.map(|(each, _)| each.id()));
        }
        Ok(of_others)
    }

    /// Whether the orders hold nothing any more; `false` where the fence moved meanwhile. A call that is
    /// repeated finds the records' flags and does nothing. Rests as long as the call took: buyers come first.
    async fn release(
        &self,
        fence: &Fence,
        orders: &[&Released],
        plan: &CheckedPlan,
    ) -> Result<bool, RebuildError> {
        let returned = orders.iter().map(|each| {
            let (units, charges) = each.returns();
            Returned {
                order: each.id(),
                user: &each.order.attempt.user,
                sku: &each.order.attempt.sku,
                units,
                charges,
            }
        });
        let args = calls::release_args(fence, &returned.collect::<Vec<_>>(), plan);
        let begun = Instant::now();
        let released = calls::release_reply(self.run(&fixed::RELEASE, args).await?)?;
        tokio::time::sleep(begun.elapsed().min(REST_MAX)).await;
        self.hold().await?;
        Ok(released.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{Charge, LandedOrder, OrderEvent, Revoked};

    fn revoked(reason: &str, full: &[&str]) -> Released {
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
        Released {
            order: LandedOrder::accepted(event),
            reason: reason.into(),
            stock: Revoked::gives_back_units_of(reason),
            allowance: true,
            counters: full.iter().map(|counter| (*counter).to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_full_in_the_database_does_not_come_back() {
        let counters = |released: Released| {
            let (units, charges) = released.returns();
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
