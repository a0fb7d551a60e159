//! The loader: brings stored revisions into the ruleset, compiled.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{OwnedMutexGuard, Semaphore};

use super::Clock;
use super::directory::Directory;
use super::prechecks::Prechecks;
use crate::campaign::Campaign;
use crate::needs::{ANSWER_MAX, Rules};
use crate::revision::Revision;
use crate::ruleset::{About, Active, Archived, Compiled, Precheck, Ruleset, Seller};
use crate::store::{CampaignRow, Store, StoreResult};
use crate::wasm::Host;

/// A campaign that could not be loaded is not tried again for so long, only because it is asked for: compiling is
/// dear, and nobody's request is to begin it again and again.
const FAILED_FOR: Duration = Duration::from_secs(5);
/// Compiled revisions kept for relaying old entries.
const REVISIONS_MAX: usize = 64;
/// Campaigns loaded at the same time by a sync, or because they are asked for: one with a large precheck must not hold up all others.
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
    directory: Directory,
    /// Loads at the same time of campaigns that somebody only asked for.
    asked: Semaphore,
    /// When a campaign could not be loaded, and why.
    failures: Mutex<HashMap<String, (Instant, String)>>,
    revisions: Mutex<HashMap<(String, u32), Arc<Compiled>>>,
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
            directory: Directory::new(store.clone()),
            store,
            ruleset,
            clock,
            asked: Semaphore::new(SYNC_AT_ONCE),
            failures: Mutex::default(),
            revisions: Mutex::default(),
            loading: Mutex::default(),
        }
    }

    /// Sees to it that the ruleset has the campaign under epoch `at_least` or a later one; answers what
    /// is then there, `None` when there is no such campaign, or it is archived: the ruleset then says so.
    pub async fn load(&self, campaign: &str, at_least: u64) -> Result<Option<Arc<Active>>, String> {
        if let Some(there) = self.there(campaign, at_least) {
            return Ok(there);
        }
        if !self.directory.knows(campaign).await? {
            return Ok(None);
        }
        let _one = self.alone(campaign).await;
        if let Some(there) = self.there(campaign, at_least) {
            return Ok(there);
        }
        // Whoever asks for an epoch has learnt of an activation: what failed before may be mended by it, and it does not
        // wait behind those who only ask.
        let _turn = match at_least {
            0 => {
                self.failed_lately(campaign)?;
                self.asked.acquire().await.ok()
            }
            _ => None,
        };
        let asked = Instant::now();
        let Some(row) = answered(self.store.campaign(campaign)).await? else {
            self.forget(campaign);
            return Ok(None);
        };
        self.take(row, asked).await?;
        Ok(self.ruleset.get(campaign))
    }

    /// Reads a campaign anew that the ruleset says is archived, where that is older than [`ANSWER_MAX`]: it may have been
    /// opened again.
    pub async fn renew(&self, campaign: &str) -> Result<(), String> {
        let is_old = || {
            let archived = self.ruleset.archived(campaign);
            archived.is_some_and(|archived| archived.asked.elapsed() > ANSWER_MAX)
        };
        if !is_old() {
            return Ok(());
        }
        let _one = self.alone(campaign).await;
        if is_old() {
            self.failed_lately(campaign)?;
            let _turn = self.asked.acquire().await.ok();
            self.read_again(campaign).await?;
        }
        Ok(())
    }

    /// What the ruleset says already: `Some(None)` that the campaign is archived.
    fn there(&self, campaign: &str, at_least: u64) -> Option<Option<Arc<Active>>> {
        if let Some(active) = self.ruleset.get(campaign) {
            return (active.activation.epoch >= at_least).then_some(Some(active));
        }
        let archived = self.ruleset.archived(campaign)?;
        (archived.activation.epoch >= at_least).then_some(None)
    }

    /// Loads every live campaign that is new or has a newer activation, and forgets the others.
    pub async fn sync(&self) -> Result<(), String> {
        let before = self.ruleset.abouts.before();
        let rows = answered(self.store.live_campaigns((self.clock)())).await?;
        let live: HashSet<&str> = rows.iter().map(|row| row.campaign.id.as_str()).collect();
        self.directory.note(live.iter().copied());
        let paused = rows.iter().filter(|row| row.pause.pause.number > 0);
        let pauses = paused.map(|row| (row.campaign.id.clone(), row.pause.pause));
        self.ruleset.set_pauses(pauses.collect());
        let abouts = rows.iter().map(|row| (row.campaign.id.clone(), about(row)));
        self.ruleset.abouts.set_all(before, abouts);
        let all = self.ruleset.all().into_iter();
        let gone: Vec<_> = all
            .filter(|active| !live.contains(active.campaign.id.as_str()))
            .collect();
        let mut failed = Vec::new();
        for active in gone {
            failed.extend(self.look_again(&active.campaign.id).await.err());
        }
        let loads = rows.into_iter().map(|row| async {
            let _one = self.alone(&row.campaign.id).await;
            self.put(row).await
        });
        let loaded: Vec<_> = stream::iter(loads).buffer_unordered(SYNC_AT_ONCE).collect().await;
        failed.extend(loaded.into_iter().filter_map(Result::err));
        // A campaign that fails for itself is refused by every gateway; one that the database did not give is not there yet.
        if failed.is_empty() || answered(self.store.ping()).await.is_ok() {
            self.loaded.store(true, Ordering::Relaxed);
        }
        match failed.is_empty() {
            true => Ok(()),
            false => Err(failed.join("; ")),
        }
    }

    /// A campaign that is served was not among the live ones: it is archived, it is gone, or it was made or extended
    /// while they were read.
    pub(super) async fn look_again(&self, campaign: &str) -> Result<(), String> {
        let _one = self.alone(campaign).await;
        self.read_again(campaign).await
    }

    async fn read_again(&self, campaign: &str) -> Result<(), String> {
        let asked = Instant::now();
        match answered(self.store.campaign(campaign)).await? {
            Some(row) => self.take(row, asked).await,
            None => {
                self.forget(campaign);
                Ok(())
            }
        }
    }

    /// There is no such campaign any more; another one of its name starts anew.
    fn forget(&self, campaign: &str) {
        if self.ruleset.has(campaign) {
            self.ruleset.remove(campaign);
        }
        self.ruleset.abouts.forget(campaign);
        self.directory.forget(campaign);
        let mut revisions = self.revisions.lock().expect("no panic holds this lock");
        revisions.retain(|(of, _), _| of != campaign);
        drop(revisions);
        let mut failures = self.failures.lock().expect("no panic holds this lock");
        failures.remove(campaign);
    }

    /// Puts a campaign where it belongs: among those that are served, or those that are archived. It was `asked` for then.
    async fn take(&self, row: CampaignRow, asked: Instant) -> Result<(), String> {
        if !row.schedule.is_archived((self.clock)()) {
            return self.put(row).await;
        }
        let stock = answered(self.store.stock(&row.campaign.id)).await?.into_iter();
        let archived = Archived {
            seller: seller(&row),
            schedule: row.schedule,
            activation: row.activation,
            skus: stock.map(|row| (row.sku, row.sold >= row.total)).collect(),
            origins: row.origins,
            asked,
        };
        tracing::debug!(campaign = row.campaign.id, "archived");
        self.ruleset.archive(&row.campaign.id, archived);
        Ok(())
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

    /// A revision that need not be the active one, to look at or to relay what was admitted under it.
    pub async fn revision(&self, campaign: &str, number: u32) -> Result<Option<Arc<Compiled>>, String> {
        if let Some(known) = self.known(campaign, number) {
            return Ok(Some(known));
        }
        match answered(self.store.campaign(campaign)).await? {
            Some(row) => self.revision_of(row.campaign, number).await,
            None => Ok(None),
        }
    }

    /// The same of a campaign as it was just read: a revision that was compiled for other SKUs than it has by now is compiled
    /// again.
    pub(super) async fn revision_of(
        &self,
        campaign: Campaign,
        number: u32,
    ) -> Result<Option<Arc<Compiled>>, String> {
        let id = campaign.id.clone();
        let Some(compiled) = self.compile(campaign, number).await? else {
            return Ok(None);
        };
        let mut revisions = self.revisions.lock().expect("no panic holds this lock");
        if revisions.len() >= REVISIONS_MAX {
            revisions.clear();
        }
        revisions.insert((id, number), compiled.clone());
        Ok(Some(compiled))
    }

    /// A revision that was compiled before.
    fn known(&self, campaign: &str, number: u32) -> Option<Arc<Compiled>> {
        let revisions = self.revisions.lock().expect("no panic holds this lock");
        revisions.get(&(campaign.to_owned(), number)).cloned()
    }

    async fn put(&self, row: CampaignRow) -> Result<(), String> {
        let there = self.ruleset.get(&row.campaign.id);
        let is_same = |active: &Active| active.campaign.uid == row.campaign.uid;
        if there.as_deref().is_some_and(is_same) && self.ruleset.abouts.of(&row.campaign.id).is_none() {
            self.ruleset.abouts.set(&row.campaign.id, about(&row));
        }
        let current = |active: &Active| {
            active.campaign.uid == row.campaign.uid && active.activation.epoch >= row.activation.epoch
        };
        if there.as_deref().is_some_and(current) {
            return Ok(());
        }
        if there.is_some_and(|active| active.campaign.uid != row.campaign.uid) {
            // What was compiled is of a campaign that was removed.
            self.forget(&row.campaign.id);
            self.directory.note([row.campaign.id.as_str()]);
        }
        let campaign = row.campaign.id.clone();
        // Of one that is known, a sync tells: this row may be older than what somebody has changed here.
        if self.ruleset.abouts.of(&campaign).is_none() {
            self.ruleset.abouts.set(&campaign, about(&row));
        }
        let made = self.make(row).await;
        let mut failures = self.failures.lock().expect("no panic holds this lock");
        match &made {
            Ok(_) => drop(failures.remove(&campaign)),
            Err(why) => drop(failures.insert(campaign, (Instant::now(), why.clone()))),
        }
        drop(failures);
        let made = Arc::new(made?);
        self.forget_others(&made.campaign);
        self.ruleset.put(made);
        Ok(())
    }

    /// Revisions that were compiled for other SKUs of the campaign than there are now.
    fn forget_others(&self, campaign: &Campaign) {
        let mut revisions = self.revisions.lock().expect("no panic holds this lock");
        revisions.retain(|(id, _), known| *id != campaign.id || known.campaign == *campaign);
    }

    /// With the prechecks of its rules ready to run.
    async fn make(&self, row: CampaignRow) -> Result<Active, String> {
        let CampaignRow {
            campaign,
            activation,
            restock,
            ..
        } = row;
        let (id, number) = (campaign.id.clone(), activation.revision);
        let compiled = self.compile(campaign, number).await?;
        let compiled = compiled.ok_or_else(|| format!("revision {number} of {id} is not in the database"))?;
        let prechecks = self.prechecks.of(&compiled.revision).await;
        let prechecks = prechecks.map_err(|why| format!("campaign {id}: {why}"))?;
        Ok(Active::new(compiled, activation, prechecks).restocked(restock))
    }

    fn failed_lately(&self, campaign: &str) -> Result<(), String> {
        let failures = self.failures.lock().expect("no panic holds this lock");
        match failures.get(campaign) {
            Some((when, why)) if when.elapsed() < FAILED_FOR => Err(why.clone()),
            _ => Ok(()),
        }
    }

    async fn alone(&self, campaign: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut loading = self.loading.lock().expect("no panic holds this lock");
            loading.retain(|_, lock| Arc::strong_count(lock) > 1);
            loading.entry(campaign.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }

    /// Once, as long as nothing of the campaign changes; `None` where the database does not have the revision.
    async fn compile(&self, mut campaign: Campaign, number: u32) -> Result<Option<Arc<Compiled>>, String> {
        let known = self.known(&campaign.id, number);
        if let Some(known) = known.filter(|known| known.campaign == campaign) {
            return Ok(Some(known));
        }
        let Some(revision) = answered(self.store.revision(&campaign.id, number)).await? else {
            return Ok(None);
        };
        self.share_skus(&mut campaign);
        let compiled = Compiled::build(campaign, revision).map_err(|error| error.to_string())?;
        Ok(Some(Arc::new(compiled)))
    }

    /// The campaign's list of SKUs is kept once for all of its revisions.
    fn share_skus(&self, campaign: &mut Campaign) {
        let active = self.ruleset.get(&campaign.id);
        let active = active.iter().map(|active| &active.campaign);
        let revisions = self.revisions.lock().expect("no panic holds this lock");
        let compiled = revisions.values().map(|known| &known.campaign);
        for known in compiled.chain(active).filter(|known| known.id == campaign.id) {
            campaign.skus.share(&known.skus);
        }
    }

    /// A campaign was just created here.
    pub(super) fn note(&self, campaign: &str) {
        self.directory.note([campaign]);
    }
}

impl Rules for Loader {
    fn load<'a>(
        &'a self,
        campaign: &'a str,
        at_least: u64,
    ) -> BoxFuture<'a, Result<Option<Arc<Active>>, String>> {
        Self::load(self, campaign, at_least).boxed()
    }

    fn renew<'a>(&'a self, campaign: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Self::renew(self, campaign).boxed()
    }

    fn sync(&self) -> BoxFuture<'_, Result<(), String>> {
        Self::sync(self).boxed()
    }

    fn revision<'a>(
        &'a self,
        campaign: &'a str,
        number: u32,
    ) -> BoxFuture<'a, Result<Option<Arc<Compiled>>, String>> {
        Self::revision(self, campaign, number).boxed()
    }
}

/// What is told of a campaign as its row has it.
pub(super) fn about(row: &CampaignRow) -> About {
    About {
        title: row.campaign.title.clone(),
        origins: row.origins.clone(),
        seller: seller(row),
    }
}

pub(super) fn seller(row: &CampaignRow) -> Seller {
    Seller {
        merchant: row.merchant.as_str().into(),
        issuer_changes: row.issuer_changes,
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
