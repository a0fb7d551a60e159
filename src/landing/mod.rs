//! Landing: takes orders off the bus and writes them into the database, exactly once in effect.
//!
//! One OS thread per consumer: poll → decode → one transaction → commit. The database's offsets
//! decide what is landed; whatever goes wrong, the same records are read or tried again.

mod batch;
mod figures;
pub mod redrive;

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::bus::{BusError, Consumer, Slice};
use crate::failpoint::{self, Point};
use crate::store::{Landed, LandingSlice, Store, StoreError};
pub use figures::{Figures, Snapshot};

/// First and longest pause before a failed batch or poll is tried again.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How landing batches.
#[derive(Clone, Debug)]
pub struct Config {
    /// The topic whose offsets the database keeps.
    pub topic: String,
    /// Records of one transaction at most.
    pub batch_records: usize,
    /// How long a batch waits for more records after its first.
    pub batch_wait: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            topic: crate::bus::ORDERS_TOPIC.to_owned(),
            batch_records: 2000,
            batch_wait: Duration::from_millis(20),
        }
    }
}

/// The stage.
pub struct Landing {
    config: Config,
    consumer: Box<dyn Consumer>,
    store: Store,
    runtime: Handle,
    figures: Arc<Figures>,
    /// Disconnects when the handle asks to stop.
    stop: Receiver<()>,
}

/// A running landing thread.
pub struct LandingHandle {
    figures: Arc<Figures>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The handle asked to stop; what is in hand stays on the bus.
struct Stopped;

impl Landing {
    /// Starts the thread. Store calls run on `runtime`, which must outlive the handle.
    pub fn spawn(
        config: Config,
        consumer: Box<dyn Consumer>,
        store: Store,
        runtime: Handle,
    ) -> std::io::Result<LandingHandle> {
        let (stop, stopped) = mpsc::channel();
        let figures = Arc::new(Figures::default());
        let mut landing = Self {
            config,
            consumer,
            store,
            runtime,
            figures: figures.clone(),
            stop: stopped,
        };
        let thread = std::thread::Builder::new()
            .name("landing".to_owned())
            .spawn(move || landing.run())?;
        Ok(LandingHandle {
            figures,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    fn run(&mut self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let polled = self
                .consumer
                .poll(self.config.batch_records, self.config.batch_wait);
            let went_on = match polled {
                Ok(slices) => {
                    backoff = BACKOFF_MIN;
                    self.land(slices)
                }
                Err(BusError::Fatal(error)) => {
                    tracing::error!(error, "landing ends: its consumer is of no use any more");
                    return self.figures.fail(error);
                }
                Err(error) => {
                    tracing::warn!(%error, "landing cannot read");
                    self.figures.note_error(error.to_string());
                    self.pause(&mut backoff)
                }
            };
            if went_on.and_then(|()| self.check_stop(Duration::ZERO)).is_err() {
                return;
            }
        }
    }

    /// Lands what one poll gave, or stops trying.
    fn land(&mut self, slices: Vec<Slice>) -> Result<(), Stopped> {
        if slices.is_empty() {
            self.figures.idle();
            return Ok(());
        }
        failpoint::hit(Point::C1);
        let next: Vec<(i32, i64)> = slices.iter().map(|slice| (slice.partition, slice.next)).collect();
        let mut todo = vec![slices.into_iter().map(batch::decode).collect::<Vec<_>>()];
        let mut landed = Landed::default();
        while let Some(slices) = todo.pop() {
            match self.land_once(&slices)? {
                Ok(part) => {
                    batch::add(&mut landed, part);
                    if !todo.is_empty() {
                        failpoint::hit(Point::C6);
                    }
                }
                // One of its values cannot be stored. Halves find out which; later half first onto the
                // stack, so that each partition lands in order.
                Err(refusal) => match batch::halve(slices, &refusal) {
                    batch::Halves::Two(first, second) => todo.extend([second, first]),
                    batch::Halves::Dead(slices) => todo.push(slices),
                },
            }
        }
        failpoint::hit(Point::C3);
        self.figures.count(&landed, now());
        for (partition, expected) in &landed.fenced {
            tracing::warn!(
                partition,
                expected,
                "the database expects another offset; reading from there"
            );
            self.consumer.seek(*partition, *expected);
        }
        if landed.recovered > 0 {
            tracing::error!(
                landed.recovered,
                "the log was rewritten below offsets that had landed"
            );
        }
        let kept = |(partition, _): &&(i32, i64)| !landed.fenced.contains_key(partition);
        let done: Vec<(i32, i64)> = next.iter().filter(kept).copied().collect();
        self.consumer.commit(&done);
        Ok(())
    }

    /// One transaction, tried until it is done or refused for a value in it. Every other failure is
    /// waited out, because nothing may be skipped.
    fn land_once(&mut self, slices: &[LandingSlice]) -> Result<Result<Landed, String>, Stopped> {
        let mut backoff = BACKOFF_MIN;
        self.figures.begin(batch::oldest(slices), now());
        loop {
            let landing = self.store.land(&self.config.topic, slices, now());
            match self.runtime.block_on(landing) {
                Ok(landed) => return Ok(Ok(landed)),
                Err(StoreError::Refused(error)) => return Ok(Err(error)),
                Err(error) => {
                    tracing::warn!(%error, "landing waits for the database");
                    self.figures.retry(error.to_string());
                    self.pause(&mut backoff)?;
                }
            }
        }
    }

    /// Waits, and doubles the next wait; a stop ends it at once.
    fn pause(&self, backoff: &mut Duration) -> Result<(), Stopped> {
        let wait = *backoff;
        *backoff = (wait * 2).min(BACKOFF_MAX);
        self.check_stop(wait)
    }

    fn check_stop(&self, wait: Duration) -> Result<(), Stopped> {
        match self.stop.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Stopped),
        }
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

impl LandingHandle {
    pub fn figures(&self) -> Arc<Figures> {
        self.figures.clone()
    }

    /// Whether the thread has ended by itself: see the last error.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Finishes the transaction that is running, if any, and joins the thread. Blocks; call it from a
    /// thread that may. Batches that wait for the database to come back stay on the bus.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop = None;
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
