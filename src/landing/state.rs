//! How a consumer of landing stands, for whoever looks after it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::guard::Tripped;
use crate::bus::ConsumerState;

/// What a partition waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Awaits {
    /// A key of seals that is in use and not here.
    Key,
    /// A campaign or a revision.
    Revision,
}

impl Awaits {
    pub const ALL: [Self; 2] = [Self::Key, Self::Revision];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Revision => "revision",
        }
    }
}

/// One consumer, now.
#[derive(Debug, Default)]
pub struct State {
    awaits: Mutex<BTreeSet<(Awaits, i32)>>,
    guard: Mutex<Option<Tripped>>,
    consumer: Mutex<ConsumerState>,
    /// `placed_at` of the oldest order in hand; 0 when there is none.
    oldest: AtomicI64,
    lag_ms: AtomicI64,
    failed: AtomicBool,
    last_error: Mutex<Option<String>>,
}

impl State {
    /// How many of its partitions wait for this.
    pub fn awaiting(&self, what: Awaits) -> u64 {
        let awaits = lock(&self.awaits);
        awaits.iter().filter(|(each, _)| *each == what).count() as u64
    }

    /// (failing, seen) of the recent records, while the guard keeps landing from moving them away.
    pub fn guard(&self) -> Option<(usize, usize)> {
        lock(&self.guard).map(|tripped| (tripped.failing, tripped.seen))
    }

    pub fn consumer(&self) -> ConsumerState {
        *lock(&self.consumer)
    }

    /// Age of the oldest order of the batch in hand, or of the last batch when it landed; 0 when the bus is empty. `now`
    /// in milliseconds since 1970-01-01 UTC.
    pub fn lag_ms(&self, now: i64) -> i64 {
        match self.oldest.load(Relaxed) {
            0 => self.lag_ms.load(Relaxed),
            oldest => (now - oldest).max(0),
        }
    }

    /// For what the batch in hand waits, where it does.
    pub fn waits_for(&self) -> Option<&'static str> {
        match self.guard() {
            Some(_) => Some("fewer records to fail"),
            None if self.oldest.load(Relaxed) > 0 => Some("the database"),
            None => None,
        }
    }

    /// The thread has ended by itself.
    #[cfg(feature = "testing")]
    pub fn failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    pub fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }

    /// A transaction with orders is about to be tried.
    pub(super) fn begin(&self, oldest: Option<i64>, now: i64) {
        if let Some(oldest) = oldest {
            self.oldest.store(oldest, Relaxed);
            self.lag_ms.store((now - oldest).max(0), Relaxed);
        }
    }

    /// The batch is done with.
    pub(super) fn done(&self, now: i64) {
        let oldest = self.oldest.swap(0, Relaxed);
        if oldest > 0 {
            self.lag_ms.store((now - oldest).max(0), Relaxed);
        }
    }

    pub(super) fn idle(&self) {
        self.lag_ms.store(0, Relaxed);
    }

    pub(super) fn note_error(&self, error: String) {
        *lock(&self.last_error) = Some(error);
    }

    /// A partition waits; says whether it did not before.
    pub(super) fn awaits(&self, partition: i32, what: Awaits) -> bool {
        lock(&self.awaits).insert((what, partition))
    }

    pub(super) fn awaits_no_more(&self, partition: i32, what: Awaits) {
        lock(&self.awaits).remove(&(what, partition));
    }

    /// Partitions are another consumer's business.
    pub(super) fn forget(&self, partitions: &BTreeSet<i32>) {
        if !partitions.is_empty() {
            lock(&self.awaits).retain(|(_, partition)| !partitions.contains(partition));
        }
    }

    /// Says whether it had not tripped before.
    pub(super) fn trip(&self, tripped: Tripped) -> bool {
        lock(&self.guard).replace(tripped).is_none()
    }

    /// Says whether it had tripped.
    pub(super) fn pass(&self) -> bool {
        lock(&self.guard).take().is_some()
    }

    /// Keeps what the consumer is doing; says how many more times partitions were given or taken.
    pub(super) fn see(&self, state: ConsumerState) -> u64 {
        let before = std::mem::replace(&mut *lock(&self.consumer), state);
        state.rebalances.saturating_sub(before.rebalances)
    }

    pub(super) fn fail(&self, error: String) {
        self.note_error(error);
        self.failed.store(true, Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_that_waits_for_something_says_so() {
        let state = State::default();
        assert_eq!(state.waits_for(), None);
        state.begin(Some(1), 1);
        assert_eq!(state.waits_for(), Some("the database"));
        state.trip(Tripped {
            failing: 60,
            seen: 100,
        });
        assert_eq!(state.waits_for(), Some("fewer records to fail"));
        assert!(state.pass());
        state.done(2);
        assert_eq!(state.waits_for(), None);
    }
}
