//! Changes that were asked for under an `Idempotency-Key`, and what was answered: of a campaign, or of a merchant that has something made.

use std::future::Future;

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;

use crate::store::error::is_duplicate;
use crate::store::rows::{maybe_text, text, to_json};
use crate::store::time;
use crate::store::{Store, StoreError, StoreResult};

/// The one that a statement is about: campaign, key and id.
const THIS: &str = "campaign_id = ? AND idempotency_key = ? AND operation_id = ?";

/// For how long one request has a change for itself; then the same request may go on with it. Two at once do no harm: every
/// step is fenced, or is made once under the operation's id.
const BUSY_MS: i64 = 30_000;

/// A change that is asked for under a key.
#[derive(Clone, Copy, Debug)]
pub struct OperationKey<'a> {
    /// What the key is for: a campaign, or [`place_of`] a merchant.
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

impl OperationRow {
    /// One that is about to begin; `asked` is the whole request.
    pub fn of(kind: &str, asked: &impl Serialize) -> StoreResult<Self> {
        Ok(Self {
            id: uuid::Uuid::now_v7().simple().to_string(),
            kind: kind.to_owned(),
            asked: HEXLOWER.encode(&Sha256::digest(to_json(asked)?)),
            answer: None,
        })
    }
}

/// Where keys of what a merchant has made stand: no campaign has such an id.
pub fn place_of(merchant: Option<&str>) -> String {
    format!("merchant:{}", merchant.unwrap_or_default())
}

/// Why something that is to be done once is not done, as its caller says it.
pub trait Undone: From<StoreError> + std::fmt::Display {
    /// The same request is being carried out.
    fn in_progress() -> Self;
    /// The key is another request's.
    fn key_reused() -> Self;
    /// Whether it is open what was done: the same request may go on with it.
    fn leaves_open(&self) -> bool;
}

impl Store {
    /// Has `work` do the change once; it is handed the operation's id, under which it may make steps of its own once, and says in text what
    /// is kept. Answers that text, and whether it was kept before and nothing was done now. A refusal is not kept: who mends the request may
    /// use the key again. After an error that leaves open what was done, the same request goes on under the same id.
    pub async fn once<E: Undone, F>(
        &self,
        under: OperationKey<'_>,
        new: OperationRow,
        clock: impl Fn() -> i64,
        work: impl FnOnce(String) -> F,
    ) -> Result<(String, bool), E>
    where
        F: Future<Output = Result<String, E>>,
    {
        let there = self.begin_operation(under, new.clone(), clock()).await?;
        if (&there.kind, &there.asked) != (&new.kind, &new.asked) {
            return Err(E::key_reused());
        }
        if let Some(answer) = there.answer {
            return Ok((answer, true));
        }
        let id = there.id;
        if !self.take_operation(under, &id, clock(), BUSY_MS).await? {
            // Whoever had it may have ended just now.
            return match self.operation(under).await? {
                Some(OperationRow {
                    answer: Some(answer), ..
                }) => Ok((answer, true)),
                _ => Err(E::in_progress()),
            };
        }
        let done = work(id.clone()).await;
        let kept = match &done {
            Ok(answer) => self.end_operation(under, &id, answer).await,
            Err(error) if error.leaves_open() => self.leave_operation(under, &id).await,
            Err(_) => self.forget_operation(under, &id).await,
        };
        if let Err(error) = kept {
            tracing::warn!(of = under.campaign, kind = new.kind, %error, "what became of it is not kept");
        }
        done.map(|answer| (answer, false))
    }

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
