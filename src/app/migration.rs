//! A role that is started before the database is there, or before `rushgate migrate` has ended, waits and says for what.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::adapters::{kafka_config, store};
use super::listeners::Listener;
use super::shutdown::Shutdown;
use crate::admin::{Check, Health, Readiness};
use crate::bus::kafka::KafkaProducer;
use crate::config::Config;
use crate::store::{Schema, Store, StoreError};
use crate::telemetry;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits until the database answers and its tables and these of Kafka's topics are there; `None`: the process was asked to
/// stop. Fails where waiting does not help: a schema that is newer than this build, a database that does not guard
/// what it should. Meanwhile `health` says that the process lives and is not ready.
pub(super) async fn wait_for_store(
    config: &Config,
    shutdown: &Shutdown,
    topics: &[&str],
    health: &Listener,
) -> anyhow::Result<Option<Store>> {
    let _told = not_ready(config, health)?;
    let address = health.address()?;
    tokio::select! {
        store = until_there(config, topics, address) => store.map(Some),
        () = shutdown.clone().asked() => Ok(None),
    }
}

async fn until_there(config: &Config, topics: &[&str], health: SocketAddr) -> anyhow::Result<Store> {
    let mut told = String::new();
    loop {
        until_migrated(config, topics, |_| {}).await?;
        let error = match store(config).await {
            Ok(store) => return Ok(store),
            Err(error) => error,
        };
        let cause = match error.downcast_ref::<StoreError>() {
            Some(away) if away.is_transient() => away.to_string(),
            _ => return Err(error),
        };
        if told != cause {
            tracing::warn!(cause, %health, "waiting for the database");
            told = cause;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits without an end; `tell` hears for what. Services that do not answer are not waited for.
pub(super) async fn until_migrated(
    config: &Config,
    topics: &[&str],
    tell: impl Fn(&str),
) -> anyhow::Result<()> {
    let store = match Store::connect(&config.store()).await {
        Ok(store) => store,
        // Whoever connects next says so.
        Err(error) if error.is_transient() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let kafka = KafkaProducer::new(kafka_config(config)).context("kafka")?;
    let mut told = None;
    while let Some(what) = missing(config, &store, &kafka, topics).await? {
        if told.as_ref() != Some(&what) {
            tracing::warn!("waiting for `rushgate migrate`: {what}");
            tell(&what);
            told = Some(what);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    if told.is_some() {
        tracing::info!("everything is migrated: going on");
    }
    store.close().await;
    Ok(())
}

/// What is not there yet.
async fn missing(
    config: &Config,
    store: &Store,
    kafka: &KafkaProducer,
    topics: &[&str],
) -> anyhow::Result<Option<String>> {
    match store.schema().await {
        Ok(Schema::Current) => {}
        Ok(Schema::Behind(what)) => return Ok(Some(format!("{}: {what}", store.place()))),
        Err(error) if error.is_transient() => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // Without Kafka a gateway may start; which topics it has is seen when it is back.
    let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    let missing = kafka.missing_topics(topics).await.unwrap_or_default();
    Ok((!missing.is_empty()).then(|| {
        format!(
            "Kafka at {} has no topic {}",
            config.kafka.brokers,
            missing.join(", ")
        )
    }))
}

/// Serves health until the answer is dropped, on the same socket as the process will afterwards.
fn not_ready(config: &Config, listener: &Listener) -> anyhow::Result<oneshot::Sender<()>> {
    let mut registry = telemetry::registry();
    let door = listener.twin()?.control_door(config, &mut registry);
    let check = Check {
        name: "migration",
        ask: Box::new(|| {
            async {
                Err("waiting for the database or for `rushgate migrate`; the log says for what".to_owned())
            }
            .boxed()
        }),
    };
    let health = Health {
        readiness: Arc::new(Readiness::new(vec![check])),
        registry: Arc::new(registry),
        has_token: config.admin_token.is_some(),
    };
    let (over, end) = oneshot::channel();
    tokio::spawn(health.serve(door, end.map(drop)));
    Ok(over)
}
