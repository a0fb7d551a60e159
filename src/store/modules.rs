//! Stored rule modules. Bytes are kept in pieces, because one packet holds 16 MiB by default and a
//! module may be larger.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::error::is_duplicate;
use super::rows::{json, moment, text, to_json};
use super::{ModuleRow, Store, StoreError, StoreResult, time};

const CHUNK_BYTES: usize = 1 << 20;

const SELECT: &str = "SELECT digest, module_id, version, descriptor, CAST(uploaded_at AS CHAR) FROM modules";
const NEWEST_FIRST: &str = "ORDER BY uploaded_at DESC, seq DESC";

impl Store {
    /// Stores a module; `false` when these bytes were stored before.
    pub async fn insert_module(&self, module: &ModuleRow, bytes: &[u8]) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let inserted = sqlx::query(
            "INSERT INTO modules (digest, module_id, version, descriptor, size, uploaded_at) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(module.digest.as_str())
        .bind(module.id.as_str())
        .bind(module.version.as_str())
        .bind(to_json(&module.descriptor)?)
        .bind(bytes.len() as i64)
        .bind(time::to_text(module.uploaded_at)?)
        .execute(&mut *tx)
        .await;
        match inserted {
            Ok(_) => {}
            Err(error) if is_duplicate(&error) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        for (position, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
            sqlx::query("INSERT INTO module_chunks (digest, position, bytes) VALUES (?, ?, ?)")
                .bind(module.digest.as_str())
                .bind(position as i64)
                .bind(chunk.to_vec())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Newest upload first.
    pub async fn modules(&self) -> StoreResult<Vec<ModuleRow>> {
        let rows = sqlx::query(AssertSqlSafe(format!("{SELECT} {NEWEST_FIRST}")))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(module_row).collect()
    }

    /// By `id` (newest upload), `id@version` (newest upload of it) or digest.
    pub async fn module(&self, selector: &str) -> StoreResult<Option<ModuleRow>> {
        let row = if let Some((id, version)) = selector.split_once('@') {
            let sql = format!("{SELECT} WHERE module_id = ? AND version = ? {NEWEST_FIRST} LIMIT 1");
            sqlx::query(AssertSqlSafe(sql))
                .bind(id)
                .bind(version)
                .fetch_optional(&self.pool)
                .await?
        } else {
            let column = if is_digest(selector) {
                "digest"
            } else {
                "module_id"
            };
            let sql = format!("{SELECT} WHERE {column} = ? {NEWEST_FIRST} LIMIT 1");
            sqlx::query(AssertSqlSafe(sql))
                .bind(selector)
                .fetch_optional(&self.pool)
                .await?
        };
        row.as_ref().map(module_row).transpose()
    }

    pub async fn module_bytes(&self, digest: &str) -> StoreResult<Option<Vec<u8>>> {
        let size: Option<i64> = sqlx::query_scalar("SELECT size FROM modules WHERE digest = ?")
            .bind(digest)
            .fetch_optional(&self.pool)
            .await?;
        let Some(size) = size else { return Ok(None) };
        let rows = sqlx::query("SELECT bytes FROM module_chunks WHERE digest = ? ORDER BY position")
            .bind(digest)
            .fetch_all(&self.pool)
            .await?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        for row in &rows {
            bytes.extend_from_slice(row.try_get::<&[u8], _>(0)?);
        }
        if bytes.len() as i64 != size {
            return Err(StoreError::Permanent(format!(
                "module {digest}: {} of {size} bytes are stored",
                bytes.len()
            )));
        }
        Ok(Some(bytes))
    }
}

fn is_digest(selector: &str) -> bool {
    selector.len() == 64 && selector.bytes().all(|b| b.is_ascii_hexdigit())
}

fn module_row(row: &AnyRow) -> StoreResult<ModuleRow> {
    Ok(ModuleRow {
        digest: text(row, 0)?,
        id: text(row, 1)?,
        version: text(row, 2)?,
        descriptor: json(row, 3)?,
        uploaded_at: moment(row, 4)?,
    })
}
