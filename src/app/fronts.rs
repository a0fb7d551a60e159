//! The two listening sides of a gateway: served late, drained in order.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::adapters::Adapters;
use super::listeners::{self, Listeners};
use super::parts::Parts;
use super::ready::readiness;
use super::redrive;
use super::reload::Reload;
use super::shutdown::Shutdown;
use super::webhooks;
use crate::admin::{Admin, Health, Reconciling};
use crate::bus::kafka::Tail;
use crate::config::Config;
use crate::console::Console;
use crate::gateway::auth::Auth;
use crate::gateway::{Changes, Gateway, Stages};
use crate::serving::Tls;

/// Serves until asked to stop. Then, in order: not ready, and serving as before until balancers had time to notice; no new
/// connections, requests in flight answered; what they began acknowledged and settled.
pub(super) async fn run(
    auth: Arc<Auth>,
    adapters: &Adapters,
    parts: &Parts,
    mut registry: Registry,
    listeners: Listeners,
    (shutdown, reload): (Shutdown, Reload),
    follow: impl FnOnce(&Config, Changes) -> Option<Tail>,
) -> anyhow::Result<()> {
    let in_force = reload.in_force();
    parts.admission.register(&mut registry);
    parts.relay.register(&mut registry);
    parts.flow.register(&mut registry);
    parts.host.register(&mut registry);
    parts.sample.register(&mut registry);
    parts.control.register(&mut registry);
    let stages = Stages::new(
        parts.admission.clone(),
        adapters.store.clone(),
        parts.reconcile.clone(),
    );
    let config = in_force.load_full();
    let gateway = Arc::new(Gateway::new(config.gateway(), auth, stages, &mut registry));
    gateway.issuers().put_in_force(&config.auth);
    let _issuers = gateway.issuers().keep(adapters.store.clone());
    let tail = follow(&config, gateway.changes());
    let readiness = Arc::new(readiness(adapters, parts, &in_force, &gateway));
    let Listeners {
        orders,
        admin: listener,
    } = listeners;
    let tls = [orders.tls.clone(), listener.tls.clone()];
    let admin_door = listener.admin_door(&config, &mut registry);
    let health = Health {
        readiness: readiness.clone(),
        registry: Arc::new(registry),
        has_token: config.admin_token.is_some(),
    };
    let admin = Admin {
        rules: parts.control.clone(),
        webhooks: Arc::new(webhooks::desk(&config, &adapters.store)),
        reconciling: Reconciling::new(parts.reconcile.clone()),
        letters: Arc::new(redrive::desk(&config, &adapters.store)),
        clock: {
            let admission = parts.admission.clone();
            Arc::new(move |campaign| admission.now(campaign))
        },
        health,
        token: config.admin_token.clone(),
        payment_token: config.payment_token.clone(),
        limits: Arc::new(config.admin.limits()),
    };

    // The control plane serves through the drain: `/readyz` has to be able to say so.
    let (close_admin, admin_closed) = oneshot::channel::<()>();
    let console = Console::new(
        admin.inside(),
        adapters.store.clone(),
        readiness.clone(),
        tls[1].is_some(),
    );
    let served_admin = tokio::spawn(admin.serve_with(admin_door, console.pages(), admin_closed.map(drop)));
    let (close, closed) = oneshot::channel::<()>();
    let door = gateway.door(orders.socket).tls(orders.tls);
    let serving = tokio::spawn(door.serve(gateway.clone(), closed.map(drop)));
    tokio::select! {
        () = shutdown.clone().asked() => {}
        () = reload.run(|config| {
            // Whatever else is wrong, a certificate that runs out must not have to wait for it.
            tls.iter().flatten().for_each(Tls::refresh);
            put_in_force(config, &gateway, parts)
        }) => {}
    }
    readiness.drain();
    gateway.leave();
    drop(tail);
    tokio::time::sleep(shutdown.delay(in_force.load().drain_delay)).await;
    drop(close);
    drain(in_force.load().drain, serving, adapters, parts).await;
    drop(close_admin);
    listeners::answered(served_admin).await;
    Ok(())
}

/// What a configuration that was read again changes here.
fn put_in_force(config: &Config, gateway: &Gateway<Stages>, parts: &Parts) -> anyhow::Result<()> {
    // The files of the keys may have changed under their old names.
    let auth = gateway.auth().renew(&config.auth)?;
    gateway.put_in_force(&config.gateway(), auth);
    gateway.issuers().put_in_force(&config.auth);
    parts.admission.put_in_force(&config.admission());
    parts
        .flow
        .put_in_force(config.flow.policy, config.flow.backlog_max);
    Ok(())
}

/// Finishes what was begun, within `limit`.
async fn drain(limit: Duration, serving: JoinHandle<()>, adapters: &Adapters, parts: &Parts) {
    let begun = tokio::time::Instant::now();
    let left = || limit.saturating_sub(begun.elapsed());
    if tokio::time::timeout(limit, serving).await.is_err() {
        tracing::warn!("requests were still in flight when the time to drain was over");
    }
    if !parts.relay.drain(left()).await {
        tracing::warn!(
            entries = parts.relay.in_flight(),
            "not acknowledged in time; another gateway relays them"
        );
    }
    if !parts.sample.drain(left()).await {
        tracing::warn!(
            attempts = parts.sample.waiting(),
            "not written in time; the sample lacks them"
        );
    }
    adapters.producer.flush(left()).await;
}
