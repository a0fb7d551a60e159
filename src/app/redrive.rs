//! What the re-drive of landing stands on: the database's lease and a replay of dead letters.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::adapters::kafka_config;
use super::parts::clock;
use crate::bus::kafka::KafkaProducer;
use crate::config::Config;
use crate::dlt::{Item, Replayer, Report};
use crate::landing::redrive::{self, DeadLetters};
use crate::store::{LetterFilter, Stage, Store};

const LEASE: &str = "redrive";
const LEASE_MS: i64 = 15_000;
/// Classes of errors landing knows.
const CLASSES: [&str; 6] = [
    "undecodable",
    "unknown-version",
    "invalid",
    "refused",
    "failing",
    "locked",
];
/// Times a letter is replayed by itself before it is parked.
const REPLAYS_MAX: u32 = 3;
/// No faster than this, whatever the size of a batch.
const RATE: u32 = 100;

/// Starts it where classes are configured; `retries` reads how often landing tried something again.
pub(super) fn spawn(
    config: &Config,
    store: &Store,
    retries: impl Fn() -> u64 + Send + 'static,
) -> anyhow::Result<Option<tokio::task::JoinHandle<()>>> {
    let classes = classes(&config.landing.redrive)?;
    if classes.is_empty() {
        return Ok(None);
    }
    tracing::info!(
        ?classes,
        "dead letters of these classes are replayed once landing is healthy"
    );
    let letters = Letters {
        replayer: replayer(config, store)?,
        owner: uuid::Uuid::now_v7().simple().to_string(),
        classes,
    };
    Ok(Some(tokio::spawn(redrive::run(
        Arc::new(letters),
        redrive::QUIET,
        retries,
    ))))
}

fn classes(text: &str) -> anyhow::Result<Vec<String>> {
    let named = text.split(',').map(str::trim).filter(|class| !class.is_empty());
    let classes: Vec<String> = named.map(str::to_owned).collect();
    if let Some(odd) = classes.iter().find(|class| !CLASSES.contains(&class.as_str())) {
        bail!(
            "landing.redrive: {odd:?} is no class of errors; classes are {}",
            CLASSES.join(", ")
        );
    }
    Ok(classes)
}

fn replayer(config: &Config, store: &Store) -> anyhow::Result<Replayer> {
    let kafka = kafka_config(config);
    Ok(Replayer {
        store: store.clone(),
        targets: vec![kafka.topic.clone()],
        group: kafka.group.clone(),
        producer: Some(Arc::new(KafkaProducer::new(kafka)?)),
        actor: "rushgate land".to_owned(),
        action: "dlt.redrive",
        rate: RATE,
        max_replays: REPLAYS_MAX,
        force: false,
        clock,
    })
}

struct Letters {
    replayer: Replayer,
    /// Names this lander in the lease.
    owner: String,
    classes: Vec<String>,
}

impl DeadLetters for Letters {
    fn hold(&self) -> BoxFuture<'_, Result<bool, String>> {
        let lease = self.replayer.store.lease(LEASE, &self.owner, clock(), LEASE_MS);
        async { lease.await.map_err(|error| error.to_string()) }.boxed()
    }

    fn replay(&self, most: u32, quiet: Duration) -> BoxFuture<'_, Result<u64, String>> {
        async move {
            let filter = LetterFilter {
                classes: self.classes.clone(),
                stages: vec![Stage::Dead],
                until: Some(clock() - quiet.as_millis() as i64),
                ..LetterFilter::default()
            };
            let letters = self.replayer.store.dead_letters(&filter, None, most).await;
            let letters = letters.map_err(|error| error.to_string())?;
            let items: Vec<Item> = letters.into_iter().map(Item::from).collect();
            let (mut paced, mut report) = (Instant::now(), Report::default());
            let done = self.replayer.replay(&items, &mut paced, &mut report).await;
            done.map_err(|error| format!("{error:#}"))?;
            Ok(report.replayed)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_named_and_checked() {
        assert_eq!(classes("").expect("none"), Vec::<String>::new());
        assert_eq!(classes(" failing, locked ").expect("two"), ["failing", "locked"]);
        let error = classes("failed").expect_err("no class").to_string();
        assert!(
            error.contains("\"failed\"") && error.contains("unknown-version"),
            "{error}"
        );
    }
}
