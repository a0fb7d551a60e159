//! The consuming side: one `BaseConsumer` polled by one OS thread, reading from the offsets that the
//! database holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};

use super::{ASK_LIMIT, Config, is_fatal, unusable};
use crate::bus::{BusError, Consumer, Headers, IDLE_WAIT, Record, Slice, StartOffsets};
use crate::failpoint::{self, Point};

/// Kafka's own offsets serve lag tools only, so they are committed rarely.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// What the rebalance callback and the polling loop, on the same thread, tell each other.
#[derive(Default)]
struct Assignment {
    /// Offset of the next record of each assigned partition; `None` until the first one from the
    /// log's beginning arrives.
    positions: BTreeMap<i32, Option<i64>>,
    /// Revoked since the loop last looked.
    revoked: BTreeSet<i32>,
    trouble: Option<String>,
}

struct Rebalance {
    topic: String,
    start: Mutex<StartOffsets>,
    assignment: Mutex<Assignment>,
}

impl Rebalance {
    fn assignment(&self) -> MutexGuard<'_, Assignment> {
        self.assignment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to start each partition. Where the database does not answer, the log is read from its
    /// beginning: what landed before is recognised.
    fn starts(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) -> BTreeMap<i32, Option<i64>> {
        let start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = start(partitions).unwrap_or_else(|error| {
            self.assignment().trouble = Some(format!("no offsets from the database: {error}"));
            BTreeMap::new()
        });
        let checked = |partition: i32| {
            let expected = *stored.get(&partition)?;
            match self.gap(consumer, partition, expected) {
                Some(Gap::Behind) => None,
                Some(Gap::Ahead) | None => Some(expected),
            }
        };
        partitions
            .iter()
            .map(|partition| (*partition, checked(*partition)))
            .collect()
    }

    /// Whether the log does not hold the offset, and on which side.
    fn gap(&self, consumer: &BaseConsumer<Self>, partition: i32, offset: i64) -> Option<Gap> {
        let (low, high) = consumer
            .fetch_watermarks(&self.topic, partition, ASK_LIMIT)
            .ok()?;
        let place = format!("{}/{partition} holds {low} to {high}", self.topic);
        if offset > high {
            self.assignment().trouble = Some(format!(
                "{place}, the database expects {offset}: the topic was made anew or lost records; it is read from \
                 the beginning, and orders are recognised by their id"
            ));
            Some(Gap::Behind)
        } else if offset < low {
            self.assignment().trouble = Some(format!(
                "{place}, the database expects {offset}: records were removed before they landed; compare with \
                 `rushgate reconcile`, then set landing_offsets.next_offset to {low}"
            ));
            Some(Gap::Ahead)
        } else {
            None
        }
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) -> KafkaResult<()> {
        let starts = self.starts(consumer, partitions);
        let mut list = TopicPartitionList::new();
        for (partition, start) in &starts {
            let offset = start.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(&self.topic, *partition, offset)?;
        }
        self.assignment().positions.extend(starts);
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&list),
            _ => consumer.assign(&list),
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        failpoint::hit(Point::C5);
        let mut assignment = self.assignment();
        for partition in partitions_of(list) {
            assignment.positions.remove(&partition);
            assignment.revoked.insert(partition);
        }
        drop(assignment);
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        }
    }
}

/// The log does not reach up to an offset, or starts only after it.
enum Gap {
    Behind,
    Ahead,
}

fn partitions_of(list: &TopicPartitionList) -> Vec<i32> {
    list.elements()
        .iter()
        .map(|element| element.partition())
        .collect()
}

impl ClientContext for Rebalance {}

impl ConsumerContext for Rebalance {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions = partitions_of(list);
        let assign = matches!(what, RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS);
        tracing::info!(assign, ?partitions, "kafka partitions");
        let done = match assign {
            true => self.assign(consumer, &partitions),
            false => self.revoke(consumer, list),
        };
        if let Err(error) = done {
            self.assignment().trouble = Some(format!("rebalance: {error}"));
        }
    }
}

/// The consuming side.
pub struct KafkaConsumer {
    config: Config,
    consumer: BaseConsumer<Rebalance>,
    /// Seeks that did not succeed yet.
    seeks: BTreeMap<i32, i64>,
    landed: BTreeMap<i32, i64>,
    committed_at: Instant,
}

impl KafkaConsumer {
    /// Joins the group; partitions arrive with later polls. `Fatal` for a wrong option.
    pub fn new(config: Config, start: StartOffsets) -> Result<Self, BusError> {
        let context = Rebalance {
            topic: config.topic.clone(),
            start: Mutex::new(start),
            assignment: Mutex::default(),
        };
        let mut own = vec![
            ("group.id", config.group.as_str()),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "10000"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("fetch.queue.backoff.ms", "10"),
            ("fetch.error.backoff.ms", "100"),
            ("queued.max.messages.kbytes", "65536"),
        ];
        own.extend(config.instance.as_deref().map(|name| ("group.instance.id", name)));
        let consumer: BaseConsumer<Rebalance> = config
            .client(&own)
            .create_with_context(context)
            .map_err(unusable)?;
        consumer.subscribe(&[&config.topic]).map_err(unusable)?;
        Ok(Self {
            config,
            consumer,
            seeks: BTreeMap::new(),
            landed: BTreeMap::new(),
            committed_at: Instant::now(),
        })
    }

    fn assignment(&self) -> MutexGuard<'_, Assignment> {
        self.consumer.context().assignment()
    }

    fn retry_seeks(&mut self) {
        for (partition, offset) in std::mem::take(&mut self.seeks) {
            let position = self.assignment().positions.get(&partition).copied();
            if position.is_some() {
                self.seek(partition, offset);
            }
        }
    }

    /// Something asked for an offset the log does not hold: partitions whose position is outside
    /// go on at the log's beginning.
    fn find_gaps(&mut self) {
        let positions = self.assignment().positions.clone();
        for (partition, position) in positions {
            let Some(position) = position else { continue };
            if self
                .consumer
                .context()
                .gap(&self.consumer, partition, position)
                .is_none()
            {
                continue;
            }
            self.assignment().positions.insert(partition, None);
            let beginning = self
                .consumer
                .seek(&self.config.topic, partition, Offset::Beginning, ASK_LIMIT);
            if let Err(error) = beginning {
                self.assignment().trouble = Some(format!("{}/{partition}: {error}", self.config.topic));
            }
        }
    }

    /// What a read error means: `Err` ends the consumer.
    fn sort_error(&mut self, error: &KafkaError) -> Result<(), BusError> {
        use RDKafkaErrorCode::{AutoOffsetReset, OffsetOutOfRange, UnknownTopic, UnknownTopicOrPartition};
        if is_fatal(error) {
            let what = self
                .consumer
                .client()
                .fatal_error()
                .map_or(error.to_string(), |(_, text)| text);
            return Err(BusError::Fatal(format!("kafka consumer: {what}")));
        }
        match error.rdkafka_error_code() {
            Some(AutoOffsetReset | OffsetOutOfRange) => self.find_gaps(),
            Some(UnknownTopic | UnknownTopicOrPartition) => {
                self.assignment().trouble = Some(self.config.no_topic(&self.config.topic).to_string());
            }
            _ => self.assignment().trouble = Some(self.config.unreachable(error).to_string()),
        }
        Ok(())
    }
}

impl Consumer for KafkaConsumer {
    fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Slice>, BusError> {
        self.retry_seeks();
        let mut gathered = Gathered::default();
        let mut deadline = Instant::now() + IDLE_WAIT;
        while gathered.records < max {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut failure = None;
            match self.consumer.poll(left) {
                Some(Ok(message)) => {
                    if gathered.records == 0 {
                        deadline = Instant::now() + wait;
                    }
                    gathered.add(&mut self.consumer.context().assignment(), &message);
                }
                Some(Err(error)) => failure = Some(error),
                None if left.is_zero() => break,
                None => {}
            }
            if let Some(error) = failure {
                self.sort_error(&error)?;
            }
            gathered.drop_revoked(&mut self.assignment());
        }
        if gathered.records == 0
            && let Some(trouble) = self.assignment().trouble.take()
        {
            return Err(BusError::Unreadable(trouble));
        }
        Ok(gathered.slices.into_values().collect())
    }

    fn commit(&mut self, landed: &[(i32, i64)]) {
        self.landed.extend(landed.iter().copied());
        if self.committed_at.elapsed() < COMMIT_EVERY {
            return;
        }
        self.committed_at = Instant::now();
        let mut list = TopicPartitionList::new();
        for (partition, next) in std::mem::take(&mut self.landed) {
            let owned = self.assignment().positions.contains_key(&partition);
            if owned
                && let Err(error) =
                    list.add_partition_offset(&self.config.topic, partition, Offset::Offset(next))
            {
                tracing::debug!(%error, "kafka commit");
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "kafka commit");
        }
    }

    fn seek(&mut self, partition: i32, offset: i64) {
        let to = Offset::Offset(offset);
        match self.consumer.seek(&self.config.topic, partition, to, ASK_LIMIT) {
            Ok(()) => {
                self.assignment().positions.insert(partition, Some(offset));
            }
            Err(error) => {
                self.assignment().trouble = Some(format!("{}/{partition}: {error}", self.config.topic));
                self.seeks.insert(partition, offset);
            }
        }
    }
}

/// A header without a value is as good as an empty one.
fn headers(message: &BorrowedMessage<'_>) -> Headers {
    let each = message.headers().into_iter().flat_map(|headers| headers.iter());
    each.map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
        .collect()
}

/// The slices of one poll.
#[derive(Default)]
struct Gathered {
    slices: BTreeMap<i32, Slice>,
    records: usize,
}

impl Gathered {
    /// Copies the record: holding the message would pin the whole fetched buffer.
    fn add(&mut self, assignment: &mut Assignment, message: &BorrowedMessage<'_>) {
        let (partition, offset) = (message.partition(), message.offset());
        let Some(position) = assignment.positions.get_mut(&partition) else {
            return;
        };
        let from = position.unwrap_or(offset);
        let slice = self.slices.entry(partition).or_insert_with(|| Slice {
            partition,
            from,
            next: from,
            records: Vec::new(),
        });
        slice.records.push(Record {
            offset,
            key: message.key().unwrap_or_default().to_vec(),
            payload: message.payload().unwrap_or_default().to_vec(),
            headers: headers(message),
            timestamp: message.timestamp().to_millis().unwrap_or(0),
        });
        slice.next = offset + 1;
        *position = Some(offset + 1);
        self.records += 1;
    }

    fn drop_revoked(&mut self, assignment: &mut Assignment) {
        for partition in std::mem::take(&mut assignment.revoked) {
            if let Some(slice) = self.slices.remove(&partition) {
                self.records -= slice.records.len();
            }
        }
    }
}
