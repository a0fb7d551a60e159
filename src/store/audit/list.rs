//! The audit trail, read: newest first for people, in order of writing for exports, chain by chain for whoever checks it.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::audit::{Asker, AuditEntry};
use crate::order::{TIME_MAX_MS, TIME_MIN_MS};
use crate::store::conditions::{Bound, Where, bind_all};
use crate::store::rows::{int, maybe_int, maybe_text, moment, narrow, text};
use crate::store::{Store, StoreResult, time};

/// As [`entry`] reads them.
pub(super) const COLUMNS: &str = "seq, merchant, number, CAST(at AS CHAR), actor, key_id, person, address, action, target, detail, \
     note, salt, content, hash";

/// Which lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub merchant: Option<String>,
    pub actor: Option<String>,
    /// With `*` at its end: those that begin so.
    pub action: Option<String>,
    pub target: Option<String>,
    /// At this moment or later, milliseconds since 1970-01-01 UTC.
    pub from: Option<i64>,
    /// Before this one.
    pub to: Option<i64>,
}

/// Where to read on, by `seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditPlace {
    /// Newest first, those older than this one.
    Before(i64),
    /// Oldest first, those newer than this one.
    After(i64),
}

impl Store {
    /// A page of the trail, at most `limit` lines.
    pub async fn audit_page(
        &self,
        filter: &AuditFilter,
        place: AuditPlace,
        limit: u32,
    ) -> StoreResult<Vec<AuditEntry>> {
        let mut wanted = conditions(filter)?;
        let order = match place {
            AuditPlace::Before(seq) => {
                wanted.and("seq < ?", [Bound::Int(seq)]);
                "DESC"
            }
            AuditPlace::After(seq) => {
                wanted.and("seq > ?", [Bound::Int(seq)]);
                "ASC"
            }
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM audit{} ORDER BY seq {order} LIMIT ?",
            wanted.sql()
        );
        let query = bind_all(sqlx::query(AssertSqlSafe(sql)), wanted.values);
        let rows = query.bind(i64::from(limit)).fetch_all(&self.pool).await?;
        rows.iter().map(entry).collect()
    }

    /// A line by its `seq`.
    pub async fn audit_entry(&self, seq: i64) -> StoreResult<Option<AuditEntry>> {
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE seq = ?");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(seq)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(entry).transpose()
    }

    /// The lines of a chain behind this number, up to another one, in order of numbers, at most `limit`.
    pub async fn audit_chain(
        &self,
        merchant: &str,
        (after, to): (u64, u64),
        limit: u32,
    ) -> StoreResult<Vec<AuditEntry>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM audit WHERE merchant = ? AND number > ? AND number <= ? ORDER BY number LIMIT ?"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(merchant)
            .bind(after as i64)
            .bind(i64::try_from(to).unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(entry).collect()
    }

    /// Merchants who have a line, in a chain or not, in order.
    pub async fn audited_merchants(&self) -> StoreResult<Vec<String>> {
        let rows = sqlx::query("SELECT DISTINCT merchant FROM audit ORDER BY merchant")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| text(row, 0)).collect()
    }

    /// How many rows are in no chain, and the first of them.
    pub async fn unchained(&self) -> StoreResult<Option<(u64, i64)>> {
        let row = sqlx::query("SELECT COUNT(*), MIN(seq) FROM audit WHERE number IS NULL")
            .fetch_one(&self.pool)
            .await?;
        let Some(first) = maybe_int(&row, 1)? else {
            return Ok(None);
        };
        Ok(Some((narrow(&row, 0)?, first)))
    }
}

fn conditions(filter: &AuditFilter) -> StoreResult<Where> {
    let AuditFilter {
        merchant,
        actor,
        action,
        target,
        from,
        to,
    } = filter;
    let mut wanted = Where::default();
    for (column, value) in [("merchant", merchant), ("actor", actor), ("target", target)] {
        if let Some(value) = value {
            wanted.and(format!("{column} = ?"), [Bound::Text(value.clone())]);
        }
    }
    match action.as_deref().map(|action| (action, action.strip_suffix('*'))) {
        None => {}
        Some((_, Some(beginning))) => {
            let length = beginning.chars().count() as i64;
            wanted.and(
                "SUBSTR(action, 1, ?) = ?",
                [Bound::Int(length), Bound::Text(beginning.to_owned())],
            );
        }
        Some((action, None)) => wanted.and("action = ?", [Bound::Text(action.to_owned())]),
    }
    for (condition, moment) in [("at >= ?", from), ("at < ?", to)] {
        if let Some(moment) = moment {
            let bounded = time::to_text((*moment).clamp(TIME_MIN_MS, TIME_MAX_MS))?;
            wanted.and(condition, [Bound::Text(bounded)]);
        }
    }
    Ok(wanted)
}

pub(super) fn entry(row: &AnyRow) -> StoreResult<AuditEntry> {
    Ok(AuditEntry {
        seq: int(row, 0)?,
        merchant: text(row, 1)?,
        number: maybe_int(row, 2)?.map(|_| narrow(row, 2)).transpose()?,
        at: moment(row, 3)?,
        by: Asker {
            actor: text(row, 4)?,
            key: maybe_text(row, 5)?,
            person: maybe_text(row, 6)?,
            address: maybe_text(row, 7)?,
        },
        action: text(row, 8)?,
        target: text(row, 9)?,
        detail: text(row, 10)?,
        note: maybe_text(row, 11)?,
        salt: maybe_text(row, 12)?,
        content: maybe_text(row, 13)?,
        hash: maybe_text(row, 14)?,
    })
}
