//! The keys that seal records, as a process that starts or migrates agrees on them with the others, and how far records
//! reach and have landed.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use super::ending::{self, Passed};
use crate::bus::Producer;
use crate::bus::kafka::KafkaProducer;
use crate::clock::now_ms;
use crate::config::Config;
use crate::seal::Keyring;
use crate::store::{Store, WITHOUT_SEAL};

/// Writes this process' keys down before it uses them. Fails where they contradict those of others, or are missing.
pub(crate) async fn agree(config: &Config, store: &Store) -> anyhow::Result<()> {
    match &config.keyring {
        Some(keyring) => note_keys(keyring, store).await,
        None => match store.cut_over().await? {
            Some(cut_over) => bail!(
                "records have to carry a seal since {}: give seal.keys, as the other gateways and landers have it",
                moment(cut_over.decided_at)
            ),
            None => {
                tracing::warn!(
                    "records carry NO SEAL: whoever can write to Kafka can have any order landed. Set seal.keys"
                );
                Ok(())
            }
        },
    }
}

pub(crate) async fn note_keys(keyring: &Keyring, store: &Store) -> anyhow::Result<()> {
    for key in keyring.keys() {
        store.use_seal_key(key, now_ms()).await?;
    }
    Ok(())
}

/// A deployment that has never had a record has nothing to cut over from. Says how seals stand, for `migrate`.
pub(crate) async fn begin(config: &Config, store: &Store, new: bool) -> anyhow::Result<String> {
    let Some(keyring) = &config.keyring else {
        agree(config, store).await?;
        return Ok(
            "without seals: whoever can write to Kafka can have any order landed (seal.keys)".to_owned(),
        );
    };
    note_keys(keyring, store).await?;
    let decided = store.cut_over().await?;
    if decided.is_some() || new {
        // A gateway without keys may have begun the moment its topic was there: what it sent lands yet.
        let passed = Passed {
            force: true,
            ..Passed::default()
        };
        let from = match decided.is_none() && ending::end(store, WITHOUT_SEAL, &passed).await? {
            true => ends(config).await?,
            false => BTreeMap::new(),
        };
        store.decide_cut_over(&from, now_ms()).await?;
        return Ok(format!("sealed by key {}", keyring.first().id()));
    }
    Ok(format!(
        "sealed by key {}; records without a seal are taken until `rushgate seal require`",
        keyring.first().id()
    ))
}

/// One past the last record of every partition that is landed.
pub(crate) async fn ends(config: &Config) -> anyhow::Result<BTreeMap<(String, i32), i64>> {
    let producer = KafkaProducer::new(config.kafka()).context("kafka")?;
    let topics = config.topics()?;
    let mut ends = BTreeMap::new();
    for topic in std::iter::once(&topics.orders).chain(topics.retries.iter().map(|retry| &retry.name)) {
        let high = producer.high_watermarks(topic).await.context("--kafka-brokers")?;
        ends.extend(
            high.into_iter()
                .map(|(partition, end)| ((topic.clone(), partition), end)),
        );
    }
    Ok(ends)
}

/// One past the last record that has landed, of every partition.
pub(crate) async fn landed(config: &Config, store: &Store) -> anyhow::Result<BTreeMap<(String, i32), i64>> {
    let topics = config.topics()?;
    let mut landed = BTreeMap::new();
    for topic in std::iter::once(&topics.orders).chain(topics.retries.iter().map(|retry| &retry.name)) {
        let offsets = store.offsets(topic).await?;
        landed.extend(
            offsets
                .into_iter()
                .map(|(partition, next)| ((topic.clone(), partition), next)),
        );
    }
    Ok(landed)
}

pub(crate) fn named((topic, partition): &(String, i32)) -> String {
    format!("{topic}/{partition}")
}

pub(crate) fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.to_string())
}
