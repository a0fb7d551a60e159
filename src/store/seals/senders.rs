//! Who sends records, with which keys, and what nobody sends any more.
//!
//! A sender writes itself down before it reads what has ended, and whoever ends something writes that down before it
//! reads the senders: of the two, one always sees the other.

use std::collections::BTreeSet;

use sqlx::any::AnyRow;

use crate::campaign::RecordVersion;
use crate::store::rows::{int, moment, text};
use crate::store::time;
use crate::store::{Store, StoreResult};

/// Where a key's id stands: records without a seal.
pub const WITHOUT_SEAL: &str = "";

/// A process that sends records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Unlike that of every other process.
    pub process: String,
    /// For people.
    pub name: String,
    /// Ids of its keys; the first one seals. None: it sends records without a seal.
    pub keys: Vec<String>,
}

impl Sender {
    /// What its records carry: a key's id, or [`WITHOUT_SEAL`].
    pub fn seals_with(&self) -> &str {
        self.keys.first().map_or(WITHOUT_SEAL, String::as_str)
    }

    /// Key's id, and whether it seals with it.
    fn uses(&self) -> impl Iterator<Item = (&str, bool)> {
        let rest = self.keys.iter().skip(1).map(|id| (id.as_str(), false));
        std::iter::once((self.seals_with(), true)).chain(rest)
    }
}

/// One use of a key, or of none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderRow {
    pub process: String,
    pub name: String,
    /// The key's id, or [`WITHOUT_SEAL`].
    pub key: String,
    /// Otherwise it only verifies with the key.
    pub seals: bool,
    /// It sends nothing any more, and everything it sent is answered.
    pub stopped: bool,
    /// When it last said so, by its own clock.
    pub seen_at: i64,
}

impl Store {
    /// Writes down that a process sends records, or that it has stopped to.
    pub async fn note_sender(&self, sender: &Sender, stopped: bool, now: i64) -> StoreResult<()> {
        let clause = self
            .dialect
            .on_conflict_all("process, key_id", &[("stopped", "{new}"), ("seen_at", "{new}")]);
        let sql = format!(
            "INSERT INTO seal_senders (process, key_id, name, seals, stopped, seen_at, record_version) \
             VALUES (?, ?, ?, ?, ?, ?, ?){clause}"
        );
        for (key, seals) in sender.uses() {
            sqlx::query(sqlx::AssertSqlSafe(sql.as_str()))
                .bind(sender.process.as_str())
                .bind(key)
                .bind(sender.name.as_str())
                .bind(i64::from(seals))
                .bind(i64::from(stopped))
                .bind(time::to_text(now)?)
                .bind(i64::from(RecordVersion::NEWEST.number()))
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }

    /// The process sends nothing any more.
    pub async fn forget_sender(&self, process: &str) -> StoreResult<()> {
        sqlx::query("DELETE FROM seal_senders WHERE process = ?")
            .bind(process)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets processes that were last seen before then.
    pub async fn forget_senders_before(&self, then: i64) -> StoreResult<()> {
        sqlx::query("DELETE FROM seal_senders WHERE seen_at < ?")
            .bind(time::to_text(then)?)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Processes that use a key, or none ([`WITHOUT_SEAL`]), in order of their names.
    pub async fn senders(&self, key: &str) -> StoreResult<Vec<SenderRow>> {
        let rows = sqlx::query(
            "SELECT process, name, key_id, seals, stopped, CAST(seen_at AS CHAR) FROM seal_senders WHERE key_id = ? \
             ORDER BY name, process",
        )
        .bind(key)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(sender_row).collect()
    }

    /// Every process that is written down, in order of their names: a row per key, the one that seals first.
    pub async fn all_senders(&self) -> StoreResult<Vec<SenderRow>> {
        let rows = sqlx::query(
            "SELECT process, name, key_id, seals, stopped, CAST(seen_at AS CHAR) FROM seal_senders \
             ORDER BY name, process, seals DESC, key_id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(sender_row).collect()
    }

    /// Says to all senders that nobody is to seal with this key any more, or to send without a seal.
    pub async fn announce_end(&self, key: &str, now: i64) -> StoreResult<()> {
        let clause = self.dialect.on_conflict("key_id", "key_id", "key_id");
        let sql = format!("INSERT INTO seal_ends (key_id, announced_at) VALUES (?, ?){clause}");
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(key)
            .bind(time::to_text(now)?)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Keys that nobody is to seal with, [`WITHOUT_SEAL`] among them where every record is to carry a seal: announced
    /// or in force.
    pub async fn ended_seals(&self) -> StoreResult<BTreeSet<String>> {
        let mut ended = BTreeSet::new();
        for sql in [
            "SELECT key_id FROM seal_ends",
            "SELECT key_id FROM seal_keys WHERE retired_at IS NOT NULL",
        ] {
            for row in sqlx::query(sql).fetch_all(&self.pool).await? {
                ended.insert(text(&row, 0)?);
            }
        }
        let decided: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM seal_cut_over")
            .fetch_one(&self.pool)
            .await?;
        if decided > 0 {
            ended.insert(WITHOUT_SEAL.to_owned());
        }
        Ok(ended)
    }
}

fn sender_row(row: &AnyRow) -> StoreResult<SenderRow> {
    Ok(SenderRow {
        process: text(row, 0)?,
        name: text(row, 1)?,
        key: text(row, 2)?,
        seals: int(row, 3)? != 0,
        stopped: int(row, 4)? != 0,
        seen_at: moment(row, 5)?,
    })
}
