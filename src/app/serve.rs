//! `rushgate serve`: the gateway on Redis, Kafka and the database.

use std::sync::Arc;

use super::adapters::Adapters;
use super::fronts;
use super::listeners::{Listeners, fitted};
use super::missing;
use super::parts::{Parts, wire};
use super::reload::{Reload, Sources};
use super::schedule;
use super::shutdown::Shutdown;
use super::tail;
use super::waiting;
use crate::config::Config;
use crate::gateway::auth::Auth;
use crate::letters;
use crate::telemetry;
use crate::wasm::Host;

/// Runs until asked to stop; comes up with the rules that are in the database.
pub async fn serve(config: Config, sources: Sources) -> anyhow::Result<()> {
    let shutdown = Shutdown::listen()?;
    let (config, sources) = fitted(config, sources)?;
    let reload = Reload::listen(&config, sources)?;
    let listeners = Listeners::bind(&config)?;
    let auth = Arc::new(Auth::new(&config.auth)?);
    auth.start();
    let started = tokio::select! {
        started = start(&config, &auth, &listeners) => started,
        () = shutdown.clone().asked() => {
            tracing::info!("stopped before it was up");
            return Ok(());
        }
    };
    let (adapters, parts) = started?;
    let earlier = parts.control.install_earlier();
    let (orders, admin) = listeners.addresses()?;
    tracing::info!(%orders, control = %admin, database = adapters.store.place(), "serving");
    let mut registry = telemetry::registry();
    letters::metrics::register(&adapters.store, &mut registry);
    if let Some(sealing) = &adapters.sealing {
        sealing.register(&mut registry);
    }
    schedule::spawn(
        &config,
        parts.reconcile.clone(),
        adapters.store.clone(),
        &mut registry,
    );
    missing::spawn(parts.reconcile.clone(), parts.ruleset.clone(), &mut registry);
    fronts::run(
        auth,
        &adapters,
        &parts,
        registry,
        listeners,
        shutdown,
        reload,
        tail::follow,
    )
    .await?;
    drop(earlier);
    adapters.close().await;
    tracing::info!("drained");
    Ok(())
}

async fn start(
    config: &Config,
    auth: &Arc<Auth>,
    listeners: &Listeners,
) -> anyhow::Result<(Adapters, Parts)> {
    let (adapters, _room) = waiting::adapters(config, auth, listeners).await?;
    let host = Host::with(&config.wasm(None, |name| std::env::var_os(name)))?;
    let parts = wire(config, &adapters, host);
    parts.control.install_builtin().await?;
    Ok((adapters, parts))
}
