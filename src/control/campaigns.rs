//! Campaigns and their revisions: created, activated, and their figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::compile::{Draft, RevisionAnswer, RuleSpecs};
use super::operations::{Answered, Operation};
use super::proof::Proof;
use super::requests::{NewCampaign, NewRevision, check_campaign, check_origins, schedule};
use super::shadow::ShadowFigures;
use super::terms::TermsView;
use super::{Control, ControlError, ScheduledView};
use crate::audit::{AskedBy, AuditLine};
use crate::campaign::{Campaign, Origins, Schedule, buckets_for};
use crate::engine::EngineError;
use crate::lua::calls::{self, ShardStatus};
use crate::lua::keys::Shard;
use crate::lua::{Args, fixed};
use crate::plan::{Audiences, Folds};
use crate::revision::Revision;
use crate::ruleset::Active;
use crate::state::Condition;
use crate::store::{CampaignRow, Founding};
use crate::wasm::Diagnostic;
use crate::wire::Moment;

/// As the audit trail names it.
pub const CREATE: &str = "campaign.create";
/// How often a campaign is read again because an activation came in between.
const ROW_TRIES: u32 = 3;
/// Campaigns of one page at most, and one that says whether more follow.
const PAGE_MAX: u32 = 101;

/// Live figures of a campaign.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CampaignFigures {
    pub skus: Vec<SkuFigures>,
    /// Rejections by reason, over all gateways.
    pub rejected: BTreeMap<String, u64>,
    /// Orders admitted and not yet acknowledged by Kafka.
    pub orders_to_kafka: u64,
    /// Units admitted and not yet in the database.
    pub units_to_database: u64,
    /// Whether the engine holds the whole state of the campaign, which it needs to take orders; what the schedule says of it is
    /// another matter.
    pub redis_whole: bool,
    /// How the active revision's rules in shadow compare; missing where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowFigures>,
    /// Changes that wait for their moment, and those that were refused then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scheduled: Vec<ScheduledView>,
    /// The terms of its orders.
    #[serde(flatten)]
    pub terms: TermsView,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct SkuFigures {
    pub id: String,
    pub stock: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    pub remaining: i64,
    pub admitted: i64,
    pub landed: i64,
}

/// How a campaign is made, besides what a merchant says of it.
pub(super) struct Making<'a> {
    /// Tells it from others of its name.
    pub(super) uid: String,
    /// Lists in these versions; all others are pinned in their newest.
    pub(super) kept: Audiences,
    /// What the audit trail says.
    pub(super) told: serde_json::Value,
    pub(super) note: Option<&'a str>,
}

/// A campaign that can be stored.
struct Drafted {
    campaign: Campaign,
    origins: Option<Origins>,
    schedule: Schedule,
    draft: Draft,
    proof: Proof,
}

impl Control {
    /// Says what a new campaign would be, and refuses whatever creating it would; stores nothing.
    pub async fn try_campaign(&self, new: NewCampaign) -> Result<RevisionAnswer, ControlError> {
        let uid = uuid::Uuid::now_v7().simple().to_string();
        let tried = self.draft_campaign(&new, uid, Audiences::new()).await?;
        tried.draft.answer(None, tried.proof, None)
    }

    /// Creates a campaign with revision 1, active; answers the same as a revision does.
    pub async fn create_campaign(
        &self,
        by: impl Into<AskedBy<'_>>,
        new: NewCampaign,
    ) -> Result<RevisionAnswer, ControlError> {
        let made = Making {
            uid: uuid::Uuid::now_v7().simple().to_string(),
            kept: Audiences::new(),
            told: serde_json::json!(new),
            note: None,
        };
        self.make_campaign(by.into(), new, made).await
    }

    /// The same, once per key and merchant: the place of the operation is [`crate::store::place_of`] that one. `lua`: the answer holds the script.
    pub async fn create_campaign_once(
        &self,
        operation: Operation<'_>,
        new: NewCampaign,
        lua: bool,
    ) -> Result<Answered, ControlError> {
        let told = serde_json::json!(new);
        let asked = serde_json::json!({"campaign": told, "lua": lua});
        self.keyed(operation, &asked, async |id| {
            let made = match self.made_before(&new.id, &id).await? {
                Some(made) => made,
                None => {
                    let making = Making {
                        uid: id,
                        kept: Audiences::new(),
                        told,
                        note: None,
                    };
                    self.make_campaign(operation.by, new, making).await?
                }
            };
            Ok(RevisionAnswer {
                lua: made.lua.filter(|_| lua),
                ..made
            })
        })
        .await
    }

    pub(super) async fn make_campaign(
        &self,
        by: AskedBy<'_>,
        new: NewCampaign,
        Making {
            uid,
            kept,
            told,
            note,
        }: Making<'_>,
    ) -> Result<RevisionAnswer, ControlError> {
        let Drafted {
            campaign,
            origins,
            schedule,
            mut draft,
            proof,
        } = self.draft_campaign(&new, uid, kept).await?;
        let first = Revision {
            number: 1,
            ..draft.compiled.revision.clone()
        };
        self.store_copies(std::mem::take(&mut draft.copies)).await?;
        let line = AuditLine::new((self.clock)(), by, CREATE, campaign.id.as_str(), told).noted(note);
        self.store
            .insert_campaign_with(
                &campaign,
                &first,
                Founding {
                    origins: origins.as_ref(),
                    terms: &new.terms(),
                    merchant: new.owner(),
                    four_eyes: new.four_eyes,
                },
                &[line],
            )
            .await?;
        self.loader.note(&campaign.id);
        self.begin_campaign(&campaign.id, schedule).await?;
        draft.answer(Some(1), proof, None)
    }

    /// A campaign with all that is asked of one before it is stored.
    async fn draft_campaign(
        &self,
        new: &NewCampaign,
        uid: String,
        kept: Audiences,
    ) -> Result<Drafted, ControlError> {
        let mut problems = check_campaign(new);
        problems.extend(self.no_merchant(new.owner()).await?);
        let origins = check_origins(new.origins.as_deref(), &mut Vec::new());
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
            skus: new.skus.clone().into(),
            uid,
            shards: 1,
            partitions: self.partitions().await,
            record_version: self.store.record_version().await?,
            created_at: (self.clock)(),
        };
        let schedule = schedule(
            new.opens_at,
            new.closes_at,
            new.retention_days.unwrap_or(self.retention_days),
        );
        let rules = RuleSpecs {
            rules: &new.rules,
            shadow: &new.shadow,
            folds: &new.fold,
            merchant: new.owner(),
        };
        let mut draft = self.draft(&campaign, &rules, schedule, kept).await?;
        draft.warnings.extend(over_already(schedule, (self.clock)()));
        let proof = self.prove(&draft.compiled).await?;
        Ok(Drafted {
            campaign,
            origins,
            schedule,
            draft,
            proof,
        })
    }

    /// Opens the gate of a campaign that is stored, and has this gateway serve it; one that is long over needs neither.
    pub(super) async fn begin_campaign(&self, id: &str, schedule: Schedule) -> Result<(), ControlError> {
        if schedule.is_archived((self.clock)()) {
            return Ok(());
        }
        self.gate.open(id).await.map_err(|why| {
            ControlError::Unavailable(format!(
                "campaign {id:?} is stored; its gate opens when the engine is back: {why}"
            ))
        })?;
        let loaded = self.loader.load(id, 1).await;
        loaded.map(drop).map_err(ControlError::Unavailable)
    }

    /// How many partitions a campaign that is made now is spread over. One is made without Kafka, too: a number that is wrong
    /// spreads it less well, and loses nothing.
    async fn partitions(&self) -> Option<u32> {
        let carrier = self.carrier.as_ref()?;
        let asked = carrier.bus.partitions().await;
        Some(asked.unwrap_or_else(|error| {
            let partitions = carrier.otherwise;
            tracing::warn!(partitions, %error, "a new campaign takes the configured partitions, not those that Kafka has");
            partitions
        }))
    }

    /// Stores a revision, or with `dry_run` only says what it would be.
    pub async fn create_revision(
        &self,
        by: impl Into<AskedBy<'_>>,
        campaign: &str,
        new: NewRevision,
        dry_run: bool,
    ) -> Result<RevisionAnswer, ControlError> {
        self.create_revision_keeping(by.into(), campaign, new, Audiences::new(), dry_run)
            .await
    }

    /// How a revision folds that says `asked`: as the active one where it says nothing.
    pub(super) async fn folds_of(
        &self,
        row: &CampaignRow,
        asked: Option<&Folds>,
    ) -> Result<Folds, ControlError> {
        match asked {
            Some(folds) => Ok(folds.clone()),
            None => {
                let active = self.stored_revision(&row.campaign.id, row.activation.revision);
                Ok(active.await?.revision.folds.clone())
            }
        }
    }

    /// Newest first, those created before the campaign `before`; of one merchant where it is named.
    pub async fn campaigns(
        &self,
        merchant: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<CampaignRow>, ControlError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let rows = self.store.campaigns_of(merchant, before, limit).await?;
        // The first campaign ever has none before it, and one that there is not has no place among them; nor has another
        // merchant's.
        if let Some(before) = before.filter(|_| rows.is_empty() || merchant.is_some()) {
            let row = self.row(before).await?;
            if merchant.is_some_and(|merchant| merchant != row.merchant) {
                return Err(no_campaign(before));
            }
        }
        Ok(rows)
    }

    pub async fn campaign(&self, id: &str) -> Result<(CampaignRow, CampaignFigures), ControlError> {
        let (row, status, condition) = self.row_and_status(id).await?;
        let landed = self.store.stock(id).await?;
        let half_way = self.half_way(&row, &status).await?;
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
                // Of a change that is under way, the one side may have it and the other not.
                let moving = half_way.iter().find(|(moving, _)| *moving == sku.id);
                let admitted = sku.stock as i64 - remaining - moving.map_or(0, |(_, units)| *units);
                SkuFigures {
                    id: sku.id.clone(),
                    stock: sku.stock,
                    attributes: sku.attributes.clone(),
                    remaining,
                    admitted,
                    landed: sold,
                }
            })
            .collect();
        let shadow = self.shadow_figures(&row, &status.shadow).await?;
        let orders_to_kafka = status.pending();
        let figures = CampaignFigures {
            shadow,
            units_to_database: skus
                .iter()
                .map(|sku| (sku.admitted - sku.landed).max(0) as u64)
                .sum(),
            skus,
            rejected: status.rejected,
            orders_to_kafka,
            redis_whole: condition.is_whole(),
            scheduled: self.to_come(&row).await?,
            terms: self.terms(id).await?.into(),
        };
        Ok((row, figures))
    }

    /// A campaign with what the engine says of it: its units are those of one moment, but for a change that is under way.
    async fn row_and_status(&self, id: &str) -> Result<(CampaignRow, ShardStatus, Condition), ControlError> {
        let mut tries = 1;
        loop {
            let row = self.row(id).await?;
            // The engine has nothing to say of an archived campaign, and is not asked.
            if row.schedule.is_archived((self.clock)()) {
                return Ok((row, ShardStatus::default(), Condition::Closed));
            }
            let (status, condition) = self.status(&row.campaign).await?;
            let is_ahead = status
                .fence
                .as_ref()
                .is_some_and(|fence| fence.epoch > row.activation.epoch);
            if !is_ahead || tries == ROW_TRIES {
                return Ok((row, status, condition));
            }
            tries += 1;
        }
    }

    /// What the engine says of a campaign's state, and what that is worth.
    pub(super) async fn status(&self, campaign: &Campaign) -> Result<(ShardStatus, Condition), ControlError> {
        let (key, engine) = (Shard::new(&campaign.id, 0).state(), &self.engine);
        let unavailable = |error: EngineError| ControlError::Unavailable(error.to_string());
        let incarnation = engine.incarnation().await.map_err(unavailable)?;
        let reply = engine
            .run_on(&incarnation, &fixed::WATCH, &key, Args::default())
            .await;
        let status = calls::watch_reply(reply.map_err(unavailable)?);
        let status = status.map_err(|error| ControlError::Internal(error.to_string()))?;
        let condition = Condition::of(&status, campaign, &incarnation);
        Ok((status, condition))
    }

    pub(super) async fn row(&self, campaign: &str) -> Result<CampaignRow, ControlError> {
        let row = self.store.campaign(campaign).await?;
        row.ok_or_else(|| no_campaign(campaign))
    }

    /// The snapshot this gateway decides with.
    pub fn active(&self, campaign: &str) -> Option<Arc<Active>> {
        self.ruleset.get(campaign)
    }
}

/// Of a sale that nobody can buy in.
fn over_already(schedule: Schedule, now: i64) -> Option<Diagnostic> {
    let (closes_at, days) = (Moment(schedule.closes_at), schedule.retention_days());
    let told = match (schedule.is_archived(now), schedule.is_over(now)) {
        (true, _) => format!(
            "is before now, at {closes_at}, and it is kept for {days} days: it is archived at once, and nobody ever orders in it"
        ),
        (false, true) => {
            format!("is before now, at {closes_at}: it is over already, and nobody can order in it")
        }
        (false, false) => return None,
    };
    Some(Diagnostic::warning("/closes_at".to_owned(), "over-already", told))
}

fn no_campaign(id: &str) -> ControlError {
    ControlError::Unknown(format!("no campaign {id:?}"))
}

/// A schedule with other times, where they are given.
pub(super) fn schedule_of(
    old: Schedule,
    opens_at: Option<jiff::Timestamp>,
    closes_at: Option<jiff::Timestamp>,
) -> Schedule {
    let millis = |time: Option<jiff::Timestamp>, old| time.map_or(old, |time| time.as_millisecond());
    Schedule {
        opens_at: millis(opens_at, old.opens_at),
        closes_at: millis(closes_at, old.closes_at),
        retention_ms: old.retention_ms,
    }
}
