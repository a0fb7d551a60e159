//! Changes of campaigns that were asked for under an `Idempotency-Key`, and what was answered.

use sqlx::AssertSqlSafe;

use crate::store::error::is_duplicate;
use crate::store::rows::{maybe_text, text};
use crate::store::time;
use crate::store::{Store, StoreResult};

/// The one that a statement is about: campaign, key and id.
const THIS: &str = "campaign_id = ? AND idempotency_key = ? AND operation_id = ?";

/// A change that is asked for under a key.
#[derive(Clone, Copy, Debug)]
pub struct OperationKey<'a> {
    pub campaign: &'a str,
    pub key: &'a str,
}

/// What there is under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRow {
    /// Names the change where it is to be made once.
    pub id: String,
    /// Of the audit trail: `campaign.pause`.
    pub kind: String,
    /// SHA-256 over what was asked for.
    pub asked: String,
    /// JSON; `None` where nobody has said it to be done.
    pub answer: Option<String>,
}

impl Store {
    /// Writes down that the change is begun, under `new.id`, unless there is one under the key: that one then.
    pub async fn begin_operation(
        &self,
        under: OperationKey<'_>,
        new: OperationRow,
        now: i64,
    ) -> StoreResult<OperationRow> {
        let inserted = sqlx::query(
            "INSERT INTO operations (campaign_id, idempotency_key, operation_id, kind, asked, begun_at, busy_until_ms) \
             VALUES (?, ?, ?, ?, ?, ?, 0)",
        )
        .bind(under.campaign)
        .bind(under.key)
        .bind(new.id.as_str())
        .bind(new.kind.as_str())
        .bind(new.asked.as_str())
        .bind(time::to_text(now)?)
        .execute(&self.pool)
        .await;
        match inserted {
            Ok(_) => Ok(new),
            Err(error) if is_duplicate(&error) => {
                let there = self.operation(under).await?;
                // Whoever had it was refused meanwhile, and gave it up.
                Ok(there.unwrap_or(new))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn operation(&self, under: OperationKey<'_>) -> StoreResult<Option<OperationRow>> {
        let row = sqlx::query(
            "SELECT operation_id, kind, asked, answer FROM operations WHERE campaign_id = ? AND idempotency_key = ?",
        )
        .bind(under.campaign)
        .bind(under.key)
        .fetch_optional(&self.pool)
        .await?;
        let row = row.as_ref().map(|row| {
            Ok(OperationRow {
                id: text(row, 0)?,
                kind: text(row, 1)?,
                asked: text(row, 2)?,
                answer: maybe_text(row, 3)?,
            })
        });
        row.transpose()
    }

    /// Takes a change that is not done for itself until `now + for_ms`; `false` where somebody is at it, or it is done.
    pub async fn take_operation(
        &self,
        under: OperationKey<'_>,
        id: &str,
        now: i64,
        for_ms: i64,
    ) -> StoreResult<bool> {
        let sql = format!(
            "UPDATE operations SET busy_until_ms = ? WHERE {THIS} AND answer IS NULL AND busy_until_ms <= ?"
        );
        let taken = sqlx::query(AssertSqlSafe(sql))
            .bind(now.saturating_add(for_ms))
            .bind(under.campaign)
            .bind(under.key)
            .bind(id)
            .bind(now)
            .execute(&self.pool)
            .await?;
        Ok(taken.rows_affected() > 0)
    }

    /// Nobody is at it any more, and it is not done: the same request may go on with it.
    pub async fn leave_operation(&self, under: OperationKey<'_>, id: &str) -> StoreResult<()> {
        let sql = format!("UPDATE operations SET busy_until_ms = 0 WHERE {THIS}");
        self.write_operation(sql, None, under, id).await
    }

    /// It is done, and this is what was answered.
    pub async fn end_operation(&self, under: OperationKey<'_>, id: &str, answer: &str) -> StoreResult<()> {
        let sql = format!("UPDATE operations SET answer = ? WHERE {THIS}");
        self.write_operation(sql, Some(answer), under, id).await
    }

    /// It was refused, and nothing was done: the key is as if it had never been used.
    pub async fn forget_operation(&self, under: OperationKey<'_>, id: &str) -> StoreResult<()> {
        let sql = format!("DELETE FROM operations WHERE {THIS} AND answer IS NULL");
        self.write_operation(sql, None, under, id).await
    }

    /// `sql` binds `answer` first, where there is one, and then [`THIS`].
    async fn write_operation(
        &self,
        sql: String,
        answer: Option<&str>,
        under: OperationKey<'_>,
        id: &str,
    ) -> StoreResult<()> {
        let query = sqlx::query(AssertSqlSafe(sql));
        let query = answer.into_iter().fold(query, |query, answer| query.bind(answer));
        query
            .bind(under.campaign)
            .bind(under.key)
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
