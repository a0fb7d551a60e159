//! What the relay counts, and what it has in hand.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::Relay;
use crate::metrics::{self, gauge, gauges, metrics};

metrics! {
    /// What the relay counts.
    pub struct Metrics {
        /// Own orders acknowledged
        pub published: Counter = "relay_orders_published";
        /// Orders found in the outbox and published
        pub relayed: Counter = "relay_orders_relayed";
        /// Records acknowledged that carried those orders
        pub records: Counter = "relay_records";
        /// Batches not acknowledged
        pub failed: Counter = "relay_batches_failed";
        /// Outbox entries that were found to be no orders, or of no revision, each once
        pub unreadable: Counter = "relay_entries_unreadable";
    }
}

impl Relay {
    /// Puts its metrics on the page.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        metrics::register(registry, &self.metrics);
        let relay = self.clone();
        let read = move || relay.in_flight();
        gauge(
            registry,
            "relay_entries_in_flight",
            "Entries not settled yet",
            read,
        );
        let producer = self.producer.clone();
        let read = move || producer.in_flight();
        gauge(
            registry,
            "bus_orders_in_flight",
            "Records not acknowledged yet",
            read,
        );
        let relay = self.clone();
        gauges(
            registry,
            "relay_entries_stuck",
            "Outbox entries that cannot be relayed, of the campaigns this gateway looks after",
            move || {
                let stuck = relay.stuck().into_iter();
                stuck
                    .map(|(campaign, entries)| ([("campaign", campaign)], entries))
                    .collect()
            },
        );
    }
}
