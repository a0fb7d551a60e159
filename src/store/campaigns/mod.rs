//! Campaigns with their revisions and activations.

mod edit;
pub(in crate::store) mod pause;
pub(in crate::store) mod record_version;
mod removal;
pub(in crate::store) mod revisions;
pub(in crate::store) mod skus;
mod terms;

use std::sync::Arc;

use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Transaction};

use crate::access::DEFAULT_MERCHANT;
use crate::audit::AuditLine;
use crate::campaign::{
    ARCHIVE_LEAD_MS, Activation, Campaign, FourEyes, Origins, RecordVersion, RecordVersionError, Restock,
    Schedule, Skus, days_ms,
};
use crate::order::OrderTerms;
use crate::revision::Revision;
use crate::store::dialect::{pieces, placeholders};
use crate::store::error::is_duplicate;
use crate::store::eyes::{self, Warrant};
use crate::store::rows::{int, json, maybe_int, maybe_json, maybe_text, moment, narrow, text, to_json};
use crate::store::time;
use crate::store::{CampaignRow, Store, StoreError, StoreResult};
pub use edit::CampaignEdit;

const SELECT: &str = "SELECT c.campaign_id, c.title, c.uid, c.buckets, c.shards, CAST(c.created_at AS CHAR), c.epoch, \
     c.revision, CAST(r.opens_at AS CHAR), CAST(r.closes_at AS CHAR), r.retention_days, c.partitions, \
     c.record_version, c.pauses, CAST(c.paused_at AS CHAR), CAST(c.resume_at AS CHAR), c.pause_note, \
     x.number, x.sku_id, x.units, x.epoch, c.stock_change, c.origins, c.merchant, c.four_eyes, \
     (SELECT m.issuer_changes FROM merchants m WHERE m.merchant_id = c.merchant), COALESCE(c.tag, c.uid) \
     FROM campaigns c JOIN revisions r ON r.campaign_id = c.campaign_id AND r.revision = c.revision \
     LEFT JOIN stock_changes x ON x.campaign_id = c.campaign_id AND x.number = c.stock_change \
     AND x.epoch IS NOT NULL AND x.kind <> 'remove'";

/// How a campaign is made, besides what is in it.
#[derive(Clone, Copy, Debug)]
pub struct Founding<'a> {
    /// `None`: those that the configuration names.
    pub origins: Option<&'a Origins>,
    pub terms: &'a OrderTerms,
    pub merchant: &'a str,
    /// Its first revision needs the approval of another person: it is paused until it has it.
    pub four_eyes: bool,
}

/// An activation that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub activation: Activation,
    /// Two people had to agree and did not: the root token had it done.
    pub is_bypass: bool,
}

/// Why a sale is paused whose first revision waits.
const WAITS: &str = "its first revision waits for the approval of another person";

impl Store {
    /// [`Self::insert_campaign_with`] of the default merchant, without origins of its own, and without terms for its orders.
    pub async fn insert_campaign(&self, campaign: &Campaign, first: &Revision) -> StoreResult<()> {
        let founding = Founding {
            origins: None,
            terms: &OrderTerms::default(),
            merchant: DEFAULT_MERCHANT,
            four_eyes: false,
        };
        self.insert_campaign_with(campaign, first, founding, &[]).await
    }

    /// Campaign, stock rows, revision 1 and its activation with epoch 1, and what the audit trail says of it, in one transaction.
    /// `Conflict` when the id is taken, or a module was deleted meanwhile.
    pub async fn insert_campaign_with(
        &self,
        campaign: &Campaign,
        first: &Revision,
        Founding {
            origins,
            terms,
            merchant,
            four_eyes,
        }: Founding<'_>,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        self.hold_modules(&mut tx, first).await?;
        let inserted = sqlx::query(
            "INSERT INTO campaigns (campaign_id, title, uid, buckets, shards, partitions, record_version, revision, epoch, \
             created_at, origins, merchant, four_eyes, pauses, paused_at, pause_note) \
             VALUES (?, ?, ?, ?, ?, ?, ?, 1, 1, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(campaign.id.as_str())
        .bind(campaign.title.as_str())
        .bind(campaign.uid.as_str())
        .bind(i64::from(campaign.buckets))
        .bind(i64::from(campaign.shards))
        .bind(campaign.partitions.map(i64::from))
        .bind(i64::from(campaign.record_version.number()))
        .bind(time::to_text(campaign.created_at)?)
        .bind(origins.map(to_json).transpose()?)
        .bind(merchant)
        .bind(match four_eyes {
            true => FourEyes::Waiting.number(),
            false => FourEyes::Off.number(),
        })
        .bind(i64::from(four_eyes))
        .bind(four_eyes.then(|| time::to_text(campaign.created_at)).transpose()?)
        .bind(four_eyes.then_some(WAITS))
        .execute(&mut *tx)
        .await;
        match inserted {
            Ok(_) => {}
            Err(error) if is_duplicate(&error) => {
                let what = format!("a campaign {:?} exists already", campaign.id);
                return Err(StoreError::Conflict(what));
            }
            Err(error) => return Err(error.into()),
        }
        for (position, sku) in campaign.skus.iter().enumerate() {
            skus::insert(&mut tx, &campaign.id, sku, position as i64).await?;
        }
        write_revision(&mut tx, first, &campaign.id, 1).await?;
        eyes::sign(&mut tx, (&campaign.id, 1), audit).await?;
        let activation = Activation {
            epoch: 1,
            revision: 1,
        };
        write_activation(&mut tx, &campaign.id, activation, campaign.created_at).await?;
        if *terms != OrderTerms::default() {
            terms::write(&mut tx, &campaign.id, terms).await?;
        }
        self.append_audit(&mut tx, audit).await?;
        Ok(tx.commit().await?)
    }

    pub async fn campaign(&self, id: &str) -> StoreResult<Option<CampaignRow>> {
        let sql = format!("{SELECT} WHERE c.campaign_id = ?");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .fetch_all(&self.pool)
            .await?;
        Ok(self.with_skus(&rows).await?.pop())
    }

    /// Those of these that there are, in no order.
    pub async fn campaigns_named(&self, ids: &[String]) -> StoreResult<Vec<CampaignRow>> {
        let mut campaigns = Vec::with_capacity(ids.len());
        for range in pieces(ids.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!("{SELECT} WHERE c.campaign_id IN {marks}");
            let query = sqlx::query(AssertSqlSafe(sql));
            let query = ids[range].iter().fold(query, |query, id| query.bind(id.as_str()));
            campaigns.extend(self.with_skus(&query.fetch_all(&self.pool).await?).await?);
        }
        Ok(campaigns)
    }

    /// Newest first, those created before `before` (id of the last one seen), at most `limit`.
    pub async fn campaigns(&self, before: Option<&str>, limit: u32) -> StoreResult<Vec<CampaignRow>> {
        self.campaigns_of(None, before, limit).await
    }

    /// The same of one merchant, where it is named.
    pub async fn campaigns_of(
        &self,
        merchant: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<CampaignRow>> {
        let mut sql = format!("{SELECT} WHERE 1 = 1");
        if merchant.is_some() {
            sql += " AND c.merchant = ?";
        }
        if before.is_some() {
            sql += " AND c.seq < (SELECT b.seq FROM campaigns b WHERE b.campaign_id = ?)";
        }
        sql += " ORDER BY c.seq DESC LIMIT ?";
        let texts = [merchant, before].into_iter().flatten();
        let query = texts.fold(sqlx::query(AssertSqlSafe(sql)), |query, text| query.bind(text));
        let rows = query.bind(i64::from(limit)).fetch_all(&self.pool).await?;
        self.with_skus(&rows).await
    }

    /// Those that are not archived at `now`: see [`Schedule::is_archived`].
    pub async fn live_campaigns(&self, now: i64) -> StoreResult<Vec<CampaignRow>> {
        let kept_until = self.dialect.kept_until();
        let sql = format!("{SELECT} WHERE {kept_until} > ? ORDER BY c.seq DESC");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(time::to_text(now.saturating_add(ARCHIVE_LEAD_MS))?)
            .fetch_all(&self.pool)
            .await?;
        self.with_skus(&rows).await
    }

    /// Ids of campaigns with their number in order of creation, after `after`, at most `limit`.
    pub async fn campaign_ids(&self, after: i64, limit: u32) -> StoreResult<Vec<(i64, String)>> {
        let rows = sqlx::query("SELECT seq, campaign_id FROM campaigns WHERE seq > ? ORDER BY seq LIMIT ?")
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| Ok((int(row, 0)?, text(row, 1)?))).collect()
    }

    /// Stores the revision under the next free number (its own `number` is ignored) and returns it; lines of the audit trail get it
    /// as `revision`. `Conflict` when a module was deleted meanwhile.
    pub async fn insert_revision(&self, revision: &Revision, audit: Vec<AuditLine<'_>>) -> StoreResult<u32> {
        let mut tx = self.begin().await?;
        self.hold_modules(&mut tx, revision).await?;
        self.lock_epoch(&mut tx, &revision.campaign).await?;
        let number = append_revision(&mut tx, revision).await?;
        eyes::sign(&mut tx, (&revision.campaign, number), &audit).await?;
        let only = audit.first().and_then(|line| line.by.only_if);
        if let Some(operation) = only.and_then(|only| only.condition().own()) {
            sqlx::query("UPDATE revisions SET operation_id = ? WHERE campaign_id = ? AND revision = ?")
                .bind(operation)
                .bind(revision.campaign.as_str())
                .bind(i64::from(number))
                .execute(&mut *tx)
                .await?;
        }
        let lines = audit.into_iter().map(|line| line.saying("revision", number));
        self.append_audit(&mut tx, &lines.collect::<Vec<_>>()).await?;
        tx.commit().await?;
        Ok(number)
    }

    /// The revision that an operation has made.
    pub async fn revision_of(&self, campaign: &str, operation: &str) -> StoreResult<Option<u32>> {
        let row =
            sqlx::query("SELECT MAX(revision) FROM revisions WHERE campaign_id = ? AND operation_id = ?")
                .bind(campaign)
                .bind(operation)
                .fetch_one(&self.pool)
                .await?;
        maybe_int(&row, 0)?.map(|_| narrow(&row, 0)).transpose()
    }

    pub async fn revision(&self, campaign: &str, number: u32) -> StoreResult<Option<Revision>> {
        revision_by(&mut *self.pool.acquire().await?, campaign, number).await
    }

    /// Appends an activation with the next epoch, unless the last one is no longer the one that the caller has seen: `None`
    /// then. `Conflict` when the revision does not exist. Also how a rebuild raises the epoch: with the revision that is active.
    pub async fn insert_activation_after(
        &self,
        campaign: &str,
        revision: u32,
        seen: u64,
        now: i64,
    ) -> StoreResult<Option<Activation>> {
        let mut tx = self.begin().await?;
        if self.lock_epoch(&mut tx, campaign).await? != seen {
            return Ok(None);
        }
        let activation = append_activation(&mut tx, campaign, revision, seen + 1, now).await?;
        tx.commit().await?;
        Ok(Some(activation))
    }

    /// The same on a warrant, with what changes of the campaign besides, and what the audit trail says, in one transaction. `Unapproved`
    /// where two people have to agree, and have not.
    pub async fn insert_activation_with(
        &self,
        campaign: &str,
        revision: u32,
        seen: u64,
        now: i64,
        warrant: Warrant<'_>,
        (edit, audit): (&CampaignEdit, &[AuditLine<'_>]),
    ) -> StoreResult<Option<Recorded>> {
        let mut tx = self.begin().await?;
        if self.lock_epoch(&mut tx, campaign).await? != seen {
            return Ok(None);
        }
        let mut is_bypass = self.allow(&mut tx, (campaign, revision), warrant, now).await?;
        if edit.four_eyes == Some(false) {
            is_bypass |= self.allow_off(&mut tx, campaign, warrant).await?;
        }
        let activation = append_activation(&mut tx, campaign, revision, seen + 1, now).await?;
        edit::write(&mut tx, campaign, edit).await?;
        self.append_audit(&mut tx, &with_bypass(audit, warrant, is_bypass))
            .await?;
        tx.commit().await?;
        Ok(Some(Recorded {
            activation,
            is_bypass,
        }))
    }

    /// Highest epoch of the campaign.
    pub async fn activation(&self, campaign: &str) -> StoreResult<Option<Activation>> {
        let row = sqlx::query("SELECT epoch, revision FROM campaigns WHERE campaign_id = ?")
            .bind(campaign)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Activation {
            epoch: narrow(&row, 0)?,
            revision: narrow(&row, 1)?,
        }))
    }

    /// Locks the campaign against other revisions and activations; its epoch.
    pub(in crate::store) async fn lock_epoch(
        &self,
        tx: &mut Transaction<'_, Any>,
        campaign: &str,
    ) -> StoreResult<u64> {
        let epoch = self.locked_epoch(tx, campaign).await?;
        epoch.ok_or_else(|| StoreError::Conflict(format!("there is no campaign {campaign:?}")))
    }

    /// The same; `None` where there is no such campaign.
    pub(in crate::store) async fn locked_epoch(
        &self,
        tx: &mut Transaction<'_, Any>,
        campaign: &str,
    ) -> StoreResult<Option<u64>> {
        let lock = self.dialect.for_update();
        let sql = format!("SELECT epoch FROM campaigns WHERE campaign_id = ?{lock}");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .fetch_optional(&mut **tx)
            .await?;
        row.as_ref().map(|row| narrow(row, 0)).transpose()
    }
}

/// These lines, and that of a bypass where it is one.
pub(in crate::store) fn with_bypass<'a>(
    lines: &[AuditLine<'a>],
    warrant: Warrant<'a>,
    is_bypass: bool,
) -> Vec<AuditLine<'a>> {
    let mut lines = lines.to_vec();
    if let (true, Warrant::Root { line, .. }) = (is_bypass, warrant) {
        lines.push(line.clone());
    }
    lines
}

/// A revision, as its row says now.
pub(in crate::store) async fn revision_by(
    connection: &mut AnyConnection,
    campaign: &str,
    number: u32,
) -> StoreResult<Option<Revision>> {
    let row = sqlx::query(
        "SELECT campaign_id, revision, rules, CAST(opens_at AS CHAR), CAST(closes_at AS CHAR), plan, plan_digest, \
         CAST(created_at AS CHAR), audiences, shadow, retention_days, folds, stock FROM revisions WHERE campaign_id = ? AND revision = ?",
    )
    .bind(campaign)
    .bind(i64::from(number))
    .fetch_optional(&mut *connection)
    .await?;
    row.as_ref().map(revision_row).transpose()
}

/// Writes a revision under the next free number, the campaign being locked.
pub(in crate::store) async fn append_revision(
    tx: &mut Transaction<'_, Any>,
    revision: &Revision,
) -> StoreResult<u32> {
    let last: i64 = sqlx::query_scalar("SELECT MAX(revision) FROM revisions WHERE campaign_id = ?")
        .bind(revision.campaign.as_str())
        .fetch_one(&mut **tx)
        .await?;
    let number = u32::try_from(last + 1)
        .map_err(|_| StoreError::Refused("the campaign has too many revisions".to_owned()))?;
    write_revision(tx, revision, &revision.campaign, number).await?;
    Ok(number)
}

async fn write_revision(
    tx: &mut Transaction<'_, Any>,
    revision: &Revision,
    campaign: &str,
    number: u32,
) -> StoreResult<()> {
    sqlx::query(
        "INSERT INTO revisions (campaign_id, revision, rules, opens_at, closes_at, plan, plan_digest, created_at, \
         audiences, shadow, retention_days, folds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(campaign)
    .bind(i64::from(number))
    .bind(to_json(&revision.rules)?)
    .bind(time::to_text(revision.schedule.opens_at)?)
    .bind(time::to_text(revision.schedule.closes_at)?)
    .bind(to_json(&revision.plan)?)
    .bind(revision.plan_digest.as_str())
    .bind(time::to_text(revision.created_at)?)
    .bind(to_json(&revision.audiences)?)
    .bind(revision.shadow.as_ref().map(to_json).transpose()?)
    .bind(i64::from(revision.schedule.retention_days()))
    .bind(match revision.folds.is_empty() {
        true => None,
        false => Some(to_json(&revision.folds)?),
    })
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes an activation under an epoch that is the next one, the campaign being locked.
pub(in crate::store) async fn append_activation(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    revision: u32,
    epoch: u64,
    now: i64,
) -> StoreResult<Activation> {
    let known: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM revisions WHERE campaign_id = ? AND revision = ?")
            .bind(campaign)
            .bind(i64::from(revision))
            .fetch_one(&mut **tx)
            .await?;
    if known == 0 {
        let what = format!("campaign {campaign:?} has no revision {revision}");
        return Err(StoreError::Conflict(what));
    }
    let activation = Activation { epoch, revision };
    put_in_force(tx, campaign, activation, now).await?;
    Ok(activation)
}

/// Writes an activation, the campaign being locked and its revision there.
pub(in crate::store) async fn put_in_force(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    activation: Activation,
    now: i64,
) -> StoreResult<()> {
    write_activation(tx, campaign, activation, now).await?;
    sqlx::query("UPDATE campaigns SET epoch = ?, revision = ? WHERE campaign_id = ?")
        .bind(activation.epoch as i64)
        .bind(i64::from(activation.revision))
        .bind(campaign)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn write_activation(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    activation: Activation,
    now: i64,
) -> StoreResult<()> {
    sqlx::query("INSERT INTO activations (campaign_id, epoch, revision, activated_at) VALUES (?, ?, ?, ?)")
        .bind(campaign)
        .bind(activation.epoch as i64)
        .bind(i64::from(activation.revision))
        .bind(time::to_text(now)?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn campaign_row(row: &AnyRow) -> StoreResult<CampaignRow> {
    Ok(CampaignRow {
        campaign: Campaign {
            id: text(row, 0)?,
            title: text(row, 1)?,
            skus: Skus::default(),
            uid: text(row, 2)?,
            buckets: narrow(row, 3)?,
            shards: narrow(row, 4)?,
            partitions: maybe_int(row, 11)?.map(|_| narrow(row, 11)).transpose()?,
            record_version: record_version(row, 12)?,
            created_at: moment(row, 5)?,
        },
        activation: Activation {
            epoch: narrow(row, 6)?,
            revision: narrow(row, 7)?,
        },
        schedule: Schedule {
            opens_at: moment(row, 8)?,
            closes_at: moment(row, 9)?,
            retention_ms: days_ms(narrow(row, 10)?),
        },
        pause: pause::row(row, 13)?,
        restock: restock(row, 17)?,
        stock_change: narrow(row, 21)?,
        origins: maybe_json(row, 22)?.map(Arc::new),
        merchant: text(row, 23)?,
        four_eyes: FourEyes::of(int(row, 24)?),
        issuer_changes: maybe_int(row, 25)?.map_or(0, |changes| u64::try_from(changes).unwrap_or(0)),
        tag: text(row, 26)?,
    })
}

/// Of four columns that are null where there is none.
fn restock(row: &AnyRow, at: usize) -> StoreResult<Option<Restock>> {
    let Some(sku) = maybe_text(row, at + 1)? else {
        return Ok(None);
    };
    Ok(Some(Restock {
        number: narrow(row, at)?,
        sku,
        units: narrow(row, at + 2)?,
        epoch: narrow(row, at + 3)?,
    }))
}

fn record_version(row: &AnyRow, at: usize) -> StoreResult<RecordVersion> {
    let number: u8 = narrow(row, at)?;
    let campaign = text(row, 0)?;
    number
        .try_into()
        .map_err(|error: RecordVersionError| StoreError::Refused(format!("campaign {campaign:?}: {error}")))
}

fn revision_row(row: &AnyRow) -> StoreResult<Revision> {
    Ok(Revision {
        campaign: text(row, 0)?,
        number: narrow(row, 1)?,
        rules: json(row, 2)?,
        schedule: Schedule {
            opens_at: moment(row, 3)?,
            closes_at: moment(row, 4)?,
            retention_ms: days_ms(narrow(row, 10)?),
        },
        plan: json(row, 5)?,
        plan_digest: text(row, 6)?,
        created_at: moment(row, 7)?,
        audiences: maybe_json(row, 8)?.unwrap_or_default(),
        folds: maybe_json(row, 11)?.unwrap_or_default(),
        shadow: maybe_json(row, 9)?,
        stock: maybe_json(row, 12)?,
    })
}
