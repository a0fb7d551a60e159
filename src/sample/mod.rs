//! The sample: keeps decided attempts of some buyers in the database, for `simulate`.
//!
//! ```text
//!  decided batches ─▶ bounded queue ─▶ one task: names, batches ─▶ database (share of buyers, rows)
//! ```
//!
//! Nothing of it may slow an order: a batch is filtered by the share of buyers and put into a queue, and what
//! does not fit is dropped and counted. The share is kept in the database, so all gateways keep the same
//! buyers.

mod write;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::recorded::{Decided, is_sampled, user_hash};
use crate::store::Store;

/// Attempts that wait for the database at most; about 20 MB. One more is dropped.
const QUEUE_ATTEMPTS_MAX: usize = 50_000;
/// Between looks at what is left while draining.
const DRAIN_POLL: Duration = Duration::from_millis(5);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Attempts kept per campaign; 0 keeps none.
    pub attempts_max: u64,
    /// How long an attempt waits for others, so that few transactions write many.
    pub write_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            attempts_max: 200_000,
            write_every: Duration::from_millis(250),
        }
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Figures {
    /// Attempts written.
    pub recorded: AtomicU64,
    /// Attempts of buyers outside of the sample.
    pub skipped: AtomicU64,
    /// Attempts that did not fit into the queue, or that the database refused.
    pub dropped: AtomicU64,
}

/// What the stage and its task share.
struct Shared {
    config: Config,
    figures: Figures,
    /// Attempts queued and not written yet.
    waiting: AtomicUsize,
    /// Campaign → how often its share of buyers was halved, as far as this gateway knows.
    halvings: ArcSwap<HashMap<String, u32>>,
    /// Campaign → attempts dropped since the database was last told.
    dropped: Mutex<HashMap<String, u64>>,
}

/// The stage.
pub struct Sample {
    shared: Arc<Shared>,
    /// `None` where nothing is kept.
    queue: Option<mpsc::UnboundedSender<Decided>>,
}

impl Sample {
    /// Starts the task that writes; it ends with this value, when the queue is empty. `clock`:
    /// milliseconds since 1970-01-01 UTC, for the end of the retention.
    pub fn spawn(config: Config, store: Store, clock: Arc<dyn Fn() -> i64 + Send + Sync>) -> Arc<Self> {
        let shared = Arc::new(Shared {
            config,
            figures: Figures::default(),
            waiting: AtomicUsize::new(0),
            halvings: ArcSwap::default(),
            dropped: Mutex::default(),
        });
        let queue = (shared.config.attempts_max > 0).then(|| {
            let (queue, decided) = mpsc::unbounded_channel();
            tokio::spawn(write::run(shared.clone(), store.clone(), decided));
            queue
        });
        tokio::spawn(write::forget(Arc::downgrade(&shared), store, clock));
        Arc::new(Self { shared, queue })
    }

    /// Whether anything is kept at all.
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Queues the attempts of sampled buyers; returns at once.
    pub fn record(&self, mut decided: Decided) {
        let Some(queue) = &self.queue else { return };
        let shared = &self.shared;
        let halvings = shared.halvings(&decided.active.campaign.id);
        if halvings > 0 {
            let all = decided.attempts.len();
            decided
                .attempts
                .retain(|(attempt, _)| is_sampled(user_hash(&attempt.user), halvings));
            let skipped = all - decided.attempts.len();
            shared
                .figures
                .skipped
                .fetch_add(skipped as u64, Ordering::Relaxed);
        }
        let count = decided.attempts.len();
        if count == 0 {
            return;
        }
        if shared.waiting.fetch_add(count, Ordering::Relaxed) + count > QUEUE_ATTEMPTS_MAX {
            shared.waiting.fetch_sub(count, Ordering::Relaxed);
            return shared.drop_attempts(&decided.active.campaign.id, count as u64);
        }
        // The task only ends with the queue.
        let _ = queue.send(decided);
    }

    pub fn figures(&self) -> &Figures {
        &self.shared.figures
    }

    /// Attempts queued and not written yet.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Waits until everything queued is written, at most `limit`; says whether that was reached.
    pub async fn drain(&self, limit: Duration) -> bool {
        let begun = tokio::time::Instant::now();
        while self.waiting() > 0 {
            if begun.elapsed() >= limit {
                return false;
            }
            tokio::time::sleep(DRAIN_POLL).await;
        }
        true
    }
}

impl Shared {
    fn halvings(&self, campaign: &str) -> u32 {
        self.halvings.load().get(campaign).copied().unwrap_or(0)
    }

    fn set_halvings(&self, campaign: &str, halvings: u32) {
        if self.halvings(campaign) != halvings {
            self.halvings.rcu(|map| {
                let mut map = HashMap::clone(map);
                map.insert(campaign.to_owned(), halvings);
                map
            });
        }
    }

    fn drop_attempts(&self, campaign: &str, count: u64) {
        self.figures.dropped.fetch_add(count, Ordering::Relaxed);
        let mut dropped = self.dropped.lock().expect("no panic holds this lock");
        match dropped.get_mut(campaign) {
            Some(there) => *there += count,
            None => drop(dropped.insert(campaign.to_owned(), count)),
        }
    }

    /// What the database has not been told of.
    fn take_dropped(&self, campaign: &str) -> u64 {
        let mut dropped = self.dropped.lock().expect("no panic holds this lock");
        dropped.remove(campaign).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
