//! Webhooks: the endpoints, and what each is told.

pub(super) mod deliveries;
pub(super) mod log;
pub(super) mod outcome;
pub(super) mod prune;

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::audit::AuditLine;
use crate::store::rows::{json, maybe_moment, maybe_text, moment, text, to_json};
use crate::store::{Store, StoreResult, time};
use crate::wire::secret::Hidden;

/// An endpoint. Moments in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRow {
    /// 32 lower-case hex digits.
    pub id: String,
    /// Whose it is.
    pub merchant: String,
    /// `None`: of all campaigns of its merchant.
    pub campaign: Option<String>,
    pub url: String,
    /// Empty: every event.
    pub events: Vec<String>,
    pub secret: Hidden,
    /// The secret before, and until when it signs as well.
    pub previous: Option<(Hidden, i64)>,
    pub note: Option<String>,
    pub created_at: i64,
    pub disabled: Option<Disabled>,
    /// Nothing was delivered since then, and something failed.
    pub failing_since: Option<i64>,
    /// Another one after each change through the control plane.
    pub tag: String,
}

/// That nothing is sent to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disabled {
    pub at: i64,
    /// What it did; `None`: somebody disabled it.
    pub why: Option<String>,
}

/// Whether an endpoint is sent to after a change.
#[derive(Clone, Copy, Debug)]
pub enum Sending<'a> {
    AsItWas,
    Disabled(&'a Disabled),
    Enabled,
}

impl WebhookRow {
    /// Whether it is to hear of an event of a merchant: one of a campaign, or of all of them.
    pub fn asks_for(&self, event: &str, campaign: Option<&str>, merchant: Option<&str>) -> bool {
        let is_heard = match &self.campaign {
            Some(own) => campaign == Some(own.as_str()),
            None => merchant == Some(self.merchant.as_str()),
        };
        is_heard && (self.events.is_empty() || self.events.iter().any(|named| named == event))
    }
}

const SELECT: &str = "SELECT webhook_id, campaign_id, url, events, secret, previous_secret, CAST(previous_until AS CHAR), note, \
     CAST(created_at AS CHAR), CAST(disabled_at AS CHAR), disabled_why, CAST(failing_since AS CHAR), merchant, \
     COALESCE(tag, webhook_id) FROM webhooks";

fn row(row: &AnyRow) -> StoreResult<WebhookRow> {
    let disabled = maybe_moment(row, 9)?.map(|at| {
        let why = maybe_text(row, 10)?;
        Ok::<_, crate::store::StoreError>(Disabled { at, why })
    });
    Ok(WebhookRow {
        id: text(row, 0)?,
        campaign: maybe_text(row, 1)?,
        url: text(row, 2)?,
        events: json(row, 3)?,
        secret: Hidden(text(row, 4)?),
        previous: maybe_text(row, 5)?.map(Hidden).zip(maybe_moment(row, 6)?),
        note: maybe_text(row, 7)?,
        created_at: moment(row, 8)?,
        disabled: disabled.transpose()?,
        failing_since: maybe_moment(row, 11)?,
        merchant: text(row, 12)?,
        tag: text(row, 13)?,
    })
}

impl Store {
    /// A new endpoint, which is sent to.
    pub async fn insert_webhook(&self, new: &WebhookRow, audit: &[AuditLine<'_>]) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO webhooks (webhook_id, campaign_id, url, events, secret, note, created_at, merchant) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(new.id.as_str())
        .bind(new.campaign.as_deref())
        .bind(new.url.as_str())
        .bind(to_json(&new.events)?)
        .bind(new.secret.0.as_str())
        .bind(new.note.as_deref())
        .bind(time::to_text(new.created_at)?)
        .bind(new.merchant.as_str())
        .execute(&mut *tx)
        .await?;
        self.append_audit(&mut tx, audit).await?;
        Ok(tx.commit().await?)
    }

    /// All of them, the oldest first: there are few.
    pub async fn webhooks(&self) -> StoreResult<Vec<WebhookRow>> {
        let sql = format!("{SELECT} ORDER BY created_at, webhook_id");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.pool).await?;
        rows.iter().map(row).collect()
    }

    pub async fn webhook(&self, id: &str) -> StoreResult<Option<WebhookRow>> {
        let sql = format!("{SELECT} WHERE webhook_id = ?");
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        found.as_ref().map(row).transpose()
    }

    /// Writes URL, events and note of an endpoint, disables it or sends to it again, and what the audit trail says of that, in one
    /// transaction; `false` where it is gone.
    pub async fn change_webhook(
        &self,
        changed: &WebhookRow,
        sending: Sending<'_>,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let done = sqlx::query("UPDATE webhooks SET url = ?, events = ?, note = ? WHERE webhook_id = ?")
            .bind(changed.url.as_str())
            .bind(to_json(&changed.events)?)
            .bind(changed.note.as_deref())
            .bind(changed.id.as_str())
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        match sending {
            Sending::AsItWas => {}
            Sending::Disabled(disabled) => drop(disable(&mut tx, &changed.id, disabled).await?),
            Sending::Enabled => enable(&mut tx, &changed.id).await?,
        }
        self.append_audit(&mut tx, audit).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Gives an endpoint another secret; the one that it had signs as well until `keep_until`. `false` where it is gone.
    pub async fn rotate_webhook(
        &self,
        id: &str,
        secret: &Hidden,
        keep_until: i64,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        // From left to right: MySQL has changed already what stands before.
        let done = sqlx::query(
            "UPDATE webhooks SET previous_secret = secret, previous_until = ?, secret = ? WHERE webhook_id = ?",
        )
        .bind(time::to_text(keep_until)?)
        .bind(secret.0.as_str())
        .bind(id)
        .execute(&mut *tx)
        .await?;
        self.commit_if(tx, done.rows_affected() > 0, audit).await
    }

    /// Sends nothing any more to an endpoint; `false` where that is so already.
    pub async fn disable_webhook(
        &self,
        id: &str,
        disabled: &Disabled,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let done = disable(&mut tx, id, disabled).await?;
        self.commit_if(tx, done, audit).await
    }

    /// Since when nothing has been delivered to an endpoint; `None`: something was.
    pub async fn webhook_fails(&self, id: &str, since: Option<i64>) -> StoreResult<()> {
        sqlx::query("UPDATE webhooks SET failing_since = ? WHERE webhook_id = ?")
            .bind(since.map(time::to_text).transpose()?)
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Removes an endpoint; `false` where it is gone. Its deliveries are pruned.
    pub async fn remove_webhook(&self, id: &str, audit: &[AuditLine<'_>]) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        for line in audit {
            self.check_tag(&mut tx, line).await?;
        }
        let done = sqlx::query("DELETE FROM webhooks WHERE webhook_id = ?")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        self.commit_if(tx, done.rows_affected() > 0, audit).await
    }

    /// Gives up a lease before it ends, so that another process need not wait.
    pub async fn leave_lease(&self, name: &str, owner: &str) -> StoreResult<()> {
        sqlx::query("DELETE FROM leases WHERE name = ? AND owner = ?")
            .bind(name)
            .bind(owner)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

async fn disable(tx: &mut Transaction<'_, Any>, id: &str, disabled: &Disabled) -> StoreResult<bool> {
    let done = sqlx::query(
        "UPDATE webhooks SET disabled_at = ?, disabled_why = ? WHERE webhook_id = ? AND disabled_at IS NULL",
    )
    .bind(time::to_text(disabled.at)?)
    .bind(disabled.why.as_deref())
    .bind(id)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

async fn enable(tx: &mut Transaction<'_, Any>, id: &str) -> StoreResult<()> {
    sqlx::query(
        "UPDATE webhooks SET disabled_at = NULL, disabled_why = NULL, failing_since = NULL \
         WHERE webhook_id = ? AND disabled_at IS NOT NULL",
    )
    .bind(id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
