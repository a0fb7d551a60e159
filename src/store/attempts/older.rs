//! Attempts as releases before `crate::store::attempts::pieces` recorded them, a row each: read on, and deleted with the campaign's retention.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::attempts::DecidedAttempt;
use crate::attempts::share::BANDS;
use crate::order::{Attempt, TIME_MIN_MS};
use crate::store::orders::order_id;
use crate::store::rows::{int, maybe_json, maybe_text, moment, narrow, text};
use crate::store::{Store, StoreResult, time};

/// Deletions of one sample: each locks its rows for a moment only.
const SLICES: i64 = 64;

/// A place in the order of a campaign's attempts: by moment, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptsAt {
    pub at: i64,
    pub seq: i64,
}

/// What [`recorded`] reads, behind the arrival.
pub(in crate::store) const COLUMNS: &str = "seq, CAST(decided_at AS CHAR), order_id, CAST(user_id AS CHAR), sku_id, quantity, attributes, revision, outcome";

impl Store {
    /// The newest arrival so far; 0 where there is none.
    pub async fn attempts_end(&self) -> StoreResult<i64> {
        Ok(sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) FROM attempts")
            .fetch_one(&self.pool)
            .await?)
    }

    /// Attempts after a place, by moment and then by arrival, of which none arrived
    /// after `end`; `limit` at most. With the place of the last one, `None` at the end.
    pub async fn attempts_page(
        &self,
        campaign: &str,
        after: Option<AttemptsAt>,
        end: i64,
        limit: u32,
    ) -> StoreResult<(Vec<DecidedAttempt>, Option<AttemptsAt>)> {
        let after = after.unwrap_or(AttemptsAt {
            at: TIME_MIN_MS,
            seq: 0,
        });
        let moment = time::to_text(after.at)?;
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM attempts WHERE campaign_id = ? AND decided_at >= ? \
             AND (decided_at > ? OR seq > ?) AND seq <= ? ORDER BY decided_at, seq LIMIT ?"
        )))
        .bind(campaign)
        .bind(moment.as_str())
        .bind(moment.as_str())
        .bind(after.seq)
        .bind(end)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let last = match rows.last() {
            Some(row) => Some(AttemptsAt {
                at: self::moment(row, 1)?,
                seq: int(row, 0)?,
            }),
            None => None,
        };
        Ok((rows.iter().map(recorded).collect::<StoreResult<_>>()?, last))
    }

    /// Deletes the samples of campaigns that are gone or whose retention has ended at `now`, and of the others what they keep no more; of
    /// how many campaigns it was all.
    pub async fn forget_attempts(&self, now: i64) -> StoreResult<u64> {
        let kept_until = self.dialect.kept_until();
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT s.campaign_id, s.halvings, CASE WHEN c.campaign_id IS NULL OR {kept_until} <= ? THEN 1 ELSE 0 END FROM \
             (SELECT campaign_id, 0 AS halvings FROM samples UNION SELECT campaign_id, halvings FROM buyer_samples) s \
             LEFT JOIN campaigns c ON c.campaign_id = s.campaign_id \
             LEFT JOIN revisions r ON r.campaign_id = c.campaign_id AND r.revision = c.revision"
        )))
        .bind(time::to_text(now)?)
        .fetch_all(&self.pool)
        .await?;
        let mut forgotten = BTreeSet::new();
        for row in &rows {
            let (campaign, halvings) = (text(row, 0)?, narrow(row, 1)?);
            if int(row, 2)? == 0 {
                self.delete_pieces(&campaign, halvings).await?;
            } else if forgotten.insert(campaign.clone()) {
                self.forget_attempts_of(&campaign).await?;
            }
        }
        Ok(forgotten.len() as u64)
    }

    /// Deletes the sample of a campaign.
    pub(in crate::store) async fn forget_attempts_of(&self, campaign: &str) -> StoreResult<()> {
        self.delete_rows(campaign).await?;
        self.delete_pieces(campaign, BANDS as u32).await?;
        for sql in [
            "DELETE FROM samples WHERE campaign_id = ?",
            "DELETE FROM buyer_samples WHERE campaign_id = ?",
        ] {
            sqlx::query(sql).bind(campaign).execute(&self.pool).await?;
        }
        Ok(())
    }

    async fn delete_rows(&self, campaign: &str) -> StoreResult<()> {
        let width = (1_i64 << 32) / SLICES;
        for slice in 0..SLICES {
            sqlx::query("DELETE FROM attempts WHERE campaign_id = ? AND user_hash >= ? AND user_hash < ?")
                .bind(campaign)
                .bind(slice * width)
                .bind((slice + 1) * width)
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }
}

pub(in crate::store) fn recorded(row: &AnyRow) -> StoreResult<DecidedAttempt> {
    let revision: u32 = narrow(row, 7)?;
    Ok(DecidedAttempt {
        at: moment(row, 1)?,
        attempt: Attempt {
            order: order_id(&text(row, 2)?)?,
            user: text(row, 3)?,
            sku: text(row, 4)?,
            quantity: narrow(row, 5)?,
            attributes: maybe_json(row, 6)?.unwrap_or_default(),
        },
        revision: (revision > 0).then_some(revision),
        outcome: maybe_text(row, 8)?.filter(|outcome| !outcome.is_empty()),
    })
}
