//! The embedded bus: logs of one partition each in memory, between a producer and one consumer per topic.
//!
//! Orders are acknowledged when their consumer commits them, that is when they are in the database: the logs
//! survive nothing. What is forwarded to another topic is acknowledged at once, because the database keeps it
//! too; a topic that nobody reads keeps no records.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::{
    Acknowledge, BusError, Consumer, ConsumerState, Forward, Headers, IDLE_WAIT, ORDERS_TOPIC, Outbound,
    Producer, Record, Slice, sealed,
};
use crate::seal::Keyring;

const PARTITION: i32 = 0;

#[derive(Default)]
struct Log {
    /// Records from `first` on that are not committed yet.
    records: VecDeque<Record>,
    first: i64,
    next: i64,
    /// One per batch: the offset behind its last order.
    waiting: VecDeque<(i64, Acknowledge)>,
    closed: bool,
}

impl Log {
    fn starting(start: i64) -> Self {
        Self {
            first: start,
            next: start,
            ..Self::default()
        }
    }

    fn push(&mut self, key: Vec<u8>, payload: Vec<u8>, headers: Headers) {
        self.records.push_back(Record {
            offset: self.next,
            key,
            payload,
            headers,
            timestamp: jiff::Timestamp::now().as_millisecond(),
        });
        self.next += 1;
    }

    /// Records that a reader at `position` has not seen.
    fn ahead(&self, position: i64) -> usize {
        usize::try_from(self.next - position.max(self.first)).unwrap_or(0)
    }
}

type Logs = BTreeMap<String, Log>;

#[derive(Default)]
struct Shared {
    /// By topic; topics that have a consumer.
    logs: Mutex<Logs>,
    /// Told of new records, of commits and of the end.
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the condition no longer holds, at most `limit`.
    fn wait_while<'a>(
        &self,
        logs: MutexGuard<'a, Logs>,
        limit: Duration,
        condition: impl Fn(&Logs) -> bool,
    ) -> MutexGuard<'a, Logs> {
        let waited = self
            .changed
            .wait_timeout_while(logs, limit, |logs| condition(logs));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Lets time pass.
    fn let_pass(&self, wait: Duration) {
        drop(self.wait_while(self.lock(), wait, |_| true));
    }
}

/// Makes both sides of the orders topic. `start` is the offset of the first order: what the database expects next
/// of partition 0.
pub fn pair(start: i64) -> (EmbeddedProducer, EmbeddedConsumer) {
    let producer = EmbeddedProducer {
        shared: Arc::default(),
        seal: None,
    };
    let consumer = producer.consumer(ORDERS_TOPIC, start);
    (producer, consumer)
}

/// The producing side.
#[derive(Clone)]
pub struct EmbeddedProducer {
    shared: Arc<Shared>,
    seal: Option<Arc<Keyring>>,
}

impl EmbeddedProducer {
    /// The same logs, by a producer that seals what it sends.
    pub fn sealed(&self, keys: Arc<Keyring>) -> Self {
        Self {
            shared: self.shared.clone(),
            seal: Some(keys),
        }
    }

    /// Makes a topic with its one consumer; its first record gets the offset `start`.
    pub fn consumer(&self, topic: &str, start: i64) -> EmbeddedConsumer {
        self.shared.lock().insert(topic.to_owned(), Log::starting(start));
        EmbeddedConsumer {
            shared: self.shared.clone(),
            topic: topic.to_owned(),
            position: start,
            held: None,
        }
    }
}

impl Producer for EmbeddedProducer {
    fn publish(&self, batch: Vec<Outbound>, acknowledge: Acknowledge) {
        let records = batch.into_iter().map(|order| Forward {
            topic: ORDERS_TOPIC.to_owned(),
            partition: order.partition.map(|_| PARTITION),
            key: order.key.into_bytes(),
            payload: order.payload,
            headers: Vec::new(),
        });
        self.forward(records.collect(), acknowledge);
    }

    fn forward(&self, mut records: Vec<Forward>, acknowledge: Acknowledge) {
        if let Some(keys) = &self.seal {
            records.iter_mut().for_each(|record| sealed::put(keys, record));
        }
        let mut logs = self.shared.lock();
        let closed = |record: &Forward| logs.get(&record.topic).is_some_and(|log| log.closed);
        if records.iter().any(closed) {
            drop(logs);
            return acknowledge(Err(stopped()));
        }
        let mut orders = false;
        for record in records {
            orders |= record.topic == ORDERS_TOPIC;
            if let Some(log) = logs.get_mut(&record.topic) {
                log.push(record.key, record.payload, record.headers);
            }
        }
        match logs.get_mut(ORDERS_TOPIC).filter(|_| orders) {
            Some(log) => {
                log.waiting.push_back((log.next, acknowledge));
                drop(logs);
            }
            None => {
                drop(logs);
                acknowledge(Ok(()));
            }
        }
        self.shared.changed.notify_all();
    }

    fn in_flight(&self) -> usize {
        let logs = self.shared.lock();
        logs.get(ORDERS_TOPIC).map_or(0, |log| log.records.len())
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, bool> {
        let shared = self.shared.clone();
        let waits = |logs: &Logs| logs.values().any(|log| !log.waiting.is_empty());
        let wait = move || {
            let logs = shared.lock();
            !waits(&shared.wait_while(logs, limit, waits))
        };
        Box::pin(async move { tokio::task::spawn_blocking(wait).await.unwrap_or(false) })
    }

    fn high_watermarks<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, BusError>> {
        let next = self.shared.lock().get(topic).map_or(0, |log| log.next);
        Box::pin(async move { Ok(BTreeMap::from([(PARTITION, next)])) })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), BusError>> {
        let closed = self.shared.lock().get(ORDERS_TOPIC).is_none_or(|log| log.closed);
        Box::pin(async move { if closed { Err(stopped()) } else { Ok(()) } })
    }
}

fn stopped() -> BusError {
    BusError::Unacknowledged("landing has stopped".to_owned())
}

/// The consuming side of one topic. When it is dropped, what was not committed is answered as unacknowledged.
pub struct EmbeddedConsumer {
    shared: Arc<Shared>,
    topic: String,
    position: i64,
    /// Nothing is read before then.
    held: Option<Instant>,
}

impl EmbeddedConsumer {
    fn ahead(&self, logs: &Logs) -> usize {
        logs.get(&self.topic).map_or(0, |log| log.ahead(self.position))
    }

    /// Whether reading waits; waits a little for its end.
    fn still_held(&mut self) -> bool {
        let Some(until) = self.held else { return false };
        self.shared
            .let_pass(until.saturating_duration_since(Instant::now()).min(IDLE_WAIT));
        let held = Instant::now() < until;
        if !held {
            self.held = None;
        }
        held
    }
}

impl Consumer for EmbeddedConsumer {
    fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Slice>, BusError> {
        if self.still_held() {
            return Ok(Vec::new());
        }
        let logs = self.shared.lock();
        let logs = self
            .shared
            .wait_while(logs, IDLE_WAIT, |logs| self.ahead(logs) == 0);
        if self.ahead(&logs) == 0 {
            return Ok(Vec::new());
        }
        let logs = self.shared.wait_while(logs, wait, |logs| self.ahead(logs) < max);
        let Some(log) = logs.get(&self.topic) else {
            return Ok(Vec::new());
        };
        let from = self.position.max(log.first);
        let skip = usize::try_from(from - log.first).unwrap_or(0);
        let records: Vec<Record> = log.records.iter().skip(skip).take(max).cloned().collect();
        drop(logs);
        self.position = from + records.len() as i64;
        Ok(vec![Slice {
            partition: PARTITION,
            from,
            next: self.position,
            records,
        }])
    }

    fn idle(&mut self, wait: Duration) -> Result<(), BusError> {
        self.shared.let_pass(wait);
        Ok(())
    }

    fn lost(&mut self) -> BTreeSet<i32> {
        BTreeSet::new()
    }

    fn commit(&mut self, landed: &[(i32, i64)]) {
        let Some((_, next)) = landed.iter().find(|(partition, _)| *partition == PARTITION) else {
            return;
        };
        let mut done = Vec::new();
        let mut logs = self.shared.lock();
        if let Some(log) = logs.get_mut(&self.topic) {
            while log.first < *next && log.records.pop_front().is_some() {
                log.first += 1;
            }
            while log.waiting.front().is_some_and(|(end, _)| end <= next) {
                done.extend(log.waiting.pop_front());
            }
        }
        drop(logs);
        for (_, acknowledge) in done {
            acknowledge(Ok(()));
        }
        self.shared.changed.notify_all();
    }

    fn seek(&mut self, _partition: i32, offset: i64) {
        self.position = offset;
    }

    fn hold(&mut self, _partition: i32, offset: i64, wait: Duration) {
        self.position = offset;
        self.held = Some(Instant::now() + wait);
    }

    fn state(&self) -> ConsumerState {
        ConsumerState {
            assigned: 1,
            paused: u64::from(self.held.is_some()),
            rebalances: 0,
        }
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        let mut logs = self.shared.lock();
        let Some(log) = logs.get_mut(&self.topic) else {
            return;
        };
        log.closed = true;
        log.records.clear();
        log.first = log.next;
        let waiting = std::mem::take(&mut log.waiting);
        drop(logs);
        for (_, acknowledge) in waiting {
            acknowledge(Err(stopped()));
        }
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn order(n: usize) -> Outbound {
        Outbound {
            partition: Some(0),
            key: format!("spring/u{n}"),
            payload: vec![n as u8],
        }
    }

    fn acknowledge() -> (Acknowledge, mpsc::Receiver<Result<(), BusError>>) {
        let (sender, receiver) = mpsc::channel();
        (
            Box::new(move |result| sender.send(result).expect("waited for")),
            receiver,
        )
    }

    #[test]
    fn a_batch_is_acknowledged_when_it_is_committed() {
        let (producer, mut consumer) = pair(7);
        let (acknowledge, answer) = acknowledge();
        producer.publish(vec![order(1), order(2)], acknowledge);
        let slices = consumer.poll(10, Duration::ZERO).expect("readable");
        assert_eq!(
            (slices[0].from, slices[0].next, slices[0].records.len()),
            (7, 9, 2)
        );
        assert!(answer.try_recv().is_err(), "not landed yet");
        assert_eq!(producer.in_flight(), 2);
        consumer.commit(&[(0, 9)]);
        assert_eq!(answer.recv(), Ok(Ok(())));
        assert_eq!(producer.in_flight(), 0);
    }

    #[test]
    fn a_poll_takes_at_most_what_it_asked_for_and_seek_reads_again() {
        let (producer, mut consumer) = pair(0);
        producer.publish((0..5).map(order).collect(), Box::new(|_| {}));
        assert_eq!(consumer.poll(3, Duration::ZERO).expect("readable")[0].next, 3);
        consumer.seek(0, 1);
        let again = consumer.poll(10, Duration::ZERO).expect("readable");
        assert_eq!((again[0].from, again[0].next), (1, 5));
    }

    #[test]
    fn a_topic_with_a_consumer_keeps_what_is_forwarded_and_any_other_forgets_it() {
        let (producer, _orders) = pair(0);
        let mut retry = producer.consumer("retry", 5);
        let forward = |topic: &str| Forward {
            topic: topic.to_owned(),
            partition: Some(0),
            key: b"k".to_vec(),
            payload: b"p".to_vec(),
            headers: vec![("h".to_owned(), vec![1])],
        };
        let (sent, answer) = acknowledge();
        producer.forward(vec![forward("retry"), forward("dead")], sent);
        assert_eq!(answer.try_recv(), Ok(Ok(())), "at once: the database has them");
        assert_eq!(producer.in_flight(), 0);
        let slices = retry.poll(10, Duration::ZERO).expect("readable");
        assert_eq!((slices[0].from, slices[0].records.len()), (5, 1));
        assert!(slices[0].records[0].timestamp > 0);
        retry.hold(0, 5, Duration::from_millis(30));
        let begun = Instant::now();
        while retry.poll(10, Duration::ZERO).expect("readable").is_empty() {}
        assert!(begun.elapsed() >= Duration::from_millis(30), "not early");
    }

    #[test]
    fn a_dropped_consumer_answers_what_it_did_not_land() {
        let (producer, consumer) = pair(0);
        let (first, answer) = acknowledge();
        producer.publish(vec![order(1)], first);
        drop(consumer);
        assert!(matches!(answer.recv(), Ok(Err(BusError::Unacknowledged(_)))));
        let (second, answer) = acknowledge();
        producer.publish(vec![order(2)], second);
        assert!(matches!(answer.recv(), Ok(Err(BusError::Unacknowledged(_)))));
    }
}
