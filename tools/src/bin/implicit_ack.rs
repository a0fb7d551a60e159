//! What a producer reports as delivered against what the topics hold, without anything of rushgate: topics are made,
//! and the first batches sent at once. docs/PRODUCER.md says why librdkafka's idempotence loses some of them.
//!
//! `cargo run --bin implicit_ack -- BROKERS [--plain]`, on three brokers that have something else to do. It is seen
//! more often while one of them is stopped and goes on, a third of a second each (SIGSTOP, SIGCONT).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};

const ASK: Duration = Duration::from_secs(20);
const FLUSH: Duration = Duration::from_secs(120);

#[derive(Debug, Parser)]
struct Flags {
    /// `host:port`, several joined by commas
    brokers: String,
    /// Without idempotence
    #[arg(long)]
    plain: bool,
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    #[arg(long, default_value_t = 48)]
    partitions: i32,
    /// Records per partition
    #[arg(long, default_value_t = 30)]
    records: u32,
    /// Between records of a partition: librdkafka lets a second batch go only while fewer than five records are on their
    /// way, so they trickle
    #[arg(long, default_value_t = 40)]
    between_ms: u64,
    #[arg(long, default_value_t = 3)]
    replication: i32,
}

/// What librdkafka says.
#[derive(Default)]
struct Heard {
    refused: AtomicU64,
    refused_first: AtomicU64,
    implicitly: AtomicU64,
    /// Record and offset of each success.
    delivered: Mutex<Vec<(String, i64)>>,
    failed: AtomicU64,
}

impl ClientContext for Heard {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "MSGSET" && message.contains("encountered error: Broker:") {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let first = u64::from(message.contains("(MsgId 1,"));
            self.refused_first.fetch_add(first, Ordering::Relaxed);
        } else if facility == "IMPLICITACK" {
            self.implicitly.fetch_add(1, Ordering::Relaxed);
            println!("  {message}");
        }
    }
}

impl ProducerContext for Heard {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(record) => {
                let name = String::from_utf8_lossy(record.payload().unwrap_or_default()).into_owned();
                let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
                delivered.push((name, record.offset()));
            }
            Err(_) => drop(self.failed.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    let mut lost = 0;
    for number in 1..=flags.rounds {
        lost += round(&flags, number).await?;
    }
    println!("{lost} records were reported as delivered and are in no topic");
    ensure!(lost == 0, "librdkafka lost records");
    Ok(())
}

/// Makes a topic, fills it, and says how many of the delivered records it lacks.
async fn round(flags: &Flags, number: u32) -> Result<usize> {
    let topic = format!(
        "implicit-ack.{}.{number}",
        jiff::Timestamp::now().as_millisecond()
    );
    let producer: ThreadedProducer<Heard> = ClientConfig::new()
        .set("bootstrap.servers", &flags.brokers)
        .set("enable.idempotence", if flags.plain { "false" } else { "true" })
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("debug", "msg,eos")
        .set_log_level(RDKafkaLogLevel::Debug)
        .create_with_context(Heard::default())?;
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", &flags.brokers)
        .create()?;
    let new = NewTopic::new(
        &topic,
        flags.partitions,
        TopicReplication::Fixed(flags.replication),
    );
    let made = admin.create_topics(&[new], &AdminOptions::new()).await?;
    made.into_iter()
        .next()
        .context("no answer")?
        .map_err(|(_, error)| error)?;
    for record in 0..flags.records {
        for partition in 0..flags.partitions {
            let name = format!("{partition}/{record}");
            let record = BaseRecord::to(&topic).partition(partition).key("").payload(&name);
            producer.send(record).map_err(|(error, _)| error)?;
        }
        tokio::time::sleep(Duration::from_millis(flags.between_ms)).await;
    }
    let (lost, sent) = tokio::task::spawn_blocking({
        let (brokers, topic) = (flags.brokers.clone(), topic.clone());
        move || -> Result<_> {
            producer.flush(FLUSH)?;
            let held = held(&brokers, &topic)?;
            Ok((missing(&producer, &held), producer))
        }
    })
    .await??;
    let heard = sent.context();
    println!(
        "round {number}: {} sent, {} batches refused{}, {} implicitly acknowledged, {} failed, {} lost: {lost:?}",
        flags.records * flags.partitions as u32,
        heard.refused.load(Ordering::Relaxed),
        match flags.plain {
            // Its batches have no numbers.
            true => String::new(),
            false => format!(" ({} first ones)", heard.refused_first.load(Ordering::Relaxed)),
        },
        heard.implicitly.load(Ordering::Relaxed),
        heard.failed.load(Ordering::Relaxed),
        lost.len(),
    );
    // Those of the other rounds have less to do.
    admin.delete_topics(&[&topic], &AdminOptions::new()).await?;
    Ok(lost.len())
}

/// Delivered, and not held: partition/record and the offset that was reported.
fn missing(producer: &ThreadedProducer<Heard>, held: &BTreeSet<String>) -> Vec<(String, i64)> {
    let delivered = producer.context().delivered.lock();
    let delivered = delivered.unwrap_or_else(PoisonError::into_inner);
    let missing = delivered.iter().filter(|(name, _)| !held.contains(name));
    missing.cloned().collect()
}

/// Every record of a topic.
fn held(brokers: &str, topic: &str) -> Result<BTreeSet<String>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "implicit-ack")
        .set("enable.auto.commit", "false")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), ASK)?;
    let mut list = TopicPartitionList::new();
    let mut left = 0;
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), ASK)?;
        left += high - low;
        list.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut held, begun) = (BTreeSet::new(), Instant::now());
    while left > 0 {
        ensure!(begun.elapsed() < FLUSH, "Kafka gives no records");
        if let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) {
            held.insert(String::from_utf8_lossy(record.payload().unwrap_or_default()).into_owned());
            left -= 1;
        }
    }
    Ok(held)
}
