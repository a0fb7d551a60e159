//! The recorded sample: decided attempts of some buyers of a campaign, within a bound.
//!
//! The row of `samples` is locked by whoever writes, so several gateways agree on the share of buyers that
//! is kept. Rows of buyers above the share are deleted afterwards, in slices; a reader leaves them out.

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::dialect::{pieces, placeholders};
use super::orders::order_id;
use super::rows::{int, maybe_json, maybe_text, moment, narrow, text, to_json};
use super::{Store, StoreResult, time};
use crate::order::Attempt;
use crate::recorded::{HALVINGS_MAX, Recorded, is_sampled, threshold, user_hash};

const COLUMNS: usize = 10;
/// Deletions of one halving: each locks its rows for a moment only.
const SLICES: u64 = 64;

/// What a campaign's sample holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleRow {
    /// How often the share of buyers was halved.
    pub halvings: u32,
    /// Rows of the buyers that are kept.
    pub attempts: u64,
    /// Attempts that gateways could not write in time: histories may have holes.
    pub dropped: u64,
}

/// A place in the order of a campaign's attempts: by moment, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptsAt {
    pub at: i64,
    pub seq: i64,
}

impl Store {
    /// Adds attempts of sampled buyers, in their order, and `dropped` to the count of those that were
    /// not written. While more than `most` are kept, halves the share of buyers.
    pub async fn insert_attempts(
        &self,
        campaign: &str,
        attempts: &[Recorded],
        dropped: u64,
        most: u64,
    ) -> StoreResult<SampleRow> {
        let mut tx = self.begin().await?;
        let before = self.lock_sample(&mut tx, campaign, dropped).await?;
        let kept: Vec<(&Recorded, u32)> = attempts
            .iter()
            .map(|attempt| (attempt, user_hash(&attempt.attempt.user)))
            .filter(|(_, hash)| is_sampled(*hash, before.halvings))
            .collect();
        for range in pieces(kept.len()) {
            insert_rows(&mut tx, campaign, &kept[range]).await?;
        }
        let mut after = SampleRow {
            attempts: before.attempts + kept.len() as u64,
            ..before
        };
        while after.attempts > most && after.halvings < HALVINGS_MAX {
            after.halvings += 1;
            let below: i64 =
                sqlx::query_scalar("SELECT COUNT(*) FROM attempts WHERE campaign_id = ? AND user_hash < ?")
                    .bind(campaign)
                    .bind(threshold(after.halvings) as i64)
                    .fetch_one(&mut *tx)
                    .await?;
            after.attempts = below as u64;
        }
        sqlx::query("UPDATE samples SET halvings = ?, attempts = ? WHERE campaign_id = ?")
            .bind(i64::from(after.halvings))
            .bind(after.attempts as i64)
            .bind(campaign)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        if after.halvings > before.halvings {
            self.delete_attempts(campaign, threshold(after.halvings)).await?;
        }
        Ok(after)
    }

    /// What the sample of a campaign holds; nothing of nobody where there is none.
    pub async fn sample(&self, campaign: &str) -> StoreResult<SampleRow> {
        let row = sqlx::query("SELECT halvings, attempts, dropped FROM samples WHERE campaign_id = ?")
            .bind(campaign)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map_or(Ok(SampleRow::default()), sample_row)
    }

    /// The newest arrival so far; 0 where there is none.
    pub async fn attempts_end(&self) -> StoreResult<i64> {
        Ok(sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) FROM attempts")
            .fetch_one(&self.pool)
            .await?)
    }

    /// Attempts of sampled buyers after a place, by moment and then by arrival, of which none arrived
    /// after `end`. Looks at `limit` rows at most; the place answered is that of the last one looked at,
    /// `None` at the end.
    pub async fn attempts_page(
        &self,
        campaign: &str,
        halvings: u32,
        after: Option<AttemptsAt>,
        end: i64,
        limit: u32,
    ) -> StoreResult<(Vec<Recorded>, Option<AttemptsAt>)> {
        let after = after.unwrap_or(AttemptsAt {
            at: time::TIME_MIN_MS,
            seq: 0,
        });
        let moment = time::to_text(after.at)?;
        let rows = sqlx::query(
            "SELECT seq, CAST(decided_at AS CHAR), order_id, CAST(user_id AS CHAR), sku_id, quantity, attributes, \
             revision, outcome FROM attempts WHERE campaign_id = ? AND decided_at >= ? \
             AND (decided_at > ? OR seq > ?) AND seq <= ? ORDER BY decided_at, seq LIMIT ?",
        )
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
        let mut attempts = rows.iter().map(recorded).collect::<StoreResult<Vec<_>>>()?;
        attempts.retain(|row| is_sampled(user_hash(&row.attempt.user), halvings));
        Ok((attempts, last))
    }

    /// Deletes the samples of campaigns whose retention has ended at `now`; how many rows.
    pub async fn forget_attempts(&self, now: i64) -> StoreResult<u64> {
        let kept_until = self.dialect.kept_until();
        let over = sqlx::query(AssertSqlSafe(format!(
            "SELECT s.campaign_id FROM samples s JOIN campaigns c ON c.campaign_id = s.campaign_id \
             JOIN revisions r ON r.campaign_id = c.campaign_id AND r.revision = c.revision WHERE {kept_until} <= ?"
        )))
        .bind(time::to_text(now)?)
        .fetch_all(&self.pool)
        .await?;
        let mut deleted = 0;
        for row in &over {
            let campaign = text(row, 0)?;
            deleted += self.delete_attempts(&campaign, 0).await?;
            sqlx::query("DELETE FROM samples WHERE campaign_id = ?")
                .bind(campaign.as_str())
                .execute(&self.pool)
                .await?;
        }
        Ok(deleted)
    }

    /// Deletes the rows of buyers whose hash is at least `from`.
    async fn delete_attempts(&self, campaign: &str, from: u64) -> StoreResult<u64> {
        let width = ((1 << 32) - from).div_ceil(SLICES);
        let mut deleted = 0;
        for slice in 0..SLICES {
            let low = from + slice * width;
            let done = sqlx::query(
                "DELETE FROM attempts WHERE campaign_id = ? AND user_hash >= ? AND user_hash < ?",
            )
            .bind(campaign)
            .bind(low as i64)
            .bind((low + width) as i64)
            .execute(&self.pool)
            .await?;
            deleted += done.rows_affected();
        }
        Ok(deleted)
    }

    /// The sample's row, made where it is missing, locked until the transaction ends.
    async fn lock_sample(
        &self,
        tx: &mut Transaction<'_, Any>,
        campaign: &str,
        dropped: u64,
    ) -> StoreResult<SampleRow> {
        let clause = self
            .dialect
            .on_conflict("campaign_id", "dropped", "dropped + {new}");
        let sql = format!(
            "INSERT INTO samples (campaign_id, halvings, attempts, dropped) VALUES (?, 0, 0, ?){clause}"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(dropped as i64)
            .execute(&mut **tx)
            .await?;
        let row = sqlx::query("SELECT halvings, attempts, dropped FROM samples WHERE campaign_id = ?")
            .bind(campaign)
            .fetch_one(&mut **tx)
            .await?;
        sample_row(&row)
    }
}

fn sample_row(row: &AnyRow) -> StoreResult<SampleRow> {
    Ok(SampleRow {
        halvings: narrow(row, 0)?,
        attempts: narrow(row, 1)?,
        dropped: narrow(row, 2)?,
    })
}

async fn insert_rows(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    rows: &[(&Recorded, u32)],
) -> StoreResult<()> {
    let sql = format!(
        "INSERT INTO attempts (campaign_id, decided_at, order_id, user_id, user_hash, sku_id, quantity, attributes, \
         revision, outcome) VALUES {}",
        placeholders(rows.len(), COLUMNS)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (row, hash) in rows {
        let Attempt {
            order,
            user,
            sku,
            quantity,
            attributes,
        } = &row.attempt;
        let attributes = match attributes.is_empty() {
            true => None,
            false => Some(to_json(attributes)?),
        };
        query = query
            .bind(campaign)
            .bind(time::to_text(row.at)?)
            .bind(order.to_string())
            .bind(user.as_str())
            .bind(i64::from(*hash))
            .bind(sku.as_str())
            .bind(i64::from(*quantity))
            .bind(attributes)
            .bind(i64::from(row.revision.unwrap_or(0)))
            .bind(row.outcome.as_deref().unwrap_or_default());
    }
    query.execute(&mut **tx).await?;
    Ok(())
}

fn recorded(row: &AnyRow) -> StoreResult<Recorded> {
    let revision: u32 = narrow(row, 7)?;
    Ok(Recorded {
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
