//! Webhooks of a process: what keeps changes for endpoints and sends them, and what the control plane asks about endpoints.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;

use crate::clock::now_ms;
use crate::config::Config;
use crate::needs::Hooks;
use crate::reaching::System;
use crate::store::Store;
use crate::webhooks::{self, Desk, Intake, Metrics, Needs, Poster, Sending};

/// How long an end waits until the endpoints are left to others.
const END_LIMIT: Duration = Duration::from_secs(1);

/// What a process runs that lands.
pub(super) struct Webhooks {
    metrics: Metrics,
    intake: Arc<Intake>,
    sending: Sending,
}

impl Webhooks {
    /// Starts sending.
    pub(super) fn spawn(config: &Config, store: &Store) -> Self {
        let metrics = Metrics::default();
        let intake = Intake::new(store.clone(), now_ms, metrics.clone());
        let sending = Sending::spawn(Needs {
            store: store.clone(),
            poster: poster(config),
            clock: now_ms,
            metrics: metrics.clone(),
        });
        Self {
            metrics,
            intake: Arc::new(intake),
            sending,
        }
    }

    /// Who is to keep what is told.
    pub(super) fn hooks(&self) -> Arc<dyn Hooks> {
        self.intake.clone()
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        webhooks::register(registry, &self.metrics);
    }

    /// Sends nothing more.
    pub(super) async fn stop(self) {
        self.sending.stop(END_LIMIT).await;
    }
}

/// What the control plane asks.
pub(super) fn desk(config: &Config, store: &Store) -> Desk {
    Desk::new(store.clone(), poster(config), now_ms, config.events.enabled)
}

fn poster(config: &Config) -> Poster {
    Poster::new(config.webhooks.private.clone(), Arc::new(System))
}
