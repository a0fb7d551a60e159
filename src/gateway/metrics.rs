//! Figures of the data plane.

use std::borrow::Cow;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

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

/// Handles into the registry.
pub(super) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    decisions: Family<DecisionLabels, Counter>,
    // Those of nearly every order while there is stock, so that they need not be looked up.
    placed: Counter,
    admitted: Counter,
    place_seconds: Histogram,
    pub(super) connections: Figures,
}

impl Metrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        // 100 µs to 3.3 s.
        let requests = Family::<RequestLabels, Counter>::default();
        let decisions = Family::<DecisionLabels, Counter>::default();
        let placed = requests.get_or_create(&PLACED).clone();
        let admitted = decisions.get_or_create(&ADMITTED).clone();
        let metrics = Self {
            requests,
            decisions,
            placed,
            admitted,
            place_seconds: Histogram::new(exponential_buckets(100e-6, 2.0, 16)),
            connections: Figures::new(registry, "http"),
        };
        registry.register(
            "http_requests",
            "Requests to the data plane by route and status",
            metrics.requests.clone(),
        );
        registry.register(
            "order_decisions",
            "Order attempts by outcome (admitted, replayed, rejected, failed) and reason",
            metrics.decisions.clone(),
        );
        registry.register(
            "order_duration_seconds",
            "Time from the head of an order request to its answer",
            metrics.place_seconds.clone(),
        );
        metrics
    }

    pub(super) fn request(&self, route: &'static str, status: u16, begun: Instant) {
        let labels = RequestLabels { route, status };
        match labels == PLACED {
            true => self.placed.inc(),
            false => self.requests.get_or_create(&labels).inc(),
        };
        if route == PLACED.route {
            self.place_seconds.observe(begun.elapsed().as_secs_f64());
        }
    }

    pub(super) fn decision(&self, outcome: &'static str, reason: Cow<'static, str>) {
        let labels = DecisionLabels { outcome, reason };
        match labels == ADMITTED {
            true => self.admitted.inc(),
            false => self.decisions.get_or_create(&labels).inc(),
        };
    }
}
