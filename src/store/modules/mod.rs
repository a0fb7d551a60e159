//! Stored rule modules. Bytes are kept in pieces, because one packet holds 16 MiB by default and a
//! module may be larger.

pub(in crate::store) mod names;

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use crate::audit::AuditLine;
use crate::revision::Revision;
use crate::store::error::is_duplicate;
use crate::store::rows::{int, json, maybe_text, moment, text, to_json};
use crate::store::time;
use crate::store::{ModuleOrigin, ModuleRow, Store, StoreError, StoreResult};

const CHUNK_BYTES: usize = 1 << 20;

const SELECT: &str =
    "SELECT digest, module_id, version, descriptor, CAST(uploaded_at AS CHAR), merchant FROM modules";
const NEWEST_FIRST: &str = "ORDER BY uploaded_at DESC, seq DESC";

impl Store {
    /// Stores a module under its name, with what the audit trail says of it; `false` when these bytes were stored before. `Conflict` where `id@version`
    /// stands, or once stood, for other bytes: see [`crate::store::modules::names`].
    pub async fn insert_module(
        &self,
        module: &ModuleRow,
        bytes: &[u8],
        origin: ModuleOrigin,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        self.check_module_owner(&mut tx, module).await?;
        self.take_name(&mut tx, module, origin).await?;
        let inserted = sqlx::query(
            "INSERT INTO modules (digest, module_id, version, descriptor, size, uploaded_at, merchant) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(module.digest.as_str())
        .bind(module.id.as_str())
        .bind(module.version.as_str())
        .bind(to_json(&module.descriptor)?)
        .bind(bytes.len() as i64)
        .bind(time::to_text(module.uploaded_at)?)
        .bind(module.merchant.as_deref())
        .execute(&mut *tx)
        .await;
        match inserted {
            Ok(_) => {}
            Err(error) if is_duplicate(&error) => {
                // What became of the name stays.
                tx.commit().await?;
                return Ok(false);
            }
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
        self.append_audit(&mut tx, audit).await?;
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

    /// By `id` (its highest version: [`crate::store::modules::names`]), `id@version` or digest.
    pub async fn module(&self, selector: &str) -> StoreResult<Option<ModuleRow>> {
        let digest = match selector.split_once('@') {
            _ if is_digest(selector) => Some(selector.to_owned()),
            Some((id, version)) => self.name(id, version).await?.map(|name| name.digest),
            None => self.highest(selector).await?,
        };
        let Some(digest) = digest else { return Ok(None) };
        let row = sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE digest = ?")))
            .bind(digest)
            .fetch_optional(&self.pool)
            .await?;
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

    /// Keeps the modules of a revision from being deleted until the transaction that stores it has ended.
    pub(in crate::store) async fn hold_modules(
        &self,
        tx: &mut Transaction<'_, Any>,
        revision: &Revision,
    ) -> StoreResult<()> {
        let shadow = revision.shadow.iter().flat_map(|shadow| &shadow.rules);
        for rule in revision.rules.iter().chain(shadow) {
            let lock = self.dialect.for_share();
            let sql = format!("SELECT digest FROM modules WHERE digest = ?{lock}");
            let row = sqlx::query(AssertSqlSafe(sql))
                .bind(rule.digest.as_str())
                .fetch_optional(&mut **tx)
                .await?;
            if row.is_none() {
                let what = format!("module {}@{} was deleted meanwhile", rule.module, rule.version);
                return Err(StoreError::Conflict(what));
            }
        }
        Ok(())
    }

    /// Removes a module that no revision pins, at `now`; `Conflict` names the revision that does. Its name stays
    /// taken. `false` where there is none.
    pub async fn delete_module(&self, digest: &str, now: i64, audit: &[AuditLine<'_>]) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        // A revision that pins it meanwhile waits for this lock, and then finds it gone.
        let lock = self.dialect.for_update();
        let sql = format!("SELECT module_id, version FROM modules WHERE digest = ?{lock}");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(digest)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(false) };
        let (id, version): (String, String) = (text(&row, 0)?, text(&row, 1)?);
        // A digest is as good as random: text that holds it names it.
        let holds = format!("%\"{digest}\"%");
        let pinned = sqlx::query(
            "SELECT campaign_id, revision FROM revisions WHERE rules LIKE ? OR shadow LIKE ? \
             ORDER BY campaign_id, revision LIMIT 1",
        )
        .bind(holds.as_str())
        .bind(holds.as_str())
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = pinned {
            let (campaign, revision): (String, i64) = (text(&row, 0)?, int(&row, 1)?);
            return Err(StoreError::Conflict(format!(
                "module {id}@{version} is pinned by revision {revision} of campaign {campaign:?}, which may be \
                 activated again"
            )));
        }
        sqlx::query(
            "UPDATE module_versions SET deleted_at = ? WHERE module_id = ? AND version = ? AND digest = ?",
        )
        .bind(time::to_text(now)?)
        .bind(id)
        .bind(version)
        .bind(digest)
        .execute(&mut *tx)
        .await?;
        for table in ["module_chunks", "modules"] {
            sqlx::query(AssertSqlSafe(format!("DELETE FROM {table} WHERE digest = ?")))
                .bind(digest)
                .execute(&mut *tx)
                .await?;
        }
        self.append_audit(&mut tx, audit).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// 64 hex digits: no module has such an id.
pub fn is_digest(selector: &str) -> bool {
    selector.len() == 64 && selector.bytes().all(|b| b.is_ascii_hexdigit())
}

fn module_row(row: &AnyRow) -> StoreResult<ModuleRow> {
    Ok(ModuleRow {
        digest: text(row, 0)?,
        id: text(row, 1)?,
        version: text(row, 2)?,
        descriptor: json(row, 3)?,
        uploaded_at: moment(row, 4)?,
        merchant: maybe_text(row, 5)?,
    })
}
