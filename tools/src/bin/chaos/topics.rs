//! Kafka asked directly: where topics end, whether replicas are in sync, and records that can never land.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use testkit::topics::Offsets;
use tokio::time::Instant;

use crate::leaders::Placed;

pub const ORDERS: &str = "rushgate.orders";
/// How the names of the landers' groups begin.
const GROUPS: &str = "rushgate-landing";
const ASK: Duration = Duration::from_secs(10);
const WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(200);

/// Asks the brokers.
#[derive(Clone)]
pub struct Topics {
    client: std::sync::Arc<BaseConsumer>,
    pub brokers: String,
}

impl Topics {
    pub fn new(brokers: &str) -> Result<Self> {
        let client = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "rushgate-chaos")
            .set("reconnect.backoff.max.ms", "500")
            .create()?;
        Ok(Self {
            client: std::sync::Arc::new(client),
            brokers: brokers.to_owned(),
        })
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&BaseConsumer) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let client = self.client.clone();
        tokio::task::spawn_blocking(move || question(&client)).await?
    }

    /// One past the last record of every partition of the pipeline's topics.
    pub async fn ends(&self) -> Result<Offsets> {
        self.ask(|client| {
            let metadata = client.fetch_metadata(None, ASK)?;
            let mut ends = Offsets::new();
            for topic in metadata
                .topics()
                .iter()
                .filter(|topic| topic.name().starts_with(ORDERS))
            {
                let offsets = ends.entry(topic.name().to_owned()).or_default();
                for partition in topic.partitions() {
                    let (_, high) = client.fetch_watermarks(topic.name(), partition.id(), ASK)?;
                    offsets.insert(partition.id(), high);
                }
            }
            Ok(ends)
        })
        .await
    }

    /// The pipeline's topics, with the replicas of each partition, the preferred leader first.
    pub async fn placed(&self) -> Result<Vec<Placed>> {
        self.ask(|client| {
            let metadata = client.fetch_metadata(None, ASK)?;
            let ours = metadata
                .topics()
                .iter()
                .filter(|topic| topic.name().starts_with(ORDERS));
            let placed = ours.map(|topic| {
                let partitions = topic.partitions().iter();
                let partitions = partitions.map(|each| (each.id(), each.replicas().to_vec()));
                (topic.name().to_owned(), partitions.collect())
            });
            Ok(placed.collect())
        })
        .await
    }

    /// Waits until the brokers know the topics they just made: so many partitions of the orders, all of which can be read.
    pub async fn made(&self, partitions: usize) -> Result<()> {
        let begun = Instant::now();
        loop {
            if let Ok(ends) = self.ends().await
                && ends.get(ORDERS).is_some_and(|orders| orders.len() == partitions)
            {
                return self.in_sync().await;
            }
            if begun.elapsed() > WITHIN {
                bail!("the topics that were made are not there after {WITHIN:?}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until every replica of every partition is in sync.
    pub async fn in_sync(&self) -> Result<()> {
        self.until_none("replicas that are not in sync", |client| {
            let metadata = client.fetch_metadata(None, ASK)?;
            let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            Ok(partitions
                .filter(|p| p.isr().len() < p.replicas().len() || p.leader() < 0)
                .count())
        })
        .await
    }

    /// Waits until the landers of the run before have left. They have names, so Kafka keeps their partitions for them for
    /// as long as a session.
    pub async fn landers_left(&self) -> Result<()> {
        self.until_none("landers of the run before", |client| {
            let list = client.fetch_group_list(None, ASK)?;
            let groups = list
                .groups()
                .iter()
                .filter(|group| group.name().starts_with(GROUPS));
            Ok(groups.map(|group| group.members().len()).sum())
        })
        .await
    }

    async fn until_none(
        &self,
        what: &str,
        count: impl Fn(&BaseConsumer) -> Result<usize> + Copy + Send + 'static,
    ) -> Result<()> {
        let begun = Instant::now();
        loop {
            match self.ask(count).await {
                Ok(0) => return Ok(()),
                _ if begun.elapsed() > WITHIN => bail!("still {what} after {WITHIN:?}"),
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Sends so many records that can never land, evenly over a time, under keys of the campaign.
    pub async fn poison(&self, campaign: &str, count: usize, over: Duration) -> Result<()> {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("partitioner", "murmur2_random")
            .create()?;
        for number in 0..count {
            let (key, payload) = (format!("{campaign}/poison-{number}"), poison(campaign, number));
            let record = BaseRecord::to(ORDERS).key(&key).payload(&payload);
            producer.send(record).map_err(|(error, _)| error)?;
            producer.poll(Duration::ZERO);
            tokio::time::sleep(over / count.max(1) as u32).await;
        }
        let flushed = tokio::task::spawn_blocking(move || producer.flush(ASK)).await?;
        flushed.context("poison was not acknowledged")
    }
}

/// Different kinds of hopeless.
fn poison(campaign: &str, number: usize) -> String {
    match number % 4 {
        0 => "{".to_owned(),
        1 => r#"{"v":99}"#.to_owned(),
        2 => r#"{"v":1,"order":"x"}"#.to_owned(),
        _ => serde_json::json!({
            "v": 1, "order": format!("{number:032x}"), "campaign": campaign, "shard": 0, "sku": "mug",
            "user": format!("poison-{number}"), "quantity": 0, "revision": 1, "plan": "", "modules": [],
            "placed_at": 1, "fingerprint": "", "charges": []
        })
        .to_string(),
    }
}
