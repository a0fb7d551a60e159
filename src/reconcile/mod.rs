//! Reconcile: what the engine holds and what the database holds, brought together.

pub mod compare;
mod lists;
pub mod missing;
mod rebuild;
mod restore;
mod revoked;
mod wait;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::bus::Producer;
use crate::engine::Engine;
use crate::store::Store;

pub use compare::{CompareError, Comparison, Difference, Kind, Outcome, Place};
pub use rebuild::{RebuildError, Rebuilt};
pub use revoked::GivingBack;

/// After a rebuild that failed, before the next is begun: what was missing may take a while to come back.
const FAILED_PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub struct Config {
    /// How long a rebuilder may be silent before another gateway takes over.
    pub lease: Duration,
    /// How long to wait for the outbox to drain and for landing to pass the watermark, before giving
    /// up for now; the gate stays closed and the next look tries again.
    pub patience: Duration,
    /// How long other gateways may take to get acknowledged what they had admitted when the engine lost it.
    pub grace: Duration,
    /// Between looks at something waited for.
    pub poll: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            patience: Duration::from_secs(60),
            grace: Duration::from_millis(500),
            poll: Duration::from_millis(50),
        }
    }
}

/// Now, milliseconds since 1970-01-01 UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The stage.
pub struct Reconcile {
    config: Config,
    engine: Arc<dyn Engine>,
    producer: Arc<dyn Producer>,
    store: Store,
    /// Names this gateway in leases.
    owner: String,
    clock: Clock,
    /// Campaigns being rebuilt in the background by this gateway.
    running: Mutex<HashSet<String>>,
    /// One rebuild of a campaign at a time: the lease tells gateways apart, not two tasks of one, and charges
    /// restored twice would count twice.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Attempts at rebuilding so far: each has a name of its own.
    attempts: AtomicU64,
}

impl Reconcile {
    pub fn new(
        config: Config,
        engine: Arc<dyn Engine>,
        producer: Arc<dyn Producer>,
        store: Store,
        owner: String,
        clock: Clock,
    ) -> Self {
        Self {
            config,
            engine,
            producer,
            store,
            owner,
            clock,
            running: Mutex::default(),
            turns: Mutex::default(),
            attempts: AtomicU64::default(),
        }
    }

    fn turn(&self, campaign: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().expect("no panic holds this lock");
        turns.entry(campaign.to_owned()).or_default().clone()
    }

    /// Rebuilds a campaign in the background, once at a time: its state under epoch `lost` is missing or
    /// incomplete. Returns at once.
    pub fn rebuild_soon(self: &Arc<Self>, campaign: &str, lost: u64) {
        let Some(running) = Running::begin(self, campaign) else {
            return;
        };
        let (reconcile, campaign) = (self.clone(), campaign.to_owned());
        tokio::spawn(async move {
            match reconcile.rebuild_live(&campaign, lost).await {
                Ok(rebuilt) => tracing::info!(campaign, ?rebuilt, "rebuilt"),
                Err(RebuildError::Elsewhere) => tracing::debug!(campaign, "another gateway rebuilds it"),
                Err(RebuildError::Archived) => tracing::debug!(campaign, "archived; nothing is rebuilt"),
                Err(error) => {
                    tracing::warn!(campaign, %error, "not rebuilt; the gate stays closed");
                    tokio::time::sleep(FAILED_PAUSE).await;
                }
            }
            drop(running);
        });
    }
}

/// A rebuild in the background; however it ends, the next may begin.
struct Running {
    reconcile: Arc<Reconcile>,
    campaign: String,
}

impl Running {
    /// `None` while one is under way.
    fn begin(reconcile: &Arc<Reconcile>, campaign: &str) -> Option<Self> {
        let mut running = reconcile.running.lock().expect("no panic holds this lock");
        running.insert(campaign.to_owned()).then(|| Self {
            reconcile: reconcile.clone(),
            campaign: campaign.to_owned(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.reconcile.running.lock().expect("no panic holds this lock");
        running.remove(&self.campaign);
    }
}
