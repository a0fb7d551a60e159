//! A role that is started before the database is there, or before `rushgate migrate` has ended, waits and says for what.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use backon::{ConstantBuilder, Retryable};
use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::adapters::close;
use super::listeners::Listener;
use super::shutdown::Shutdown;
use crate::admin::{Check, Health, Readiness};
use crate::bus::kafka::KafkaProducer;
use crate::config::Config;
use crate::seldom::Seldom;
use crate::store::{Schema, Store, StoreError};
use crate::telemetry;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a start waits for.
#[derive(Clone, Default)]
pub(super) struct Why(Arc<Mutex<Option<String>>>);

impl Why {
    pub(super) fn say(&self, cause: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause);
    }

    /// It is there.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn read(&self) -> String {
        let cause = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        cause.unwrap_or_else(|| "one of the services has not answered yet".to_owned())
    }
}

/// Waits until the database answers and its tables and these of Kafka's topics are there; `None`: the process was asked to
/// stop. Fails where waiting does not help: a schema that is newer than this build, a database that does not guard
/// what it should. Meanwhile `health` says that the process lives and is not ready.
pub(super) async fn wait_for_store(
    config: &Config,
    shutdown: &Shutdown,
    topics: &[&str],
    health: &Listener,
) -> anyhow::Result<Option<Store>> {
    let why = Why::default();
    let _told = not_ready(config, health, why.clone())?;
    let address = health.address()?;
    tokio::select! {
        store = until_there(config, topics, address, &why) => store.map(Some),
        () = shutdown.clone().asked() => Ok(None),
    }
}

async fn until_there(
    config: &Config,
    topics: &[&str],
    health: SocketAddr,
    why: &Why,
) -> anyhow::Result<Store> {
    let tell = |cause: &str| tracing::warn!(cause, %health, "waiting for the database");
    while_away(why, tell, || until_migrated(config, topics, why)).await
}

/// Tries until the database is there; what waiting does not mend is an error. `why` knows each cause, and `tell` is told it,
/// seldom.
pub(super) async fn while_away<T, F>(
    why: &Why,
    tell: impl Fn(&str),
    attempt: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let mut seldom = Seldom::default();
    let every = ConstantBuilder::new().with_delay(LOOK_EVERY).without_max_times();
    attempt
        .retry(every)
        .when(|error| away(error).is_some())
        .notify(|error, _| {
            let cause = away(error).map_or_else(String::new, ToString::to_string);
            if seldom.met(&cause, Instant::now()).is_some() {
                tell(&cause);
            }
            why.say(cause);
        })
        .await
}

/// What is wrong with a database that is away.
fn away(error: &anyhow::Error) -> Option<&StoreError> {
    error
        .downcast_ref()
        .filter(|error: &&StoreError| error.is_transient())
}

/// The database, once everything is migrated: that is waited for without an end, and `why` says what is missing. A
/// transient [`StoreError`]: the database is away. Without Kafka nothing is waited for.
pub(super) async fn until_migrated(config: &Config, topics: &[&str], why: &Why) -> anyhow::Result<Store> {
    let store = Store::connect(&config.database).await?;
    match migrated(config, &store, topics, why).await {
        Ok(()) => {
            why.clear();
            Ok(store)
        }
        Err(error) => {
            close(&store).await;
            Err(error)
        }
    }
}

async fn migrated(config: &Config, store: &Store, topics: &[&str], why: &Why) -> anyhow::Result<()> {
    let kafka = KafkaProducer::new(config.kafka()).context("kafka")?;
    let mut told = None;
    while let Some(what) = missing(config, store, &kafka, topics).await? {
        if told.as_ref() != Some(&what) {
            tracing::warn!("waiting for `rushgate migrate`: {what}");
            why.say(format!("`rushgate migrate`: {what}"));
            told = Some(what);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    if told.is_some() {
        tracing::info!("everything is migrated: going on");
    }
    Ok(store.check_schema().await?)
}

/// What is not there yet.
async fn missing(
    config: &Config,
    store: &Store,
    kafka: &KafkaProducer,
    topics: &[&str],
) -> anyhow::Result<Option<String>> {
    if let Schema::Behind(what) = store.schema().await? {
        return Ok(Some(format!("{}: {what}", store.place())));
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
fn not_ready(config: &Config, listener: &Listener, why: Why) -> anyhow::Result<oneshot::Sender<()>> {
    let mut registry = telemetry::registry();
    let door = listener.twin()?.admin_door(config, &mut registry).hands_on();
    let check = Check {
        name: "migration",
        ask: Box::new(move || {
            let waiting = format!(
                "waiting for the database or for `rushgate migrate`: {}",
                why.read()
            );
            std::future::ready(Err(waiting)).boxed()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_does_not_say_what_it_no_longer_waits_for() {
        let why = Why::default();
        let nothing = why.read();
        why.say("`rushgate migrate`: its schema has 0 of 11 migrations".to_owned());
        assert!(why.clone().read().contains("0 of 11"));
        why.clear();
        assert_eq!(why.read(), nothing);
    }

    #[test]
    fn only_a_database_that_is_away_is_waited_for() {
        let refused = StoreError::Transient("refused".to_owned()).into();
        let told = away(&refused).expect("it may come back").to_string();
        assert!(told.contains("refused"), "{told}");
        let newer = StoreError::Permanent("a newer schema".to_owned()).into();
        assert_eq!(away(&newer), None, "waiting does not help");
    }
}
