//! Orders changed in bulk: jobs with what was asked for, how far they have come, and what became of the orders. A job goes through
//! the orders as they are listed, the one placed last first, and remembers the last one it came to.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::audit::AuditLine;
use crate::order::{OrderId, OrderState, Release};
use crate::store::conditions::bind_all;
use crate::store::order_list::conditions;
use crate::store::orders::{order_id, state};
use crate::store::rows::{int, json, maybe_moment, maybe_text, moment, narrow, text, to_json};
use crate::store::{OrderFilter, OrderPlace, Store, StoreError, StoreResult, time};

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderJob {
    pub campaign: String,
    pub id: String,
    /// What becomes of the orders.
    pub to: OrderState,
    pub filter: OrderFilter,
    pub actor: String,
    pub reason: String,
    pub note: Option<String>,
    pub release: Release,
    /// Orders a second.
    pub rate: u32,
    /// Orders that the filter let through when it was asked for.
    pub matched: u64,
    pub done: JobCounts,
    /// The last order it came to.
    pub last: Option<OrderPlace>,
    /// Milliseconds since 1970-01-01 UTC.
    pub begun_at: i64,
    pub ended_at: Option<i64>,
    /// Somebody stopped it.
    pub stopped: bool,
}

/// What became of the orders that a job came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    pub changed: u64,
    /// In a state that does not allow it.
    pub skipped: u64,
    /// They could not be changed for another reason, which the log has.
    pub failed: u64,
}

/// Orders of one SKU in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderCount {
    pub sku: String,
    pub state: OrderState,
    pub orders: u64,
    pub units: u64,
}

const SELECT: &str = "SELECT campaign_id, job_id, to_state, filter, actor, reason, note, releases, rate, matched, changed, skipped, \
     failed, CAST(last_placed AS CHAR), last_order, CAST(begun_at AS CHAR), CAST(ended_at AS CHAR), stopped FROM order_jobs";

impl Store {
    /// How many orders of a campaign a filter lets through, by SKU and state.
    pub async fn count_orders(&self, campaign: &str, filter: &OrderFilter) -> StoreResult<Vec<OrderCount>> {
        let index = self.listing_index(filter);
        let found = conditions(campaign, filter, None)?;
        let sql = format!(
            "SELECT sku_id, state, COUNT(*), CAST(SUM(quantity) AS SIGNED) FROM orders{index}{} GROUP BY sku_id, state \
             ORDER BY sku_id, state",
            found.sql()
        );
        let rows = bind_all(sqlx::query(AssertSqlSafe(sql)), found.values)
            .fetch_all(&self.pool)
            .await?;
        let count = |row: &AnyRow| {
            Ok(OrderCount {
                sku: text(row, 0)?,
                state: state(&text(row, 1)?)?,
                orders: narrow(row, 2)?,
                units: narrow(row, 3)?,
            })
        };
        rows.iter().map(count).collect()
    }

    /// Writes a new job down, with what the audit trail says of it; nothing where there is one of its id.
    pub async fn begin_order_job(&self, job: &OrderJob, audit: &[AuditLine<'_>]) -> StoreResult<()> {
        if self.order_job(&job.campaign, &job.id).await?.is_some() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO order_jobs (campaign_id, job_id, to_state, filter, actor, reason, note, releases, rate, matched, begun_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(job.campaign.as_str())
        .bind(job.id.as_str())
        .bind(job.to.as_str())
        .bind(to_json(&job.filter)?)
        .bind(job.actor.as_str())
        .bind(job.reason.as_str())
        .bind(job.note.as_deref())
        .bind(job.release.as_str())
        .bind(i64::from(job.rate))
        .bind(i64::try_from(job.matched).unwrap_or(i64::MAX))
        .bind(time::to_text(job.begun_at)?)
        .execute(&mut *tx)
        .await?;
        self.append_audit(&mut tx, audit).await?;
        Ok(tx.commit().await?)
    }

    pub async fn order_job(&self, campaign: &str, id: &str) -> StoreResult<Option<OrderJob>> {
        let sql = format!("{SELECT} WHERE campaign_id = ? AND job_id = ?");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(job).transpose()
    }

    /// Jobs over a campaign's orders, the one begun last first, at most `limit`, behind `before`.
    pub async fn order_jobs(
        &self,
        campaign: &str,
        before: Option<&OrderJob>,
        limit: u32,
    ) -> StoreResult<Vec<OrderJob>> {
        let behind = match before {
            Some(_) => " AND (begun_at < ? OR (begun_at = ? AND job_id < ?))",
            None => "",
        };
        let sql =
            format!("{SELECT} WHERE campaign_id = ?{behind} ORDER BY begun_at DESC, job_id DESC LIMIT ?");
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
        if let Some(before) = before {
            let begun_at = time::to_text(before.begun_at)?;
            query = query
                .bind(begun_at.clone())
                .bind(begun_at)
                .bind(before.id.as_str());
        }
        let rows = query.bind(i64::from(limit)).fetch_all(&self.pool).await?;
        rows.iter().map(job).collect()
    }

    /// Jobs that have not ended, the one begun first, first; at most `limit`.
    pub async fn open_order_jobs(&self, limit: u32) -> StoreResult<Vec<OrderJob>> {
        let sql = format!("{SELECT} WHERE ended_at IS NULL ORDER BY begun_at, job_id LIMIT ?");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(job).collect()
    }

    /// The job has come to `last`, with this for the orders up to it; `false` where another process was there before.
    pub async fn advance_order_job(
        &self,
        job: &OrderJob,
        last: OrderPlace,
        more: JobCounts,
    ) -> StoreResult<bool> {
        let before = job.last.map(|last| last.order.to_string());
        let advanced = sqlx::query(
            "UPDATE order_jobs SET last_placed = ?, last_order = ?, changed = changed + ?, skipped = skipped + ?, \
             failed = failed + ? WHERE campaign_id = ? AND job_id = ? AND last_order = ?",
        )
        .bind(time::to_text(last.placed_at)?)
        .bind(last.order.to_string())
        .bind(more.changed as i64)
        .bind(more.skipped as i64)
        .bind(more.failed as i64)
        .bind(job.campaign.as_str())
        .bind(job.id.as_str())
        .bind(before.unwrap_or_default())
        .execute(&self.pool)
        .await?;
        Ok(advanced.rows_affected() > 0)
    }

    /// Nothing is left of it, or somebody stops it, of which the audit trail tells; `false` where it had ended.
    pub async fn end_order_job(
        &self,
        campaign: &str,
        id: &str,
        now: i64,
        stopped: bool,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let ended = sqlx::query(
            "UPDATE order_jobs SET ended_at = ?, stopped = ? WHERE campaign_id = ? AND job_id = ? AND ended_at IS NULL",
        )
        .bind(time::to_text(now)?)
        .bind(i64::from(stopped))
        .bind(campaign)
        .bind(id)
        .execute(&mut *tx)
        .await?;
        self.commit_if(tx, ended.rows_affected() > 0, audit).await
    }
}

fn job(row: &AnyRow) -> StoreResult<OrderJob> {
    let releases = text(row, 7)?;
    let release = Release::of(&releases)
        .ok_or_else(|| StoreError::Permanent(format!("a stored job releases {releases:?}")))?;
    let last: Option<OrderId> = match text(row, 14)?.as_str() {
        "" => None,
        id => Some(order_id(id)?),
    };
    let last = maybe_moment(row, 13)?
        .zip(last)
        .map(|(placed_at, order)| OrderPlace { placed_at, order });
    Ok(OrderJob {
        campaign: text(row, 0)?,
        id: text(row, 1)?,
        to: state(&text(row, 2)?)?,
        filter: json(row, 3)?,
        actor: text(row, 4)?,
        reason: text(row, 5)?,
        note: maybe_text(row, 6)?,
        release,
        rate: narrow(row, 8)?,
        matched: narrow(row, 9)?,
        done: JobCounts {
            changed: narrow(row, 10)?,
            skipped: narrow(row, 11)?,
            failed: narrow(row, 12)?,
        },
        last,
        begun_at: moment(row, 15)?,
        ended_at: maybe_moment(row, 16)?,
        stopped: int(row, 17)? != 0,
    })
}
