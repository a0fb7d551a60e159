//! What becomes of published orders: delivery reports, gathered into one answer per batch.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rdkafka::Message;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use super::heard::Heard;
use super::is_fatal;
use super::lanes::Lanes;
use super::proof::{Proofs, Said};
use super::refusals::{Refusals, Refused};
use super::turns::Turn;
use crate::bus::{Acknowledge, BusError, Forward, Outbound};
use crate::record;

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

/// A record that librdkafka has: whose it is, and what is free again when it has been answered.
pub(super) struct Ticket {
    pub batch: Arc<Batch>,
    pub lane: Option<usize>,
    pub turn: Option<Turn>,
    /// Which one it is of all that were handed over; see [`Proofs`].
    pub number: u64,
}

/// What is sent.
pub(super) enum Sending {
    Order(Outbound),
    Moved(Forward),
}

impl Sending {
    /// Whose records are to stay in order; empty where they need not. A record of many orders says itself where they stand.
    pub fn in_turn(&self) -> &[u8] {
        match self {
            Self::Order(order) if record::is_record(&order.payload) => &[],
            Self::Order(order) => order.key.as_bytes(),
            Self::Moved(record) => &record.key,
        }
    }
}

/// A record that waits for its key's turn, or in its lane.
pub(super) struct Waiting {
    pub what: Sending,
    pub batch: Arc<Batch>,
    pub since: Instant,
    pub turn: Option<Turn>,
}

/// Receives what librdkafka reports.
pub(super) struct Reports {
    /// An idempotent producer has lost its place for good: only a new one helps. Never, where it is not idempotent.
    fatal: AtomicBool,
    lanes: Arc<Lanes<Waiting>>,
    proofs: Proofs,
    refusals: Refusals,
    pub heard: Heard,
}

impl Reports {
    pub fn new(lanes: Arc<Lanes<Waiting>>) -> Self {
        Self {
            fatal: AtomicBool::new(false),
            lanes,
            proofs: Proofs::default(),
            refusals: Refusals::default(),
            heard: Heard::default(),
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

    /// The number of a record that is about to be handed over.
    pub fn number(&self) -> u64 {
        self.proofs.number()
    }

    /// Answers a record. It is acknowledged only by a broker's own word: the offset it gave the record.
    fn answer(&self, ticket: &Ticket, said: Result<Said<'_>, &KafkaError>) {
        let failure = match said {
            Ok(said) => self.proofs.check(ticket.number, said).err(),
            Err(error) => {
                self.note(error);
                Some(error.to_string())
            }
        };
        go_on(&self.lanes, ticket.lane, ticket.turn);
        ticket.batch.done(1, failure.map(BusError::Unacknowledged));
    }
}

/// Why what still waits is not sent.
pub(super) const CLOSED: &str = "the producer was closed";

/// A record has been answered, or was not taken: the next of its lane and its key may go on.
pub(super) fn go_on(lanes: &Lanes<Waiting>, lane: Option<usize>, turn: Option<Turn>) {
    let mut next = lanes.leave(lane, turn);
    while let Some(waiting) = next {
        waiting.batch.fail(1, CLOSED);
        next = lanes.leave(None, turn);
    }
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&error);
        self.heard.note(&error, reason);
        tracing::warn!(%error, reason, "kafka producer");
    }

    /// Only with librdkafka's option `debug`.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.heard.note_log(facility, message);
        if let Some(Refused { first }) = self.refusals.hear(facility, message) {
            tracing::info!(first, librdkafka = message, "kafka refused a batch");
        } else if level as i32 <= RDKafkaLogLevel::Warning as i32 {
            tracing::warn!(facility, librdkafka = message, "kafka producer");
        } else {
            tracing::debug!(facility, librdkafka = message, "kafka producer");
        }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let said = match result {
            Ok(record) => Ok(Said {
                topic: record.topic(),
                partition: record.partition(),
                offset: record.offset(),
            }),
            Err((error, _)) => Err(error),
        };
        self.answer(&ticket, said);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::lanes::Free;
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

    type Answer = mpsc::Receiver<Result<(), BusError>>;

    /// Reports about batches of one record each, in the order they are handed over, and what becomes of each.
    struct Told {
        reports: Reports,
        sent: Vec<(Ticket, Answer)>,
    }

    impl Told {
        fn new(records: usize) -> Self {
            let (free, _) = mpsc::channel();
            let reports = Reports::new(Arc::new(Lanes::new(free)));
            let mut told = Self {
                reports,
                sent: Vec::new(),
            };
            (0..records).for_each(|_| told.hand_over());
            told
        }

        fn hand_over(&mut self) {
            let (sender, answer) = mpsc::channel();
            let acknowledge = Box::new(move |result| sender.send(result).expect("waited for"));
            let ticket = Ticket {
                batch: Batch::new(1, acknowledge, Arc::default()),
                lane: None,
                turn: None,
                number: self.reports.number(),
            };
            self.sent.push((ticket, answer));
        }

        fn report(&self, record: usize, partition: i32, offset: i64) {
            let topic = "o";
            let said = Said {
                topic,
                partition,
                offset,
            };
            self.reports.answer(&self.sent[record].0, Ok(said));
        }

        fn is_acknowledged(&self, record: usize) -> bool {
            self.sent[record].1.try_recv().expect("answered") == Ok(())
        }
    }

    #[test]
    fn only_what_a_broker_gave_an_offset_is_acknowledged() {
        let told = Told::new(2);
        told.report(0, 0, 0);
        // Implicitly, because a later batch was taken.
        told.report(1, 1, -1001);
        assert!(told.is_acknowledged(0));
        assert!(!told.is_acknowledged(1));
    }

    #[test]
    fn a_repetition_acknowledges_none_of_its_batch_whatever_its_numbers_say() {
        let told = Told::new(3);
        for (record, offset) in [(0, -1), (1, 0), (2, 1)] {
            told.report(record, 0, offset);
        }
        assert!((0..3).all(|record| !told.is_acknowledged(record)));
    }

    #[test]
    fn a_doubt_fails_what_is_on_its_way_in_its_partition_and_spares_what_comes_later() {
        let mut told = Told::new(4);
        told.report(0, 7, -1001);
        told.hand_over();
        told.report(1, 7, 12);
        told.report(2, 7, 13);
        told.report(3, 8, 5);
        told.report(4, 7, 14);
        let acknowledged: Vec<bool> = (0..5).map(|record| told.is_acknowledged(record)).collect();
        assert_eq!(acknowledged, [false, false, false, true, true]);
    }

    #[test]
    fn a_batch_of_which_a_part_is_acknowledged_is_not() {
        let (sender, answer) = mpsc::channel();
        let acknowledge = Box::new(move |result| sender.send(result).expect("waited for"));
        let batch = Batch::new(2, acknowledge, Arc::default());
        let told = Told::new(0);
        for (partition, offset) in [(0, 4), (1, -1001)] {
            let ticket = Ticket {
                batch: batch.clone(),
                lane: None,
                turn: None,
                number: told.reports.number(),
            };
            let topic = "o";
            let said = Said {
                topic,
                partition,
                offset,
            };
            told.reports.answer(&ticket, Ok(said));
        }
        let answer = answer.recv().expect("answered");
        assert!(matches!(answer, Err(BusError::Unacknowledged(_))), "{answer:?}");
    }

    #[test]
    fn an_answer_lets_the_next_order_of_its_key_go_on() {
        let (free, freed) = mpsc::channel();
        let lanes = Arc::new(Lanes::new(free));
        let reports = Reports::new(lanes.clone());
        let turn = lanes.turn(b"spring/ada");
        let waiting = || Waiting {
            what: Sending::Order(Outbound {
                partition: None,
                key: "spring/ada".to_owned(),
                payload: Vec::new(),
            }),
            batch: Batch::new(1, Box::new(|_| {}), Arc::default()),
            since: Instant::now(),
            turn,
        };
        let first = lanes.take(turn, waiting()).expect("its turn");
        assert!(lanes.take(turn, waiting()).is_none());
        let ticket = Ticket {
            batch: first.batch,
            lane: None,
            turn,
            number: reports.number(),
        };
        // A failure, too: what is behind it does not wait for ever.
        reports.answer(&ticket, Err(&KafkaError::Canceled));
        assert!(matches!(freed.try_recv(), Ok(Free::Next(_))));
    }
}
