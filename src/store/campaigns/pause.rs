//! Pauses of a campaign: the last one of them, and the next.

use sqlx::any::AnyRow;

use crate::audit::AuditLine;
use crate::campaign::{Pause, Paused};
use crate::store::rows::{maybe_moment, maybe_text, narrow};
use crate::store::{Store, StoreResult, time};

/// What the last pause or resume of a campaign said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PauseRow {
    pub pause: Pause,
    /// Since when it is paused, milliseconds since 1970-01-01 UTC; `None` where it is not.
    pub since: Option<i64>,
    /// Why, by whoever paused it.
    pub note: Option<String>,
}

impl Store {
    /// Puts a pause, or a resume, behind the one numbered `seen`, with what the audit trail says of it; says whether that is still the
    /// last.
    pub async fn insert_pause_after(
        &self,
        campaign: &str,
        seen: u64,
        next: &PauseRow,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let moment = |at: Option<i64>| at.map(time::to_text).transpose();
        let resume_at = next.pause.paused.and_then(|paused| paused.resume_at);
        let updated = sqlx::query(
            "UPDATE campaigns SET pauses = ?, paused_at = ?, resume_at = ?, pause_note = ? \
             WHERE campaign_id = ? AND pauses = ?",
        )
        .bind(next.pause.number as i64)
        .bind(moment(next.since)?)
        .bind(moment(resume_at)?)
        .bind(next.note.as_deref())
        .bind(campaign)
        .bind(seen as i64)
        .execute(&mut *tx)
        .await?;
        self.commit_if(tx, updated.rows_affected() > 0, audit).await
    }
}

/// From four columns: number, since when, until when, note.
pub(super) fn row(row: &AnyRow, from: usize) -> StoreResult<PauseRow> {
    let since = maybe_moment(row, from + 1)?;
    let resume_at = maybe_moment(row, from + 2)?;
    Ok(PauseRow {
        pause: Pause {
            number: narrow(row, from)?,
            paused: since.map(|_| Paused { resume_at }),
        },
        since,
        note: maybe_text(row, from + 3)?,
    })
}
