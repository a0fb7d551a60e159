//! What landing did: counters that the wiring reads.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::store::Landed;

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Figures {
    landed: AtomicU64,
    revoked: AtomicU64,
    duplicates: AtomicU64,
    recovered: AtomicU64,
    dead: AtomicU64,
    fenced: AtomicU64,
    batches: AtomicU64,
    retries: AtomicU64,
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
    pub duplicates: u64,
    /// See [`Landed::recovered`].
    pub recovered: u64,
    pub dead: u64,
    /// Slices the database expected elsewhere.
    pub fenced: u64,
    pub batches: u64,
    /// Transactions that failed and were tried again.
    pub retries: u64,
    /// Age of the oldest order of the batch in hand, or of the last batch when it landed; 0 when the
    /// bus is empty.
    pub lag_ms: i64,
    /// The thread has ended by itself.
    pub failed: bool,
    pub last_error: Option<String>,
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
            fenced: self.fenced.load(Relaxed),
            batches: self.batches.load(Relaxed),
            retries: self.retries.load(Relaxed),
            lag_ms: match oldest {
                0 => self.lag_ms.load(Relaxed),
                oldest => (now - oldest).max(0),
            },
            failed: self.failed.load(Relaxed),
            last_error: self
                .last_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    pub(super) fn begin(&self, oldest: Option<i64>, now: i64) {
        self.oldest.store(oldest.unwrap_or(0), Relaxed);
        self.lag_ms
            .store(oldest.map_or(0, |oldest| (now - oldest).max(0)), Relaxed);
    }

    pub(super) fn count(&self, landed: &Landed, now: i64) {
        self.landed.fetch_add(landed.confirmed, Relaxed);
        self.revoked.fetch_add(landed.revoked, Relaxed);
        self.duplicates.fetch_add(landed.duplicates, Relaxed);
        self.recovered.fetch_add(landed.recovered, Relaxed);
        self.dead.fetch_add(landed.dead, Relaxed);
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
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn fail(&self, error: String) {
        self.note_error(error);
        self.failed.store(true, Relaxed);
    }
}
