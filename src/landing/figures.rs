//! What landing did: counters that the wiring reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::Class;
use super::guard::Tripped;
use crate::bus::ConsumerState;
use crate::store::Landed;

/// Records moved away, by the class of their error and the topic they went to.
pub type Moved = BTreeMap<(&'static str, String), u64>;

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

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Figures {
    landed: AtomicU64,
    revoked: AtomicU64,
    duplicates: AtomicU64,
    recovered: AtomicU64,
    dead: AtomicU64,
    forged: AtomicU64,
    forged_kept: AtomicU64,
    unsealed: AtomicU64,
    awaits: Mutex<BTreeSet<(Awaits, i32)>>,
    fenced: AtomicU64,
    batches: AtomicU64,
    retries: AtomicU64,
    commits_resolved: AtomicU64,
    gaps: AtomicU64,
    missing: AtomicU64,
    begun_anew: AtomicU64,
    moved: Mutex<Moved>,
    guard: Mutex<Option<Tripped>>,
    consumer: Mutex<ConsumerState>,
    /// `placed_at` of the oldest order in hand; 0 when there is none.
    oldest: AtomicI64,
    lag_ms: AtomicI64,
    failed: AtomicBool,
    last_error: Mutex<Option<String>>,
}

/// The figures at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Orders confirmed.
    pub landed: u64,
    pub revoked: u64,
    /// Orders that were in the database already.
    pub duplicates: u64,
    /// See [`Landed::recovered`].
    pub recovered: u64,
    /// Records moved away, to whichever topic.
    pub dead: u64,
    /// Records that none of ours wrote, and those of them that the database keeps.
    pub forged: u64,
    pub forged_kept: u64,
    /// Records taken without a seal.
    pub unsealed: u64,
    /// Partitions that wait, by what for.
    pub awaits: BTreeMap<Awaits, u64>,
    /// Slices the database expected elsewhere.
    pub fenced: u64,
    pub batches: u64,
    /// Transactions and moves that failed and were tried again.
    pub retries: u64,
    /// Commits whose answer was lost, and which were found out by reading.
    pub commits_resolved: u64,
    /// Times that the log did not hold what the database expected.
    pub gaps: u64,
    /// Records that were removed before they landed.
    pub missing: u64,
    /// Times that partitions which stood still were begun anew.
    pub begun_anew: u64,
    pub moved: Moved,
    /// (failing, seen) of the recent records, while the guard keeps landing from moving them away.
    pub guard: Option<(usize, usize)>,
    pub consumer: ConsumerState,
    /// Age of the oldest order of the batch in hand, or of the last batch when it landed; 0 when the
    /// bus is empty.
    pub lag_ms: i64,
    /// A batch waits for its transaction: for the database, or for the guard.
    pub in_hand: bool,
    /// The thread has ended by itself.
    pub failed: bool,
    pub last_error: Option<String>,
}

impl Snapshot {
    /// Takes in what another consumer of the same topic did: sums, and the worse of what is no sum.
    pub fn add(&mut self, other: Self) {
        self.landed += other.landed;
        self.revoked += other.revoked;
        self.duplicates += other.duplicates;
        self.recovered += other.recovered;
        self.dead += other.dead;
        self.forged += other.forged;
        self.forged_kept += other.forged_kept;
        self.unsealed += other.unsealed;
        for (what, partitions) in other.awaits {
            *self.awaits.entry(what).or_default() += partitions;
        }
        self.fenced += other.fenced;
        self.batches += other.batches;
        self.retries += other.retries;
        self.commits_resolved += other.commits_resolved;
        self.gaps += other.gaps;
        self.missing += other.missing;
        self.begun_anew += other.begun_anew;
        for (way, records) in other.moved {
            *self.moved.entry(way).or_default() += records;
        }
        self.guard = self.guard.max(other.guard);
        self.consumer.assigned += other.consumer.assigned;
        self.consumer.paused += other.consumer.paused;
        self.consumer.rebalances += other.consumer.rebalances;
        self.lag_ms = self.lag_ms.max(other.lag_ms);
        self.in_hand |= other.in_hand;
        self.failed |= other.failed;
        self.last_error = self.last_error.take().or(other.last_error);
    }
}

impl Figures {
    /// `now` in milliseconds since 1970-01-01 UTC, for the lag.
    pub fn read(&self, now: i64) -> Snapshot {
        let oldest = self.oldest.load(Relaxed);
        Snapshot {
            landed: self.landed.load(Relaxed),
            revoked: self.revoked.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            recovered: self.recovered.load(Relaxed),
            dead: self.dead.load(Relaxed),
            forged: self.forged.load(Relaxed),
            forged_kept: self.forged_kept.load(Relaxed),
            unsealed: self.unsealed.load(Relaxed),
            awaits: lock(&self.awaits)
                .iter()
                .fold(BTreeMap::new(), |mut sums, (what, _)| {
                    *sums.entry(*what).or_default() += 1;
                    sums
                }),
            fenced: self.fenced.load(Relaxed),
            batches: self.batches.load(Relaxed),
            retries: self.retries.load(Relaxed),
            commits_resolved: self.commits_resolved.load(Relaxed),
            gaps: self.gaps.load(Relaxed),
            missing: self.missing.load(Relaxed),
            begun_anew: self.begun_anew.load(Relaxed),
            moved: lock(&self.moved).clone(),
            guard: lock(&self.guard).map(|tripped| (tripped.failing, tripped.seen)),
            consumer: *lock(&self.consumer),
            lag_ms: match oldest {
                0 => self.lag_ms.load(Relaxed),
                oldest => (now - oldest).max(0),
            },
            in_hand: oldest > 0,
            failed: self.failed.load(Relaxed),
            last_error: lock(&self.last_error).clone(),
        }
    }

    /// A transaction with orders is about to be tried.
    pub(super) fn begin(&self, oldest: Option<i64>, now: i64) {
        if let Some(oldest) = oldest {
            self.oldest.store(oldest, Relaxed);
            self.lag_ms.store((now - oldest).max(0), Relaxed);
        }
    }

    pub(super) fn count(&self, landed: &Landed, now: i64) {
        self.landed.fetch_add(landed.confirmed, Relaxed);
        self.revoked.fetch_add(landed.revoked, Relaxed);
        self.duplicates.fetch_add(landed.duplicates, Relaxed);
        self.recovered.fetch_add(landed.recovered, Relaxed);
        self.dead.fetch_add(landed.dead, Relaxed);
        self.forged.fetch_add(landed.forged, Relaxed);
        self.forged_kept.fetch_add(landed.forged_kept, Relaxed);
        self.fenced.fetch_add(landed.fenced.len() as u64, Relaxed);
        self.batches.fetch_add(1, Relaxed);
        let oldest = self.oldest.swap(0, Relaxed);
        if oldest > 0 {
            self.lag_ms.store((now - oldest).max(0), Relaxed);
        }
    }

    pub(super) fn idle(&self) {
        self.lag_ms.store(0, Relaxed);
    }

    pub(super) fn retry(&self, error: String) {
        self.retries.fetch_add(1, Relaxed);
        self.note_error(error);
    }

    pub(super) fn note_error(&self, error: String) {
        *lock(&self.last_error) = Some(error);
    }

    pub(super) fn unsealed(&self, records: usize) {
        self.unsealed.fetch_add(records as u64, Relaxed);
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

    pub(super) fn resolved(&self) {
        self.commits_resolved.fetch_add(1, Relaxed);
    }

    pub(super) fn gap(&self, missing: u64) {
        self.gaps.fetch_add(1, Relaxed);
        self.missing.fetch_add(missing, Relaxed);
    }

    pub(super) fn begun_anew(&self) {
        self.begun_anew.fetch_add(1, Relaxed);
    }

    pub(super) fn moved(&self, moved: BTreeMap<(Class, String), u64>) {
        let mut sums = lock(&self.moved);
        for ((class, topic), records) in moved {
            *sums.entry((class.as_str(), topic)).or_default() += records;
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

    pub(super) fn consumer(&self, state: ConsumerState) {
        *lock(&self.consumer) = state;
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
    fn consumers_of_one_topic_are_told_as_one() {
        let moved = |records| Moved::from([(("refused", "o.dlt".to_owned()), records)]);
        let consumer = |assigned| ConsumerState {
            assigned,
            ..ConsumerState::default()
        };
        let mut sum = Snapshot {
            landed: 5,
            moved: moved(1),
            awaits: [(Awaits::Key, 1)].into(),
            consumer: consumer(6),
            lag_ms: 10,
            ..Snapshot::default()
        };
        sum.add(Snapshot {
            landed: 7,
            moved: moved(2),
            forged: 3,
            awaits: [(Awaits::Key, 2), (Awaits::Revision, 1)].into(),
            guard: Some((600, 1000)),
            consumer: consumer(6),
            lag_ms: 30,
            failed: true,
            last_error: Some("gone".to_owned()),
            ..Snapshot::default()
        });
        assert_eq!(
            sum,
            Snapshot {
                landed: 12,
                moved: moved(3),
                forged: 3,
                awaits: [(Awaits::Key, 3), (Awaits::Revision, 1)].into(),
                guard: Some((600, 1000)),
                consumer: consumer(12),
                lag_ms: 30,
                failed: true,
                last_error: Some("gone".to_owned()),
                ..Snapshot::default()
            }
        );
    }
}
