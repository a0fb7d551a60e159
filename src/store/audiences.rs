//! Uploaded lists by version. A version's row is written last, in the transaction that wrote its
//! members: half an upload is none.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use crate::store::dialect::{pieces, placeholders};
use crate::store::error::is_duplicate;
use crate::store::rows::{int, json, moment, narrow, text};
use crate::store::time;
use crate::store::{AudienceRow, NewAudience, Store, StoreError, StoreResult};

/// Bytes of buckets gathered for one round of statements: far below the 16 MiB of one packet, so
/// that no statement of it meets that limit.
const ROUND_BYTES: usize = 1 << 20;
/// Buckets of one round.
const ROUND_BUCKETS: usize = 256;
/// Tries of the next version number, when other uploads of the same list take it meanwhile.
const NUMBER_TRIES: u32 = 8;

const SELECT: &str =
    "SELECT audience_id, version, members, buckets, digest, CAST(uploaded_at AS CHAR) FROM audiences";

impl Store {
    /// Stores a list as its next version, unless its newest version has the same members: `false`, and
    /// that version. `buckets` are the packed buckets in any order, each with its number; an error in
    /// it is the answer, and nothing is stored.
    pub async fn insert_audience<E: From<StoreError>>(
        &self,
        new: &NewAudience,
        mut buckets: BoxStream<'_, Result<(u32, Vec<u8>), E>>,
    ) -> Result<(bool, AudienceRow), E> {
        let mut tx = self.begin().await?;
        let (mut round, mut bytes) = (Vec::new(), 0);
        while let Some(bucket) = buckets.next().await {
            let bucket = bucket?;
            bytes += bucket.1.len();
            round.push(bucket);
            if bytes >= ROUND_BYTES || round.len() == ROUND_BUCKETS {
                write_buckets(&mut tx, &new.upload, &round).await?;
                (round, bytes) = (Vec::new(), 0);
            }
        }
        write_buckets(&mut tx, &new.upload, &round).await?;
        Ok(self.number(tx, new).await?)
    }

    /// Gives the list its version, and commits.
    async fn number(
        &self,
        mut tx: Transaction<'static, Any>,
        new: &NewAudience,
    ) -> StoreResult<(bool, AudienceRow)> {
        // Without a lock: an upload that is refused a number keeps a shared one on its row, and two of those
        // would wait for each other.
        let newest = format!("{SELECT} WHERE audience_id = ? ORDER BY version DESC LIMIT 1");
        for _ in 0..NUMBER_TRIES {
            let there = sqlx::query(AssertSqlSafe(newest.as_str()))
                .bind(new.id.as_str())
                .fetch_optional(&mut *tx)
                .await?;
            let there = there.as_ref().map(audience_row).transpose()?;
            if let Some(row) = &there
                && row.digest == new.digest
            {
                tx.rollback().await?;
                return Ok((false, row.clone()));
            }
            let row = AudienceRow {
                id: new.id.clone(),
                version: there.map_or(0, |row| row.version) + 1,
                members: new.members,
                buckets: new.buckets,
                digest: new.digest.clone(),
                uploaded_at: new.uploaded_at,
            };
            if write_version(&mut tx, &row, &new.upload).await? {
                tx.commit().await?;
                return Ok((true, row));
            }
        }
        Err(StoreError::Transient(format!(
            "the list {:?} is being uploaded by many at once",
            new.id
        )))
    }

    /// Every version, the list uploaded last first, and of each list the newest version first.
    pub async fn audiences(&self) -> StoreResult<Vec<AudienceRow>> {
        let sql = format!(
            "{SELECT} ORDER BY (SELECT MAX(n.uploaded_at) FROM audiences n WHERE n.audience_id = audiences.audience_id) \
             DESC, audience_id, version DESC"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.pool).await?;
        rows.iter().map(audience_row).collect()
    }

    /// The versions of one list, newest first; none where there is no such list.
    pub async fn audience(&self, id: &str) -> StoreResult<Vec<AudienceRow>> {
        let sql = format!("{SELECT} WHERE audience_id = ? ORDER BY version DESC");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(audience_row).collect()
    }

    /// Packed buckets of a version from number `from` on, at most `limit`, in order. Fewer than asked for
    /// only at the end of the list; an error where one is missing.
    pub async fn audience_buckets(
        &self,
        id: &str,
        version: u32,
        from: u32,
        limit: u32,
    ) -> StoreResult<Vec<Vec<u8>>> {
        let found =
            sqlx::query("SELECT upload, buckets FROM audiences WHERE audience_id = ? AND version = ?")
                .bind(id)
                .bind(i64::from(version))
                .fetch_optional(&self.pool)
                .await?;
        let missing = |what: &str| StoreError::Permanent(format!("list {id:?}, version {version}: {what}"));
        let Some(row) = found else {
            return Err(missing("it is not stored any more"));
        };
        let (upload, all): (String, u32) = (text(&row, 0)?, narrow(&row, 1)?);
        let rows = sqlx::query(
            "SELECT bucket, members FROM audience_buckets WHERE upload = ? AND bucket >= ? AND bucket < ? ORDER BY bucket",
        )
        .bind(upload)
        .bind(i64::from(from))
        .bind(i64::from(from) + i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let mut buckets = Vec::with_capacity(rows.len());
        for (expected, row) in (i64::from(from)..).zip(&rows) {
            if int(row, 0)? != expected {
                return Err(missing(&format!("bucket {expected} is missing")));
            }
            buckets.push(row.try_get::<Vec<u8>, _>(1)?);
        }
        match buckets.len() as u32 == limit.min(all.saturating_sub(from)) {
            true => Ok(buckets),
            false => Err(missing("buckets at its end are missing")),
        }
    }

    /// Removes a version that is not the newest and that no revision pins; `Conflict` says why not.
    /// `false` where there is none.
    pub async fn delete_audience(&self, id: &str, version: u32) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let lock = self.dialect.for_update();
        let sql = format!("SELECT upload FROM audiences WHERE audience_id = ? AND version = ?{lock}");
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
        sqlx::query("DELETE FROM audience_buckets WHERE upload = ?")
            .bind(text(&row, 0)?)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// A revision that pins the version, if there is one. JSON text is compared as text first, so that only
/// revisions that name the list are read.
async fn pinned_by(tx: &mut Transaction<'_, Any>, id: &str, version: u32) -> StoreResult<Option<String>> {
    let rows = sqlx::query(
        "SELECT campaign_id, revision, audiences FROM revisions WHERE audiences LIKE ? ORDER BY campaign_id, revision",
    )
    .bind(format!("%\"{id}\"%"))
    .fetch_all(&mut **tx)
    .await?;
    for row in &rows {
        let pinned: crate::plan::Audiences = json(row, 2)?;
        if pinned.get(id).is_some_and(|list| list.version == version) {
            let (campaign, revision) = (text(row, 0)?, int(row, 1)?);
            return Ok(Some(format!("revision {revision} of campaign {campaign:?}")));
        }
    }
    Ok(None)
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

/// `false` when the number is taken.
async fn write_version(tx: &mut Transaction<'_, Any>, row: &AudienceRow, upload: &str) -> StoreResult<bool> {
    let inserted = sqlx::query(
        "INSERT INTO audiences (audience_id, version, upload, members, buckets, digest, uploaded_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row.id.as_str())
    .bind(i64::from(row.version))
    .bind(upload)
    .bind(row.members as i64)
    .bind(i64::from(row.buckets))
    .bind(row.digest.as_str())
    .bind(time::to_text(row.uploaded_at)?)
    .execute(&mut **tx)
    .await;
    match inserted {
        Ok(_) => Ok(true),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn audience_row(row: &AnyRow) -> StoreResult<AudienceRow> {
    Ok(AudienceRow {
        id: text(row, 0)?,
        version: narrow(row, 1)?,
        members: narrow(row, 2)?,
        buckets: narrow(row, 3)?,
        digest: text(row, 4)?,
        uploaded_at: moment(row, 5)?,
    })
}
