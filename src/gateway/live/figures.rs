//! Figures of streams.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::places::Places;
use crate::metrics::{self, metrics};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    why: &'static str,
}

metrics! {
    /// What is counted of streams.
    pub(super) struct Figures {
        /// Streams that ended, by why: nothing follows (final), the sale closed (over), the token expired (token), open for
        /// too long (age), the gateway closes (drain), or the client went or took nothing (client).
        ended: Family<Why, Counter> = "streams_ended";
        /// States of orders that were told over streams.
        events: Counter = "stream_events";
        /// Time from a change of an order, by the database's clock, until it was handed to the connection of a stream.
        delay: Histogram = "stream_delay_seconds", made by from_1_ms_to_65_s();
    }
}

fn from_1_ms_to_65_s() -> Histogram {
    Histogram::new(exponential_buckets(1e-3, 2.0, 17))
}

impl Figures {
    pub(super) fn new(registry: &mut Registry, places: Arc<Places>) -> Self {
        let figures = Self::default();
        metrics::register(registry, &figures);
        metrics::gauge(registry, "streams_open", "Streams that are open", move || {
            places.open()
        });
        figures
    }

    pub(super) fn ended(&self, why: &'static str) {
        self.ended.get_or_create(&Why { why }).inc();
    }

    /// An event was handed over, `after` its change, milliseconds.
    pub(super) fn told(&self, after: Option<i64>) {
        self.events.inc();
        if let Some(after) = after {
            self.delay.observe(after.max(0) as f64 / 1000.0);
        }
    }
}
