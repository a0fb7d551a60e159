//! Restoring: what orders hold, from the database into the engine.
//!
//! A page is read while the one before is written. Each call stays small, so that the orders of other
//! campaigns hardly wait for it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::RebuildError;
use super::work::Work;
use crate::campaign::bucket_of;
use crate::lua::keys::{LASTING_FAMILIES, lasting_keys};
use crate::lua::record::{Attributes, NO_ENTRY, Record};
use crate::lua::restore::Restore;

use crate::lua::keys;
use crate::order::{BODY, Charge, LandedOrder, OrderId};
use crate::plan::decision::Placed;
use crate::plan::{CheckedPlan, Window};

/// Orders read from the database at a time.
const PAGE: u32 = 8000;
// Of one call; each takes Redis a millisecond or two.
const RECORDS: usize = 200;
const CHARGES: usize = 200;
const KEYS: usize = 250;
const BUCKETS: u32 = 64;

/// What was put back.
#[derive(Default)]
pub(super) struct Tally {
    /// Units held per SKU.
    units: BTreeMap<String, i64>,
    pub(super) landed: u64,
    pub(super) stranded: u64,
    /// Of stranded orders: should one land while the pages are read, it must not count twice.
    seen: HashSet<OrderId>,
    /// Windows of counters whose leftovers are gone.
    cleared: BTreeSet<(String, i64)>,
}

impl Tally {
    /// Units left of a SKU with so many in all.
    pub(super) fn left(&self, sku: &str, total: i64) -> i64 {
        let held = self.units.get(sku).copied().unwrap_or(0);
        if held > total {
            tracing::error!(sku, held, total, "orders hold more units than there are");
        }
        (total - held).max(0)
    }
}

impl Work<'_> {
    /// Part of the keys may have survived: they are not to be counted twice.
    pub(super) async fn drop_leftovers(&self, plan: &CheckedPlan, gently: bool) -> Result<(), RebuildError> {
        let mut names = lasting_keys(plan);
        for (index, counter) in plan.plan().counters.iter().enumerate() {
            if let (Window::Calendar { .. }, Some(periods)) = (&counter.window, plan.periods(index as u32)) {
                let buckets = plan.context().buckets;
                let windows = periods.starts.iter();
                names.extend(windows.flat_map(|start| window_keys(&counter.id, *start, buckets)));
            }
        }
        self.drop_keys(&names, gently).await
    }

    /// Everything the database knows to be admitted. Stranded orders come first: one that lands meanwhile is
    /// then known already when its row is read, and none is missed.
    pub(super) async fn restore_orders(&self, plan: &CheckedPlan) -> Result<Tally, RebuildError> {
        let mut tally = Tally::default();
        self.restore_stranded(plan, &mut tally).await?;
        let mut page = self.page(None).await?;
        while let Some(last) = page.last() {
            let following = self.page(Some(last.attempt.order));
            page.retain(|order| !tally.seen.contains(&order.attempt.order));
            tally.landed += page.iter().filter(|order| !order.is_released()).count() as u64;
            let (following, ()) = futures_util::try_join!(following, self.write(plan, &page, &mut tally))?;
            page = following;
            self.hold().await?;
        }
        Ok(tally)
    }

    async fn page(&self, after: Option<OrderId>) -> Result<Vec<LandedOrder>, RebuildError> {
        let store = &self.reconcile.store;
        Ok(store.orders_page(&self.shard.campaign, after, PAGE).await?)
    }

    async fn restore_stranded(&self, plan: &CheckedPlan, tally: &mut Tally) -> Result<(), RebuildError> {
        let (store, campaign) = (&self.reconcile.store, &self.shard.campaign);
        let mut after = None;
        loop {
            let page = store.stranded(campaign, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.0);
            let mut orders = Vec::with_capacity(page.len());
            for (order, event) in page {
                match event {
                    Ok(event) => orders.push(LandedOrder::accepted(event)),
                    Err(error) => {
                        tracing::error!(campaign, %order, %error, "a dead letter holds nothing")
                    }
                }
            }
            tally.stranded += orders.len() as u64;
            tally.seen.extend(orders.iter().map(|order| order.attempt.order));
            self.write(plan, &orders, tally).await?;
            self.hold().await?;
        }
    }

    /// Records of all orders, and what they hold.
    async fn write<'o>(
        &self,
        plan: &CheckedPlan,
        orders: &'o [LandedOrder],
        tally: &mut Tally,
    ) -> Result<(), RebuildError> {
        let buckets = plan.context().buckets;
        for LandedOrder { attempt, .. } in orders.iter().filter(|order| order.holds.stock()) {
            *tally.units.entry(attempt.sku.clone()).or_default() += i64::from(attempt.quantity);
        }
        let each = |order: &'o LandedOrder| {
            order
                .charges
                .iter()
                .map(|charge| (Some(order.attempt.user.as_str()), charge))
        };
        let holding = orders.iter().filter(|order| order.holds.allowance());
        let mut charges: Vec<(Option<&str>, &Charge)> = holding.flat_map(each).collect();
        // Those of one key together: a call then touches few keys.
        charges.sort_by_cached_key(|(_, charge)| {
            let bucket = bucket_of(charge.subject.as_bytes(), buckets);
            (bucket, charge.counter.as_str(), charge.window)
        });
        self.clear_windows(buckets, &charges, &mut tally.cleared).await?;
        let mut records: Vec<_> = orders.iter().map(|order| record(plan, order)).collect();
        records.sort_by_key(|(bucket, ..)| *bucket);
        let records = records.chunks(RECORDS).map(|records| Restore::Orders {
            records: records.to_vec(),
        });
        let charges = charges.chunks(CHARGES).map(|charges| Restore::Charges {
            charges: charges.to_vec(),
            plan,
        });
        self.steps(records.chain(charges)).await
    }

    /// Tumbling windows are not listed by the plan: each is cleared when its first charge comes along.
    async fn clear_windows(
        &self,
        buckets: u32,
        charges: &[(Option<&str>, &Charge)],
        cleared: &mut BTreeSet<(String, i64)>,
    ) -> Result<(), RebuildError> {
        let mut names = Vec::new();
        for (_, charge) in charges {
            let windowed = charge.window != 0 && charge.rolling_ms == 0;
            if windowed && cleared.insert((charge.counter.clone(), charge.window)) {
                names.extend(window_keys(&charge.counter, charge.window, buckets));
            }
        }
        self.drop_keys(&names, false).await
    }

    pub(super) async fn drop_keys(&self, names: &[String], gently: bool) -> Result<(), RebuildError> {
        let pages = names.chunks(KEYS);
        let drops = pages.map(|page| Restore::Drop { keys: page.to_vec() });
        match gently {
            true => self.gently(drops).await,
            false => self.steps(drops).await,
        }
    }

    /// Every bucket that an open gate has, with or without entries.
    pub(super) async fn make_buckets(&self, plan: &CheckedPlan, gently: bool) -> Result<(), RebuildError> {
        let buckets = plan.context().buckets;
        let expires_at = plan.context().schedule.expires_at();
        let pieces = (0..buckets.div_ceil(BUCKETS)).flat_map(|piece| {
            LASTING_FAMILIES.map(|family| Restore::Make {
                family,
                buckets: piece * BUCKETS..=(buckets - 1).min(piece * BUCKETS + BUCKETS - 1),
                expires_at,
            })
        });
        match gently {
            true => self.gently(pieces).await,
            false => self.steps(pieces).await,
        }
    }
}

fn window_keys(counter: &str, start: i64, buckets: u32) -> impl Iterator<Item = String> {
    (0..buckets).map(move |bucket| keys::counter(counter, start, bucket))
}

fn only_body(attributes: &Attributes) -> Attributes {
    let body = attributes.get_key_value(BODY);
    body.map(|(name, value)| (name.clone(), value.clone()))
        .into_iter()
        .collect()
}

fn record(plan: &CheckedPlan, order: &LandedOrder) -> (u32, OrderId, String) {
    // What the database has is all there was, under whichever revision the order was admitted.
    let attributes = match order.is_released() {
        // A retry is compared with it all the same; its attributes decide nothing any more.
        true => only_body(&order.attempt.attributes),
        false => order.attempt.attributes.clone(),
    };
    let needed = !attributes.is_empty() || (!plan.attributes().is_empty() && !order.is_released());
    let record = Record {
        placed: Placed::of(order),
        // It is in no outbox any more.
        entry: NO_ENTRY.to_owned(),
        attributes: needed.then_some(attributes),
    };
    let bucket = bucket_of(order.attempt.user.as_bytes(), plan.context().buckets);
    (bucket, order.attempt.order, record.encode())
}
