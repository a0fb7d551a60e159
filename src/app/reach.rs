//! How far records reach in Kafka, and how far they have landed.

use std::collections::BTreeMap;

use anyhow::Context;

use crate::bus::Producer;
use crate::bus::kafka::KafkaProducer;
use crate::config::Config;
use crate::store::Store;

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
