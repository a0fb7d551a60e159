//! Rebuild: puts a campaign's state back into an engine that lost it, from the database.
//!
//! The gate is closed the whole time. What is left of the outbox goes to the bus first, and landing
//! has to pass the bus's watermark, so that the database knows every order that was ever admitted and
//! survived. Then counters, order records and uploaded lists are restored, the epoch is raised, and stock and
//! state are written last, for the one server that holds what was restored: the gate is open.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Reconcile;
use super::error::RebuildError;
use super::line::Turn;
use super::work::Work;
use crate::campaign::{Campaign, Pause};
use crate::engine::EngineError;
use crate::lua::calls;
use crate::lua::fixed;
use crate::lua::keys::Shard;
use crate::lua::pause::pause_args;
use crate::lua::restore::Restore;
use crate::revision::Revision;
use crate::ruleset::Compiled;
use crate::state::Condition;
use crate::store::{CampaignRow, StoreError};

/// How often a rebuild begins again because the engine became another one half-way.
const SERVERS_MAX: u32 = 5;

/// What an operator rebuilds of an archived campaign stays for a day: to be compared, or looked at.
const ARCHIVED_KEPT_MS: i64 = 24 * 3600 * 1000;

/// What a rebuild found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuilt {
    /// The gate was open already.
    Open,
    /// Restored so many landed orders, and those among the dead letters, under this epoch.
    Restored { orders: u64, stranded: u64, epoch: u64 },
}

impl Reconcile {
    /// Opens the gate of a campaign: from the database when anything was ever admitted. `lost` is the
    /// epoch whose state somebody found incomplete, 0 where only missing state is to be mended.
    pub async fn rebuild(&self, campaign: &str, lost: u64) -> Result<Rebuilt, RebuildError> {
        // Somebody waits for the answer.
        self.line.hurry(campaign);
        let rebuilt = self.rebuild_in_line(campaign, lost, |_| Ok(())).await;
        self.line.done(campaign);
        rebuilt
    }

    /// The same, when its turn comes, where `wanted` says that it is to be.
    async fn rebuild_in_line(
        &self,
        campaign: &str,
        lost: u64,
        wanted: impl FnOnce(&CampaignRow) -> Result<(), RebuildError>,
    ) -> Result<Rebuilt, RebuildError> {
        let shard = Shard::new(campaign, 0);
        let turn = self.turn(campaign);
        let _alone = turn.lock().await;
        let turn = self.line.turn(campaign).await;
        // Not before its turn: those that nobody asks for would be ahead of the others where the database answers.
        let row = self.row(campaign).await?;
        wanted(&row)?;
        let lease = format!("rebuild:{campaign}");
        if self
            .work(&shard, &lease)
            .await?
            .is_open(&row.campaign, lost)
            .await?
        {
            return Ok(Rebuilt::Open);
        }
        let restored = self.rebuild_alone(&shard, &lease, lost, turn);
        self.under_lease(campaign, &lease, restored).await
    }

    /// Does what no two gateways may do at once, and lets go of the lease afterwards: another gateway need not wait should
    /// the state be lost again.
    pub(super) async fn under_lease<T>(
        &self,
        campaign: &str,
        lease: &str,
        work: impl Future<Output = Result<T, RebuildError>>,
    ) -> Result<T, RebuildError> {
        if !self.hold(lease).await? {
            return Err(RebuildError::Elsewhere);
        }
        let done = work.await;
        let released = self.store.lease(lease, &self.owner, (self.clock)(), 0).await;
        if let Err(error) = released {
            tracing::warn!(campaign, %error, "the right to rebuild it lasts until it runs out");
        }
        done
    }

    /// With the lease.
    async fn rebuild_alone(
        &self,
        shard: &Shard,
        lease: &str,
        lost: u64,
        mut turn: Turn,
    ) -> Result<Rebuilt, RebuildError> {
        let campaign = &shard.campaign;
        let mut servers = 1;
        loop {
            if !turn.is_mine() {
                turn = self.line.turn(campaign).await;
            }
            let row = self.row(campaign).await?;
            let work = self.work(shard, lease).await?;
            // Whoever held the lease before may have finished.
            if work.is_open(&row.campaign, lost).await? {
                return Ok(Rebuilt::Open);
            }
            match work.restore(row, &mut turn).await {
                Ok(Some(rebuilt)) => return Ok(rebuilt),
                Ok(None) => tracing::info!(
                    campaign,
                    "another revision was activated meanwhile; rebuilding for it"
                ),
                Err(RebuildError::Engine(error @ EngineError::Changed { .. })) if servers < SERVERS_MAX => {
                    tracing::info!(campaign, %error, "rebuilding again");
                    servers += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// An attempt at the server that is there now.
    pub(super) async fn work<'a>(
        &'a self,
        shard: &'a Shard,
        lease: &'a str,
    ) -> Result<Work<'a>, RebuildError> {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        Ok(Work {
            reconcile: self,
            shard,
            incarnation: self.engine.incarnation().await?,
            token: format!("{}.{attempt}", self.owner),
            lease,
            held: Mutex::new(Instant::now()),
        })
    }

    pub(super) async fn row(&self, campaign: &str) -> Result<CampaignRow, RebuildError> {
        let row = self.store.campaign(campaign).await?;
        row.ok_or_else(|| RebuildError::UnknownCampaign(campaign.to_owned()))
    }

    pub(super) async fn revision(&self, campaign: &Campaign, number: u32) -> Result<Revision, RebuildError> {
        let found = self.store.revision(&campaign.id, number).await?;
        let missing = || StoreError::Permanent(format!("revision {number} of {:?} is missing", campaign.id));
        Ok(found.ok_or_else(missing)?)
    }

    /// The active revision, with a schedule by which what is restored stays for a while.
    pub(super) async fn kept_revision(&self, row: &CampaignRow) -> Result<Revision, RebuildError> {
        let mut revision = self.revision(&row.campaign, row.activation.revision).await?;
        let now = (self.clock)();
        if row.schedule.is_archived(now) {
            revision.schedule = revision.schedule.kept_until(now.saturating_add(ARCHIVED_KEPT_MS));
        }
        Ok(revision)
    }

    /// [`Self::rebuild`] for whoever found the state missing: an archived campaign is to have none, and is left
    /// alone.
    pub async fn rebuild_live(&self, campaign: &str, lost: u64) -> Result<Rebuilt, RebuildError> {
        let live = |row: &CampaignRow| match row.schedule.is_archived((self.clock)()) {
            true => Err(RebuildError::Archived),
            false => Ok(()),
        };
        self.rebuild_in_line(campaign, lost, live).await
    }

    /// Like [`Self::rebuild`], and waits where another gateway is at it.
    pub async fn open(&self, campaign: &str) -> Result<Rebuilt, RebuildError> {
        self.while_elsewhere(|| self.rebuild(campaign, 0)).await
    }

    /// Tries again, as long as the patience lasts, while another gateway is at it.
    pub(super) async fn while_elsewhere<T, F: Future<Output = Result<T, RebuildError>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, RebuildError> {
        let begun = tokio::time::Instant::now();
        loop {
            match attempt().await {
                Err(RebuildError::Elsewhere) if begun.elapsed() < self.config.patience => {
                    tokio::time::sleep(self.config.poll).await;
                }
                answer => return answer,
            }
        }
    }

    pub(super) async fn hold(&self, lease: &str) -> Result<bool, RebuildError> {
        let for_ms = self.config.lease.as_millis() as i64;
        Ok(self
            .store
            .lease(lease, &self.owner, (self.clock)(), for_ms)
            .await?)
    }
}

impl Work<'_> {
    async fn is_open(&self, campaign: &Campaign, lost: u64) -> Result<bool, RebuildError> {
        Ok(self.condition(campaign).await?.is_open_after(lost))
    }

    /// In which the campaign's state is; another campaign's is an error.
    pub(super) async fn condition(&self, campaign: &Campaign) -> Result<Condition, RebuildError> {
        match Condition::of(&self.status().await?, campaign, &self.incarnation) {
            Condition::Foreign => Err(RebuildError::Foreign),
            condition => Ok(condition),
        }
    }

    /// A pause that came after `brought` was read found the gate closed: whoever made it tries again, unless it died.
    async fn pause_again(&self, campaign: &Campaign, brought: Pause) -> Result<(), RebuildError> {
        let pause = self.reconcile.row(&campaign.id).await?.pause.pause;
        if pause.number > brought.number {
            self.run(&fixed::PAUSE, pause_args(&campaign.uid, pause)).await?;
        }
        Ok(())
    }

    /// `None` when an activation came in between: what was restored is not what it needs.
    async fn restore(&self, row: CampaignRow, turn: &mut Turn) -> Result<Option<Rebuilt>, RebuildError> {
        let campaign = row.campaign.clone();
        let revision = self.reconcile.kept_revision(&row).await?;
        let expires_at = revision.schedule.expires_at();
        let uid = &campaign.uid;
        self.step(Restore::Begin { uid, expires_at }).await?;
        let compiled = Compiled::build(campaign.clone(), revision.clone())?;
        let plan = &compiled.family.plan;
        // Under the first epoch the gate was never open: there is nothing to wait for, and nobody waits.
        let fresh = row.activation.epoch == 1;
        if !fresh {
            // Others work meanwhile.
            *turn = Turn::default();
            self.wait_for_the_database().await?;
            *turn = self.reconcile.line.turn(&campaign.id).await;
            self.hold().await?;
        }
        self.drop_leftovers(plan, fresh).await?;
        let tally = self.restore_orders(plan).await?;
        let lists = self
            .reconcile
            .put_audiences(self.shard, &campaign, &revision, self.permit());
        lists.await?;
        self.make_buckets(plan, fresh).await?;
        let stock = self.reconcile.store.stock(&campaign.id).await?.into_iter();
        let left = |sku: &str, total| tally.left(sku, total);
        let mut stock: BTreeMap<_, _> = stock
            .map(|row| (row.sku.clone(), left(&row.sku, row.total)))
            .collect();
        let change = self.weigh_change(&campaign.id, &mut stock).await?;
        // The epoch rises even when nothing was restored: whoever still holds the old fence is stale. So does it with every
        // change of the stock: what was read is what there is.
        let Some(activation) = self.raise_epoch(&campaign.id, row.activation, &change).await? else {
            return Ok(None);
        };
        let fence = compiled.fence(activation.epoch);
        // What was read at the beginning may be a while ago.
        let pause = self.reconcile.row(&campaign.id).await?.pause.pause;
        self.step(Restore::Finish {
            fence: &fence,
            run: &self.incarnation,
            pause,
            revision: revision.number,
            plan,
            stock: &stock,
            change: (change.number, change.taken),
            made: true,
        })
        .await?;
        if let Err(error) = self.pause_again(&campaign, pause).await {
            tracing::warn!(campaign = campaign.id, %error, "whether it was paused meanwhile, the next look at it says");
        }
        self.run(&fixed::SHOW, calls::show_args(&fence, &compiled.family.admit))
            .await?;
        Ok(Some(Rebuilt::Restored {
            orders: tally.landed,
            stranded: tally.stranded,
            epoch: activation.epoch,
        }))
    }
}
