//! Where else a buyer is named: in what people did, as the audit trail and jobs over orders keep it.

use serde_json::Value;
use sqlx::any::AnyRow;

use super::buyer::BuyerName;
use super::erasures::ErasureRow;
use super::mask;
use crate::store::rows::{int, json, maybe_text, moment, text, to_json};
use crate::store::{AuditRow, Store, StoreResult};

/// Lines of the audit trail that are looked at together.
const LINES_AT_ONCE: i64 = 500;

/// A line of the audit trail that names the buyer.
#[derive(Clone, Debug, PartialEq)]
pub struct NamingLine {
    pub seq: i64,
    pub target: String,
    pub line: AuditRow,
}

/// A job over orders whose filter names the buyer.
#[derive(Clone, Debug, PartialEq)]
pub struct NamingJob {
    pub campaign: String,
    pub id: String,
    pub filter: Value,
}

impl Store {
    /// Lines of the audit trail that name a buyer, among the next ones behind `after`, and where to go on; `None` at the end.
    pub async fn audit_of_buyer(
        &self,
        buyer: impl Into<BuyerName<'_>>,
        after: i64,
    ) -> StoreResult<(Vec<NamingLine>, Option<i64>)> {
        let buyer = buyer.into();
        let rows = sqlx::query(
            "SELECT seq, CAST(at AS CHAR), actor, action, target, detail, merchant FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",
        )
        .bind(after)
        .bind(LINES_AT_ONCE)
        .fetch_all(&self.pool)
        .await?;
        let is_full = rows.len() == LINES_AT_ONCE as usize;
        let next = rows
            .last()
            .filter(|_| is_full)
            .map(|row| int(row, 0))
            .transpose()?;
        let mut found = Vec::new();
        for row in &rows {
            let line = line(row)?;
            let is_meant = match buyer.merchant {
                Some(merchant) => maybe_text(row, 6)?.as_deref() == Some(merchant),
                None => true,
            };
            if is_meant && mask::names(&line.line.detail, buyer.user) {
                found.push(line);
            }
        }
        Ok((found, next))
    }

    /// Jobs over orders whose filter names a buyer, those that have ended or not.
    pub async fn jobs_of_buyer(&self, buyer: BuyerName<'_>) -> StoreResult<Vec<NamingJob>> {
        let rows = sqlx::query("SELECT campaign_id, job_id, filter FROM order_jobs")
            .fetch_all(&self.pool)
            .await?;
        let mut found = Vec::new();
        for row in &rows {
            let filter: Value = json(row, 2)?;
            let campaign = text(row, 0)?;
            if mask::names(&filter, buyer.user) && self.is_meant(buyer, &campaign).await? {
                found.push(NamingJob {
                    campaign,
                    id: text(row, 1)?,
                    filter,
                });
            }
        }
        Ok(found)
    }

    /// Puts the pseudonym into the audit trail, which says so in a line of its own, and into jobs that have ended: how many lines, and how many jobs.
    pub async fn erase_traces(&self, erasure: &ErasureRow, now: i64) -> StoreResult<(u64, u64)> {
        let mask = erasure.mask()?;
        let buyer = BuyerName {
            user: mask.user,
            merchant: erasure.merchant.as_deref(),
        };
        let (mut lines, mut after) = (0, Some(0));
        while let Some(place) = after {
            let (found, next) = self.audit_of_buyer(buyer, place).await?;
            after = next;
            lines += found.len() as u64;
            let masked = found.into_iter().map(|NamingLine { seq, mut line, .. }| {
                mask.json(&mut line.detail);
                (seq, line.detail)
            });
            self.mask_audit(&erasure.id, &masked.collect::<Vec<_>>(), now)
                .await?;
        }
        let mut jobs = 0;
        for mut job in self.jobs_of_buyer(buyer).await? {
            mask.json(&mut job.filter);
            let erased = sqlx::query(
                "UPDATE order_jobs SET filter = ?, note = NULL WHERE campaign_id = ? AND job_id = ? AND ended_at IS NOT NULL",
            )
            .bind(to_json(&job.filter)?)
            .bind(job.campaign)
            .bind(job.id)
            .execute(&self.pool)
            .await?;
            jobs += erased.rows_affected();
        }
        Ok((lines, jobs))
    }
}

fn line(row: &AnyRow) -> StoreResult<NamingLine> {
    Ok(NamingLine {
        seq: int(row, 0)?,
        target: text(row, 4)?,
        line: AuditRow {
            at: moment(row, 1)?,
            actor: text(row, 2)?,
            action: text(row, 3)?,
            detail: json(row, 5)?,
        },
    })
}
