//! Keys of the control plane: rows of `api_keys`. A key is read by the hash of its text on every request, so that one that was revoked
//! is nobody's at once, at every gateway.

pub(in crate::store) mod merchants;
pub(in crate::store) mod owners;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::access::{KeyHead, Scope};
use crate::audit::AuditLine;
use crate::store::rows::{json, maybe_moment, maybe_text, moment, text, to_json};
use crate::store::{Store, StoreResult, time};

/// A key, but for its text. Moments in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRow {
    pub head: KeyHead,
    pub created_at: i64,
    /// As the audit trail names whoever made it.
    pub created_by: String,
    /// The key it was made with; `None`: the root token.
    pub made_with: Option<String>,
    pub revoked_at: Option<i64>,
    /// To the minute.
    pub last_used_at: Option<i64>,
}

/// How a key stands; since when, milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Good,
    Expired(i64),
    Revoked(i64),
}

impl ApiKeyRow {
    pub fn state(&self, now: i64) -> KeyState {
        match (self.revoked_at, self.head.expires_at) {
            (Some(at), _) => KeyState::Revoked(at),
            (None, Some(at)) if at <= now => KeyState::Expired(at),
            (None, _) => KeyState::Good,
        }
    }
}

const SELECT: &str = "SELECT key_id, name, person, merchant, scopes, CAST(expires_at AS CHAR), CAST(created_at AS CHAR), \
     created_by, CAST(revoked_at AS CHAR), CAST(last_used_at AS CHAR), made_with FROM api_keys";

fn row(row: &AnyRow) -> StoreResult<ApiKeyRow> {
    // A scope that a later release knows opens nothing here.
    let named: Vec<String> = json(row, 4)?;
    let scopes = named.iter().filter_map(|name| Scope::named(name)).collect();
    Ok(ApiKeyRow {
        head: KeyHead {
            id: text(row, 0)?,
            name: text(row, 1)?,
            person: text(row, 2)?,
            merchant: maybe_text(row, 3)?,
            scopes,
            expires_at: maybe_moment(row, 5)?,
        },
        created_at: moment(row, 6)?,
        created_by: text(row, 7)?,
        revoked_at: maybe_moment(row, 8)?,
        last_used_at: maybe_moment(row, 9)?,
        made_with: maybe_text(row, 10)?,
    })
}

impl Store {
    /// A new key; `digest` is the hash of its text, in hex.
    pub async fn insert_key(
        &self,
        new: &ApiKeyRow,
        digest: &str,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<()> {
        let head = &new.head;
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO api_keys (key_id, name, person, merchant, scopes, expires_at, created_at, created_by, digest, made_with) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(head.id.as_str())
        .bind(head.name.as_str())
        .bind(head.person.as_str())
        .bind(head.merchant.as_deref())
        .bind(to_json(&head.scopes)?)
        .bind(head.expires_at.map(time::to_text).transpose()?)
        .bind(time::to_text(new.created_at)?)
        .bind(new.created_by.as_str())
        .bind(digest)
        .bind(new.made_with.as_deref())
        .execute(&mut *tx)
        .await?;
        self.append_audit(&mut tx, audit).await?;
        Ok(tx.commit().await?)
    }

    /// The key whose text has this hash, in hex, whether it is good or not.
    pub async fn key_by_digest(&self, digest: &str) -> StoreResult<Option<ApiKeyRow>> {
        let sql = format!("{SELECT} WHERE digest = ?");
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(digest)
            .fetch_optional(&self.pool)
            .await?;
        found.as_ref().map(row).transpose()
    }

    pub async fn key(&self, id: &str) -> StoreResult<Option<ApiKeyRow>> {
        let sql = format!("{SELECT} WHERE key_id = ?");
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        found.as_ref().map(row).transpose()
    }

    /// Newest first, those made before the key `before`, at most `limit`; of one merchant where it is named.
    pub async fn keys(
        &self,
        merchant: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<ApiKeyRow>> {
        let mut sql = format!("{SELECT} WHERE 1 = 1");
        if merchant.is_some() {
            sql += " AND merchant = ?";
        }
        if before.is_some() {
            sql += " AND seq < (SELECT b.seq FROM api_keys b WHERE b.key_id = ?)";
        }
        sql += " ORDER BY seq DESC LIMIT ?";
        let texts = [merchant, before].into_iter().flatten();
        let query = texts.fold(sqlx::query(AssertSqlSafe(sql)), |query, text| query.bind(text));
        let rows = query.bind(i64::from(limit)).fetch_all(&self.pool).await?;
        rows.iter().map(row).collect()
    }

    /// Nobody's from now on; `false` where that is so already, or there is no such key.
    pub async fn revoke_key(&self, id: &str, now: i64, audit: &[AuditLine<'_>]) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let done = sqlx::query("UPDATE api_keys SET revoked_at = ? WHERE key_id = ? AND revoked_at IS NULL")
            .bind(time::to_text(now)?)
            .bind(id)
            .execute(&mut *tx)
            .await?;
        self.commit_if(tx, done.rows_affected() > 0, audit).await
    }

    /// Notes that a key was used, unless somebody has since `since`.
    pub async fn key_used(&self, id: &str, now: i64, since: i64) -> StoreResult<()> {
        sqlx::query(
            "UPDATE api_keys SET last_used_at = ? WHERE key_id = ? AND (last_used_at IS NULL OR last_used_at < ?)",
        )
        .bind(time::to_text(now)?)
        .bind(id)
        .bind(time::to_text(since)?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
