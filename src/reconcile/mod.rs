//! Reconcile: what the engine holds and what the database holds, brought together.

mod asked;
mod audiences;
mod behind;
mod change;
pub mod compare;
mod error;
mod fill;
mod line;
pub mod missing;
mod prolong;
mod rebuild;
mod released;
mod remove;
mod restore;
mod summary;
mod wait;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::bus::Producer;
use crate::engine::Engine;
use crate::store::{Store, StoreError};
use crate::wire::millis;

pub use compare::{CompareError, Comparison, Difference, Kind, LostOrders, Place, RepairOutcome};
pub use error::RebuildError;
pub use rebuild::Rebuilt;
pub use summary::Summary;

/// After a rebuild that failed, before the next is begun: what was missing may take a while to come back.
const FAILED_PAUSE: Duration = Duration::from_millis(500);
/// How long the next one waits after a comparison that waited in vain.
const PATIENCE_AFTER_ONE: Duration = Duration::from_secs(5);
/// Names the gateway that does what one alone is to do.
const LEADER: &str = "leader";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a rebuilder may be silent before another gateway takes over.
    #[serde(rename = "lease_ms", with = "millis")]
    pub lease: Duration,
    /// How long to wait for the outbox to drain and for landing to pass the watermark, before giving
    /// up for now; the gate stays closed and the next look tries again.
    #[serde(rename = "patience_ms", with = "millis")]
    pub patience: Duration,
    /// How long other gateways may take to get acknowledged what they had admitted when the engine lost it.
    #[serde(rename = "grace_ms", with = "millis")]
    pub grace: Duration,
    /// How often engine and database are compared; zero: never by themselves.
    #[serde(rename = "every_ms", with = "millis")]
    pub every: Duration,
    /// Whether that puts differences right, too.
    pub repair: bool,
    /// Between looks at something waited for.
    #[serde(skip)]
    pub poll: Duration,
    /// How long a look for missing orders waits for landing: where it is behind, nothing can be said, and its lag has an
    /// alarm of its own.
    #[serde(skip)]
    pub glance: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            patience: Duration::from_secs(60),
            grace: Duration::from_millis(500),
            every: Duration::ZERO,
            repair: false,
            poll: Duration::from_millis(50),
            glance: Duration::from_secs(2),
        }
    }
}

/// Takes what a comparison waits for: the campaign, what it is, and how long it waits for it yet.
pub type Tell = Arc<dyn Fn(&str, &str, Duration) + Send + Sync>;

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
    /// Who listens to what comparisons wait for.
    tell: Option<Tell>,
    /// Campaigns being rebuilt in the background by this gateway.
    running: Mutex<HashSet<String>>,
    /// One rebuild of a campaign at a time: the lease tells gateways apart, not two tasks of one, and charges
    /// restored twice would count twice.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Attempts at rebuilding so far: each has a name of its own.
    attempts: AtomicU64,
    line: Arc<line::Line>,
    rounds: wait::Rounds,
    /// Somebody has released an order.
    released: tokio::sync::Notify,
    /// Until when this gateway need not ask again whether it leads, and the answer.
    leading: Mutex<Option<(Instant, bool)>>,
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
            tell: None,
            running: Mutex::default(),
            turns: Mutex::default(),
            attempts: AtomicU64::default(),
            line: Arc::default(),
            rounds: wait::Rounds::default(),
            released: tokio::sync::Notify::new(),
            leading: Mutex::default(),
        }
    }

    /// From here on, tells what comparisons wait for, soon and again and again.
    #[must_use]
    pub fn telling(mut self, tell: Tell) -> Self {
        self.tell = Some(tell);
        self
    }

    /// A comparison waited in vain. What it waited for, the next ones need as well, or their own of it: so each waits
    /// less than the one before, and all of them together hardly longer than one.
    pub fn lose_patience(&mut self) {
        self.config.patience = (self.config.patience / 2).min(PATIENCE_AFTER_ONE);
    }

    /// Whether this gateway does what one alone is to do. Asks the database when a third of the lease is over.
    pub async fn leads(&self) -> Result<bool, StoreError> {
        let now = Instant::now();
        let leading = || self.leading.lock().expect("no panic holds this lock");
        if let Some((until, leads)) = *leading()
            && now < until
        {
            return Ok(leads);
        }
        let for_ms = self.config.lease.as_millis() as i64;
        let asked = self.store.lease(LEADER, &self.owner, (self.clock)(), for_ms);
        let leads = asked.await?;
        *leading() = Some((now + self.config.lease / 3, leads));
        Ok(leads)
    }

    /// Why this process sends nothing any more; others do, and it holds nothing up for them.
    pub fn halted(&self) -> Option<&str> {
        self.producer.halted()
    }

    /// Buyers wait for this campaign: its rebuild, if there is one, goes before those that nobody asks for.
    pub fn hurry(&self, campaign: &str) {
        let running = self.running.lock().expect("no panic holds this lock");
        if running.contains(campaign) {
            self.line.hurry(campaign);
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
                Err(RebuildError::UnknownCampaign(_)) => {
                    tracing::debug!(campaign, "it is gone; nothing is rebuilt")
                }
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
        self.reconcile.line.done(&self.campaign);
    }
}
