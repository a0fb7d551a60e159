//! What a process counts that sends webhooks, and how endpoints are.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::metrics::{self, gauge, metrics};
use crate::store::WebhookRow;

metrics! {
    /// What is counted: of all endpoints together.
    pub struct Metrics {
        /// Deliveries that were written down, one for each event and endpoint that asks for it
        pub queued: Counter = "webhook_deliveries_queued";
        /// Deliveries that an endpoint answered with 2xx
        pub delivered: Counter = "webhook_deliveries_delivered";
        /// Attempts that failed
        pub failed: Counter = "webhook_attempts_failed";
        /// Deliveries that were given up after a day of attempts
        pub given_up: Counter = "webhook_deliveries_given_up";
        /// Times that an endpoint was disabled because of what it did
        pub disabled: Counter = "webhooks_disabled_by_failures";
    } and {
        /// As the database has it, when it was last looked at.
        pub endpoints: Endpoints;
    }
}

/// How endpoints are. Clones say the same.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    disabled: AtomicUsize,
    failing_ms: AtomicI64,
}

impl Endpoints {
    pub(super) fn see(&self, hooks: &[WebhookRow], now: i64) {
        let by_itself = |hook: &&WebhookRow| hook.disabled.as_ref().is_some_and(|each| each.why.is_some());
        let disabled = hooks.iter().filter(by_itself).count();
        let enabled = hooks.iter().filter(|hook| hook.disabled.is_none());
        let since = enabled.filter_map(|hook| hook.failing_since).min();
        self.0.disabled.store(disabled, Ordering::Relaxed);
        let failing = since.map_or(0, |since| now.saturating_sub(since).max(0));
        self.0.failing_ms.store(failing, Ordering::Relaxed);
    }
}

/// Puts them on the page.
pub fn register(registry: &mut Registry, counted: &Metrics) {
    metrics::register(registry, counted);
    let endpoints = counted.endpoints.clone();
    let help = "Endpoints that were disabled because of what they did, and that nobody has enabled again";
    gauge(registry, "webhooks_disabled", help, move || {
        endpoints.0.disabled.load(Ordering::Relaxed)
    });
    let endpoints = counted.endpoints.clone();
    let help =
        "For how long nothing was delivered to the endpoint that has failed longest; 0 where none fails";
    gauge(registry, "webhooks_failing_seconds", help, move || {
        endpoints.0.failing_ms.load(Ordering::Relaxed) / 1000
    });
}
