//! Changes of campaigns that are to be made at a moment.

use sqlx::any::AnyRow;

use crate::audit::AuditLine;
use crate::store::rows::{int, json, maybe_text, text, to_json};
use crate::store::{Store, StoreResult, time};

/// What has become of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduledState {
    Waiting,
    /// Somebody is at it, or was.
    Making,
    Done,
    /// It was refused when it was to be made.
    Failed,
    Cancelled,
}

impl ScheduledState {
    const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Making,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Making => "making",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A change that waits for its moment, or did.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduledRow {
    pub id: String,
    pub campaign: String,
    /// What is to be done, as whoever does it reads it.
    pub change: serde_json::Value,
    /// When, milliseconds since 1970-01-01 UTC.
    pub due_at: i64,
    pub actor: String,
    pub note: Option<String>,
    pub state: ScheduledState,
    /// What came of it, in words.
    pub outcome: Option<String>,
}

const SELECT: &str =
    "SELECT change_id, campaign_id, body, due_at_ms, actor, note, state, outcome FROM scheduled_changes";

impl Store {
    pub async fn insert_scheduled(
        &self,
        row: &ScheduledRow,
        now: i64,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO scheduled_changes (change_id, campaign_id, body, due_at_ms, actor, note, state, outcome, \
             created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(row.id.as_str())
        .bind(row.campaign.as_str())
        .bind(to_json(&row.change)?)
        .bind(row.due_at)
        .bind(row.actor.as_str())
        .bind(row.note.as_deref())
        .bind(row.state.as_str())
        .bind(row.outcome.as_deref())
        .bind(time::to_text(now)?)
        .execute(&mut *tx)
        .await?;
        self.append_audit(&mut tx, audit).await?;
        Ok(tx.commit().await?)
    }

    /// A campaign's in this state, the first to be made first.
    pub async fn scheduled(
        &self,
        campaign: &str,
        state: ScheduledState,
        limit: u32,
    ) -> StoreResult<Vec<ScheduledRow>> {
        let sql =
            format!("{SELECT} WHERE campaign_id = ? AND state = ? ORDER BY due_at_ms, change_id LIMIT ?");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(campaign)
            .bind(state.as_str())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(row).collect()
    }

    pub async fn scheduled_change(&self, campaign: &str, id: &str) -> StoreResult<Option<ScheduledRow>> {
        let sql = format!("{SELECT} WHERE campaign_id = ? AND change_id = ?");
        let found = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(campaign)
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        found.as_ref().map(row).transpose()
    }

    /// Those of all campaigns that are due at `now` and not made, the oldest first.
    pub async fn scheduled_due(&self, now: i64, limit: u32) -> StoreResult<Vec<ScheduledRow>> {
        let sql = format!(
            "{SELECT} WHERE state IN ('waiting', 'making') AND due_at_ms <= ? ORDER BY due_at_ms, change_id LIMIT ?"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(now)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(row).collect()
    }

    /// Brings a change from one state to another, with what the audit trail says of it; `false` where it is not in the first.
    pub async fn move_scheduled(
        &self,
        id: &str,
        from: ScheduledState,
        to: ScheduledState,
        outcome: Option<&str>,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let moved = sqlx::query(
            "UPDATE scheduled_changes SET state = ?, outcome = ? WHERE change_id = ? AND state = ?",
        )
        .bind(to.as_str())
        .bind(outcome)
        .bind(id)
        .bind(from.as_str())
        .execute(&mut *tx)
        .await?;
        self.commit_if(tx, moved.rows_affected() > 0, audit).await
    }
}

fn row(row: &AnyRow) -> StoreResult<ScheduledRow> {
    let state = text(row, 6)?;
    let known = ScheduledState::ALL
        .into_iter()
        .find(|known| known.as_str() == state);
    Ok(ScheduledRow {
        id: text(row, 0)?,
        campaign: text(row, 1)?,
        change: json(row, 2)?,
        due_at: int(row, 3)?,
        actor: text(row, 4)?,
        note: maybe_text(row, 5)?,
        // One of a later build is not this one's to make.
        state: known.unwrap_or(ScheduledState::Cancelled),
        outcome: maybe_text(row, 7)?,
    })
}
