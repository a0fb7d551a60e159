//! Uploaded lists by version. A version's row is written last, in the transaction that wrote its
//! members: half an upload is none.

mod holding;
mod layers;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Executor, Transaction};

use crate::audience::ListKind;
use crate::audit::AuditLine;
use crate::store::dialect::{pieces, placeholders};
use crate::store::error::is_duplicate;
use crate::store::rows::{json, maybe_int, moment, narrow, text, to_json};
use crate::store::time;
use crate::store::{AudienceRow, NewAudience, Store, StoreError, StoreResult};

/// Bytes of buckets gathered for one round of statements: far below the 16 MiB of one packet, so
/// that no statement of it meets that limit.
const ROUND_BYTES: usize = 1 << 20;
/// Buckets of one round.
const ROUND_BUCKETS: usize = 256;
/// Tries of the next version number, when other uploads of the same list take it meanwhile.
const NUMBER_TRIES: u32 = 8;

const SELECT: &str = "SELECT audience_id, version, members, buckets, digest, CAST(uploaded_at AS CHAR), base, kind, prefixes FROM audiences";

impl Store {
    /// Stores a list as its next version, unless its newest version has the same members, or is another one than it has
    /// to come after: `false`, and that version. `buckets` are the packed buckets in any order, each with its number; an
    /// error in it is the answer, and nothing is stored. Lines of the audit trail get the number as `version`.
    pub async fn insert_audience<E: From<StoreError>>(
        &self,
        new: &NewAudience,
        buckets: BoxStream<'_, Result<(u32, Vec<u8>), E>>,
        audit: Vec<AuditLine<'_>>,
    ) -> Result<(bool, AudienceRow), E> {
        let tx = self.with_buckets(&new.upload, buckets).await?;
        Ok(self.number(tx, new, audit).await?)
    }

    /// Stores a version of a list with its members folded, under the number that it has unfolded, unless it is there already;
    /// `false`, and nothing is stored, where the list has no such version.
    pub async fn insert_folded<E: From<StoreError>>(
        &self,
        list: &str,
        version: u32,
        new: &NewAudience,
        buckets: BoxStream<'_, Result<(u32, Vec<u8>), E>>,
    ) -> Result<bool, E> {
        let mut tx = self.with_buckets(&new.upload, buckets).await?;
        // Who removes the version meanwhile waits, and then removes this as well.
        let lock = self.dialect.for_update();
        let sql = format!("SELECT version FROM audiences WHERE audience_id = ? AND version = ?{lock}");
        let there = sqlx::query(AssertSqlSafe(sql))
            .bind(list)
            .bind(i64::from(version))
            .fetch_optional(&mut *tx)
            .await
            .map_err(StoreError::from)?;
        if there.is_none() {
            tx.rollback().await.map_err(StoreError::from)?;
            return Ok(false);
        }
        let parts = Parts {
            upload: &new.upload,
            base_upload: None,
            partitions: &[],
        };
        match write_version(&mut tx, &row_of(new, version), &parts).await? {
            true => tx.commit().await.map_err(StoreError::from)?,
            false => tx.rollback().await.map_err(StoreError::from)?,
        }
        Ok(true)
    }

    /// A transaction that has written these buckets.
    async fn with_buckets<E: From<StoreError>>(
        &self,
        upload: &str,
        mut buckets: BoxStream<'_, Result<(u32, Vec<u8>), E>>,
    ) -> Result<Transaction<'static, Any>, E> {
        let mut tx = self.begin().await?;
        let (mut round, mut bytes) = (Vec::new(), 0);
        while let Some(bucket) = buckets.next().await {
            let bucket = bucket?;
            bytes += bucket.1.len();
            round.push(bucket);
            if bytes >= ROUND_BYTES || round.len() == ROUND_BUCKETS {
                write_buckets(&mut tx, upload, &round).await?;
                (round, bytes) = (Vec::new(), 0);
            }
        }
        write_buckets(&mut tx, upload, &round).await?;
        Ok(tx)
    }

    /// Gives the list its version, and commits.
    async fn number(
        &self,
        mut tx: Transaction<'static, Any>,
        new: &NewAudience,
        audit: Vec<AuditLine<'_>>,
    ) -> StoreResult<(bool, AudienceRow)> {
        // Without a lock: an upload that is refused a number keeps a shared one on its row, and two of those
        // would wait for each other.
        for _ in 0..NUMBER_TRIES {
            let there = newest(&mut *tx, &new.id).await?;
            if let Some(row) = &there
                && ((row.digest == new.digest && row.kind.name() == new.kind.name())
                    || new.after.is_some_and(|after| after != row.version))
            {
                tx.rollback().await?;
                return Ok((false, row.clone()));
            }
            let row = row_of(new, there.map_or(0, |row| row.version) + 1);
            let parts = Parts {
                upload: &new.upload,
                base_upload: None,
                partitions: &new.partitions,
            };
            if write_version(&mut tx, &row, &parts).await? {
                let lines = audit.into_iter().map(|line| line.saying("version", row.version));
                self.append_audit(&mut tx, &lines.collect::<Vec<_>>()).await?;
                tx.commit().await?;
                self.forget_partitions(&row).await;
                return Ok((true, row));
            }
        }
        Err(StoreError::Transient(format!(
            "the list {:?} is being uploaded by many at once",
            new.id
        )))
    }

    /// Forgets what the digest of the version before this one is made of: only the newest needs it. In no transaction, where
    /// uploads that meet would wait for each other; what stays is a few kilobytes.
    async fn forget_partitions(&self, newest: &AudienceRow) {
        let forgotten =
            sqlx::query("UPDATE audiences SET partitions = NULL WHERE audience_id = ? AND version = ?")
                .bind(newest.id.as_str())
                .bind(i64::from(newest.version) - 1)
                .execute(&self.pool)
                .await;
        if let Err(error) = forgotten {
            tracing::debug!(audience = newest.id, %error, "partitions of an earlier version stay");
        }
    }

    /// The newest version of each list, the one that changed last first; none with its members folded.
    pub async fn audiences(&self) -> StoreResult<Vec<AudienceRow>> {
        let sql = format!(
            "{SELECT} WHERE audience_id NOT LIKE '%~%' AND version = (SELECT MAX(n.version) FROM audiences n WHERE n.audience_id = audiences.audience_id) \
             ORDER BY uploaded_at DESC, audience_id"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.pool).await?;
        rows.iter().map(audience_row).collect()
    }

    /// The newest version of one list; none where there is no such list.
    pub async fn newest_audience(&self, id: &str) -> StoreResult<Option<AudienceRow>> {
        newest(&self.pool, id).await
    }

    /// One version of one list, under the key that a revision pins it by.
    pub async fn audience_version(&self, key: &str, version: u32) -> StoreResult<Option<AudienceRow>> {
        let sql = format!("{SELECT} WHERE audience_id = ? AND version = ?");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(key)
            .bind(i64::from(version))
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(audience_row).transpose()
    }

    /// At most so many versions of one list, newest first, those numbered below `before`; none where there is no such list.
    pub async fn audience(&self, id: &str, before: Option<u32>, limit: u32) -> StoreResult<Vec<AudienceRow>> {
        let sql = format!("{SELECT} WHERE audience_id = ? AND version < ? ORDER BY version DESC LIMIT ?");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .bind(before.map_or(i64::MAX, i64::from))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(audience_row).collect()
    }
}

fn row_of(new: &NewAudience, version: u32) -> AudienceRow {
    AudienceRow {
        id: new.id.clone(),
        version,
        members: new.members,
        buckets: new.buckets,
        digest: new.digest.clone(),
        uploaded_at: new.uploaded_at,
        base: None,
        kind: new.kind.clone(),
    }
}

async fn newest(executor: impl Executor<'_, Database = Any>, id: &str) -> StoreResult<Option<AudienceRow>> {
    let sql = format!("{SELECT} WHERE audience_id = ? ORDER BY version DESC LIMIT 1");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(audience_row).transpose()
}

async fn write_buckets(
    tx: &mut Transaction<'_, Any>,
    upload: &str,
    buckets: &[(u32, Vec<u8>)],
) -> StoreResult<()> {
    for range in pieces(buckets.len()) {
        let marks = placeholders(range.len(), 3);
        let sql = format!("INSERT INTO audience_buckets (upload, bucket, members) VALUES {marks}");
        let query =
            buckets[range]
                .iter()
                .fold(sqlx::query(AssertSqlSafe(sql)), |query, (bucket, members)| {
                    query
                        .bind(upload)
                        .bind(i64::from(*bucket))
                        .bind(members.as_slice())
                });
        query.execute(&mut **tx).await?;
    }
    Ok(())
}

/// What a version's row says besides what others read.
struct Parts<'a> {
    upload: &'a str,
    base_upload: Option<&'a str>,
    partitions: &'a [u8],
}

/// `false` when the number is taken.
async fn write_version(
    tx: &mut Transaction<'_, Any>,
    row: &AudienceRow,
    parts: &Parts<'_>,
) -> StoreResult<bool> {
    let inserted = sqlx::query(
        "INSERT INTO audiences (audience_id, version, upload, members, buckets, digest, uploaded_at, base, base_upload, \
         partitions, kind, prefixes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row.id.as_str())
    .bind(i64::from(row.version))
    .bind(parts.upload)
    .bind(row.members as i64)
    .bind(i64::from(row.buckets))
    .bind(row.digest.as_str())
    .bind(time::to_text(row.uploaded_at)?)
    .bind(row.base.map(i64::from))
    .bind(parts.base_upload)
    .bind(parts.partitions)
    .bind(row.kind.name())
    .bind(match &row.kind {
        ListKind::Texts => None,
        ListKind::Addresses(lengths) => Some(to_json(lengths)?),
    })
    .execute(&mut **tx)
    .await;
    match inserted {
        Ok(_) => Ok(true),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn audience_row(row: &AnyRow) -> StoreResult<AudienceRow> {
    let name = text(row, 7)?;
    let mut kind = ListKind::named(&name).ok_or_else(|| {
        StoreError::Permanent(format!(
            "a stored list is of {name:?}, which this build does not know"
        ))
    })?;
    if let ListKind::Addresses(lengths) = &mut kind {
        *lengths = json(row, 8)?;
    }
    Ok(AudienceRow {
        id: text(row, 0)?,
        version: narrow(row, 1)?,
        members: narrow(row, 2)?,
        buckets: narrow(row, 3)?,
        digest: text(row, 4)?,
        uploaded_at: moment(row, 5)?,
        base: maybe_narrow(row, 6)?,
        kind,
    })
}

/// A number of a version, where there is one.
fn maybe_narrow(row: &AnyRow, column: usize) -> StoreResult<Option<u32>> {
    maybe_int(row, column)?.map(|_| narrow(row, column)).transpose()
}
