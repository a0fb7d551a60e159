//! What a lander counts of telling, and how far the database says that telling is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::metrics::{self, gauge, gauges, metrics};

metrics! {
    /// What is counted: of all topics together.
    pub struct Metrics {
        /// Events of changes of orders that Kafka has acknowledged
        pub told: Counter = "order_events_told";
        /// Of these, events that were made again from the log or the database, because it was not known whether they had been told
        pub again: Counter = "order_events_told_again";
        /// Orders that landed while too many events waited for Kafka, and are told later
        pub put_off: Counter = "order_events_put_off";
        /// Times that events were not acknowledged or could not be made, and are tried again
        pub failures: Counter = "order_events_failures";
    } and {
        /// As the database has it, when it was last looked at.
        pub behind: Behind;
    }
}

/// How far telling is behind. Clones say the same.
#[derive(Clone, Debug, Default)]
pub struct Behind(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// Records by topic, of every topic.
    records: BTreeMap<String, u64>,
    standstill_seconds: u64,
    /// Age of the oldest later change that is not told.
    change_ms: i64,
}

impl Behind {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that landed and are not told, by topic, and for how long a partition has been told nothing of that waits.
    pub(super) fn see(&self, records: BTreeMap<String, u64>, standstill_seconds: u64) {
        let mut seen = self.lock();
        seen.records = records;
        seen.standstill_seconds = standstill_seconds;
    }

    pub(super) fn see_changes(&self, oldest_ms: i64) {
        self.lock().change_ms = oldest_ms.max(0);
    }

    /// Records of all topics.
    #[cfg(feature = "testing")]
    pub fn records(&self) -> u64 {
        self.lock().records.values().sum()
    }
}

/// Puts them on the page.
pub fn register(registry: &mut Registry, counted: &Metrics) {
    metrics::register(registry, counted);
    let behind = counted.behind.clone();
    let help = "Records that have landed and whose orders are not known to be told, as the database has it";
    gauges(registry, "order_events_untold_records", help, move || {
        let records = behind.lock().records.clone();
        let told = records
            .into_iter()
            .map(|(topic, records)| ([("topic", topic)], records));
        told.collect()
    });
    let behind = counted.behind.clone();
    let help = "For how long nothing has been told of a partition of which something is to be told";
    gauge(registry, "order_events_standstill_seconds", help, move || {
        behind.lock().standstill_seconds
    });
    let behind = counted.behind.clone();
    let help = "Age of the oldest later change of an order that is not told; 0 where this lander does not look after them";
    gauge(registry, "order_events_change_milliseconds", help, move || {
        behind.lock().change_ms
    });
}
