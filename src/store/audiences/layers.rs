//! Versions of a list that share buckets: one that was uploaded whole, and those made from it by changing members, of
//! which only the buckets that changed are written. A version's bucket is the one that changed last, up to it.

use std::collections::BTreeMap;

use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use super::{Parts, write_version};
use crate::audit::AuditLine;
use crate::plan::fold::list_of;
use crate::store::dialect::{pieces, placeholders};
use crate::store::rows::{int, json, narrow, text};
use crate::store::{AudienceRow, ChangedAudience, Store, StoreError, StoreResult};

/// Where a version's buckets are.
struct Place {
    /// They are kept under this.
    upload: String,
    buckets: u32,
}

impl Store {
    /// Packed buckets of a version from number `from` on, at most `limit`, in order. Fewer than asked for
    /// only at the end of the list; an error where one is missing.
    pub async fn audience_buckets(
        &self,
        id: &str,
        version: u32,
        from: u32,
        limit: u32,
    ) -> StoreResult<Vec<Vec<u8>>> {
        let place = self.place_of(id, version).await?;
        let mut buckets = self.base_buckets(id, version, &place, from, limit).await?;
        let rows = sqlx::query(
            "SELECT c.bucket, c.members FROM audience_changes c JOIN (SELECT bucket, MAX(version) AS version FROM \
             audience_changes WHERE upload = ? AND bucket >= ? AND bucket < ? AND version <= ? GROUP BY bucket) n \
             ON n.bucket = c.bucket AND n.version = c.version WHERE c.upload = ?",
        )
        .bind(place.upload.as_str())
        .bind(i64::from(from))
        .bind(i64::from(from) + i64::from(limit))
        .bind(i64::from(version))
        .bind(place.upload.as_str())
        .fetch_all(&self.pool)
        .await?;
        for row in &rows {
            let at = int(row, 0)? - i64::from(from);
            if let Some(bucket) = usize::try_from(at).ok().and_then(|at| buckets.get_mut(at)) {
                *bucket = row.try_get(1)?;
            }
        }
        Ok(buckets)
    }

    /// The same of the version that was uploaded whole and that this one was made from; itself where it was.
    pub async fn audience_base(
        &self,
        id: &str,
        version: u32,
        from: u32,
        limit: u32,
    ) -> StoreResult<Vec<Vec<u8>>> {
        let place = self.place_of(id, version).await?;
        self.base_buckets(id, version, &place, from, limit).await
    }

    /// The buckets that changed since the version that was uploaded whole, and with which version each of them did
    /// last.
    pub async fn audience_changed(&self, id: &str, version: u32) -> StoreResult<BTreeMap<u32, u32>> {
        let place = self.place_of(id, version).await?;
        let rows = sqlx::query(
            "SELECT bucket, MAX(version) FROM audience_changes WHERE upload = ? AND version <= ? GROUP BY bucket",
        )
        .bind(place.upload.as_str())
        .bind(i64::from(version))
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| Ok((narrow(row, 0)?, narrow(row, 1)?)))
            .collect()
    }

    /// What the digest of a version is made of; `None` of one that is not the newest, or from an earlier release.
    pub async fn audience_partitions(&self, id: &str, version: u32) -> StoreResult<Option<Vec<u8>>> {
        let row = sqlx::query("SELECT partitions FROM audiences WHERE audience_id = ? AND version = ?")
            .bind(id)
            .bind(i64::from(version))
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
    }

    /// Stores a version that differs from the newest one in some buckets; `None`, and nothing is stored, where that
    /// is not the newest one any more. Lines of the audit trail get its number as `version`.
    pub async fn change_audience(
        &self,
        new: &ChangedAudience,
        audit: Vec<AuditLine<'_>>,
    ) -> StoreResult<Option<AudienceRow>> {
        let from = &new.from;
        let place = self.place_of(&from.id, from.version).await?;
        let mut tx = self.begin().await?;
        let row = AudienceRow {
            version: from.version + 1,
            members: new.members,
            digest: new.digest.clone(),
            uploaded_at: new.uploaded_at,
            base: Some(from.base.unwrap_or(from.version)),
            kind: new.kind.clone(),
            ..from.clone()
        };
        // A release that knows no layers looks for buckets under the version's own upload, and says that they are
        // missing.
        let parts = Parts {
            upload: &new.upload,
            base_upload: Some(&place.upload),
            partitions: &new.partitions,
        };
        if !write_version(&mut tx, &row, &parts).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        write_changes(&mut tx, &place.upload, row.version, &new.buckets).await?;
        let lines = audit.into_iter().map(|line| line.saying("version", row.version));
        self.append_audit(&mut tx, &lines.collect::<Vec<_>>()).await?;
        tx.commit().await?;
        self.forget_partitions(&row).await;
        Ok(Some(row))
    }

    async fn place_of(&self, id: &str, version: u32) -> StoreResult<Place> {
        let found = sqlx::query(
            "SELECT COALESCE(base_upload, upload), buckets FROM audiences WHERE audience_id = ? AND version = ?",
        )
        .bind(id)
        .bind(i64::from(version))
        .fetch_optional(&self.pool)
        .await?;
        match found {
            None => Err(missing(id, version, "it is not stored any more")),
            Some(row) => Ok(Place {
                upload: text(&row, 0)?,
                buckets: narrow(&row, 1)?,
            }),
        }
    }

    async fn base_buckets(
        &self,
        id: &str,
        version: u32,
        place: &Place,
        from: u32,
        limit: u32,
    ) -> StoreResult<Vec<Vec<u8>>> {
        let rows = sqlx::query(
            "SELECT bucket, members FROM audience_buckets WHERE upload = ? AND bucket >= ? AND bucket < ? ORDER BY bucket",
        )
        .bind(place.upload.as_str())
        .bind(i64::from(from))
        .bind(i64::from(from) + i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let mut buckets = Vec::with_capacity(rows.len());
        for (expected, row) in (i64::from(from)..).zip(&rows) {
            if int(row, 0)? != expected {
                return Err(missing(id, version, &format!("bucket {expected} is missing")));
            }
            buckets.push(row.try_get::<Vec<u8>, _>(1)?);
        }
        match buckets.len() as u32 == limit.min(place.buckets.saturating_sub(from)) {
            true => Ok(buckets),
            false => Err(missing(id, version, "buckets at its end are missing")),
        }
    }

    /// Removes a version that is not the newest and that no revision pins; `Conflict` says why not.
    /// `false` where there is none.
    pub async fn delete_audience(
        &self,
        id: &str,
        version: u32,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let lock = self.dialect.for_update();
        let sql = format!(
            "SELECT COALESCE(base_upload, upload) FROM audiences WHERE audience_id = ? AND version = ?{lock}"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .bind(i64::from(version))
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(false) };
        let newest: i64 = sqlx::query_scalar("SELECT MAX(version) FROM audiences WHERE audience_id = ?")
            .bind(id)
            .fetch_one(&mut *tx)
            .await?;
        if newest == i64::from(version) {
            return Err(StoreError::Conflict(format!(
                "version {version} is the newest of the list {id:?}, which the next revision takes; upload the list that \
                 is to replace it first, an empty one (?strict=false) if need be"
            )));
        }
        if let Some(user) = pinned_by(&mut tx, id, version).await? {
            return Err(StoreError::Conflict(format!(
                "version {version} of the list {id:?} is pinned by {user}, which may be activated again"
            )));
        }
        sqlx::query("DELETE FROM audiences WHERE audience_id = ? AND version = ?")
            .bind(id)
            .bind(i64::from(version))
            .execute(&mut *tx)
            .await?;
        delete_unused(&mut tx, id, &text(&row, 0)?).await?;
        delete_folded(&mut tx, id, version).await?;
        self.append_audit(&mut tx, audit).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn missing(id: &str, version: u32, what: &str) -> StoreError {
    StoreError::Permanent(format!("list {id:?}, version {version}: {what}"))
}

async fn write_changes(
    tx: &mut Transaction<'_, Any>,
    upload: &str,
    version: u32,
    buckets: &[(u32, Vec<u8>)],
) -> StoreResult<()> {
    for range in pieces(buckets.len()) {
        let marks = placeholders(range.len(), 4);
        let sql = format!("INSERT INTO audience_changes (upload, bucket, version, members) VALUES {marks}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (bucket, members) in &buckets[range] {
            query = query
                .bind(upload)
                .bind(i64::from(*bucket))
                .bind(i64::from(version))
                .bind(members.as_slice());
        }
        query.execute(&mut **tx).await?;
    }
    Ok(())
}

/// Removes what was made of a version by folding its members.
async fn delete_folded(tx: &mut Transaction<'_, Any>, id: &str, version: u32) -> StoreResult<()> {
    let rows =
        sqlx::query("SELECT audience_id, upload FROM audiences WHERE audience_id LIKE ? AND version = ?")
            .bind(format!("{id}~%"))
            .bind(i64::from(version))
            .fetch_all(&mut **tx)
            .await?;
    for row in &rows {
        let (key, upload) = (text(row, 0)?, text(row, 1)?);
        // To LIKE, an underline is any letter.
        if list_of(&key).0 == id {
            sqlx::query("DELETE FROM audiences WHERE audience_id = ? AND version = ?")
                .bind(key.as_str())
                .bind(i64::from(version))
                .execute(&mut **tx)
                .await?;
            sqlx::query("DELETE FROM audience_buckets WHERE upload = ?")
                .bind(upload.as_str())
                .execute(&mut **tx)
                .await?;
        }
    }
    Ok(())
}

/// Removes buckets that no version has any more.
async fn delete_unused(tx: &mut Transaction<'_, Any>, id: &str, upload: &str) -> StoreResult<()> {
    let rows = sqlx::query(
        "SELECT version FROM audiences WHERE audience_id = ? AND COALESCE(base_upload, upload) = ? ORDER BY version",
    )
    .bind(id)
    .bind(upload)
    .fetch_all(&mut **tx)
    .await?;
    let versions = rows
        .iter()
        .map(|row| int(row, 0))
        .collect::<StoreResult<Vec<i64>>>()?;
    if versions.is_empty() {
        for table in ["audience_buckets", "audience_changes"] {
            let sql = format!("DELETE FROM {table} WHERE upload = ?");
            sqlx::query(AssertSqlSafe(sql))
                .bind(upload)
                .execute(&mut **tx)
                .await?;
        }
        return Ok(());
    }
    let rows =
        sqlx::query("SELECT bucket, version FROM audience_changes WHERE upload = ? ORDER BY bucket, version")
            .bind(upload)
            .fetch_all(&mut **tx)
            .await?;
    let changes = rows
        .iter()
        .map(|row| Ok((int(row, 0)?, int(row, 1)?)))
        .collect::<StoreResult<Vec<(i64, i64)>>>()?;
    for (bucket, version) in unused(&changes, &versions) {
        sqlx::query("DELETE FROM audience_changes WHERE upload = ? AND bucket = ? AND version = ?")
            .bind(upload)
            .bind(bucket)
            .bind(version)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Of these changes (bucket, version; sorted), those that no version has: it is older, or has a later one.
fn unused(changes: &[(i64, i64)], versions: &[i64]) -> Vec<(i64, i64)> {
    let until = |at: usize| match changes.get(at + 1) {
        Some((bucket, later)) if *bucket == changes[at].0 => *later,
        _ => i64::MAX,
    };
    let is_unused = |at: &usize| {
        let seen = changes[*at].1..until(*at);
        !versions.iter().any(|version| seen.contains(version))
    };
    let all = (0..changes.len()).filter(is_unused);
    all.map(|at| changes[at]).collect()
}

/// A revision that pins the version, if there is one. JSON text is compared as text first, so that only
/// revisions that name the list are read.
async fn pinned_by(tx: &mut Transaction<'_, Any>, id: &str, version: u32) -> StoreResult<Option<String>> {
    let rows = sqlx::query(
        "SELECT campaign_id, revision, audiences FROM revisions WHERE audiences LIKE ? OR audiences LIKE ? \
         ORDER BY campaign_id, revision",
    )
    .bind(format!("%\"{id}\"%"))
    .bind(format!("%\"{id}~%"))
    .fetch_all(&mut **tx)
    .await?;
    for row in &rows {
        let pinned: crate::plan::Audiences = json(row, 2)?;
        let mut of_list = pinned.iter().filter(|(key, _)| list_of(key).0 == id);
        if of_list.any(|(_, list)| list.version == version) {
            let (campaign, revision) = (text(row, 0)?, int(row, 1)?);
            return Ok(Some(format!("revision {revision} of campaign {campaign:?}")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_kept_as_long_as_a_version_has_it() {
        // Bucket 1 changed with versions 3 and 5, bucket 2 with 4.
        let changes = [(1, 3), (1, 5), (2, 4)];
        assert_eq!(unused(&changes, &[2, 3, 4, 5]), []);
        assert_eq!(unused(&changes, &[2, 5]), [(1, 3)]);
        assert_eq!(unused(&changes, &[4]), [(1, 5)]);
        assert_eq!(unused(&changes, &[2]), changes);
    }
}
