//! Leases: who of several processes does what one of them is to do.

use crate::store::error::is_duplicate;
use crate::store::{Store, StoreResult};

impl Store {
    /// Takes or renews a named lease until `now + for_ms`; says whether `owner` holds it.
    pub async fn lease(&self, name: &str, owner: &str, now: i64, for_ms: i64) -> StoreResult<bool> {
        let expires = now.saturating_add(for_ms);
        // Rows that match count as affected even where nothing changes: sqlx asks MySQL for that.
        let renewed = sqlx::query(
            "UPDATE leases SET owner = ?, expires_ms = ? WHERE name = ? AND (owner = ? OR expires_ms <= ?)",
        )
        .bind(owner)
        .bind(expires)
        .bind(name)
        .bind(owner)
        .bind(now)
        .execute(&self.pool)
        .await?;
        if renewed.rows_affected() > 0 {
            return Ok(true);
        }
        let taken = sqlx::query("INSERT INTO leases (name, owner, expires_ms) VALUES (?, ?, ?)")
            .bind(name)
            .bind(owner)
            .bind(expires)
            .execute(&self.pool)
            .await;
        match taken {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
