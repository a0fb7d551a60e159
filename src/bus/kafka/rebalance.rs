//! What happens when the group gives or takes partitions: the callback, and what it shares with the loop that polls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::ASK_LIMIT;
use super::start::{Start, is_behind, start};
use crate::bus::{Gap, StartOffsets};
use crate::failpoint::{self, Point};

/// What the rebalance callback and the polling loop, on the same thread, tell each other.
#[derive(Default)]
pub(super) struct Assignment {
    /// Offset of the next record of each assigned partition; `None` until the first one from the
    /// log's beginning arrives.
    pub positions: BTreeMap<i32, Option<i64>>,
    /// Partitions that the database has told no offset of yet, or none that the log holds: nothing of them is read.
    pub unknown: BTreeSet<i32>,
    /// What of them keeps landing from going on, until it was told.
    pub gaps: BTreeMap<i32, Gap>,
    /// Partitions that are read from the log's beginning, because the log ended before the database's offset.
    pub rewritten: BTreeMap<i32, Gap>,
    /// Partitions to be taken out of librdkafka and put in again: it has stopped fetching some of them, and does not
    /// say which.
    pub again: BTreeSet<i32>,
    /// How often in a row the log of a partition seemed to end before its offset.
    pub behind: BTreeMap<i32, u32>,
    /// Partitions that are not read before a moment.
    pub held: BTreeMap<i32, Instant>,
    /// Nothing is read at the moment.
    pub idle: bool,
    /// Next offsets that are in the database and not committed to Kafka.
    pub landed: BTreeMap<i32, i64>,
    /// Revoked since the loop last looked.
    pub revoked: BTreeSet<i32>,
    /// Revoked since the last poll began.
    pub lost: BTreeSet<i32>,
    pub rebalances: u64,
    pub trouble: Option<String>,
}

impl Assignment {
    /// Whether what arrives of a partition is to be dropped, because it will be read again.
    pub fn ignores(&self, partition: i32) -> bool {
        self.idle
            || self.unknown.contains(&partition)
            || self.held.contains_key(&partition)
            || self.again.contains(&partition)
    }

    /// Another consumer has the partition, or gets it.
    fn remove(&mut self, partition: i32) {
        self.positions.remove(&partition);
        self.unknown.remove(&partition);
        self.gaps.remove(&partition);
        self.rewritten.remove(&partition);
        self.again.remove(&partition);
        self.behind.remove(&partition);
        self.held.remove(&partition);
        self.landed.remove(&partition);
        self.revoked.insert(partition);
        self.lost.insert(partition);
    }
}

/// The callback's side.
pub(super) struct Rebalance {
    topic: String,
    start: Arc<Mutex<StartOffsets>>,
    assignment: Mutex<Assignment>,
}

impl Rebalance {
    pub fn new(topic: &str, start: StartOffsets) -> Self {
        Self {
            topic: topic.to_owned(),
            start: Arc::new(Mutex::new(start)),
            assignment: Mutex::default(),
        }
    }

    /// For the consumer that follows this one: it has lost what this one had.
    pub fn successor(&self) -> Self {
        let before = self.assignment();
        let lost: BTreeSet<i32> = before.positions.keys().copied().collect();
        let assignment = Assignment {
            idle: before.idle,
            revoked: lost.clone(),
            lost,
            rebalances: before.rebalances,
            ..Assignment::default()
        };
        Self {
            topic: self.topic.clone(),
            start: self.start.clone(),
            assignment: Mutex::new(assignment),
        }
    }

    pub fn assignment(&self) -> MutexGuard<'_, Assignment> {
        self.assignment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to start each partition, and which of them nobody knows yet: the database did not answer, or the log does
    /// not hold the offset. Those are asked for again before anything of them is read.
    pub fn starts(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[i32],
    ) -> (BTreeMap<i32, Option<i64>>, Vec<i32>) {
        let stored = {
            let start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
            start(partitions)
        };
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => {
                self.assignment().trouble = Some(format!("no offsets from the database: {error}"));
                let nothing = partitions.iter().map(|partition| (*partition, None));
                return (nothing.collect(), partitions.to_vec());
            }
        };
        let (mut starts, mut unknown) = (BTreeMap::new(), Vec::new());
        for partition in partitions {
            let found = self.find(consumer, *partition, stored.get(partition).copied());
            let position = match found {
                Start::At(offset) => Some(offset),
                Start::Beginning | Start::Rewritten(_) => None,
                Start::Wait | Start::Blocked(_) => {
                    unknown.push(*partition);
                    None
                }
            };
            starts.insert(*partition, position);
        }
        (starts, unknown)
    }

    /// Looks at the log of one partition, and notes what is to be told about it.
    fn find(&self, consumer: &BaseConsumer<Self>, partition: i32, stored: Option<i64>) -> Start {
        // A partition without a leader has no answer.
        let log = consumer.fetch_watermarks(&self.topic, partition, ASK_LIMIT).ok();
        let mut assignment = self.assignment();
        let looks = match is_behind(stored, log) {
            true => {
                let looks = assignment.behind.entry(partition).or_default();
                *looks += 1;
                *looks
            }
            false => 0,
        };
        let found = start(partition, stored, log, looks);
        match found {
            Start::Blocked(gap) => {
                assignment.gaps.insert(partition, gap);
            }
            Start::Rewritten(gap) => {
                assignment.rewritten.insert(partition, gap);
            }
            Start::Wait if looks == 1 => {
                let (low, high) = log.unwrap_or_default();
                assignment.trouble = Some(format!(
                    "{}/{partition} holds {low} to {high}, the database expects {}: the topic was made anew or lost \
                     records; if it stays so, it is read from the beginning, and orders are recognised by their id",
                    self.topic,
                    stored.unwrap_or_default()
                ));
            }
            Start::Wait | Start::At(_) | Start::Beginning => {}
        }
        found
    }

    /// Takes partitions out of librdkafka and puts them in again, at the offsets of the database. The group hears
    /// nothing of it.
    pub fn assign_again(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) -> KafkaResult<()> {
        if consumer.assignment_lost() {
            // The group takes them away, and gives others.
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, *partition);
        }
        if let Err(error) = consumer.incremental_unassign(&list) {
            // They are not in it: that is what was wrong.
            tracing::debug!(topic = self.topic, ?partitions, %error, "kafka unassign");
        }
        let held = {
            let assignment = self.assignment();
            let mut held = TopicPartitionList::new();
            for partition in assignment.held.keys().filter(|held| partitions.contains(held)) {
                held.add_partition(&self.topic, *partition);
            }
            held
        };
        self.assign(consumer, partitions)?;
        consumer.pause(&held)
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) -> KafkaResult<()> {
        let (starts, unknown) = self.starts(consumer, partitions);
        let mut list = TopicPartitionList::new();
        for (partition, start) in &starts {
            let offset = start.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(&self.topic, *partition, offset)?;
        }
        let idle = {
            let mut assignment = self.assignment();
            for partition in partitions {
                assignment.unknown.remove(partition);
            }
            assignment.positions.extend(starts);
            assignment.unknown.extend(&unknown);
            assignment.idle
        };
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&list)?,
            _ => consumer.assign(&list)?,
        }
        // librdkafka remembers a pause over a partition's absence.
        match idle {
            true => consumer.pause(&list)?,
            false => consumer.resume(&list)?,
        }
        let mut waiting = TopicPartitionList::new();
        for partition in unknown {
            waiting.add_partition(&self.topic, partition);
        }
        consumer.pause(&waiting)
    }

    /// Tells Kafka how far these partitions have landed: for lag tools, so a failure is no trouble.
    pub fn commit(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) {
        let mut list = TopicPartitionList::new();
        let mut assignment = self.assignment();
        for partition in partitions {
            let next = assignment.landed.remove(partition).map(Offset::Offset);
            let owned = assignment.positions.contains_key(partition);
            if let Some(next) = next.filter(|_| owned)
                && let Err(error) = list.add_partition_offset(&self.topic, *partition, next)
            {
                tracing::debug!(%error, "kafka commit");
            }
        }
        drop(assignment);
        if list.count() > 0
            && let Err(error) = consumer.commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "kafka commit");
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        failpoint::hit(Point::C5);
        // Taken by force, the partition has another owner already, and Kafka refuses the commit. It is sent before
        // the group hears that the partitions are free. Nobody waits for the answer here: a frozen broker would
        // hold this thread up for as long as it is frozen.
        if !consumer.assignment_lost() {
            self.commit(consumer, &partitions_of(list));
        }
        let mut assignment = self.assignment();
        for partition in partitions_of(list) {
            assignment.remove(partition);
        }
        drop(assignment);
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        }
    }
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
        tracing::info!(topic = self.topic, assign, ?partitions, "kafka partitions");
        self.assignment().rebalances += 1;
        let done = match assign {
            true => self.assign(consumer, &partitions),
            false => self.revoke(consumer, list),
        };
        if let Err(error) = done {
            self.assignment().trouble = Some(format!("rebalance: {error}"));
        }
    }
}
