//! `rushgate serve`: the gateway on Redis, Kafka and the database.

use super::adapters::Adapters;
use super::fronts::{self, Listeners};
use super::letters::Letters;
use super::parts::wire;
use super::schedule::{self, ReconcileFigures};
use super::shutdown::Shutdown;
use crate::config::Config;
use crate::gateway::auth::Auth;
use crate::telemetry;
use crate::wasm::Host;

/// Runs until asked to stop; comes up with the rules that are in the database.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let shutdown = Shutdown::listen()?;
    let listeners = Listeners::bind(&config)?;
    let auth = Auth::new(&config.auth())?;
    let adapters = Adapters::connect(&config).await?;
    let host = Host::with(&config.wasm(None, |name| std::env::var_os(name)))?;
    let parts = wire(&config, &adapters, host);
    parts.control.install_builtin().await?;
    let (orders, admin) = listeners.addresses()?;
    tracing::info!(%orders, control = %admin, database = adapters.store.place(), "serving");
    let mut registry = telemetry::registry();
    registry.register_collector(Box::new(Letters::watch(&adapters.store)));
    if let Some(figures) = schedule::spawn(&config, parts.reconcile.clone(), adapters.store.clone()) {
        registry.register_collector(Box::new(ReconcileFigures(figures)));
    }
    fronts::run(&config, auth, &adapters, &parts, registry, listeners, shutdown).await?;
    adapters.store.close().await;
    tracing::info!("drained");
    Ok(())
}
