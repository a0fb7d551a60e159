//! What a lander replays by itself: dead letters of configured classes, those that somebody asked for, and those whose
//! record is gone while they wait to be tried again.

use std::sync::Arc;

use super::adapters::sending;
use super::sealing::Sealing;
use crate::audit::AskedBy;
use crate::bus::kafka::KafkaProducer;
use crate::clock::now_ms;
use crate::config::Config;
use crate::letters::metrics::Metrics;
use crate::letters::redrive;
use crate::letters::{Astray, Desk, Replayer, Route, Scheduled, StoredLetters};
use crate::store::Store;

/// Times a letter is replayed by itself before it is parked.
const REPLAYS_MAX: u32 = 3;
/// No faster than this, whatever the size of a batch.
const RATE: u32 = 100;

/// Sends back what people asked for at a later moment, and again what Kafka has lost of what waits: counts these.
pub(super) fn spawn_scheduled(
    config: &Config,
    store: &Store,
    sealing: &Sealing,
) -> anyhow::Result<(tokio::task::JoinHandle<()>, Metrics)> {
    let retries = config.topics()?.retries;
    let owner = uuid::Uuid::now_v7().simple().to_string();
    let replayer = replayer(config, store, sealing)?;
    let metrics = Metrics::default();
    let astray = Astray::new(replayer.clone(), retries.clone(), owner.clone(), metrics.clone());
    let scheduled = Scheduled {
        replayer: Replayer {
            action: "dlt.replay",
            ..replayer
        },
        retries: retries.into_iter().map(|retry| retry.name).collect(),
        owner,
    };
    let both = async move {
        futures_util::join!(scheduled.run(), astray.run());
    };
    Ok((tokio::spawn(both), metrics))
}

/// Starts the re-drive where classes are configured; `retries` reads how often landing tried something again.
pub(super) fn spawn(
    config: &Config,
    store: &Store,
    sealing: &Sealing,
    retries: impl Fn() -> u64 + Send + 'static,
) -> anyhow::Result<Option<tokio::task::JoinHandle<()>>> {
    let classes = config.landing.redriven()?;
    if classes.is_empty() {
        return Ok(None);
    }
    tracing::info!(
        ?classes,
        "dead letters of these classes are replayed once one of them has landed"
    );
    let letters = StoredLetters {
        replayer: replayer(config, store, sealing)?,
        owner: uuid::Uuid::now_v7().simple().to_string(),
        classes,
    };
    Ok(Some(tokio::spawn(redrive::run(
        Arc::new(letters),
        redrive::QUIET,
        retries,
    ))))
}

/// What the control plane asks about letters.
pub(super) fn desk(config: &Config, store: &Store) -> Desk {
    let kafka = config.kafka();
    Desk::new(store.clone(), vec![kafka.topic], kafka.group, now_ms)
}

fn replayer(config: &Config, store: &Store, sealing: &Sealing) -> anyhow::Result<Replayer> {
    let kafka = sending(config, sealing);
    Ok(Replayer {
        store: store.clone(),
        targets: vec![kafka.topic.clone()],
        group: kafka.group.clone(),
        producer: Some(Arc::new(KafkaProducer::new(kafka)?)),
        actor: AskedBy::from("rushgate land").into(),
        action: "dlt.redrive",
        rate: RATE,
        max_replays: REPLAYS_MAX,
        force: false,
        route: Route::Back,
        counts: true,
        clock: now_ms,
    })
}
