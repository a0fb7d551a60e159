//! Waiting, without losing the partitions over it.

use std::fmt::Display;
use std::pin::pin;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::Landing;
use crate::bus::BusError;

/// From this length on a wait is spent idling: the partitions are paused and the consumer still polled, so that the
/// group does not take it for dead. A shorter one is not worth what a pause throws away.
pub(super) const PAUSE_FROM: Duration = Duration::from_secs(1);
/// For so long the consumer may go without being polled, whatever the database does meanwhile. Far below every
/// sensible `max.poll.interval.ms`, and above what a transaction takes.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// A poll that only shows that somebody is there.
const GLIMPSE: Duration = Duration::from_millis(5);
/// Between looks at whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why landing ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The handle asked to stop; what is in hand stays on the bus.
    Asked,
    /// The consumer is of no use any more.
    Fatal(String),
}

/// Waits that double.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            next: Duration::from_millis(50),
            max: Duration::from_secs(5),
        }
    }
}

impl Backoff {
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { next: first, max }
    }

    pub fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.max);
        wait
    }
}

impl Landing {
    /// Waits; a stop ends it at once.
    pub(super) fn wait(&mut self, wait: Duration) -> Result<(), End> {
        if wait < PAUSE_FROM && self.polled_at.elapsed() < SILENCE_MAX {
            return self.check_stop(wait);
        }
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.idle(left.min(LOOK_EVERY))?;
            self.check_stop(Duration::ZERO)?;
        }
    }

    fn idle(&mut self, wait: Duration) -> Result<(), End> {
        let idled = self.consumer.idle(wait);
        self.polled_at = Instant::now();
        self.see();
        match idled {
            Err(BusError::Fatal(error)) => Err(End::Fatal(error)),
            Err(error) => {
                tracing::debug!(%error, "idle");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Waits for an answer of the database or of Kafka, and lets the group know meanwhile that this consumer lives.
    pub(super) fn drive<T>(&mut self, asked: impl Future<Output = T>) -> Result<T, End> {
        let mut asked = pin!(asked);
        loop {
            let silence = SILENCE_MAX.saturating_sub(self.polled_at.elapsed());
            let waited = async { tokio::time::timeout(silence, &mut asked).await };
            match self.runtime.block_on(waited) {
                Ok(answer) => return Ok(answer),
                Err(_) => self.idle(GLIMPSE)?,
            }
        }
    }

    /// Asks the database or Kafka until it answers; `what` is said of every error on the way.
    pub(super) fn persist<T, E: Display>(
        &mut self,
        what: &str,
        mut asked: impl AsyncFnMut() -> Result<T, E>,
    ) -> Result<T, End> {
        let mut backoff = Backoff::default();
        loop {
            match self.drive(asked())? {
                Ok(answer) => return Ok(answer),
                Err(error) => self.trouble(what, error.to_string()),
            }
            self.wait(backoff.next())?;
        }
    }

    pub(super) fn check_stop(&self, wait: Duration) -> Result<(), End> {
        match self.stop.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(End::Asked),
        }
    }
}
