//! Orders of a campaign straight into Kafka, as a gateway would have published them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rushgate::bus::kafka::{Config, KafkaProducer};
use rushgate::bus::{Forward, ORDERS_TOPIC, Outbound, Producer};
use rushgate::order::{Attempt, OrderId};
use rushgate::outbox;
use rushgate::ruleset::Compiled;
use rushgate::store::{self, Store};
use testkit::services::Urls;

use crate::SKU;

const BATCH: u64 = 1000;
/// Orders on their way to Kafka at a time.
const IN_FLIGHT_MAX: usize = 100_000;
const FLUSH_LIMIT: Duration = Duration::from_secs(120);

pub struct Feed {
    compiled: Compiled,
    producer: KafkaProducer,
    failed: Arc<AtomicUsize>,
    /// Buyers so far: everybody orders once.
    pub orders: u64,
    /// Records so far, poison included.
    pub records: i64,
}

impl Feed {
    pub async fn open(urls: &Urls, campaign: &str) -> Result<Self> {
        let store = Store::connect(&store::Config::new(&urls.database, 1)).await?;
        let row = store.campaign(campaign).await?.context("the campaign is there")?;
        let revision = store.revision(campaign, row.activation.revision).await?;
        let revision = revision.context("its revision is there")?;
        let compiled = Compiled::build(row.campaign, revision)?;
        let producer = KafkaProducer::new(Config::new(&urls.kafka))?;
        let ends: BTreeMap<i32, i64> = producer.high_watermarks(ORDERS_TOPIC).await?;
        Ok(Self {
            compiled,
            producer,
            failed: Arc::default(),
            orders: 0,
            records: ends.values().sum(),
        })
    }

    /// Publishes so many orders; with `poison`, every so manieth record before them is none.
    pub async fn publish(&mut self, orders: u64, poison: Option<u64>) -> Result<()> {
        let mut left = orders;
        while left > 0 {
            let count = left.min(BATCH);
            let placed_at = jiff::Timestamp::now().as_millisecond();
            let batch = (0..count)
                .map(|n| self.order(self.orders + n, placed_at))
                .collect();
            self.orders += count;
            self.records += count as i64;
            left -= count;
            let failed = self.failed.clone();
            let note = move |failure: bool| {
                failed.fetch_add(usize::from(failure), Ordering::Relaxed);
            };
            let (first, second) = (note.clone(), note);
            self.producer
                .publish(batch, Box::new(move |result| first(result.is_err())));
            let bad: Vec<Forward> = poison
                .into_iter()
                .flat_map(|each| garbage(count / each, self.partition()))
                .collect();
            self.records += bad.len() as i64;
            self.producer
                .forward(bad, Box::new(move |result| second(result.is_err())));
            while self.producer.in_flight() > IN_FLIGHT_MAX {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        ensure!(
            self.producer.flush(FLUSH_LIMIT).await,
            "Kafka did not take the orders"
        );
        ensure!(self.failed.load(Ordering::Relaxed) == 0, "Kafka refused orders");
        Ok(())
    }

    /// Counts the records again: others publish into the topic, too.
    pub async fn recount(&mut self) -> Result<()> {
        self.records = self.producer.high_watermarks(ORDERS_TOPIC).await?.values().sum();
        Ok(())
    }

    fn partition(&self) -> Option<i32> {
        self.compiled.campaign.partition_of(0)
    }

    fn order(&self, number: u64, placed_at: i64) -> Outbound {
        let campaign = &self.compiled.campaign.id;
        let user = format!("buyer-{number}");
        let attempt = Attempt {
            order: OrderId::keyed(campaign, &user, "bench"),
            user,
            sku: SKU.to_owned(),
            quantity: 1,
            attributes: BTreeMap::new(),
        };
        let event = outbox::event(&self.compiled, 0, &attempt, placed_at);
        Outbound {
            partition: self.partition(),
            key: event.key(),
            payload: event.encode(),
        }
    }
}

fn garbage(count: u64, partition: Option<i32>) -> Vec<Forward> {
    let record = |n: u64| Forward {
        topic: ORDERS_TOPIC.to_owned(),
        partition,
        key: format!("poison/{n}").into_bytes(),
        payload: b"{\"v\":1,\"order\":".to_vec(),
        headers: Vec::new(),
    };
    (0..count).map(record).collect()
}
