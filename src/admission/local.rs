//! What a gateway may answer without asking: SKUs the script called sold out, and a campaign it
//! called closed. The watch takes both back when the shard's state says otherwise.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;
use crate::campaign::Campaign;
use crate::lua::calls::ShardStatus;
use crate::order::Attempt;

/// Flags and counts of one campaign on this gateway.
pub(super) struct Local {
    sold_out: HashMap<String, AtomicBool>,
    /// Epoch under which the script answered `closed`; 0 for none.
    closed: AtomicU64,
    begun: Instant,
    /// The engine's clock at `begun`, milliseconds since 1970-01-01 UTC; until the engine has said it,
    /// this machine's.
    begun_at: AtomicI64,
    rejected: Mutex<BTreeMap<String, u64>>,
    /// Orders in the outbox.
    in_outbox: AtomicU64,
    /// Age of the oldest entry there.
    oldest_ms: AtomicU64,
    /// Held while the watch has a newer revision loaded.
    loading: Arc<Semaphore>,
    /// The incarnation of the engine whose state was found to be whole.
    verified: Mutex<Option<String>>,
}

impl Local {
    pub(super) fn new(campaign: &Campaign) -> Self {
        let sold_out = campaign
            .skus
            .iter()
            .map(|sku| (sku.id.clone(), AtomicBool::new(false)))
            .collect();
        Self {
            sold_out,
            closed: AtomicU64::new(0),
            begun: Instant::now(),
            begun_at: AtomicI64::new(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |since| since.as_millis() as i64),
            ),
            in_outbox: AtomicU64::new(0),
            oldest_ms: AtomicU64::new(0),
            rejected: Mutex::default(),
            loading: Arc::new(Semaphore::new(1)),
            verified: Mutex::default(),
        }
    }

    /// The incarnation of the engine that may decide, where one is known.
    pub(super) fn verified(&self) -> Option<String> {
        self.verified.lock().expect("no panic holds this lock").clone()
    }

    pub(super) fn verify(&self, incarnation: String) {
        *self.verified.lock().expect("no panic holds this lock") = Some(incarnation);
    }

    /// It is no longer there, or what it holds is no longer whole.
    pub(super) fn forget(&self, incarnation: &str) {
        let mut verified = self.verified.lock().expect("no panic holds this lock");
        if verified.as_deref() == Some(incarnation) {
            *verified = None;
        }
    }

    /// A refusal that needs no script. An attempt with an `Idempotency-Key` is always asked for: it
    /// may be the retry of an admitted order.
    pub(super) fn refuse(&self, attempt: &Attempt, keyed: bool) -> Option<Refusal> {
        if keyed {
            return None;
        }
        let refusal = if self.closed.load(Ordering::Relaxed) != 0 {
            Refusal::closed()
        } else if self.is_sold_out(&attempt.sku) {
            Refusal::sold_out(0)
        } else {
            return None;
        };
        self.count(&refusal.reason);
        Some(refusal)
    }

    pub(super) fn is_sold_out(&self, sku: &str) -> bool {
        self.sold_out
            .get(sku)
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    pub(super) fn set_stock(&self, sku: &str, remaining: i64) {
        if let Some(flag) = self.sold_out.get(sku) {
            flag.store(remaining <= 0, Ordering::Relaxed);
        }
    }

    pub(super) fn set_closed(&self, epoch: u64) {
        self.closed.store(epoch, Ordering::Relaxed);
    }

    /// The shard is at `epoch`: a `closed` of an older one no longer counts.
    pub(super) fn seen_epoch(&self, epoch: u64) {
        let closed = self.closed.load(Ordering::Relaxed);
        if closed != 0 && closed != epoch {
            self.closed.store(0, Ordering::Relaxed);
        }
    }

    /// `None` while another load that was begun here goes on.
    pub(super) fn begin_load(&self) -> Option<OwnedSemaphorePermit> {
        self.loading.clone().try_acquire_owned().ok()
    }

    pub(super) fn seen_outbox(&self, status: &ShardStatus) {
        let waiting = u64::try_from(status.admitted - status.settled).unwrap_or(0);
        self.in_outbox.store(waiting, Ordering::Relaxed);
        let age = match status.oldest {
            0 => 0,
            oldest => u64::try_from(status.now - oldest).unwrap_or(0),
        };
        self.oldest_ms.store(age, Ordering::Relaxed);
    }

    /// Age of the oldest entry of the outbox; 0 where there is none.
    pub(super) fn oldest_ms(&self) -> u64 {
        self.oldest_ms.load(Ordering::Relaxed)
    }

    pub(super) fn in_outbox(&self) -> u64 {
        self.in_outbox.load(Ordering::Relaxed)
    }

    /// The engine said that it is this moment.
    pub(super) fn seen_now(&self, now: i64) {
        let since = self.begun.elapsed().as_millis() as i64;
        self.begun_at.store(now - since, Ordering::Relaxed);
    }

    /// About the engine's clock: the moment of what is answered without asking it.
    pub(super) fn now(&self) -> i64 {
        self.begun_at.load(Ordering::Relaxed) + self.begun.elapsed().as_millis() as i64
    }

    pub(super) fn count(&self, reason: &str) {
        let mut rejected = self.rejected.lock().expect("no panic holds this lock");
        match rejected.get_mut(reason) {
            Some(count) => *count += 1,
            None => drop(rejected.insert(reason.to_owned(), 1)),
        }
    }

    /// Takes the rejections counted since the last call.
    pub(super) fn take_counts(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.rejected.lock().expect("no panic holds this lock"))
    }

    /// Puts counts back that could not be delivered.
    pub(super) fn put_back(&self, counts: BTreeMap<String, u64>) {
        let mut rejected = self.rejected.lock().expect("no panic holds this lock");
        for (reason, count) in counts {
            *rejected.entry(reason).or_default() += count;
        }
    }
}
