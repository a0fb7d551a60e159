//! The sample: keeps decided attempts of some buyers in the database, for `simulate`.
//!
//! ```text
//!  attempt ─▶ is its buyer in? ─▶ spool of its campaign, in memory ─▶ one task: compressed pieces ─▶ database
//!                 │ no: counted                                          (a connection of its own)
//! ```
//!
//! Nothing of it may slow an order: whether a buyer is in is known before anything of the attempt is copied, and what does
//! not fit into the spools is dropped and counted. The share of buyers is decided in the database, so all gateways keep
//! the same ones; a gateway takes a smaller share only after the database has it.

mod metrics;
mod spool;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use serde::{Deserialize, Serialize};

use crate::attempts::share::Bounds;
use crate::attempts::{Decided, Recorder};
use crate::store::Store;
pub use metrics::Metrics;
use spool::Spools;

/// Bytes of attempts that wait for the database at most. What comes when they are there is dropped.
const SPOOL_BYTES_MAX: usize = 16 << 20;
/// Attempts that wait are written before their time when there are so many.
const HURRY_ATTEMPTS: usize = 32_768;
/// The same of their bytes.
const HURRY_BYTES: usize = SPOOL_BYTES_MAX / 2;
/// Between looks at what is left while draining.
const DRAIN_POLL: Duration = Duration::from_millis(5);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Decided attempts kept per campaign; 0 keeps none.
    pub attempts_max: u64,
    /// Of them, those of one second, on average.
    pub attempts_per_second: u64,
    /// How long an attempt waits for others, so that few writes bring many. A gateway that is killed loses so much.
    #[serde(skip)]
    pub write_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            attempts_max: 200_000,
            attempts_per_second: 1000,
            write_every: Duration::from_secs(2),
        }
    }
}

impl Config {
    fn bounds(&self) -> Bounds {
        Bounds {
            most: self.attempts_max,
            per_second: self.attempts_per_second,
        }
    }
}

/// What the stage and its task share.
struct Shared {
    config: Config,
    metrics: Metrics,
    spools: Spools,
    /// Attempts spooled and not written yet, and their bytes in memory.
    waiting: AtomicUsize,
    bytes: AtomicUsize,
    /// The task is to write now: there is much, or there will be nothing more.
    hurry: Notify,
    /// Nothing is to be left in the spools.
    draining: AtomicBool,
    /// The stage is gone.
    ended: AtomicBool,
    /// The task has taken something, or looks.
    writing: AtomicBool,
}

/// The stage.
pub struct Sample {
    shared: Arc<Shared>,
}

impl Sample {
    /// Starts the task that writes over `store`, whose connections nobody else should need; it ends with this value, when
    /// everything is written. `clock`: milliseconds since 1970-01-01 UTC, for the end of the retention.
    pub fn spawn(config: Config, store: Store, clock: Arc<dyn Fn() -> i64 + Send + Sync>) -> Arc<Self> {
        let shared = Arc::new(Shared {
            config,
            metrics: Metrics::default(),
            spools: Spools::default(),
            waiting: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            hurry: Notify::new(),
            draining: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            writing: AtomicBool::new(false),
        });
        let sample = Arc::new(Self { shared });
        if sample.is_on() {
            let writer = write::Writer::new(sample.shared.clone(), store.clone());
            tokio::spawn(writer.run());
        }
        tokio::spawn(write::forget(Arc::downgrade(&sample.shared), store, clock));
        sample
    }

    /// Whether anything is kept at all.
    pub fn is_on(&self) -> bool {
        self.shared.config.attempts_max > 0
    }
}

impl Recorder for Sample {
    fn keeps(&self, campaign: &str, user: &str) -> bool {
        if !self.is_on() {
            return false;
        }
        let keeps = self.shared.spools.keeps(campaign, user);
        if !keeps {
            self.shared.metrics.skipped.inc();
        }
        keeps
    }

    /// Spools them.
    fn record(&self, decided: Decided) {
        let shared = &self.shared;
        let (count, bytes) = (decided.attempts.len(), spool::bytes(&decided));
        if count == 0 || !self.is_on() {
            return;
        }
        let held = shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        if held + bytes > SPOOL_BYTES_MAX {
            shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return shared.lose(&decided.compiled.campaign.id, count as u64);
        }
        let waited = shared.waiting.fetch_add(count, Ordering::Relaxed);
        shared.spools.add(decided);
        let passes = |before: usize, more: usize, bound: usize| before < bound && before + more >= bound;
        if passes(waited, count, HURRY_ATTEMPTS) || passes(held, bytes, HURRY_BYTES) {
            shared.hurry.notify_one();
        }
    }
}

impl Sample {
    #[cfg(feature = "testing")]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Attempts spooled and not written yet.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Acquire)
    }

    /// Writes everything that is spooled, at most for `limit`; says whether that was reached.
    pub async fn drain(&self, limit: Duration) -> bool {
        let begun = tokio::time::Instant::now();
        self.shared.draining.store(true, Ordering::Release);
        self.shared.hurry.notify_one();
        while self.is_on() && self.has_more() {
            if begun.elapsed() >= limit {
                return false;
            }
            tokio::time::sleep(DRAIN_POLL).await;
        }
        self.shared.draining.store(false, Ordering::Release);
        true
    }

    fn has_more(&self) -> bool {
        // In this order: what is taken from the spools is taken while `writing` is set.
        self.waiting() > 0 || self.shared.spools.has_counts() || self.shared.writing.load(Ordering::SeqCst)
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.shared.hurry.notify_one();
    }
}

impl Shared {
    /// Counts attempts of kept buyers that are lost.
    fn lose(&self, campaign: &str, count: u64) {
        self.metrics.dropped.inc_by(count);
        self.spools.count_dropped(campaign, count);
    }

    /// Attempts have left the spools for good.
    fn done(&self, count: usize, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.waiting.fetch_sub(count, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
