//! Seals: the keys that were ever used, and from where on a record has to carry one.
//!
//! A key is written down before its first record, so a lander that meets a key it does not have can tell a key that is
//! somewhere in use, which it waits for, from one that somebody made up.

pub(in crate::store) mod senders;

use std::collections::BTreeMap;

use crate::audit::AuditLine;
use crate::seal::Key;
use crate::store::rows::{int, maybe_moment, moment, narrow, text};
use crate::store::time;
use crate::store::{Store, StoreError, StoreResult};

/// A key that was used; the secret is nowhere in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    pub id: String,
    pub check_value: String,
    pub first_used_at: i64,
    /// Records under it are forged since then.
    pub retired_at: Option<i64>,
}

/// From where on a record without a seal is forged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutOver {
    pub decided_at: i64,
    /// By topic and partition; where one is missing, from the first record on.
    pub from: BTreeMap<(String, i32), i64>,
}

impl CutOver {
    /// Whether a record that stands there has to carry a seal.
    pub fn covers(&self, topic: &str, partition: i32, offset: i64) -> bool {
        let from = self.from.get(&(topic.to_owned(), partition));
        from.is_none_or(|from| offset >= *from)
    }
}

/// Why a key may not be used beside those that were used.
pub fn contradiction(key: &Key, used: &[KeyRow]) -> Option<String> {
    let id = key.id().as_str();
    let known = used.iter().find(|known| known.id == id)?;
    if known.check_value != key.check_value() {
        return Some(format!(
            "key {id} of seal.keys was used with another secret: give this secret another id, or the file the other \
             gateways and landers have"
        ));
    }
    known.retired_at?;
    Some(format!(
        "key {id} of seal.keys is retired: records it seals are forged; take it out of seal.keys"
    ))
}

/// The row that only says that the cut-over is decided.
const DECIDED: (&str, i32) = ("", 0);

impl Store {
    /// Every key that was used, in order of id.
    pub async fn seal_keys(&self) -> StoreResult<Vec<KeyRow>> {
        let rows = sqlx::query(
            "SELECT key_id, check_value, CAST(first_used_at AS CHAR), CAST(retired_at AS CHAR) FROM seal_keys \
             ORDER BY key_id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(KeyRow {
                    id: text(row, 0)?,
                    check_value: text(row, 1)?,
                    first_used_at: moment(row, 2)?,
                    retired_at: maybe_moment(row, 3)?,
                })
            })
            .collect()
    }

    /// Writes a key down before its first use. `Conflict` where its id was used with another secret, or is retired.
    pub async fn use_seal_key(&self, key: &Key, now: i64) -> StoreResult<()> {
        let id = key.id().as_str();
        let clause = self.dialect.on_conflict("key_id", "key_id", "key_id");
        let sql =
            format!("INSERT INTO seal_keys (key_id, check_value, first_used_at) VALUES (?, ?, ?){clause}");
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .bind(key.check_value())
            .bind(time::to_text(now)?)
            .execute(&self.pool)
            .await?;
        let known = self.seal_keys().await?;
        match contradiction(key, &known) {
            Some(what) => Err(StoreError::Conflict(what)),
            None => Ok(()),
        }
    }

    /// From now on, records under this key are forged where a lander does not have it. `false`: it was never used.
    pub async fn retire_seal_key(&self, id: &str, now: i64, audit: &[AuditLine<'_>]) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE seal_keys SET retired_at = COALESCE(retired_at, ?) WHERE key_id = ?";
        sqlx::query(sql)
            .bind(time::to_text(now)?)
            .bind(id)
            .execute(&mut *tx)
            .await?;
        self.append_audit(&mut tx, audit).await?;
        tx.commit().await?;
        // MySQL counts rows that changed, not rows that matched.
        Ok(self.seal_keys().await?.iter().any(|key| key.id == id))
    }

    /// The cut-over, once it is decided.
    pub async fn cut_over(&self) -> StoreResult<Option<CutOver>> {
        let rows = sqlx::query(
            "SELECT topic, `partition`, from_offset, CAST(decided_at AS CHAR) FROM seal_cut_over",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut found: Option<CutOver> = None;
        for row in &rows {
            let (topic, decided_at) = (text(row, 0)?, moment(row, 3)?);
            let cut_over = found.get_or_insert_with(|| CutOver {
                decided_at,
                ..CutOver::default()
            });
            cut_over.decided_at = cut_over.decided_at.min(decided_at);
            if topic != DECIDED.0 {
                cut_over.from.insert((topic, narrow(row, 1)?), int(row, 2)?);
            }
        }
        Ok(found)
    }

    /// Decides the cut-over, for good. One that is decided already only ever comes earlier: a later offset, or one for
    /// a partition that had none, changes nothing.
    pub async fn decide_cut_over(
        &self,
        from: &BTreeMap<(String, i32), i64>,
        now: i64,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<CutOver> {
        let at = time::to_text(now)?;
        let mut tx = self.begin().await?;
        let clause = self.dialect.on_conflict("topic, `partition`", "topic", "topic");
        let insert = format!(
            "INSERT INTO seal_cut_over (topic, `partition`, from_offset, decided_at) VALUES (?, ?, ?, ?){clause}"
        );
        let decided: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM seal_cut_over WHERE topic = ?")
            .bind(DECIDED.0)
            .fetch_one(&mut *tx)
            .await?;
        // Two who are first at the same moment write their rows over each other's: the earlier offset stays.
        let first = decided == 0;
        sqlx::query(sqlx::AssertSqlSafe(insert.as_str()))
            .bind(DECIDED.0)
            .bind(i64::from(DECIDED.1))
            .bind(0_i64)
            .bind(at.as_str())
            .execute(&mut *tx)
            .await?;
        for ((topic, partition), offset) in from {
            if first {
                sqlx::query(sqlx::AssertSqlSafe(insert.as_str()))
                    .bind(topic.as_str())
                    .bind(i64::from(*partition))
                    .bind(*offset)
                    .bind(at.as_str())
                    .execute(&mut *tx)
                    .await?;
            }
            sqlx::query(
                "UPDATE seal_cut_over SET from_offset = ? WHERE topic = ? AND `partition` = ? AND from_offset > ?",
            )
            .bind(*offset)
            .bind(topic.as_str())
            .bind(i64::from(*partition))
            .bind(*offset)
            .execute(&mut *tx)
            .await?;
        }
        self.append_audit(&mut tx, audit).await?;
        tx.commit().await?;
        let decided = self.cut_over().await?;
        decided.ok_or_else(|| StoreError::Permanent("the cut-over was deleted as it was decided".to_owned()))
    }
}
