//! The two listening sides of a gateway: bound early, served late, drained in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use super::adapters::Adapters;
use super::metrics::GatewayFigures;
use super::parts::Parts;
use super::shutdown::Shutdown;
use crate::admin::{self, Admin, Health, Readiness};
use crate::config::Config;
use crate::gateway::auth::Auth;
use crate::gateway::{self, Gateway, Stages};

/// Bound before anything else is started: a taken port is known at once.
pub(super) struct Listeners {
    orders: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    pub(super) fn bind(config: &Config) -> anyhow::Result<Self> {
        let orders = gateway::bind(config.listen)?;
        let admin = admin::Config {
            listen: config.admin_listen,
            token: config.admin_token.clone(),
        };
        Ok(Self {
            orders,
            admin: admin::bind(&admin)?,
        })
    }

    /// Data plane, control plane.
    pub(super) fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.orders.local_addr()?, self.admin.local_addr()?))
    }
}

/// Serves until asked to stop, then drains: no new connections, requests in flight answered, what they
/// began acknowledged and settled.
pub(super) async fn run(
    config: &Config,
    auth: Auth,
    adapters: &Adapters,
    parts: &Parts,
    mut registry: Registry,
    listeners: Listeners,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    registry.register_collector(Box::new(GatewayFigures {
        admission: parts.admission.clone(),
        relay: parts.relay.clone(),
        producer: adapters.producer.clone(),
        host: parts.host.clone(),
        sample: parts.sample.clone(),
        flow: parts.flow.clone(),
    }));
    let stages = Stages::new(parts.admission.clone(), adapters.store.clone());
    let gateway = Arc::new(Gateway::new(config.gateway(), auth, stages, &mut registry));
    let readiness = Arc::new(Readiness::new(adapters.checks()));
    let health = Health {
        readiness: readiness.clone(),
        registry: Arc::new(registry),
    };
    let admin = Admin {
        rules: parts.control.clone(),
        health,
        token: config.admin_token.clone(),
    };

    // The control plane serves through the drain: `/readyz` has to be able to say so.
    let served_admin = tokio::spawn(admin.serve(listeners.admin, std::future::pending()));
    let asked = {
        let shutdown = shutdown.clone();
        async move {
            shutdown.asked().await;
            readiness.drain();
        }
    };
    let serving = tokio::spawn(gateway.serve(listeners.orders, asked));
    shutdown.asked().await;
    let begun = tokio::time::Instant::now();
    let left = |limit: Duration| limit.saturating_sub(begun.elapsed());
    if tokio::time::timeout(config.drain(), serving).await.is_err() {
        tracing::warn!("requests were still in flight when the time to drain was over");
    }
    if !parts.relay.drain(left(config.drain())).await {
        tracing::warn!(
            entries = parts.relay.in_flight(),
            "not acknowledged in time; another gateway relays them"
        );
    }
    if !parts.sample.drain(left(config.drain())).await {
        tracing::warn!(
            attempts = parts.sample.waiting(),
            "not written in time; the sample lacks them"
        );
    }
    adapters.producer.flush(left(config.drain())).await;
    served_admin.abort();
    Ok(())
}
