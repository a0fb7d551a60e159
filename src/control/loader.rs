//! The loader: brings stored revisions into the ruleset, compiled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Clock;
use crate::campaign::Activation;
use crate::ruleset::{ActiveCampaign, Ruleset};
use crate::store::{CampaignRow, Store};

/// A campaign that was not found is not looked for again for so long: requests for invented names
/// must not become database queries.
const MISS_FOR: Duration = Duration::from_secs(1);
/// Names remembered as missing; when full, all are forgotten.
const MISSES_MAX: usize = 10_000;
/// Compiled revisions kept for relaying old entries.
const REVISIONS_MAX: usize = 64;

/// Loads campaigns from the database.
pub struct Loader {
    store: Store,
    ruleset: Arc<Ruleset>,
    clock: Clock,
    misses: Mutex<HashMap<String, Instant>>,
    revisions: Mutex<HashMap<(String, u32), Arc<ActiveCampaign>>>,
    /// One load at a time: a stampede after an activation must not become a stampede on the database.
    loading: tokio::sync::Mutex<()>,
}

impl Loader {
    pub fn new(store: Store, ruleset: Arc<Ruleset>, clock: Clock) -> Self {
        Self {
            store,
            ruleset,
            clock,
            misses: Mutex::default(),
            revisions: Mutex::default(),
            loading: tokio::sync::Mutex::new(()),
        }
    }

    /// Sees to it that the ruleset has the campaign under epoch `at_least` or a later one; answers what
    /// is then there, `None` when there is no such campaign.
    pub async fn load(&self, campaign: &str, at_least: u64) -> Result<Option<Arc<ActiveCampaign>>, String> {
        if self.missed(campaign) {
            return Ok(None);
        }
        let _one = self.loading.lock().await;
        if let Some(active) = self.ruleset.get(campaign)
            && active.activation.epoch >= at_least
        {
            return Ok(Some(active));
        }
        let Some(row) = self
            .store
            .campaign(campaign)
            .await
            .map_err(|error| error.to_string())?
        else {
            self.note_miss(campaign);
            return Ok(None);
        };
        self.put(row).await?;
        Ok(self.ruleset.get(campaign))
    }

    /// Loads every live campaign that is new or has a newer activation, and forgets the others.
    pub async fn sync(&self) -> Result<(), String> {
        let rows = self
            .store
            .live_campaigns((self.clock)())
            .await
            .map_err(|error| error.to_string())?;
        for gone in self.ruleset.all() {
            if !rows.iter().any(|row| row.campaign.id == gone.campaign.id) {
                self.ruleset.remove(&gone.campaign.id);
            }
        }
        for row in rows {
            self.put(row).await?;
        }
        Ok(())
    }

    /// A revision that need not be the active one.
    pub async fn revision(&self, campaign: &str, number: u32) -> Result<Option<Arc<ActiveCampaign>>, String> {
        let key = (campaign.to_owned(), number);
        if let Some(found) = self.revisions.lock().expect("no panic holds this lock").get(&key) {
            return Ok(Some(found.clone()));
        }
        let Some(row) = self
            .store
            .campaign(campaign)
            .await
            .map_err(|error| error.to_string())?
        else {
            return Ok(None);
        };
        let activation = Activation {
            epoch: 0,
            revision: number,
        };
        let Some(built) = self.build(CampaignRow { activation, ..row }).await? else {
            return Ok(None);
        };
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
        self.ruleset
            .put(built.ok_or_else(|| format!("revision {number} of {campaign} is not in the database"))?);
        Ok(())
    }

    async fn build(&self, row: CampaignRow) -> Result<Option<Arc<ActiveCampaign>>, String> {
        let CampaignRow {
            campaign, activation, ..
        } = row;
        let found = self.store.revision(&campaign.id, activation.revision).await;
        let Some(revision) = found.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let built =
            ActiveCampaign::build(campaign, revision, activation).map_err(|error| error.to_string())?;
        Ok(Some(Arc::new(built)))
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
