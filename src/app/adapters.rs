//! The adapters a process stands on: connected, and named in errors and readiness checks.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;

use super::sealing::Sealing;
use crate::admin::Check;
use crate::bus::Producer;
use crate::bus::kafka::{self, KafkaProducer};
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::redis::Redis;
use crate::store::Store;

/// How long a start waits for Kafka before it goes on without.
const START_PATIENCE: Duration = Duration::from_secs(3);

/// How long an end waits for the database to take leave.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// What a gateway stands on.
#[derive(Clone)]
pub(crate) struct Adapters {
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) producer: Arc<dyn Producer>,
    /// None where nobody else lands what is sent.
    pub(crate) sealing: Option<Arc<Sealing>>,
}

impl Adapters {
    /// Redis, Kafka and what a `role` needs of the database; a [`crate::store::StoreError`] says that it is away. Without
    /// Redis the gate stays closed, and without Kafka orders wait in the outbox; both may come later.
    pub(crate) async fn connect(config: &Config, store: Store, role: &str) -> anyhow::Result<Self> {
        let sealing = Sealing::join(config, &store, role).await?;
        let engine = Redis::new(config.redis.clone())?;
        if let Err(error) = engine.ping().await {
            tracing::warn!(%error, "starting without the engine: the gate is closed until it is there");
        }
        let producer = KafkaProducer::new(sending(config, &sealing)).context("kafka")?;
        match tokio::time::timeout(START_PATIENCE, producer.ping()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "starting without Kafka: orders wait in the outbox"),
            Err(_) => tracing::warn!("starting without Kafka: orders wait in the outbox"),
        }
        Ok(Self {
            store,
            engine: Arc::new(engine),
            producer: Arc::new(producer),
            sealing: Some(Arc::new(sealing)),
        })
    }

    pub(crate) fn engine_check(&self) -> Check {
        let engine = self.engine.clone();
        Check {
            name: "engine",
            ask: Box::new(move || {
                let engine = engine.clone();
                async move { engine.ping().await.map_err(|error| error.to_string()) }.boxed()
            }),
        }
    }

    pub(crate) fn bus_check(&self) -> Check {
        let producer = self.producer.clone();
        Check {
            name: "bus",
            ask: Box::new(move || {
                let producer = producer.clone();
                async move { producer.ping().await.map_err(|error| error.to_string()) }.boxed()
            }),
        }
    }

    /// Closes the database's connections; one that is silent is left.
    pub(crate) async fn close(&self) {
        if let Some(sealing) = &self.sealing {
            sealing.leave().await;
        }
        close(&self.store).await;
    }
}

/// Taking leave waits for connections in use, which a silent database never gives back.
pub(crate) async fn close(store: &Store) {
    if tokio::time::timeout(CLOSE_PATIENCE, store.close()).await.is_err() {
        tracing::warn!(
            database = store.place(),
            "left without an answer from the database"
        );
    }
}

pub(crate) fn store_check(store: &Store) -> Check {
    let store = store.clone();
    Check {
        name: "store",
        ask: Box::new(move || {
            let store = store.clone();
            async move { store.ping().await.map_err(|error| error.to_string()) }.boxed()
        }),
    }
}

/// The database, with the schema of this build.
pub(crate) async fn store(config: &Config) -> anyhow::Result<Store> {
    let store = Store::connect(&config.database).await?;
    store.check_schema().await?;
    Ok(store)
}

/// How a process that joined the senders reaches Kafka.
pub(crate) fn sending(config: &Config, sealing: &Sealing) -> kafka::Config {
    kafka::Config {
        halt: sealing.halt().clone(),
        ..config.kafka()
    }
}
