//! `rushgate land`: takes orders from Kafka and writes them into the database.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tokio::runtime::Handle;

use super::adapters::{kafka_config, store, store_check};
use super::metrics::LandingFigures;
use super::parts::clock;
use super::redrive;
use super::shutdown::Shutdown;
use crate::admin::{self, Health, Readiness};
use crate::bus::kafka::KafkaConsumer;
use crate::config::Config;
use crate::landing::{self, Landing, LandingHandle};
use crate::store::Store;
use crate::telemetry;

/// How often the landing thread is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs until asked to stop, or until the landing thread cannot go on.
pub async fn land(config: Config) -> anyhow::Result<()> {
    let shutdown = Shutdown::listen()?;
    let listener = admin::bind(&admin::Config {
        listen: config.admin_listen,
        token: config.admin_token.clone(),
    })?;
    let store = store(&config).await?;
    let handle = start(&config, &store)?;
    let figures = handle.figures();
    let redrive = redrive::spawn(&config, &store, move || figures.read(clock()).retries)?;
    let mut registry = telemetry::registry();
    registry.register_collector(Box::new(LandingFigures(handle.figures())));
    let readiness = Arc::new(Readiness::new(vec![store_check(&store)]));
    let health = Health {
        readiness: readiness.clone(),
        registry: Arc::new(registry),
    };
    tracing::info!(kafka = config.kafka.brokers, database = store.place(), health = %listener.local_addr()?, "landing");
    let served = tokio::spawn(health.serve(listener, shutdown.clone().asked()));

    let ended_itself = tokio::select! {
        () = shutdown.asked() => false,
        () = ended(&handle) => true,
    };
    readiness.drain();
    if let Some(redrive) = redrive {
        redrive.abort();
    }
    let figures = handle.figures();
    // Joining the thread blocks: it may be in the middle of a transaction.
    tokio::task::spawn_blocking(move || handle.stop()).await?;
    served.abort();
    store.close().await;
    if ended_itself {
        let error = figures.read(clock()).last_error.unwrap_or_default();
        bail!("landing ended: {error}");
    }
    tracing::info!("stopped");
    Ok(())
}

fn start(config: &Config, store: &Store) -> anyhow::Result<LandingHandle> {
    let (offsets, runtime) = (store.clone(), Handle::current());
    // Asked on the consumer's own thread, which is none of the runtime's.
    let start_offsets = Box::new(move |partitions: &[i32]| {
        let stored = runtime.block_on(offsets.offsets(crate::bus::ORDERS_TOPIC));
        let mut stored = stored.map_err(|error| error.to_string())?;
        stored.retain(|partition, _| partitions.contains(partition));
        Ok(stored)
    });
    let consumer = KafkaConsumer::new(kafka_config(config), start_offsets)?;
    Ok(Landing::spawn(
        settings(config),
        Box::new(consumer),
        store.clone(),
        Handle::current(),
    )?)
}

pub(super) fn settings(config: &Config) -> landing::Config {
    landing::Config {
        batch_records: config.landing.batch,
        batch_wait: Duration::from_millis(config.landing.wait_ms),
        ..landing::Config::default()
    }
}

async fn ended(handle: &LandingHandle) {
    while !handle.is_finished() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
