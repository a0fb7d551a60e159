//! Names of modules: which bytes `id@version` stands for, and which version an id alone.
//!
//! A name is given once. Its row is written in the transaction that stores the module, so of two gateways that upload
//! at once one is refused, and it stays when the module is deleted, so that nobody else can take the name over.

use sqlx::{Any, Transaction};

use crate::store::error::is_duplicate;
use crate::store::rows::{maybe_text, text};
use crate::store::{ModuleName, ModuleOrigin, ModuleRow, Store, StoreError, StoreResult};

const SELECT: &str =
    "SELECT version, digest, origin, CAST(deleted_at AS CHAR) FROM module_versions WHERE module_id = ?";

impl Store {
    /// What `id@version` stands for; `None` where it was never given.
    pub async fn module_name(&self, id: &str, version: &str) -> StoreResult<Option<ModuleName>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} AND version = ?")))
            .bind(id)
            .bind(version)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(name_row).transpose()
    }

    /// The same, where its module is there.
    pub(in crate::store) async fn name(&self, id: &str, version: &str) -> StoreResult<Option<ModuleName>> {
        let name = self.module_name(id, version).await?;
        Ok(name.filter(|name| !name.deleted))
    }

    /// Digest of the highest version of an id, as semantic versions are ordered; a pre-release only where there is no
    /// release. Where a version of it came with a gateway, only such versions and their replacements count: what
    /// anybody had uploaded under that id before ids were reserved is named in full, or not at all.
    pub(in crate::store) async fn highest(&self, id: &str) -> StoreResult<Option<String>> {
        let rows = sqlx::query(SELECT).bind(id).fetch_all(&self.pool).await?;
        let names: Vec<ModuleName> = rows.iter().map(name_row).collect::<StoreResult<_>>()?;
        let reserved = names.iter().any(|name| name.origin == ModuleOrigin::Builtin);
        let candidates = names
            .into_iter()
            .filter(|name| !name.deleted && (!reserved || name.origin != ModuleOrigin::Upload));
        let highest = candidates.max_by_key(|name| {
            let version = semver::Version::parse(&name.version).ok();
            let released = version.as_ref().is_some_and(|version| version.pre.is_empty());
            (released, version)
        });
        Ok(highest.map(|name| name.digest))
    }

    /// Digests of the modules that came with a gateway.
    pub async fn builtin_modules(&self) -> StoreResult<Vec<String>> {
        let rows = sqlx::query("SELECT digest FROM module_versions WHERE origin = ?")
            .bind(ModuleOrigin::Builtin.as_str())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| text(row, 0)).collect()
    }

    /// Gives a module its name, unless other bytes have it. A built-in one takes its own from an upload that no flag
    /// had allowed to stand for it.
    pub(in crate::store) async fn take_name(
        &self,
        tx: &mut Transaction<'_, Any>,
        module: &ModuleRow,
        origin: ModuleOrigin,
    ) -> StoreResult<()> {
        let inserted = sqlx::query(
            "INSERT INTO module_versions (module_id, version, digest, origin) VALUES (?, ?, ?, ?)",
        )
        .bind(module.id.as_str())
        .bind(module.version.as_str())
        .bind(module.digest.as_str())
        .bind(origin.as_str())
        .execute(&mut **tx)
        .await;
        match inserted {
            Ok(_) => return Ok(()),
            Err(error) if is_duplicate(&error) => {}
            Err(error) => return Err(error.into()),
        }
        // Without a lock: who was refused a name keeps a shared one on its row, and two of those would wait for each other.
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} AND version = ?")))
            .bind(module.id.as_str())
            .bind(module.version.as_str())
            .fetch_one(&mut **tx)
            .await?;
        let there = name_row(&row)?;
        let taken_back = origin == ModuleOrigin::Builtin && there.origin == ModuleOrigin::Upload;
        if there.digest != module.digest && !taken_back {
            return Err(taken(module, &there));
        }
        if there.digest == module.digest && !there.deleted && !taken_back {
            return Ok(());
        }
        let origin = if taken_back { origin } else { there.origin };
        sqlx::query(
            "UPDATE module_versions SET digest = ?, origin = ?, deleted_at = NULL WHERE module_id = ? AND version = ?",
        )
        .bind(module.digest.as_str())
        .bind(origin.as_str())
        .bind(module.id.as_str())
        .bind(module.version.as_str())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// That a name stands for other bytes.
pub fn taken(module: &ModuleRow, there: &ModuleName) -> StoreError {
    let (ModuleRow { id, version, .. }, digest) = (module, &there.digest);
    let what = match there.deleted {
        false => format!("{id}@{version} is there with other bytes, digest {digest}"),
        true => format!("{id}@{version} was there with other bytes, digest {digest}, and was deleted"),
    };
    StoreError::Conflict(format!(
        "{what}: a version stands for the same bytes for good. Upload yours under a new version"
    ))
}

fn name_row(row: &sqlx::any::AnyRow) -> StoreResult<ModuleName> {
    let origin: String = text(row, 2)?;
    Ok(ModuleName {
        version: text(row, 0)?,
        digest: text(row, 1)?,
        origin: ModuleOrigin::of(&origin)
            .ok_or_else(|| StoreError::Permanent(format!("a stored module has the origin {origin:?}")))?,
        deleted: maybe_text(row, 3)?.is_some(),
    })
}
