//! Landing: takes orders off the bus and writes them into the database, exactly once in effect.
//!
//! One OS thread per consumer, one consumer per topic: poll → decode → one transaction → commit. The database's
//! offsets decide what is landed; whatever goes wrong, the same records are read or tried again. An order that fails
//! for itself is moved: to the topic's retry topic, or to the dead letters.

mod batch;
mod book;
mod config;
mod gaps;
mod guard;
mod metrics;
mod nudge;
mod seals;
mod state;
mod tell;
mod transfer;
mod wait;
mod write;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::bus::origin;
use crate::bus::{BusError, Consumer, Producer, Record, Slice};
use crate::clock::now_ms;
use crate::failpoint::{self, Point};
use crate::needs::Teller;
use crate::seldom::Seldom;
use crate::store::{Landed, Store};
use batch::{Batch, Sorted};
use book::Book;
pub use config::{Config, SealConfig};
use guard::{Guard, Tripped};
pub use metrics::{Metrics, Watched, register};
use nudge::Nudge;
pub use nudge::Nudger;
pub use state::{Awaits, State};
use tell::Tale;
use wait::{Backoff, End};

/// First and longest pause of a guard that has tripped.
const GUARD_PAUSE_MIN: Duration = Duration::from_secs(1);
const GUARD_PAUSE_MAX: Duration = Duration::from_secs(30);
/// A record that is not due is looked at again after this long at the latest, should a clock have been put right.
const HOLD_MAX: Duration = Duration::from_secs(60);

/// The stage.
pub struct Landing {
    config: Config,
    consumer: Box<dyn Consumer>,
    producer: Arc<dyn Producer>,
    /// None where nobody else hears of orders.
    teller: Option<Arc<dyn Teller>>,
    store: Store,
    runtime: Handle,
    metrics: Metrics,
    state: Arc<State>,
    guard: Option<Guard>,
    book: Book,
    stored_seals: seals::KnownSeals,
    /// Of each partition: since when records wait that say they are due later than any can be.
    far_off: BTreeMap<i32, FarOff>,
    /// Partitions of the topics that records were moved to.
    targets: BTreeMap<String, BTreeSet<i32>>,
    polled_at: Instant,
    nudge: Arc<Nudge>,
    /// What is tried again and again.
    troubles: RefCell<Seldom>,
    /// Forged records may come without an end.
    forged: Seldom,
    /// Disconnects when the handle asks to stop.
    stop: Receiver<()>,
}

/// Records that say they are due later than any can be, and wait together: those between two offsets.
#[derive(Clone, Copy, Debug)]
struct FarOff {
    /// The first that was met.
    from: i64,
    /// The end of the log when it was met: what stands before has waited as long.
    to: i64,
    since: Instant,
}

/// A running landing thread.
pub struct LandingHandle {
    metrics: Metrics,
    state: Arc<State>,
    nudge: Arc<Nudge>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Landing {
    /// Starts the thread. Store calls run on `runtime`, which must outlive the handle; `producer` takes what
    /// does not land; `metrics` are its topic's.
    #[cfg(feature = "testing")]
    pub fn spawn(
        config: Config,
        consumer: Box<dyn Consumer>,
        producer: Arc<dyn Producer>,
        store: Store,
        runtime: Handle,
        metrics: Metrics,
    ) -> std::io::Result<LandingHandle> {
        Self::spawn_telling(config, consumer, producer, store, runtime, metrics, None)
    }

    /// The same; `teller` hears of all that lands.
    pub fn spawn_telling(
        config: Config,
        consumer: Box<dyn Consumer>,
        producer: Arc<dyn Producer>,
        store: Store,
        runtime: Handle,
        metrics: Metrics,
        teller: Option<Arc<dyn Teller>>,
    ) -> std::io::Result<LandingHandle> {
        let (stop, stopped) = mpsc::channel();
        let state = Arc::<State>::default();
        let nudge = Arc::new(Nudge::default());
        let mut landing = Self {
            guard: config
                .guarded
                .then(|| Guard::new(config.poison_share, config.poison_window)),
            config,
            consumer,
            producer,
            teller,
            store,
            runtime,
            metrics: metrics.clone(),
            state: state.clone(),
            book: Book::default(),
            stored_seals: seals::KnownSeals::default(),
            far_off: BTreeMap::new(),
            targets: BTreeMap::new(),
            polled_at: Instant::now(),
            nudge: nudge.clone(),
            troubles: RefCell::default(),
            forged: Seldom::default(),
            stop: stopped,
        };
        let thread = std::thread::Builder::new()
            .name("landing".to_owned())
            .spawn(move || landing.run())?;
        Ok(LandingHandle {
            metrics,
            state,
            nudge,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    fn run(&mut self) {
        let mut backoff = Backoff::default();
        let end = loop {
            if let Err(end) = self.turn(&mut backoff) {
                break end;
            }
        };
        if let End::Fatal(error) = end {
            let topic = &self.config.topic;
            tracing::error!(topic, error, "landing ends: its consumer is of no use any more");
            self.state.fail(error);
        }
    }

    /// Takes note of what the consumer is doing.
    fn see(&self) {
        let rebalances = self.state.see(self.consumer.state());
        self.metrics.rebalances.inc_by(rebalances);
    }

    /// One poll, and what it gave.
    fn turn(&mut self, backoff: &mut Backoff) -> Result<(), End> {
        self.begin_anew()?;
        let polled = self
            .consumer
            .poll(self.config.batch_records, self.config.batch_wait);
        self.polled_at = Instant::now();
        self.see();
        self.state.forget(&self.consumer.lost());
        match polled {
            Ok(slices) => {
                *backoff = Backoff::default();
                self.land(slices)?;
            }
            Err(BusError::Fatal(error)) => return Err(End::Fatal(error)),
            Err(error) => {
                let error = error.to_string();
                if self.troubles.borrow_mut().met(&error, Instant::now()).is_some() {
                    tracing::warn!(topic = self.config.topic, error, "landing cannot read");
                }
                self.state.note_error(error);
                self.wait(backoff.next())?;
            }
        }
        self.close_gaps()?;
        self.check_stop(Duration::ZERO)
    }

    /// Lands what one poll gave: the orders that land, then what becomes of the others.
    fn land(&mut self, slices: Vec<Slice>) -> Result<(), End> {
        // What is forged has no say in when the records behind it have their turn.
        let sorted = self.sort_out(&slices)?;
        let sorted = self.due(sorted)?;
        if sorted.is_empty() {
            self.state.idle();
            return Ok(());
        }
        failpoint::hit(Point::C1);
        // Partitions that are read again from where one portion ended, or that are another consumer's by now.
        let mut left = BTreeSet::new();
        for mut portion in batch::portions(sorted, self.config.batch_records) {
            left.extend(self.consumer.lost());
            portion.retain(|part| !left.contains(&part.partition));
            if !portion.is_empty() {
                left.extend(self.land_portion(portion)?);
            }
        }
        Ok(())
    }

    /// Lands a portion of what one poll gave; says which partitions did not come to its end.
    fn land_portion(&mut self, portion: Vec<Sorted<'_>>) -> Result<BTreeSet<i32>, End> {
        let ends: BTreeMap<i32, i64> = portion.iter().map(|part| (part.partition, part.next)).collect();
        let mut batch = Batch::decode(portion);
        let mut tale = Tale::new(&batch);
        self.weigh(&mut batch)?;
        let mut sum = Landed::default();
        let mut pause = Backoff::new(GUARD_PAUSE_MIN, GUARD_PAUSE_MAX);
        loop {
            if batch.has_work() {
                let (landed, taken) = self.write(&mut batch)?;
                tale.add(taken);
                batch::add(&mut sum, &landed);
            }
            let (records, failing) = batch.size();
            let guard = self.guard.as_ref().filter(|_| failing > 0);
            if let Some(tripped) = guard.and_then(|guard| guard.check(records, failing)) {
                self.trip(tripped);
                self.wait(pause.next())?;
                batch.forget(&self.consumer.lost());
                // Somebody may have decided meanwhile that a record without a seal is a forged one.
                self.sort_out_again(&mut batch)?;
                batch.again();
                continue;
            }
            self.pass();
            if failing > 0 {
                let (landed, taken) = self.move_away(&mut batch)?;
                tale.add(taken);
                batch::add(&mut sum, &landed);
            }
            if let Some(guard) = &mut self.guard {
                guard.record(records, failing);
            }
            self.finish(&batch, &sum);
            self.hand_on(tale, &batch);
            let reached: BTreeMap<i32, i64> = batch.ends().into_iter().collect();
            let short = ends
                .into_iter()
                .filter(|(part, next)| reached.get(part) != Some(next));
            return Ok(short.map(|(partition, _)| partition).collect());
        }
    }

    /// Cuts off what is not due yet; its partitions are read again from there when it is.
    fn due<'a>(&mut self, sorted: Vec<Sorted<'a>>) -> Result<Vec<Sorted<'a>>, End> {
        if self.config.delay.is_zero() {
            return Ok(sorted);
        }
        let now = now_ms();
        let mut due = Vec::new();
        for mut part in sorted {
            let mut first = None;
            for (at, polled) in part.records.iter().enumerate() {
                let wait = self.wait_of(part.partition, polled.record, now)?;
                if !wait.is_zero() {
                    first = Some((at, wait));
                    break;
                }
            }
            if let Some((at, wait)) = first {
                let end = part.records[at].offset();
                self.consumer.hold(part.partition, end, wait.min(HOLD_MAX));
                part.next = end;
                part.records.truncate(at);
                part.forged.retain(|forged| forged.at.offset < end);
                part.unsealed.retain(|unsealed| unsealed.offset < end);
            }
            if part.from < part.next {
                due.push(part);
            }
        }
        Ok(due)
    }

    /// How long a record has to wait yet: never longer than this topic lets anything wait after the record was
    /// written, whatever its headers say. Where even that moment lies ahead of the clock, the wait counts from when the
    /// record was first met, and is one wait for all that stood in the log then.
    fn wait_of(&mut self, partition: i32, record: &Record, now: i64) -> Result<Duration, End> {
        let delay = self.config.delay.as_millis() as i64;
        // A record without a moment has none that could bound what its headers say.
        let written = (record.timestamp > 0).then(|| record.timestamp.saturating_add(delay));
        let said = origin::due(&record.headers).into_iter().chain(written).min();
        let wait = said.unwrap_or(now).saturating_sub(now);
        if wait <= delay {
            return Ok(Duration::from_millis(u64::try_from(wait).unwrap_or(0)));
        }
        let known = self.far_off.get(&partition).copied();
        let since = match known.filter(|known| (known.from..known.to).contains(&record.offset)) {
            Some(known) => known.since,
            None => {
                let since = Instant::now();
                let (from, to) = (record.offset, self.log_end(partition)?.max(record.offset + 1));
                self.far_off.insert(partition, FarOff { from, to, since });
                since
            }
        };
        Ok(self.config.delay.saturating_sub(since.elapsed()))
    }

    /// One past the last record of a partition of this topic; 0 where that cannot be told now.
    fn log_end(&mut self, partition: i32) -> Result<i64, End> {
        let (producer, topic) = (self.producer.clone(), self.config.topic.clone());
        let ends = self.drive(producer.high_watermarks(&topic))?;
        Ok(ends
            .ok()
            .and_then(|ends| ends.get(&partition).copied())
            .unwrap_or(0))
    }

    /// Too many records fail: nothing is moved, and somebody is told, once.
    fn trip(&self, tripped: Tripped) {
        if self.state.trip(tripped) {
            tracing::error!(
                topic = self.config.topic,
                failing = tripped.failing,
                of = tripped.seen,
                "landing has stopped: more records fail than landing.poison_share allows, and moving them all to the \
                 dead letters would not help. It tries again by itself; mend the cause (see the errors before), or \
                 raise the share to let them go"
            );
        }
    }

    fn pass(&self) {
        if self.state.pass() {
            tracing::info!(
                topic = self.config.topic,
                "landing goes on: few enough records fail"
            );
        }
    }

    /// The batch is done with: tells the consumer, and counts it.
    fn finish(&mut self, batch: &Batch<'_>, sum: &Landed) {
        failpoint::hit(Point::C3);
        self.metrics.count(sum);
        self.state.done(now_ms());
        for (partition, expected) in &sum.fenced {
            tracing::warn!(
                topic = self.config.topic,
                partition,
                expected,
                "fenced: the database expects another offset; reading from there"
            );
            self.consumer.seek(*partition, *expected);
        }
        if sum.forged > 0 && self.forged.met("", Instant::now()).is_some() {
            tracing::error!(
                topic = self.config.topic,
                sum.forged,
                kept = sum.forged_kept,
                "records that none of ours wrote are passed over (rushgate dlt list --stage forged): somebody else \
                 can write to the topic, or a gateway does not seal"
            );
        }
        if sum.recovered > 0 {
            tracing::error!(
                topic = self.config.topic,
                sum.recovered,
                "the log was rewritten below offsets that had landed"
            );
        }
        self.consumer.commit(&batch.ends());
    }
}

impl LandingHandle {
    /// Those of its topic.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    pub fn state(&self) -> Arc<State> {
        self.state.clone()
    }

    /// Asks the thread to begin partitions anew.
    pub fn nudger(&self) -> Nudger {
        Nudger {
            nudge: self.nudge.clone(),
            state: self.state.clone(),
        }
    }

    /// Whether the thread has ended by itself: see the last error.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Asks the thread to stop, without waiting for it.
    pub fn ask_to_stop(&mut self) {
        self.stop = None;
    }

    /// Finishes the transaction that is running, if any, and joins the thread. Blocks; call it from a
    /// thread that may. Batches that wait for the database to come back stay on the bus.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.ask_to_stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the landing thread panicked");
        }
    }
}

impl Drop for LandingHandle {
    fn drop(&mut self) {
        self.end();
    }
}
