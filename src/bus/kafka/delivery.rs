//! What becomes of published orders: delivery reports, gathered into one answer per batch.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use super::is_fatal;
use super::lanes::Lanes;
use crate::bus::{Acknowledge, BusError, Outbound};

/// One published batch; the last delivery report of its orders answers it.
pub(super) struct Batch {
    left: AtomicUsize,
    failure: Mutex<Option<BusError>>,
    acknowledge: Mutex<Option<Acknowledge>>,
    in_flight: Arc<AtomicUsize>,
}

impl Batch {
    /// Its orders count as in flight from here on.
    pub fn new(orders: usize, acknowledge: Acknowledge, in_flight: Arc<AtomicUsize>) -> Arc<Self> {
        in_flight.fetch_add(orders, Ordering::AcqRel);
        Arc::new(Self {
            left: AtomicUsize::new(orders),
            failure: Mutex::new(None),
            acknowledge: Mutex::new(Some(acknowledge)),
            in_flight,
        })
    }

    /// `orders` of the batch are done; the first failure is the batch's answer.
    pub fn done(&self, orders: usize, failure: Option<BusError>) {
        if let Some(failure) = failure {
            let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(failure);
        }
        self.in_flight.fetch_sub(orders, Ordering::AcqRel);
        if self.left.fetch_sub(orders, Ordering::AcqRel) == orders {
            let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            let acknowledge = self
                .acknowledge
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(acknowledge) = acknowledge {
                acknowledge(failure.map_or(Ok(()), Err));
            }
        }
    }

    pub fn fail(&self, orders: usize, why: impl ToString) {
        self.done(orders, Some(BusError::Unacknowledged(why.to_string())));
    }
}

/// A record that librdkafka has: whose it is, and the lane it came through.
pub(super) struct Ticket {
    pub batch: Arc<Batch>,
    pub lane: Option<usize>,
}

/// An order that waits in its lane.
pub(super) struct Waiting {
    pub order: Outbound,
    pub batch: Arc<Batch>,
    pub since: Instant,
}

/// Receives what librdkafka reports.
pub(super) struct Reports {
    /// The idempotent producer has lost its place for good: only a new one helps.
    fatal: AtomicBool,
    lanes: Arc<Lanes<Waiting>>,
}

impl Reports {
    pub fn new(lanes: Arc<Lanes<Waiting>>) -> Self {
        Self {
            fatal: AtomicBool::new(false),
            lanes,
        }
    }

    pub fn note(&self, error: &KafkaError) {
        if is_fatal(error) {
            self.fatal.store(true, Ordering::Release);
        }
    }

    pub fn is_fatal(&self) -> bool {
        self.fatal.load(Ordering::Acquire)
    }
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&error);
        tracing::warn!(%error, reason, "kafka producer");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        if let Some(lane) = ticket.lane {
            self.lanes.leave(lane);
        }
        match result {
            Ok(_) => ticket.batch.done(1, None),
            Err((error, _)) => {
                self.note(error);
                ticket.batch.fail(1, error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_last_report_answers_the_batch_with_the_first_failure() {
        let (sender, answer) = mpsc::channel();
        let in_flight = Arc::new(AtomicUsize::new(0));
        let acknowledge = Box::new(move |result| sender.send(result).expect("waited for"));
        let batch = Batch::new(3, acknowledge, in_flight.clone());
        batch.done(1, None);
        batch.fail(1, "first");
        assert!(answer.try_recv().is_err());
        batch.fail(1, "second");
        assert_eq!(answer.recv(), Ok(Err(BusError::Unacknowledged("first".into()))));
        assert_eq!(in_flight.load(Ordering::Acquire), 0);
    }
}
