//! The loader: brings stored revisions into the ruleset, compiled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::OwnedMutexGuard;

use super::Clock;
use super::prechecks::Prechecks;
use crate::campaign::Activation;
use crate::revision::Revision;
use crate::ruleset::{ActiveCampaign, Precheck, Ruleset};
use crate::store::{CampaignRow, Store, StoreResult};
use crate::wasm::Host;

/// A campaign that was not found is not looked for again for so long: requests for invented names
/// must not become database queries.
const MISS_FOR: Duration = Duration::from_secs(1);
/// Names remembered as missing; when full, all are forgotten.
const MISSES_MAX: usize = 10_000;
/// Compiled revisions kept for relaying old entries.
const REVISIONS_MAX: usize = 64;
/// Campaigns loaded at the same time by a sync: one with a large precheck must not hold up all others.
const SYNC_AT_ONCE: usize = 4;

/// A database that does not answer within this is not waited for: the next look asks again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Loads campaigns from the database.
pub struct Loader {
    /// Every live campaign was read once.
    loaded: AtomicBool,
    store: Store,
    ruleset: Arc<Ruleset>,
    clock: Clock,
    misses: Mutex<HashMap<String, Instant>>,
    revisions: Mutex<HashMap<(String, u32), Arc<ActiveCampaign>>>,
    prechecks: Prechecks,
    /// Per campaign, one load at a time: a stampede after an activation must not become a stampede on the
    /// database.
    loading: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Loader {
    pub fn new(store: Store, ruleset: Arc<Ruleset>, host: Host, clock: Clock) -> Self {
        Self {
            loaded: AtomicBool::new(false),
            prechecks: Prechecks::new(store.clone(), host),
            store,
            ruleset,
            clock,
            misses: Mutex::default(),
            revisions: Mutex::default(),
            loading: Mutex::default(),
        }
    }

    /// Sees to it that the ruleset has the campaign under epoch `at_least` or a later one; answers what
    /// is then there, `None` when there is no such campaign.
    pub async fn load(&self, campaign: &str, at_least: u64) -> Result<Option<Arc<ActiveCampaign>>, String> {
        if self.missed(campaign) {
            return Ok(None);
        }
        let _one = self.alone(campaign).await;
        if let Some(active) = self.ruleset.get(campaign)
            && active.activation.epoch >= at_least
        {
            return Ok(Some(active));
        }
        let Some(row) = answered(self.store.campaign(campaign)).await? else {
            self.note_miss(campaign);
            return Ok(None);
        };
        self.put(row).await?;
        Ok(self.ruleset.get(campaign))
    }

    /// Loads every live campaign that is new or has a newer activation, and forgets the others.
    pub async fn sync(&self) -> Result<(), String> {
        let rows = answered(self.store.live_campaigns((self.clock)())).await?;
        for gone in self.ruleset.all() {
            if !rows.iter().any(|row| row.campaign.id == gone.campaign.id) {
                self.ruleset.remove(&gone.campaign.id);
            }
        }
        let loads = rows.into_iter().map(|row| async {
            let _one = self.alone(&row.campaign.id).await;
            self.put(row).await
        });
        let loaded: Vec<_> = stream::iter(loads).buffer_unordered(SYNC_AT_ONCE).collect().await;
        let failed: Vec<String> = loaded.into_iter().filter_map(Result::err).collect();
        // A campaign that fails for itself is refused by every gateway; one that the database did not give is not there yet.
        if failed.is_empty() || answered(self.store.ping()).await.is_ok() {
            self.loaded.store(true, Ordering::Relaxed);
        }
        match failed.is_empty() {
            true => Ok(()),
            false => Err(failed.join("; ")),
        }
    }

    /// Whether every live campaign was read from the database once.
    pub fn loaded(&self) -> bool {
        self.loaded.load(Ordering::Relaxed)
    }

    /// Whether the revision could be served by this gateway; compiles what it needs for that.
    pub(super) async fn can_serve(&self, revision: &Revision) -> Result<(), String> {
        self.prechecks.of(revision).await.map(drop)
    }

    /// The prechecks of a revision that need not be stored, ready to run.
    pub(super) async fn prechecks(&self, revision: &Revision) -> Result<Vec<Arc<dyn Precheck>>, String> {
        self.prechecks.of(revision).await
    }

    /// A revision that need not be the active one, to relay what was admitted under it. Nobody is admitted
    /// under this one: it has no prechecks.
    pub async fn revision(&self, campaign: &str, number: u32) -> Result<Option<Arc<ActiveCampaign>>, String> {
        let key = (campaign.to_owned(), number);
        if let Some(found) = self.revisions.lock().expect("no panic holds this lock").get(&key) {
            return Ok(Some(found.clone()));
        }
        let Some(row) = answered(self.store.campaign(campaign)).await? else {
            return Ok(None);
        };
        let activation = Activation {
            epoch: 0,
            revision: number,
        };
        let Some(built) = self.build(CampaignRow { activation, ..row }).await? else {
            return Ok(None);
        };
        let built = Arc::new(built);
        let mut revisions = self.revisions.lock().expect("no panic holds this lock");
        if revisions.len() >= REVISIONS_MAX {
            revisions.clear();
        }
        revisions.insert(key, built.clone());
        Ok(Some(built))
    }

    async fn put(&self, row: CampaignRow) -> Result<(), String> {
        let there = self.ruleset.get(&row.campaign.id);
        let current = |active: &ActiveCampaign| {
            active.campaign.uid == row.campaign.uid && active.activation.epoch >= row.activation.epoch
        };
        if there.is_some_and(|active| current(&active)) {
            return Ok(());
        }
        let (campaign, number) = (row.campaign.id.clone(), row.activation.revision);
        let built = self.build(row).await?;
        let built = built.ok_or_else(|| format!("revision {number} of {campaign} is not in the database"))?;
        let prechecks = self.prechecks.of(&built.revision).await;
        let prechecks = prechecks.map_err(|why| format!("campaign {campaign}: {why}"))?;
        self.ruleset.put(Arc::new(built.with_prechecks(prechecks)));
        Ok(())
    }

    async fn alone(&self, campaign: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut loading = self.loading.lock().expect("no panic holds this lock");
            loading.retain(|_, lock| Arc::strong_count(lock) > 1);
            loading.entry(campaign.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }

    async fn build(&self, row: CampaignRow) -> Result<Option<ActiveCampaign>, String> {
        let CampaignRow {
            campaign, activation, ..
        } = row;
        let found = answered(self.store.revision(&campaign.id, activation.revision));
        let Some(revision) = found.await? else {
            return Ok(None);
        };
        let built =
            ActiveCampaign::build(campaign, revision, activation).map_err(|error| error.to_string())?;
        Ok(Some(built))
    }

    fn missed(&self, campaign: &str) -> bool {
        let misses = self.misses.lock().expect("no panic holds this lock");
        misses.get(campaign).is_some_and(|when| when.elapsed() < MISS_FOR)
    }

    fn note_miss(&self, campaign: &str) {
        let mut misses = self.misses.lock().expect("no panic holds this lock");
        if misses.len() >= MISSES_MAX {
            misses.clear();
        }
        misses.insert(campaign.to_owned(), Instant::now());
    }

    /// A campaign was just created here.
    pub(super) fn forget_miss(&self, campaign: &str) {
        self.misses
            .lock()
            .expect("no panic holds this lock")
            .remove(campaign);
    }
}

async fn answered<T>(ask: impl Future<Output = StoreResult<T>>) -> Result<T, String> {
    match tokio::time::timeout(ANSWER_WITHIN, ask).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!(
            "the database gave no answer within {} s",
            ANSWER_WITHIN.as_secs()
        )),
    }
}
