//! How admission stands, for Prometheus.

use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::Admission;
use crate::metrics::gauge;

impl Admission {
    /// Puts its metrics on the page.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        let stage = self.clone();
        let read = move || stage.waiting();
        gauge(
            registry,
            "admission_waiting",
            "Attempts waiting for a decision",
            read,
        );
        let stage = self.clone();
        let read = move || stage.in_outbox();
        gauge(
            registry,
            "outbox_orders",
            "Orders in the outboxes of all campaigns",
            read,
        );
        let stage = self.clone();
        let read = move || stage.oldest_ms();
        let help = "Age of the oldest entry of any outbox";
        gauge(registry, "outbox_oldest_milliseconds", help, read);
        let stage = self.clone();
        let read = move || stage.gates_closed();
        let help = "Campaigns nobody can be admitted to, their state being lost or unverified";
        gauge(registry, "gates_closed", help, read);
        let stage = self.clone();
        let read = move || i64::from(stage.delivery_fails());
        let help = "1 while orders are answered pending at once, because Kafka acknowledges none";
        gauge(registry, "admission_delivery_failing", help, read);
    }
}
