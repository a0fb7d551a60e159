//! Rebuild: puts a campaign's state back into an engine that lost it, from the database.
//!
//! The gate is closed the whole time. What is left of the outbox goes to the bus first, and landing
//! has to pass the bus's watermark, so that the database knows every order that was ever admitted and
//! survived. Then stock, counters, order records and uploaded lists are restored, the epoch is raised, and
//! the state is written last, which opens the gate.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::bus::ORDERS_TOPIC;
use crate::campaign::{Campaign, bucket_of};
use crate::engine::EngineError;
use crate::lua::calls::{self, Restore, ShardStatus};
use crate::lua::codec::{Fence, Reply, encode_record};
use crate::lua::keys::{self, Shard};
use crate::lua::{Script, fixed};
use crate::order::{Charge, OrderState};
use crate::plan::eval::Placed;
use crate::plan::{CheckedPlan, Window};
use crate::revision::Revision;
use crate::ruleset::ActiveCampaign;
use crate::store::{CampaignRow, OrderRow, StoreError};

use super::Reconcile;
use super::lists::Standing;

/// Orders read from the database and written to the engine at a time.
const PAGE: u32 = 1000;
/// Keys removed by one call.
const DROP_PAGE: usize = 1000;
/// The outbox entry of an order that is in the database: none.
const NO_ENTRY: &str = "-";

/// What a rebuild found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuilt {
    /// The gate was open already.
    Open,
    /// Restored so many orders under this epoch.
    Restored { orders: u64, epoch: u64 },
}

#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error("no campaign {0:?}")]
    UnknownCampaign(String),
    #[error("another gateway is rebuilding it")]
    Elsewhere,
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("waited {waited:?} for {what}")]
    Patience {
        what: &'static str,
        waited: std::time::Duration,
    },
    #[error("{0}")]
    Bus(#[from] crate::bus::BusError),
    #[error("{0}")]
    Codec(#[from] crate::lua::codec::CodecError),
    #[error("a stored plan is refused: {0}")]
    Plan(#[from] crate::plan::PlanError),
    #[error("the engine holds the state of another campaign of this name; is this the right Redis?")]
    Foreign,
}

impl Reconcile {
    /// Opens the gate of a campaign: from the database when anything was ever admitted. `lost` is the
    /// epoch whose state somebody found incomplete, 0 where only missing state is to be mended.
    pub async fn rebuild(&self, campaign: &str, lost: u64) -> Result<Rebuilt, RebuildError> {
        let shard = Shard::new(campaign, 0);
        let turn = self.turn(campaign);
        let _alone = turn.lock().await;
        let row = self.row(campaign).await?;
        if self.is_open(&shard, &row.campaign, lost).await? {
            return Ok(Rebuilt::Open);
        }
        let lease = format!("rebuild:{campaign}");
        if !self.hold(&lease).await? {
            return Err(RebuildError::Elsewhere);
        }
        // Whoever held the lease before may have finished.
        if self.is_open(&shard, &row.campaign, lost).await? {
            return Ok(Rebuilt::Open);
        }
        let restored = loop {
            let row = self.row(campaign).await?;
            match self.restore(&lease, &shard, row).await {
                Ok(None) => tracing::info!(
                    campaign,
                    "another revision was activated meanwhile; rebuilding for it"
                ),
                Ok(Some(rebuilt)) => break Ok(rebuilt),
                Err(error) => break Err(error),
            }
        };
        // Let go at once, so that another gateway need not wait should the state be lost again.
        self.store.lease(&lease, &self.owner, (self.clock)(), 0).await?;
        restored
    }

    async fn row(&self, campaign: &str) -> Result<CampaignRow, RebuildError> {
        let row = self.store.campaign(campaign).await?;
        row.ok_or_else(|| RebuildError::UnknownCampaign(campaign.to_owned()))
    }

    /// Like [`Self::rebuild`], and waits where another gateway is at it.
    pub async fn open(&self, campaign: &str) -> Result<Rebuilt, RebuildError> {
        let begun = tokio::time::Instant::now();
        loop {
            match self.rebuild(campaign, 0).await {
                Err(RebuildError::Elsewhere) if begun.elapsed() < self.config.patience => {
                    tokio::time::sleep(self.config.poll).await;
                }
                answer => return answer,
            }
        }
    }

    /// `None` when an activation came in between: what was restored is not what it needs.
    async fn restore(
        &self,
        lease: &str,
        shard: &Shard,
        row: CampaignRow,
    ) -> Result<Option<Rebuilt>, RebuildError> {
        let token = &self.owner;
        let campaign = row.campaign.clone();
        self.step(shard, token, Restore::Begin { uid: &campaign.uid })
            .await?;
        let revision = self.revision(&campaign, row.activation.revision).await?;
        let old = ActiveCampaign::build(campaign.clone(), revision.clone(), row.activation)?;
        // Under the first epoch the gate was never open: there is nothing to wait for.
        if row.activation.epoch > 1 {
            self.drain(lease, shard).await?;
            self.wait_for_landing(lease).await?;
        }
        self.drop_leftovers(shard, token, &old.family.plan).await?;
        let orders = self.restore_orders(lease, shard, token, &old).await?;
        let standing = Standing::Rebuild { token, lease };
        self.put_lists(shard, &campaign, &revision, standing).await?;
        let stock = self.remaining(&campaign).await?;
        // The epoch rises even when nothing was restored: whoever still holds the old fence is stale.
        let raised = self
            .store
            .insert_activation_after(
                &campaign.id,
                row.activation.revision,
                row.activation.epoch,
                (self.clock)(),
            )
            .await?;
        let Some(activation) = raised else {
            return Ok(None);
        };
        let fence = Fence {
            uid: campaign.uid.clone(),
            epoch: activation.epoch,
        };
        let plan = &old.family.plan;
        let finish = Restore::Finish {
            fence: &fence,
            revision: revision.number,
            plan,
            stock: &stock,
        };
        self.step(shard, token, finish).await?;
        let args = calls::show_args(&fence, &old.family.admit);
        self.run(shard, &fixed::SHOW, args).await?;
        Ok(Some(Rebuilt::Restored {
            orders,
            epoch: activation.epoch,
        }))
    }

    async fn revision(&self, campaign: &Campaign, number: u32) -> Result<Revision, RebuildError> {
        let found = self.store.revision(&campaign.id, number).await?;
        let missing = || StoreError::Permanent(format!("revision {number} of {:?} is missing", campaign.id));
        Ok(found.ok_or_else(missing)?)
    }

    async fn is_open(&self, shard: &Shard, campaign: &Campaign, lost: u64) -> Result<bool, RebuildError> {
        match self.status(shard).await?.fence {
            None => Ok(false),
            Some(fence) if fence.uid == campaign.uid => Ok(fence.epoch > lost),
            Some(_) => Err(RebuildError::Foreign),
        }
    }

    async fn status(&self, shard: &Shard) -> Result<ShardStatus, RebuildError> {
        Ok(calls::watch_reply(
            self.run(shard, &fixed::WATCH, Vec::new()).await?,
        )?)
    }

    async fn run(&self, shard: &Shard, script: &Script, args: Vec<Vec<u8>>) -> Result<Reply, EngineError> {
        self.engine.run(script, &shard.state(), args).await
    }

    async fn step(&self, shard: &Shard, token: &str, step: Restore<'_>) -> Result<(), RebuildError> {
        let reply = self
            .run(shard, &fixed::RESTORE, calls::restore_args(token, step))
            .await?;
        if calls::restore_reply(reply)? {
            Ok(())
        } else {
            Err(RebuildError::Elsewhere)
        }
    }

    pub(super) async fn hold(&self, lease: &str) -> Result<bool, RebuildError> {
        let for_ms = self.config.lease.as_millis() as i64;
        Ok(self
            .store
            .lease(lease, &self.owner, (self.clock)(), for_ms)
            .await?)
    }

    /// Waits until `done` says so, keeping the lease.
    async fn wait_until<'a>(
        &self,
        lease: &str,
        what: &'static str,
        done: impl Fn() -> BoxFuture<'a, Result<bool, RebuildError>>,
    ) -> Result<(), RebuildError> {
        let begun = tokio::time::Instant::now();
        while !done().await? {
            if begun.elapsed() > self.config.patience {
                return Err(RebuildError::Patience {
                    what,
                    waited: self.config.patience,
                });
            }
            if !self.hold(lease).await? {
                return Err(RebuildError::Elsewhere);
            }
            tokio::time::sleep(self.config.poll).await;
        }
        Ok(())
    }

    /// The relays of the gateways publish what is left in the outbox, closed gate or not.
    async fn drain(&self, lease: &str, shard: &Shard) -> Result<(), RebuildError> {
        let empty = || async { Ok(self.status(shard).await?.outbox == 0) }.boxed();
        self.wait_until(lease, "the outbox to drain", empty).await
    }

    async fn wait_for_landing(&self, lease: &str) -> Result<(), RebuildError> {
        let marks = self.producer.high_watermarks(ORDERS_TOPIC).await?;
        let marks = &marks;
        let passed = || {
            async move {
                let landed = self.store.offsets(ORDERS_TOPIC).await?;
                Ok(marks.iter().all(|(partition, mark)| {
                    *mark == 0 || landed.get(partition).is_some_and(|at| at >= mark)
                }))
            }
            .boxed()
        };
        self.wait_until(lease, "landing to pass the watermark", passed)
            .await
    }

    /// Part of the keys may have survived: they are not to be counted twice.
    async fn drop_leftovers(
        &self,
        shard: &Shard,
        token: &str,
        plan: &CheckedPlan,
    ) -> Result<(), RebuildError> {
        let mut names = calls::lasting_keys(plan);
        for (index, counter) in plan.plan().counters.iter().enumerate() {
            if let (Window::Calendar { .. }, Some(periods)) = (&counter.window, plan.periods(index as u32)) {
                let buckets = 0..plan.context().buckets;
                let windows = periods.starts.iter();
                names.extend(windows.flat_map(|start| {
                    buckets
                        .clone()
                        .map(|bucket| keys::counter(&counter.id, *start, bucket))
                }));
            }
        }
        for page in names.chunks(DROP_PAGE) {
            self.step(shard, token, Restore::Drop { keys: page.to_vec() })
                .await?;
        }
        Ok(())
    }

    async fn restore_orders(
        &self,
        lease: &str,
        shard: &Shard,
        token: &str,
        active: &ActiveCampaign,
    ) -> Result<u64, RebuildError> {
        let buckets = active.campaign.buckets;
        let (mut after, mut restored) = (None, 0);
        let mut windows_cleared = std::collections::BTreeSet::new();
        loop {
            let page = self.store.orders_page(&active.campaign.id, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(restored);
            };
            after = Some(last.order);
            let kept: Vec<&OrderRow> = page
                .iter()
                .filter(|row| row.state != OrderState::Revoked)
                .collect();
            let charges: Vec<&Charge> = kept.iter().flat_map(|row| &row.charges).collect();
            self.clear_windows(shard, token, active, &charges, &mut windows_cleared)
                .await?;
            let records = kept.iter().map(|row| record(row, buckets)).collect();
            self.step(shard, token, Restore::Orders { records }).await?;
            self.step(shard, token, Restore::Charges { charges, buckets })
                .await?;
            restored += kept.len() as u64;
            if !self.hold(lease).await? {
                return Err(RebuildError::Elsewhere);
            }
        }
    }

    /// Windowed counters are not listed by the plan: each window is cleared when its first charge
    /// comes along.
    async fn clear_windows(
        &self,
        shard: &Shard,
        token: &str,
        active: &ActiveCampaign,
        charges: &[&Charge],
        cleared: &mut std::collections::BTreeSet<(String, i64)>,
    ) -> Result<(), RebuildError> {
        let windowed = charges
            .iter()
            .filter(|charge| charge.window != 0 && charge.rolling_ms == 0);
        let new: Vec<(String, i64)> = windowed
            .map(|charge| (charge.counter.clone(), charge.window))
            .filter(|window| cleared.insert(window.clone()))
            .collect();
        for (counter, window) in new {
            let buckets = 0..active.campaign.buckets;
            let keys = buckets
                .map(|bucket| keys::counter(&counter, window, bucket))
                .collect();
            self.step(shard, token, Restore::Drop { keys }).await?;
        }
        Ok(())
    }

    async fn remaining(&self, campaign: &Campaign) -> Result<BTreeMap<String, i64>, RebuildError> {
        let rows = self.store.stock(&campaign.id).await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.sku, row.total - row.sold))
            .collect())
    }
}

fn record(row: &OrderRow, buckets: u32) -> (u32, crate::order::OrderId, String) {
    let placed = Placed {
        placed_at: row.placed_at,
        revision: row.revision,
        quantity: row.quantity,
        fingerprint: row.fingerprint.clone(),
        sku: row.sku.clone(),
        user: row.user.clone(),
        released: false,
    };
    let bucket = bucket_of(row.order.to_string().as_bytes(), buckets);
    (bucket, row.order, encode_record(&placed, NO_ENTRY))
}
