//! What stands in topics of Kafka, read by somebody in no group.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

/// Topic → partition → offset.
pub type Offsets = BTreeMap<String, BTreeMap<i32, i64>>;

const ASK: Duration = Duration::from_secs(20);
/// A log that gives nothing for so long will not give its rest.
const SILENT_MAX: Duration = Duration::from_secs(30);

/// Hands on what there is of a campaign in some topics, up to where they end now.
pub fn each(
    brokers: &str,
    campaign: &str,
    (is_ours, since): (&dyn Fn(&str) -> bool, &Offsets),
    mut heard_of: impl FnMut(&BorrowedMessage<'_>) -> Result<()>,
) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "rushgate-tools")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.queue.backoff.ms", "10")
        .create()?;
    let mut left = assign(&consumer, is_ours, since)?;
    let prefix = format!("{campaign}/");
    let mut heard = Instant::now();
    while !left.is_empty() {
        let Some(message) = consumer.poll(Duration::from_millis(200)) else {
            left.retain(|(topic, partition), end| !is_through(&consumer, topic, *partition, *end));
            if heard.elapsed() > SILENT_MAX {
                bail!("Kafka gives no records of {left:?}");
            }
            continue;
        };
        // A broker that just came back makes the client try again by itself.
        let Ok(message) = message else { continue };
        heard = Instant::now();
        let place = (message.topic().to_owned(), message.partition());
        if left.get(&place).is_some_and(|end| message.offset() + 1 >= *end) {
            left.remove(&place);
        }
        if message
            .key()
            .is_some_and(|key| key.starts_with(prefix.as_bytes()))
        {
            heard_of(&message)?;
        }
    }
    Ok(())
}

/// Where reading ends, for every partition that holds anything to read.
fn assign(
    consumer: &BaseConsumer,
    is_ours: &dyn Fn(&str) -> bool,
    since: &Offsets,
) -> Result<BTreeMap<(String, i32), i64>> {
    let metadata = consumer.fetch_metadata(None, ASK)?;
    let mut list = TopicPartitionList::new();
    let mut left = BTreeMap::new();
    for topic in metadata.topics() {
        let name = topic.name();
        if !is_ours(name) {
            continue;
        }
        for partition in topic.partitions() {
            let (low, high) = consumer.fetch_watermarks(name, partition.id(), ASK)?;
            let from = since.get(name).and_then(|offsets| offsets.get(&partition.id()));
            let from = from.map_or(low, |from| low.max(*from));
            if from < high {
                list.add_partition_offset(name, partition.id(), Offset::Offset(from))?;
                left.insert((name.to_owned(), partition.id()), high);
            }
        }
    }
    consumer.assign(&list).context("assign")?;
    Ok(left)
}

/// The last offsets of a partition may hold no record that is handed out.
fn is_through(consumer: &BaseConsumer, topic: &str, partition: i32, end: i64) -> bool {
    let position = consumer.position().ok();
    let found = position.and_then(|list| list.find_partition(topic, partition)?.offset().to_raw());
    found.is_some_and(|offset| offset >= end)
}
