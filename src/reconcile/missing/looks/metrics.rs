//! What is counted of the looks, and what they found, for whoever operates the sale.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::super::super::compare::{Difference, Gap, Place};
use super::Looks;
use crate::metrics::{self, gauges, metrics};

metrics! {
    /// What is counted of the looks of this process.
    pub struct Metrics {
        /// Orders that nobody had and that were sent again
        pub sent_again: Counter = "missing_orders_sent_again";
        /// Times that all orders of a campaign were read to name the missing ones
        pub scans: Counter = "missing_scans";
        /// Looks for missing orders that failed
        pub failed: Counter = "missing_looks_failed";
    }
}

/// What a campaign misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Units nobody has, of the newest look.
    pub units: i64,
    /// Units that are on sale and that somebody has, of the newest look.
    pub surplus: i64,
    /// Orders the newest scan found missing.
    pub orders: u64,
    /// Of these, orders that cannot be sent again by themselves: an operator decides.
    pub for_operator: u64,
}

/// Campaigns that miss something, or have too much of it. Clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Found(Arc<Mutex<BTreeMap<String, Missing>>>);

impl Looks {
    /// Puts its metrics on the page.
    pub fn register(&self, registry: &mut Registry) {
        metrics::register(registry, &self.metrics);
        let mut gauge = |name, help, read: fn(&Missing) -> i64| {
            let found = self.found.clone();
            gauges(registry, name, help, move || found.told(read));
        };
        gauge(
            "missing_units",
            "Units that were admitted and nobody has, by campaign, of the newest look",
            |missing| missing.units,
        );
        gauge(
            "surplus_units",
            "Units that are on sale and that somebody has, by campaign, of the newest look",
            |missing| missing.surplus,
        );
        gauge(
            "missing_orders",
            "Orders that were admitted and nobody had, of the newest scan; those that could be were sent again",
            |missing| i64::try_from(missing.orders).unwrap_or(i64::MAX),
        );
        gauge(
            "missing_orders_for_operator",
            "Of these, orders that cannot be sent again by themselves",
            |missing| i64::try_from(missing.for_operator).unwrap_or(i64::MAX),
        );
    }
}

impl Found {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Missing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self, read: fn(&Missing) -> i64) -> Vec<([(&'static str, String); 1], i64)> {
        let found = self.lock();
        let told = found
            .iter()
            .map(|(campaign, missing)| ([("campaign", campaign.clone())], read(missing)));
        told.collect()
    }

    /// `None` where nothing is wrong.
    pub fn of(&self, campaign: &str) -> Option<Missing> {
        self.lock().get(campaign).copied()
    }

    #[cfg(feature = "testing")]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Forgets campaigns that are not there any more.
    pub(super) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.lock().retain(|campaign, _| is_there(campaign));
    }

    pub(super) fn show(&self, campaign: &str, gap: &Gap) {
        let mut found = self.lock();
        if gap.is_empty() && !found.contains_key(campaign) {
            return;
        }
        let missing = found.entry(campaign.to_owned()).or_default();
        missing.units = gap.values().filter(|units| **units > 0).sum();
        missing.surplus = -gap.values().filter(|units| **units < 0).sum::<i64>();
    }

    /// The sums are right: nothing is left to tell, unless an operator has to decide about an order that something
    /// else hides.
    pub(super) fn drop_settled(&self, campaign: &str) {
        let mut found = self.lock();
        if found
            .get(campaign)
            .is_some_and(|missing| missing.for_operator == 0)
        {
            found.remove(campaign);
        }
    }

    pub(super) fn for_operator(&self, campaign: &str) -> u64 {
        self.of(campaign).map_or(0, |missing| missing.for_operator)
    }

    /// What a scan found.
    pub(super) fn note(&self, campaign: &str, lost: usize, for_operator: usize) {
        let mut found = self.lock();
        let missing = found.entry(campaign.to_owned()).or_default();
        (missing.orders, missing.for_operator) = (lost as u64, for_operator as u64);
        if *missing == Missing::default() {
            found.remove(campaign);
        }
    }
}

/// Units of these orders, by SKU.
pub(super) fn units_of<'d>(orders: impl Iterator<Item = &'d Difference>) -> Gap {
    let mut units = Gap::new();
    for order in orders {
        if let Place::Order { sku, quantity, .. } = &order.place {
            *units.entry(sku.clone()).or_default() += i64::from(*quantity);
        }
    }
    units
}
