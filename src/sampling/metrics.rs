//! What the sample counts, and what it has in hand.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::Sample;
use crate::metrics::{self, gauge, metrics};

metrics! {
    /// What the sample counts.
    pub struct Metrics {
        /// Decided attempts written into the sample
        pub recorded: Counter = "sample_attempts_recorded";
        /// Decided attempts of buyers outside of the sample
        pub skipped: Counter = "sample_attempts_skipped";
        /// Decided attempts the sample could not keep up with
        pub dropped: Counter = "sample_attempts_dropped";
    }
}

impl Sample {
    /// Puts its metrics on the page.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        metrics::register(registry, &self.shared.metrics);
        let sample = self.clone();
        let read = move || sample.waiting();
        gauge(
            registry,
            "sample_attempts_waiting",
            "Decided attempts not written yet",
            read,
        );
    }
}
