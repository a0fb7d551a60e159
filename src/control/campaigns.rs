//! Campaigns and their revisions: created, activated, and their figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::compile::RevisionAnswer;
use super::requests::{
    NewCampaign, NewRevision, Problem, check_campaign, check_rules, check_schedule, schedule,
};
use super::{Control, ControlError};
use crate::campaign::{Activation, Campaign, Schedule, buckets_for};
use crate::lua::calls::{self, ShardStatus};
use crate::lua::fixed;
use crate::lua::keys::Shard;
use crate::revision::Revision;
use crate::ruleset::ActiveCampaign;
use crate::store::CampaignRow;

/// Tries of one shard's fence before an activation is left to the gateways.
const ACTIVATE_TRIES: u32 = 5;
/// Campaigns of one page at most.
const PAGE_MAX: u32 = 100;

/// Live figures of a campaign.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CampaignFigures {
    pub skus: Vec<SkuFigures>,
    /// Rejections by reason, over all gateways.
    pub rejected: BTreeMap<String, u64>,
    /// Orders admitted and not yet acknowledged by Kafka.
    pub pending: u64,
    /// Units admitted and not yet in the database.
    pub lag: u64,
    /// Whether the engine holds the campaign's state.
    pub gate_open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkuFigures {
    pub id: String,
    pub stock: u64,
    pub remaining: i64,
    pub admitted: i64,
    pub landed: i64,
}

impl Control {
    /// Creates a campaign with revision 1, active; answers the same as a revision does.
    pub async fn create_campaign(
        &self,
        actor: &str,
        new: NewCampaign,
    ) -> Result<RevisionAnswer, ControlError> {
        let problems = check_campaign(&new);
        if !problems.is_empty() {
            return Err(ControlError::Invalid(problems));
        }
        if self.store.campaign(&new.id).await?.is_some() {
            return Err(ControlError::Conflict(format!(
                "campaign {:?} exists already",
                new.id
            )));
        }
        let campaign = Campaign {
            id: new.id.clone(),
            title: if new.title.is_empty() {
                new.id.clone()
            } else {
                new.title.clone()
            },
            buckets: buckets_for(&new.skus),
            skus: new.skus.clone(),
            uid: uuid::Uuid::now_v7().simple().to_string(),
            shards: 1,
            created_at: (self.clock)(),
        };
        let draft = self
            .draft(&campaign, &new.rules, schedule(new.opens_at, new.closes_at))
            .await?;
        let first = Revision {
            number: 1,
            ..draft.revision.clone()
        };
        self.store.insert_campaign(&campaign, &first).await?;
        self.audit(actor, "campaign.create", &campaign.id, serde_json::json!(new))
            .await;
        self.gate.open(&campaign.id).await.map_err(|why| {
            ControlError::Unavailable(format!(
                "campaign {:?} is stored; its gate opens when the engine is back: {why}",
                campaign.id
            ))
        })?;
        self.loader.forget_miss(&campaign.id);
        self.loader
            .load(&campaign.id, 1)
            .await
            .map_err(ControlError::Unavailable)?;
        draft.answer(&campaign, Some(1))
    }

    /// Stores a revision, or with `dry_run` only says what it would be.
    pub async fn create_revision(
        &self,
        actor: &str,
        campaign: &str,
        new: NewRevision,
        dry_run: bool,
    ) -> Result<RevisionAnswer, ControlError> {
        let row = self.row(campaign).await?;
        let millis = |time: Option<jiff::Timestamp>, old| time.map_or(old, |time| time.as_millisecond());
        let schedule = Schedule {
            opens_at: millis(new.opens_at, row.schedule.opens_at),
            closes_at: millis(new.closes_at, row.schedule.closes_at),
        };
        let mut problems: Vec<Problem> = Vec::new();
        check_schedule(schedule, &mut problems);
        check_rules(&new.rules, &mut problems);
        if !problems.is_empty() {
            return Err(ControlError::Invalid(problems));
        }
        let draft = self.draft(&row.campaign, &new.rules, schedule).await?;
        if dry_run {
            return draft.answer(&row.campaign, None);
        }
        let number = self.store.insert_revision(&draft.revision).await?;
        let mut detail = serde_json::json!(new);
        detail["revision"] = number.into();
        self.audit(actor, "revision.create", campaign, detail).await;
        draft.answer(&row.campaign, Some(number))
    }

    /// Answers when no gateway can admit under an older revision any more: the fence in the engine
    /// has moved, and the admission script compares it.
    pub async fn activate(
        &self,
        actor: &str,
        campaign: &str,
        revision: u32,
    ) -> Result<Activation, ControlError> {
        let row = self.row(campaign).await?;
        let Some(stored) = self.store.revision(campaign, revision).await? else {
            return Err(ControlError::Unknown(format!(
                "campaign {campaign:?} has no revision {revision}"
            )));
        };
        // Before anything is recorded: where it cannot be served, nothing is to change.
        self.loader
            .can_serve(&stored)
            .await
            .map_err(ControlError::Unavailable)?;
        // Before any gateway can learn of the revision: the first to do so may move the fence.
        let provided = self.gate.provide(&row.campaign, &stored).await;
        provided.map_err(|why| {
            ControlError::Unavailable(format!("the lists of revision {revision} are not loaded: {why}"))
        })?;
        let activation = self
            .store
            .insert_activation(campaign, revision, (self.clock)())
            .await?;
        let detail = serde_json::json!({"revision": revision, "epoch": activation.epoch});
        self.audit(actor, "revision.activate", campaign, detail).await;
        let active = self
            .loader
            .load(campaign, activation.epoch)
            .await
            .map_err(ControlError::Unavailable)?;
        let active = active.ok_or_else(|| ControlError::Unknown(format!("no campaign {campaign:?}")))?;
        if active.activation.epoch > activation.epoch {
            return Err(superseded(active.activation.epoch));
        }
        for number in 0..active.campaign.shards {
            let shard = Shard::new(campaign, number);
            self.move_fence(&active, &shard).await?;
            let args = calls::show_args(&active.fence(), &active.family.admit);
            if let Err(error) = self.engine.run(&fixed::SHOW, &shard.state(), args).await {
                tracing::warn!(campaign, %error, "the script is in force but not shown in the engine");
            }
        }
        Ok(activation)
    }

    async fn move_fence(&self, active: &ActiveCampaign, shard: &Shard) -> Result<(), ControlError> {
        let args = calls::activate_args(&active.fence(), active.revision.number, &active.family.plan);
        let mut last = String::new();
        for _ in 0..ACTIVATE_TRIES {
            match self
                .engine
                .run(&fixed::ACTIVATE, &shard.state(), args.clone())
                .await
            {
                Ok(reply) => return self.fence_moved(active, reply).await,
                Err(error) if error.is_transient() => last = error.to_string(),
                Err(error) => return Err(ControlError::Internal(error.to_string())),
            }
        }
        Err(ControlError::Unavailable(format!(
            "revision {} is recorded as epoch {} and takes effect when the engine is back: {last}",
            active.revision.number, active.activation.epoch
        )))
    }

    async fn fence_moved(
        &self,
        active: &ActiveCampaign,
        reply: crate::lua::codec::Reply,
    ) -> Result<(), ControlError> {
        match calls::activate_reply(reply).map_err(|error| ControlError::Internal(error.to_string()))? {
            None => Ok(()),
            Some(Some(there)) if there.uid == active.campaign.uid => Err(superseded(there.epoch)),
            Some(Some(_)) => Err(ControlError::Conflict(
                "the engine holds the state of another campaign of this name; is this the right Redis?"
                    .into(),
            )),
            // The gate is closed, so nobody is admitted under any revision; it opens with this one.
            Some(None) => self
                .gate
                .open(&active.campaign.id)
                .await
                .map_err(ControlError::Unavailable),
        }
    }

    /// Newest first, those created before the campaign `before`.
    pub async fn campaigns(
        &self,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<CampaignRow>, ControlError> {
        Ok(self.store.campaigns(before, limit.clamp(1, PAGE_MAX)).await?)
    }

    pub async fn campaign(&self, id: &str) -> Result<(CampaignRow, CampaignFigures), ControlError> {
        let row = self.row(id).await?;
        let landed = self.store.stock(id).await?;
        let status = self.status(&row.campaign).await?;
        let skus: Vec<SkuFigures> = row
            .campaign
            .skus
            .iter()
            .map(|sku| {
                let sold = landed
                    .iter()
                    .find(|row| row.sku == sku.id)
                    .map_or(0, |row| row.sold);
                let remaining = status
                    .stock
                    .get(&sku.id)
                    .copied()
                    .unwrap_or(sku.stock as i64 - sold);
                let admitted = sku.stock as i64 - remaining;
                SkuFigures {
                    id: sku.id.clone(),
                    stock: sku.stock,
                    remaining,
                    admitted,
                    landed: sold,
                }
            })
            .collect();
        let figures = CampaignFigures {
            lag: skus
                .iter()
                .map(|sku| (sku.admitted - sku.landed).max(0) as u64)
                .sum(),
            skus,
            rejected: status.rejected,
            pending: (status.admitted - status.settled).max(0) as u64,
            gate_open: status.fence.is_some_and(|fence| fence.uid == row.campaign.uid),
        };
        Ok((row, figures))
    }

    async fn status(&self, campaign: &Campaign) -> Result<ShardStatus, ControlError> {
        let key = Shard::new(&campaign.id, 0).state();
        let reply = self.engine.run(&fixed::WATCH, &key, Vec::new()).await;
        let reply = reply.map_err(|error| ControlError::Unavailable(error.to_string()))?;
        calls::watch_reply(reply).map_err(|error| ControlError::Internal(error.to_string()))
    }

    async fn row(&self, campaign: &str) -> Result<CampaignRow, ControlError> {
        let row = self.store.campaign(campaign).await?;
        row.ok_or_else(|| ControlError::Unknown(format!("no campaign {campaign:?}")))
    }

    /// The snapshot this gateway decides with.
    pub fn active(&self, campaign: &str) -> Option<Arc<ActiveCampaign>> {
        self.ruleset.get(campaign)
    }
}

fn superseded(epoch: u64) -> ControlError {
    ControlError::Conflict(format!(
        "another activation (epoch {epoch}) came later and is in force"
    ))
}
