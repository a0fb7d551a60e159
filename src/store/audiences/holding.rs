//! Versions of a list that have one member. Of each upload one bucket is read, and what became of it: versions that were made by
//! changing members share all others.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use sqlx::{AssertSqlSafe, Row};

use super::{SELECT, audience_row};
use crate::audience::{ListKind, unpack};
use crate::campaign::bucket_of;
use crate::plan::fold::list_of;
use crate::store::rows::{narrow, text};
use crate::store::{AudienceRow, Store, StoreResult};

/// Of one bucket, the versions it changed with, and whether it had the member from then on.
type History = BTreeMap<u32, bool>;

impl Store {
    /// Ids of all lists, in order; none with its members folded.
    pub async fn list_ids(&self) -> StoreResult<Vec<String>> {
        let rows = sqlx::query("SELECT DISTINCT audience_id FROM audiences ORDER BY audience_id")
            .fetch_all(&self.pool)
            .await?;
        let mut ids = rows
            .iter()
            .map(|row| text(row, 0))
            .collect::<StoreResult<Vec<_>>>()?;
        ids.retain(|id| list_of(id).1.is_none());
        Ok(ids)
    }

    /// Stored versions of a list of texts that have exactly this member, and whether each is the newest; the oldest first.
    pub async fn versions_with(&self, id: &str, member: &str) -> StoreResult<Vec<(AudienceRow, bool)>> {
        let sql = SELECT.replacen(" FROM ", ", COALESCE(base_upload, upload) FROM ", 1);
        let sql = format!("{sql} WHERE audience_id = ? ORDER BY version");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .fetch_all(&self.pool)
            .await?;
        let newest = rows.len();
        let (mut found, mut read) = (Vec::new(), HashMap::<String, History>::new());
        for (at, row) in rows.iter().enumerate() {
            let (version, upload) = (audience_row(row)?, text(row, 9)?);
            if version.kind != ListKind::Texts {
                continue;
            }
            let history = match read.entry(upload) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(place) => {
                    let history = self.history(place.key(), version.buckets, member).await?;
                    place.insert(history)
                }
            };
            let before = history.range(..=version.version).next_back();
            if before.is_some_and(|(_, has)| *has) {
                found.push((version, at + 1 == newest));
            }
        }
        Ok(found)
    }

    /// The bucket that this member would be in, as it was uploaded and as it changed.
    async fn history(&self, upload: &str, buckets: u32, member: &str) -> StoreResult<History> {
        let bucket = i64::from(bucket_of(member.as_bytes(), buckets));
        let has = |packed: Vec<u8>| unpack(&packed).any(|known| known == member.as_bytes());
        let mut history = History::new();
        let uploaded = sqlx::query("SELECT members FROM audience_buckets WHERE upload = ? AND bucket = ?")
            .bind(upload)
            .bind(bucket)
            .fetch_optional(&self.pool)
            .await?;
        if let Some(row) = uploaded {
            history.insert(0, has(row.try_get(0)?));
        }
        let changed =
            sqlx::query("SELECT version, members FROM audience_changes WHERE upload = ? AND bucket = ?")
                .bind(upload)
                .bind(bucket)
                .fetch_all(&self.pool)
                .await?;
        for row in &changed {
            history.insert(narrow(row, 0)?, has(row.try_get(1)?));
        }
        Ok(history)
    }
}
