//! The embedded bus: a log of one partition in memory, between a producer and one consumer.
//!
//! Orders are acknowledged when the consumer commits them, that is when they are in the database:
//! the log itself survives nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use super::{Acknowledge, BusError, Consumer, Forward, IDLE_WAIT, Outbound, Producer, Record, Slice};

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

#[derive(Default)]
struct Shared {
    log: Mutex<Log>,
    /// Told of new records, of commits and of the end.
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes both sides. `start` is the offset of the first order: what the database expects next of
/// partition 0.
pub fn pair(start: i64) -> (EmbeddedProducer, EmbeddedConsumer) {
    let shared = Arc::new(Shared::default());
    {
        let mut log = shared.lock();
        log.first = start;
        log.next = start;
    }
    let consumer = EmbeddedConsumer {
        shared: shared.clone(),
        position: start,
    };
    (EmbeddedProducer { shared }, consumer)
}

/// The producing side.
pub struct EmbeddedProducer {
    shared: Arc<Shared>,
}

impl EmbeddedProducer {
    /// Gives the records their offsets.
    fn append(&self, records: Vec<Record>, acknowledge: Acknowledge) {
        if records.is_empty() {
            return acknowledge(Ok(()));
        }
        let mut log = self.shared.lock();
        if log.closed {
            drop(log);
            return acknowledge(Err(stopped()));
        }
        for record in records {
            let offset = log.next;
            log.records.push_back(Record { offset, ..record });
            log.next += 1;
        }
        let end = log.next;
        log.waiting.push_back((end, acknowledge));
        drop(log);
        self.shared.changed.notify_all();
    }
}

impl Producer for EmbeddedProducer {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn publish(&self, batch: Vec<Outbound>, acknowledge: Acknowledge) {
        let records = batch.into_iter().map(|order| Record {
            offset: 0,
            key: order.key.into_bytes(),
            payload: order.payload,
            headers: Vec::new(),
            timestamp: 0,
        });
        self.append(records.collect(), acknowledge);
    }

    fn forward(&self, records: Vec<Forward>, acknowledge: Acknowledge) {
        let records = records.into_iter().map(|record| Record {
            offset: 0,
            key: record.key,
            payload: record.payload,
            headers: record.headers,
            timestamp: 0,
        });
        self.append(records.collect(), acknowledge);
    }

    fn in_flight(&self) -> usize {
        self.shared.lock().records.len()
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, bool> {
        let shared = self.shared.clone();
        let wait = move || {
            let log = shared.lock();
            let (log, _) = shared
                .changed
                .wait_timeout_while(log, limit, |log| !log.waiting.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            log.waiting.is_empty()
        };
        Box::pin(async move { tokio::task::spawn_blocking(wait).await.unwrap_or(false) })
    }

    fn high_watermarks<'a>(&'a self, _topic: &'a str) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, BusError>> {
        let next = self.shared.lock().next;
        Box::pin(async move { Ok(BTreeMap::from([(PARTITION, next)])) })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), BusError>> {
        let closed = self.shared.lock().closed;
        Box::pin(async move { if closed { Err(stopped()) } else { Ok(()) } })
    }
}

fn stopped() -> BusError {
    BusError::Unacknowledged("landing has stopped".to_owned())
}

/// The consuming side. When it is dropped, what was not committed is answered as unacknowledged.
pub struct EmbeddedConsumer {
    shared: Arc<Shared>,
    position: i64,
}

impl Consumer for EmbeddedConsumer {
    fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Slice>, BusError> {
        let position = self.position;
        let held = |log: &Log| usize::try_from(log.next - position.max(log.first)).unwrap_or(0);
        let log = self.shared.lock();
        let (log, _) = self
            .shared
            .changed
            .wait_timeout_while(log, IDLE_WAIT, |log| held(log) == 0)
            .unwrap_or_else(PoisonError::into_inner);
        if held(&log) == 0 {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + wait;
        let more = deadline.saturating_duration_since(Instant::now());
        let (log, _) = self
            .shared
            .changed
            .wait_timeout_while(log, more, |log| held(log) < max)
            .unwrap_or_else(PoisonError::into_inner);
        let from = position.max(log.first);
        let skip = usize::try_from(from - log.first).unwrap_or(0);
        let records: Vec<Record> = log.records.iter().skip(skip).take(max).cloned().collect();
        drop(log);
        self.position = from + records.len() as i64;
        Ok(vec![Slice {
            partition: PARTITION,
            from,
            next: self.position,
            records,
        }])
    }

    fn commit(&mut self, landed: &[(i32, i64)]) {
        let Some((_, next)) = landed.iter().find(|(partition, _)| *partition == PARTITION) else {
            return;
        };
        let mut done = Vec::new();
        let mut log = self.shared.lock();
        while log.first < *next && log.records.pop_front().is_some() {
            log.first += 1;
        }
        while log.waiting.front().is_some_and(|(end, _)| end <= next) {
            done.extend(log.waiting.pop_front());
        }
        drop(log);
        for (_, acknowledge) in done {
            acknowledge(Ok(()));
        }
        self.shared.changed.notify_all();
    }

    fn seek(&mut self, _partition: i32, offset: i64) {
        self.position = offset;
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        let mut log = self.shared.lock();
        log.closed = true;
        log.records.clear();
        log.first = log.next;
        let waiting = std::mem::take(&mut log.waiting);
        drop(log);
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
