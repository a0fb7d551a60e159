//! The consuming side: one `BaseConsumer` polled by one OS thread, reading from the offsets that the
//! database holds.

use std::collections::BTreeSet;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::gather::{Gathered, Patience};
use super::rebalance::{Assignment, Rebalance};
use super::{ASK_LIMIT, Config, is_fatal, unusable};
use crate::bus::{Anew, BusError, Consumer, ConsumerState, Gap, IDLE_WAIT, Slice, StartOffsets};

/// Kafka's own offsets serve lag tools only, so they are committed rarely.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// A fetch that has so many bytes waits for no more of them: about a thousand orders.
const FETCH_BYTES: &str = "65536";

/// What one fetch brought comes within this.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// Between questions to the database about partitions that are not known yet.
const LEARN_EVERY: Duration = Duration::from_millis(250);

/// The consuming side.
pub struct KafkaConsumer {
    config: Config,
    consumer: BaseConsumer<Rebalance>,
    committed_at: Instant,
    learned_at: Option<Instant>,
}

impl KafkaConsumer {
    /// Joins the group; partitions arrive with later polls. `Fatal` for a wrong option.
    pub fn new(config: Config, start: StartOffsets) -> Result<Self, BusError> {
        let consumer = join(&config, Rebalance::new(&config.topic, start))?;
        Ok(Self {
            config,
            consumer,
            committed_at: Instant::now(),
            learned_at: None,
        })
    }

    /// Joins again with a client of its own; everything it had is lost.
    fn renew(&mut self) -> Result<(), BusError> {
        let context = self.consumer.context().successor();
        let fresh = join(&self.config, context)?;
        let before = std::mem::replace(&mut self.consumer, fresh);
        // Taking leave may block for as long as a broker is frozen.
        std::thread::spawn(move || drop(before));
        Ok(())
    }

    fn assignment(&self) -> MutexGuard<'_, Assignment> {
        self.consumer.context().assignment()
    }

    fn list(&self, partitions: impl IntoIterator<Item = i32>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.config.topic, partition);
        }
        list
    }

    fn trouble(&self, partition: i32, error: &KafkaError) {
        self.assignment().trouble = Some(format!("{}/{partition}: {error}", self.config.topic));
    }

    /// Reads on after a pause, exactly where reading stopped.
    fn read_on(&mut self, partitions: &[i32]) {
        if partitions.is_empty() {
            return;
        }
        if let Err(error) = self.consumer.resume(&self.list(partitions.iter().copied())) {
            self.trouble(partitions[0], &error);
        }
        // Resuming starts behind the last record that was polled, which is not where a held partition goes on.
        for partition in partitions {
            let position = self.assignment().positions.get(partition).copied().flatten();
            if let Some(position) = position {
                self.go_to(*partition, position);
            }
        }
    }

    /// Begins partitions anew that librdkafka no longer fetches.
    fn restart(&mut self) {
        let mut assignment = self.assignment();
        let mut again = std::mem::take(&mut assignment.again);
        again.retain(|partition| assignment.positions.contains_key(partition));
        drop(assignment);
        if again.is_empty() {
            return;
        }
        let partitions: Vec<i32> = again.iter().copied().collect();
        let context = self.consumer.context();
        if let Err(error) = context.assign_again(&self.consumer, &partitions) {
            self.trouble(partitions[0], &error);
            self.assignment().again.extend(again);
        }
    }

    /// Asks again for offsets that the database did not tell when the partitions came, or that the log did not hold.
    fn learn(&mut self) {
        let unknown: Vec<i32> = self.assignment().unknown.iter().copied().collect();
        if unknown.is_empty() || self.learned_at.is_some_and(|at| at.elapsed() < LEARN_EVERY) {
            return;
        }
        self.learned_at = Some(Instant::now());
        let (starts, still) = self.consumer.context().starts(&self.consumer, &unknown);
        let known: Vec<i32> = unknown
            .into_iter()
            .filter(|partition| !still.contains(partition))
            .collect();
        let mut assignment = self.assignment();
        for partition in &known {
            assignment.unknown.remove(partition);
            assignment.behind.remove(partition);
            assignment.gaps.remove(partition);
            assignment.positions.insert(*partition, starts[partition]);
        }
        drop(assignment);
        self.read_on(&known);
    }

    /// Ends an idle time.
    fn wake(&mut self) {
        let mut assignment = self.assignment();
        if !std::mem::take(&mut assignment.idle) {
            return;
        }
        let paused = assignment.positions.keys();
        let paused: Vec<i32> = paused
            .filter(|partition| !assignment.ignores(**partition))
            .copied()
            .collect();
        drop(assignment);
        self.read_on(&paused);
    }

    /// Lets held partitions go whose time has come, and says when the next one's comes.
    fn release(&mut self) -> Option<Instant> {
        let mut assignment = self.assignment();
        if assignment.held.is_empty() {
            return None;
        }
        let now = Instant::now();
        let held = assignment.held.iter();
        let due: Vec<i32> = held
            .filter(|(_, until)| **until <= now)
            .map(|(partition, _)| *partition)
            .collect();
        for partition in &due {
            assignment.held.remove(partition);
        }
        let next = assignment.held.values().min().copied();
        drop(assignment);
        self.read_on(&due);
        next
    }

    /// Goes on reading a partition from an offset.
    fn go_to(&mut self, partition: i32, offset: i64) {
        let to = Offset::Offset(offset);
        let sought = self.consumer.seek(&self.config.topic, partition, to, ASK_LIMIT);
        let mut assignment = self.assignment();
        match sought {
            Ok(()) => {
                assignment.positions.insert(partition, Some(offset));
            }
            // Where librdkafka has stopped fetching, no seek makes it fetch again.
            Err(error) => {
                tracing::debug!(topic = self.config.topic, partition, offset, %error, "kafka seek");
                assignment.again.insert(partition);
            }
        }
    }

    /// Whether the partition is read from its beginning because its log ended before that offset. At the end of what
    /// the log held then, the database has to expect less.
    fn reads_again(&self, partition: i32, expected: i64) -> bool {
        let mut assignment = self.assignment();
        let Some(gap) = assignment.rewritten.get(&partition).copied() else {
            return false;
        };
        if gap.expected != expected {
            assignment.rewritten.remove(&partition);
            return false;
        }
        let position = assignment.positions.get(&partition).copied().flatten();
        let Some(position) = position.filter(|position| *position >= gap.high) else {
            return true;
        };
        assignment.rewritten.remove(&partition);
        assignment.unknown.insert(partition);
        let high = position;
        assignment.gaps.insert(partition, Gap { high, ..gap });
        drop(assignment);
        self.pause(partition);
        true
    }

    fn pause(&self, partition: i32) {
        if let Err(error) = self.consumer.pause(&self.list([partition])) {
            self.trouble(partition, &error);
        }
    }

    /// What a read error means: `Err` ends the consumer.
    fn sort_error(&mut self, error: &KafkaError) -> Result<(), BusError> {
        use RDKafkaErrorCode::{AutoOffsetReset, OffsetOutOfRange, UnknownTopic, UnknownTopicOrPartition};
        if is_fatal(error) {
            let what = self.consumer.client().fatal_error();
            let what = what.map_or_else(|| error.to_string(), |(_, text)| text);
            return Err(BusError::Fatal(format!("kafka consumer: {what}")));
        }
        match error.rdkafka_error_code() {
            // librdkafka has stopped fetching a partition for good, and does not say which.
            Some(AutoOffsetReset | OffsetOutOfRange) => {
                let mut assignment = self.assignment();
                let assigned: Vec<i32> = assignment.positions.keys().copied().collect();
                assignment.again.extend(assigned);
            }
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
        self.wake();
        self.restart();
        self.learn();
        let next_due = self.release();
        self.assignment().lost.clear();
        let mut gathered = Gathered::default();
        let mut deadline = Instant::now() + IDLE_WAIT;
        deadline = next_due.map_or(deadline, |due| due.min(deadline));
        let patience = Patience {
            lone: wait
                .saturating_sub(self.config.fetch_wait)
                .max(wait.min(LEAST_WAIT)),
            next: wait / 2 + self.config.fetch_wait,
            busy: self.config.busy_wait,
        };
        let mut first = None;
        while !gathered.is_full(max) {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut failure = None;
            match self.consumer.poll(left) {
                Some(Ok(message)) => {
                    gathered.add(&mut self.consumer.context().assignment(), &message);
                    let now = Instant::now();
                    deadline = patience.until(gathered.records, *first.get_or_insert(now), now);
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
        let trouble = self.assignment().trouble.take();
        match trouble {
            Some(trouble) if gathered.records == 0 => return Err(BusError::Unreadable(trouble)),
            Some(trouble) => tracing::warn!(topic = self.config.topic, trouble, "kafka consumer"),
            None => {}
        }
        Ok(gathered.slices.into_values().collect())
    }

    fn idle(&mut self, wait: Duration) -> Result<(), BusError> {
        let deadline = Instant::now() + wait;
        if !std::mem::replace(&mut self.assignment().idle, true) {
            let assigned: Vec<i32> = self.assignment().positions.keys().copied().collect();
            if let Err(error) = self.consumer.pause(&self.list(assigned)) {
                tracing::debug!(%error, "kafka pause");
            }
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut failure = None;
            match self.consumer.poll(left) {
                // Read again later; the position of a partition that had none yet is known now.
                Some(Ok(message)) => {
                    let mut assignment = self.consumer.context().assignment();
                    if let Some(position @ None) = assignment.positions.get_mut(&message.partition()) {
                        *position = Some(message.offset());
                    }
                }
                Some(Err(error)) => failure = Some(error),
                None if left.is_zero() => return Ok(()),
                None => {}
            }
            if let Some(error) = failure {
                self.sort_error(&error)?;
            }
        }
    }

    fn lost(&mut self) -> BTreeSet<i32> {
        self.assignment().lost.clone()
    }

    fn commit(&mut self, landed: &[(i32, i64)]) {
        let landed_so_far = {
            let mut assignment = self.assignment();
            assignment.landed.extend(landed.iter().copied());
            if self.committed_at.elapsed() < COMMIT_EVERY {
                return;
            }
            assignment.landed.keys().copied().collect::<Vec<i32>>()
        };
        self.committed_at = Instant::now();
        let context = self.consumer.context();
        context.commit(&self.consumer, &landed_so_far);
    }

    fn seek(&mut self, partition: i32, offset: i64) {
        if !self.assignment().positions.contains_key(&partition) {
            return;
        }
        if !self.reads_again(partition, offset) {
            self.go_to(partition, offset);
        }
    }

    fn hold(&mut self, partition: i32, offset: i64, wait: Duration) {
        let mut assignment = self.assignment();
        let Some(position) = assignment.positions.get_mut(&partition) else {
            return;
        };
        *position = Some(offset);
        assignment.held.insert(partition, Instant::now() + wait);
        drop(assignment);
        self.pause(partition);
    }

    fn gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.assignment().gaps)
            .into_values()
            .collect()
    }

    fn begin_anew(&mut self, partitions: &BTreeSet<i32>, how: Anew) -> Result<bool, BusError> {
        let mut assignment = self.assignment();
        let own = partitions
            .iter()
            .filter(|partition| assignment.positions.contains_key(partition));
        let own: Vec<i32> = own.copied().collect();
        for partition in &own {
            assignment.held.remove(partition);
        }
        assignment.again.extend(&own);
        drop(assignment);
        if how == Anew::Consumer && !own.is_empty() {
            self.renew()?;
        }
        Ok(!own.is_empty())
    }

    fn state(&self) -> ConsumerState {
        let assignment = self.assignment();
        let assigned = assignment.positions.len();
        let paused = if assignment.idle {
            assigned
        } else {
            let waits = |partition: &&i32| {
                assignment.held.contains_key(*partition) || assignment.unknown.contains(*partition)
            };
            assignment.positions.keys().filter(waits).count()
        };
        ConsumerState {
            assigned: assigned as u64,
            paused: paused as u64,
            rebalances: assignment.rebalances,
        }
    }
}

/// A member of the group: the partitions come with its polls. It has no name of its own there (`group.instance.id`): where it
/// starts is in the database, and a named one that is gone for good keeps its partitions until its session is over.
fn join(config: &Config, context: Rebalance) -> Result<BaseConsumer<Rebalance>, BusError> {
    let mut own = vec![
        ("group.id", config.group.as_str()),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("session.timeout.ms", "10000"),
        // Members hear of a rebalance with the answer to a heartbeat.
        ("heartbeat.interval.ms", "1000"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "error"),
        ("fetch.queue.backoff.ms", "10"),
        ("fetch.error.backoff.ms", "100"),
        ("queued.max.messages.kbytes", "65536"),
    ];
    let wait = config.fetch_wait.as_millis().to_string();
    if !config.fetch_wait.is_zero() {
        own.extend([
            ("fetch.wait.max.ms", wait.as_str()),
            ("fetch.min.bytes", FETCH_BYTES),
        ]);
    }
    let consumer: BaseConsumer<Rebalance> = config
        .client(&own, &config.consumer)
        .create_with_context(context)
        .map_err(unusable)?;
    consumer.subscribe(&[&config.topic]).map_err(unusable)?;
    Ok(consumer)
}
