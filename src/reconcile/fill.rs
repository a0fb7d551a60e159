//! Filling: orders that were admitted before a counter was there are charged on it, in the database, so that the rebuild which
//! opens the gate restores it as if it had counted them.
//!
//! Most of them are charged while the gate is open. Then it is closed, what was admitted until then lands, and the rest
//! is charged. Whoever has a gate filled records the activation next, under the epoch that was seen before: where another
//! gateway has opened the gate in between, that epoch is not the newest any more, and filling begins again.

use std::collections::HashSet;

use backon::Retryable;

use super::audiences::TRIES;
use super::work::Work;
use super::{RebuildError, Reconcile};
use crate::engine;
use crate::lua::keys::Shard;
use crate::lua::restore::Restore;
use crate::order::{Charge, LandedOrder, OrderId};
use crate::plan::CheckedPlan;
use crate::plan::eval::charges;
use crate::ruleset::Compiled;
use crate::store::StoreError;

/// Orders read at a time.
const PAGE: u32 = 8000;
/// Orders written by one transaction: landing waits for no more than these.
const AT_ONCE: usize = 1000;

impl Reconcile {
    /// Closes the gate of the revision's campaign, and charges every order that landed on those of these counters that it was
    /// not charged on. Waits where another gateway rebuilds it.
    pub async fn fill(&self, revision: &Compiled, counters: &[String]) -> Result<(), RebuildError> {
        self.while_elsewhere(|| self.fill_once(revision, counters)).await
    }

    async fn fill_once(&self, revision: &Compiled, counters: &[String]) -> Result<(), RebuildError> {
        let campaign = &revision.campaign.id;
        let shard = Shard::new(campaign, 0);
        let turn = self.turn(campaign);
        let _alone = turn.lock().await;
        // Where landing is far behind, that is waited for while orders are taken.
        self.wait_for_landing().await?;
        self.charge_landed(revision, counters, None).await?;
        let lease = format!("rebuild:{campaign}");
        let filled = self.fill_behind_the_gate(&shard, &lease, revision, counters);
        self.under_lease(campaign, &lease, filled).await
    }

    /// With the lease.
    async fn fill_behind_the_gate(
        &self,
        shard: &Shard,
        lease: &str,
        revision: &Compiled,
        counters: &[String],
    ) -> Result<(), RebuildError> {
        let work = self.work(shard, lease).await?;
        work.condition(&revision.campaign).await?;
        let (uid, expires_at) = (&revision.campaign.uid, revision.revision.schedule.expires_at());
        work.step(Restore::Begin { uid, expires_at }).await?;
        work.wait_for_the_database().await?;
        self.charge_landed(revision, counters, Some(&work)).await?;
        // Another gateway that took over may have opened the gate; the epoch tells, too.
        match self.hold(lease).await? {
            true => Ok(()),
            false => Err(RebuildError::Elsewhere),
        }
    }

    /// Behind the closed gate, under the lease of `work`.
    async fn charge_landed(
        &self,
        revision: &Compiled,
        counters: &[String],
        work: Option<&Work<'_>>,
    ) -> Result<(), RebuildError> {
        let plan = &revision.family.plan;
        let counters: HashSet<&str> = counters.iter().map(String::as_str).collect();
        let missing = |order: &LandedOrder| missing(plan, &counters, order);
        let (store, campaign) = (&self.store, &revision.campaign.id);
        let mut after = None;
        loop {
            let page = store.orders_page(campaign, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.attempt.order);
            if let Some(work) = work {
                work.hold().await?;
            }
            let holding = page.iter().filter(|order| order.holds.allowance());
            let lacking: Vec<OrderId> = holding
                .filter(|order| !missing(order).is_empty())
                .map(|order| order.attempt.order)
                .collect();
            for some in lacking.chunks(AT_ONCE) {
                let charge = || store.charge_landed(campaign, some, missing);
                charge
                    .retry(engine::tries(TRIES))
                    .when(|error| matches!(error, StoreError::Transient(_)))
                    .await?;
            }
        }
    }
}

/// What an order would have been charged on the counters, and was not. No limit of theirs let it in, so none goes with it.
fn missing(plan: &CheckedPlan, counters: &HashSet<&str>, order: &LandedOrder) -> Vec<Charge> {
    let has = |counter: &str| order.charges.iter().any(|charge| charge.counter == counter);
    let all = charges(plan, &order.attempt, order.placed_at).into_iter();
    let missing = all.filter(|charge| {
        // Calendars begin with the sale: an order of before their first period, of a sale that was moved since, is in none.
        let is_within = charge.window <= order.placed_at;
        counters.contains(charge.counter.as_str()) && !has(&charge.counter) && is_within
    });
    missing
        .map(|charge| Charge {
            limit: None,
            ..charge
        })
        .collect()
}
