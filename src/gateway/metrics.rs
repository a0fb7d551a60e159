//! Figures of the data plane.

use std::borrow::Cow;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::metrics::{self, metrics};
use crate::serving::Figures;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    outcome: &'static str,
    reason: Cow<'static, str>,
}

const PLACED: RequestLabels = RequestLabels {
    route: "place",
    status: 202,
};
const ADMITTED: DecisionLabels = DecisionLabels {
    outcome: "admitted",
    reason: Cow::Borrowed(""),
};

metrics! {
    /// What is counted of requests and their orders.
    pub(super) struct Counters {
        /// Requests to the data plane by route and status.
        requests: Family<RequestLabels, Counter> = "http_requests";
        /// Order attempts by outcome (admitted, replayed, rejected, failed) and reason.
        decisions: Family<DecisionLabels, Counter> = "order_decisions";
        /// Time from the head of an order request to its answer.
        place_seconds: Histogram = "order_duration_seconds", made by from_100_us_to_3_s();
    }
}

fn from_100_us_to_3_s() -> Histogram {
    Histogram::new(exponential_buckets(100e-6, 2.0, 16))
}

/// Handles into the registry.
pub(super) struct Metrics {
    counters: Counters,
    // Those of nearly every order while there is stock, so that they need not be looked up.
    placed: Counter,
    admitted: Counter,
    pub(super) connections: Figures,
}

impl Metrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let counters = Counters::default();
        metrics::register(registry, &counters);
        Self {
            placed: counters.requests.get_or_create_owned(&PLACED),
            admitted: counters.decisions.get_or_create_owned(&ADMITTED),
            counters,
            connections: Figures::new(registry, "http"),
        }
    }

    pub(super) fn request(&self, route: &'static str, status: u16, begun: Instant) {
        let labels = RequestLabels { route, status };
        match labels == PLACED {
            true => self.placed.inc(),
            false => self.counters.requests.get_or_create(&labels).inc(),
        };
        if route == PLACED.route {
            self.counters.place_seconds.observe(begun.elapsed().as_secs_f64());
        }
    }

    pub(super) fn decision(&self, outcome: &'static str, reason: Cow<'static, str>) {
        let labels = DecisionLabels { outcome, reason };
        match labels == ADMITTED {
            true => self.admitted.inc(),
            false => self.counters.decisions.get_or_create(&labels).inc(),
        };
    }
}
