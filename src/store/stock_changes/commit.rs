//! What a change of the stock writes, each step in one transaction, under the campaign's lock.

use sqlx::{Any, AssertSqlSafe, Transaction};

use super::{NewStockChange, StockChange, StockChangeKind};
use crate::audit::AuditLine;
use crate::campaign::{Activation, Sku};
use crate::revision::Revision;
use crate::store::campaigns::{append_revision, put_in_force, skus, with_bypass};
use crate::store::eyes::{self, Warrant};
use crate::store::rows::{int, narrow, text, to_json};
use crate::store::time;
use crate::store::{Store, StoreError, StoreResult};

/// What is put in force together with a change.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// The epoch that the caller has seen: nothing is written where it is another one.
    pub seen: u64,
    /// Compiled for the units that there are afterwards; its number is ignored.
    pub revision: &'a Revision,
    /// Revision, epoch, units and total are added to their details.
    pub audit: Vec<AuditLine<'a>>,
    /// Milliseconds since 1970-01-01 UTC.
    pub now: i64,
    pub warrant: Warrant<'a>,
}

/// What was put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    pub number: u64,
    /// By how many the total has changed, and what it is now.
    pub units: u64,
    pub total: u64,
    pub activation: Activation,
    /// Two people had to agree and did not: the root token had it done.
    pub is_bypass: bool,
}

impl Store {
    /// Begins a removal: nothing of it is done, and nobody begins another change before it is. `None` where the epoch is not the
    /// one that was seen, or a change is under way. `line` is what is written of it later.
    pub async fn begin_removal(
        &self,
        new: NewStockChange<'_>,
        seen: u64,
        line: &AuditLine<'_>,
    ) -> StoreResult<Option<u64>> {
        let mut tx = self.begin().await?;
        let Some(number) = self.next_change(&mut tx, new.campaign, seen).await? else {
            return Ok(None);
        };
        self.move_tags(&mut tx, std::slice::from_ref(line)).await?;
        insert(&mut tx, new, number, line.at).await?;
        tx.commit().await.map_err(StoreError::of_commit)?;
        Ok(Some(number))
    }

    /// Adds units, or a SKU with its attributes, with a revision and its activation. `None` as [`Self::begin_removal`], and where
    /// the change is not of this number, which the shard is ready for.
    pub async fn commit_addition(
        &self,
        new: NewStockChange<'_>,
        number: u64,
        sku: &Sku,
        commit: Commit<'_>,
    ) -> StoreResult<Option<Committed>> {
        let mut tx = self.begin().await?;
        self.hold_modules(&mut tx, commit.revision).await?;
        if self.next_change(&mut tx, new.campaign, commit.seen).await? != Some(number) {
            return Ok(None);
        }
        insert(&mut tx, new, number, commit.now).await?;
        keep_totals(&mut tx, new.campaign).await?;
        match new.kind {
            StockChangeKind::Sku => {
                let position: i64 = sqlx::query_scalar(
                    "SELECT COALESCE(MAX(position), -1) + 1 FROM stock WHERE campaign_id = ?",
                )
                .bind(new.campaign)
                .fetch_one(&mut *tx)
                .await?;
                skus::insert(&mut tx, new.campaign, sku, position).await?;
            }
            _ => set_total(&mut tx, new.campaign, new.sku, "total + ?", new.asked).await?,
        }
        let committed = self
            .finish(&mut tx, (new.campaign, new.sku), number, new.asked, commit)
            .await?;
        tx.commit().await.map_err(StoreError::of_commit)?;
        Ok(Some(committed))
    }

    /// Lowers the total by the units that the shard has given up, never below what is sold. `None` where the epoch is not the
    /// one that was seen, or the change is not as it was: somebody else has decided or committed it.
    pub async fn commit_removal(
        &self,
        change: &StockChange,
        units: u64,
        commit: Commit<'_>,
    ) -> StoreResult<Option<Committed>> {
        let (campaign, sku) = (change.campaign.as_str(), change.sku.as_str());
        let mut tx = self.begin().await?;
        self.hold_modules(&mut tx, commit.revision).await?;
        let is_seen = self.lock_epoch(&mut tx, campaign).await? == commit.seen;
        if !is_seen || !is_undecided(&mut tx, change, units).await? {
            return Ok(None);
        }
        keep_totals(&mut tx, campaign).await?;
        let before = self.total(&mut tx, campaign, sku).await?;
        let floor = "CASE WHEN total - sold < ? THEN sold ELSE total - ? END";
        sqlx::query(AssertSqlSafe(format!(
            "UPDATE stock SET total = {floor} WHERE campaign_id = ? AND sku_id = ?"
        )))
        .bind(units as i64)
        .bind(units as i64)
        .bind(campaign)
        .bind(sku)
        .execute(&mut *tx)
        .await?;
        let after = self.total(&mut tx, campaign, sku).await?;
        let units = before.saturating_sub(after);
        let committed = self
            .finish(&mut tx, (campaign, sku), change.number, units, commit)
            .await?;
        tx.commit().await.map_err(StoreError::of_commit)?;
        Ok(Some(committed))
    }

    /// Ends a removal of which nothing came: there was nothing to take. `false` where it is not as it was.
    pub async fn drop_removal(
        &self,
        change: &StockChange,
        audit: Vec<AuditLine<'_>>,
        now: i64,
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        self.lock_epoch(&mut tx, &change.campaign).await?;
        if !is_undecided(&mut tx, change, 0).await? {
            return Ok(false);
        }
        let total = self.total(&mut tx, &change.campaign, &change.sku).await?;
        sqlx::query(
            "UPDATE stock_changes SET units = 0, total = ?, done_at = ? WHERE campaign_id = ? AND number = ?",
        )
        .bind(total as i64)
        .bind(time::to_text(now)?)
        .bind(change.campaign.as_str())
        .bind(change.number as i64)
        .execute(&mut *tx)
        .await?;
        let said = [("units", 0), ("total", total)];
        self.append_audit(&mut tx, &told(audit, &said)).await?;
        tx.commit().await.map_err(StoreError::of_commit)?;
        Ok(true)
    }

    /// The shard has a change that is committed.
    pub async fn end_stock_change(&self, campaign: &str, number: u64, now: i64) -> StoreResult<()> {
        sqlx::query(
            "UPDATE stock_changes SET done_at = ? WHERE campaign_id = ? AND number = ? AND done_at IS NULL \
             AND epoch IS NOT NULL",
        )
        .bind(time::to_text(now)?)
        .bind(campaign)
        .bind(number as i64)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// As [`Self::insert_activation_after`], for a rebuild that has decided how many units a removal takes, because the shard
    /// that had given them up has lost that: number of the change, and units. `None` also where that is decided already.
    pub async fn insert_activation_deciding(
        &self,
        (campaign, activation): (&str, Activation),
        (number, units): (u64, u64),
        now: i64,
    ) -> StoreResult<Option<Activation>> {
        let mut tx = self.begin().await?;
        if self.lock_epoch(&mut tx, campaign).await? != activation.epoch {
            return Ok(None);
        }
        let decided = sqlx::query(
            "UPDATE stock_changes SET units = ? WHERE campaign_id = ? AND number = ? AND units IS NULL",
        )
        .bind(units as i64)
        .bind(campaign)
        .bind(number as i64)
        .execute(&mut *tx)
        .await?;
        if decided.rows_affected() == 0 {
            return Ok(None);
        }
        let raised = Activation {
            epoch: activation.epoch + 1,
            ..activation
        };
        put_in_force(&mut tx, campaign, raised, now).await?;
        tx.commit().await.map_err(StoreError::of_commit)?;
        Ok(Some(raised))
    }

    /// Revision, activation, what the change says of itself, and the audit trail.
    async fn finish(
        &self,
        tx: &mut Transaction<'_, Any>,
        (campaign, sku): (&str, &str),
        number: u64,
        units: u64,
        commit: Commit<'_>,
    ) -> StoreResult<Committed> {
        let revision = append_revision(tx, commit.revision).await?;
        eyes::sign(tx, (campaign, revision), &commit.audit).await?;
        let place = (campaign, revision);
        let is_bypass = self.allow(tx, place, commit.warrant, commit.now).await?;
        let activation = Activation {
            epoch: commit.seen + 1,
            revision,
        };
        put_in_force(tx, campaign, activation, commit.now).await?;
        let total: i64 = sqlx::query_scalar("SELECT total FROM stock WHERE campaign_id = ? AND sku_id = ?")
            .bind(campaign)
            .bind(sku)
            .fetch_one(&mut **tx)
            .await?;
        sqlx::query(
            "UPDATE stock_changes SET units = ?, total = ?, revision = ?, epoch = ? WHERE campaign_id = ? AND number = ?",
        )
        .bind(units as i64)
        .bind(total)
        .bind(i64::from(revision))
        .bind(activation.epoch as i64)
        .bind(campaign)
        .bind(number as i64)
        .execute(&mut **tx)
        .await?;
        let total = total.unsigned_abs();
        let said = [
            ("units", units),
            ("total", total),
            ("revision", u64::from(revision)),
            ("epoch", activation.epoch),
        ];
        let lines = with_bypass(&told(commit.audit, &said), commit.warrant, is_bypass);
        self.append_audit(tx, &lines).await?;
        Ok(Committed {
            number,
            units,
            total,
            activation,
            is_bypass,
        })
    }

    /// Locks the campaign; the number that its next change gets.
    async fn next_change(
        &self,
        tx: &mut Transaction<'_, Any>,
        campaign: &str,
        seen: u64,
    ) -> StoreResult<Option<u64>> {
        if self.lock_epoch(tx, campaign).await? != seen {
            return Ok(None);
        }
        let row = sqlx::query(
            "SELECT c.stock_change, (SELECT COUNT(*) FROM stock_changes x WHERE x.campaign_id = c.campaign_id \
             AND x.number = c.stock_change AND x.done_at IS NULL) FROM campaigns c WHERE c.campaign_id = ?",
        )
        .bind(campaign)
        .fetch_one(&mut **tx)
        .await?;
        let (last, open): (u64, i64) = (narrow(&row, 0)?, int(&row, 1)?);
        Ok((open == 0).then_some(last + 1))
    }

    async fn total(&self, tx: &mut Transaction<'_, Any>, campaign: &str, sku: &str) -> StoreResult<u64> {
        let lock = self.dialect.for_update();
        let sql = format!("SELECT total FROM stock WHERE campaign_id = ? AND sku_id = ?{lock}");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(sku)
            .fetch_optional(&mut **tx)
            .await?;
        match row {
            Some(row) => narrow(&row, 0),
            None => Err(no_sku(campaign, sku)),
        }
    }
}

fn no_sku(campaign: &str, sku: &str) -> StoreError {
    StoreError::Permanent(format!("campaign {campaign:?} has no SKU {sku:?}"))
}

async fn insert(
    tx: &mut Transaction<'_, Any>,
    new: NewStockChange<'_>,
    number: u64,
    now: i64,
) -> StoreResult<()> {
    sqlx::query(
        "INSERT INTO stock_changes (campaign_id, number, operation_id, sku_id, kind, asked, actor, note, begun_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.campaign)
    .bind(number as i64)
    .bind(new.operation)
    .bind(new.sku)
    .bind(new.kind.as_str())
    .bind(new.asked as i64)
    .bind(new.actor)
    .bind(new.note)
    .bind(time::to_text(now)?)
    .execute(&mut **tx)
    .await?;
    sqlx::query("UPDATE campaigns SET stock_change = ? WHERE campaign_id = ?")
        .bind(number as i64)
        .bind(new.campaign)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Writes down for what revisions were compiled that say nothing about it, before that changes.
async fn keep_totals(tx: &mut Transaction<'_, Any>, campaign: &str) -> StoreResult<()> {
    let rows = sqlx::query("SELECT sku_id, total FROM stock WHERE campaign_id = ?")
        .bind(campaign)
        .fetch_all(&mut **tx)
        .await?;
    let total = |row| Ok((text(row, 0)?, narrow(row, 1)?));
    let totals: std::collections::BTreeMap<String, u64> =
        rows.iter().map(total).collect::<StoreResult<_>>()?;
    sqlx::query("UPDATE revisions SET stock = ? WHERE campaign_id = ? AND stock IS NULL")
        .bind(to_json(&totals)?)
        .bind(campaign)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn set_total(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    sku: &str,
    to: &'static str,
    units: u64,
) -> StoreResult<()> {
    let sql = format!("UPDATE stock SET total = {to} WHERE campaign_id = ? AND sku_id = ?");
    let set = sqlx::query(AssertSqlSafe(sql))
        .bind(units as i64)
        .bind(campaign)
        .bind(sku)
        .execute(&mut **tx)
        .await?;
    match set.rows_affected() {
        0 => Err(no_sku(campaign, sku)),
        _ => Ok(()),
    }
}

/// Whether a removal is still to be committed, with so many units.
async fn is_undecided(tx: &mut Transaction<'_, Any>, change: &StockChange, units: u64) -> StoreResult<bool> {
    let same: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM stock_changes WHERE campaign_id = ? AND number = ? AND epoch IS NULL AND done_at IS NULL \
         AND (units IS NULL OR units = ?)",
    )
    .bind(change.campaign.as_str())
    .bind(change.number as i64)
    .bind(units as i64)
    .fetch_one(&mut **tx)
    .await?;
    Ok(same == 1)
}

/// Lines with what the transaction alone knows.
fn told<'a>(lines: Vec<AuditLine<'a>>, said: &[(&str, u64)]) -> Vec<AuditLine<'a>> {
    let each = lines.into_iter().map(|line| {
        let numbers = said.iter();
        numbers.fold(line, |line, (name, number)| line.saying(name, *number))
    });
    each.collect()
}
