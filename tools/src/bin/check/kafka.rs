//! What is in Kafka: every record of the campaign in every topic of the pipeline.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use rushgate::bus::origin;
use rushgate::order::{OrderEvent, Ordinal};
use rushgate::record;

/// Topic → partition → offset.
pub type Offsets = BTreeMap<String, BTreeMap<i32, i64>>;

const ORDERS: &str = "rushgate.orders";
const ASK: Duration = Duration::from_secs(20);
/// A log that gives nothing for so long will not give its rest.
const SILENT_MAX: Duration = Duration::from_secs(30);

/// One order of a record of the orders topic.
#[derive(Clone, Debug)]
pub struct Copy {
    pub order: String,
    /// Its buyer's: campaign and user.
    pub key: Vec<u8>,
    /// Its shard, and where it stands among the orders of it, where its record says so.
    pub turn: Option<(u32, Ordinal)>,
    pub placed_at: i64,
    pub quantity: u32,
}

/// What the topics hold of one campaign.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    /// The orders topic, partition by partition in the order of offsets, without what was sent there again.
    pub orders: Vec<Copy>,
    /// Orders of the orders topic, and records of it, that are nobody's.
    pub unreadable: u64,
    /// Records in the retry topics.
    pub retried: u64,
    /// Records among the dead letters.
    pub dead: u64,
    /// Records sent to the orders topic again, out of the dead letters.
    pub replayed: u64,
}

/// Reads every topic whose name begins like the orders topic, up to where it ends now.
pub fn read(brokers: &str, campaign: &str, since: &Offsets) -> Result<Logs> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "rushgate-check")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.queue.backoff.ms", "10")
        .create()?;
    let mut left = assign(&consumer, since)?;
    let prefix = format!("{campaign}/");
    let mut logs = Logs::default();
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
            note(&mut logs, &message);
        }
    }
    Ok(logs)
}

/// Where reading ends, for every partition that holds anything to read.
fn assign(consumer: &BaseConsumer, since: &Offsets) -> Result<BTreeMap<(String, i32), i64>> {
    let metadata = consumer.fetch_metadata(None, ASK)?;
    let mut list = TopicPartitionList::new();
    let mut left = BTreeMap::new();
    for topic in metadata.topics() {
        let name = topic.name();
        if !name.starts_with(ORDERS) {
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

fn note(logs: &mut Logs, message: &rdkafka::message::BorrowedMessage<'_>) {
    let topic = message.topic();
    if topic.ends_with(".dlt") {
        logs.dead += 1;
    } else if topic != ORDERS {
        logs.retried += 1;
    } else if is_moved(message) {
        logs.replayed += 1;
    } else {
        for event in orders(message.payload().unwrap_or_default()) {
            match event {
                Some(event) if event.quantity > 0 => logs.orders.push(Copy {
                    order: event.order.to_string(),
                    key: event.key().into_bytes(),
                    turn: event.ordinal.map(|ordinal| (event.shard, ordinal)),
                    placed_at: event.placed_at,
                    quantity: event.quantity,
                }),
                _ => logs.unreadable += 1,
            }
        }
    }
}

/// Whether it says where it was first.
fn is_moved(message: &rdkafka::message::BorrowedMessage<'_>) -> bool {
    use rdkafka::message::Headers as _;
    rdkafka::message::Message::headers(message)
        .is_some_and(|headers| headers.iter().any(|header| header.key == origin::TOPIC))
}

/// The orders of a record; `None` for each that cannot be read.
fn orders(bytes: &[u8]) -> Vec<Option<OrderEvent>> {
    match record::orders(bytes) {
        Ok(orders) => orders.into_iter().map(Result::ok).collect(),
        Err(_) => vec![None],
    }
}
