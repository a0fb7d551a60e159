//! Sessions of the console: rows of `console_sessions`, by hashes alone.

use crate::store::rows::text;
use crate::store::{Store, StoreResult, time};

impl Store {
    /// Writes down a session of a key until `expires_at`, and forgets those that are over. Moments in milliseconds since
    /// 1970-01-01 UTC.
    pub async fn begin_session(
        &self,
        session_hash: &str,
        key_hash: &str,
        now: i64,
        expires_at: i64,
    ) -> StoreResult<()> {
        sqlx::query("DELETE FROM console_sessions WHERE expires_at <= ?")
            .bind(time::to_text(now)?)
            .execute(&self.pool)
            .await?;
        sqlx::query(
            "INSERT INTO console_sessions (session_hash, key_hash, begun_at, expires_at) VALUES (?, ?, ?, ?)",
        )
        .bind(session_hash)
        .bind(key_hash)
        .bind(time::to_text(now)?)
        .bind(time::to_text(expires_at)?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The hash of the key that a session was begun with; `None` where it is over or was none.
    pub async fn session_key(&self, session_hash: &str, now: i64) -> StoreResult<Option<String>> {
        let row =
            sqlx::query("SELECT key_hash FROM console_sessions WHERE session_hash = ? AND expires_at > ?")
                .bind(session_hash)
                .bind(time::to_text(now)?)
                .fetch_optional(&self.pool)
                .await?;
        row.map(|row| text(&row, 0)).transpose()
    }

    pub async fn end_session(&self, session_hash: &str) -> StoreResult<()> {
        sqlx::query("DELETE FROM console_sessions WHERE session_hash = ?")
            .bind(session_hash)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Ends every session of a key.
    pub async fn end_sessions_of(&self, key_hash: &str) -> StoreResult<()> {
        sqlx::query("DELETE FROM console_sessions WHERE key_hash = ?")
            .bind(key_hash)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
