//! Records that were moved away because they do not land, by their origin: written in the landing's transaction.

use sqlx::{Any, AssertSqlSafe, Transaction};

use super::dialect::Dialect;
use super::fence::{self, Returned};
use super::{DISCARDED, DeadRecord, Origin, Stage, StoreResult, time};
use crate::order::OrderEvent;

const DEAD: &str = "dead";
const RETRY: &str = "retry";
const LANDED: &str = "landed";
const FORGED: &str = "forged";
/// Class of every forged record.
const FORGED_CLASS: &str = "forged";
/// Forged records that are kept of one hour, and in all; further ones are counted only. Landers at the same moment do
/// not see each other's, so it may be some batches more.
pub const FORGED_PER_HOUR_MAX: u64 = 1000;
pub const FORGED_MAX: u64 = 10_000;
/// Bytes that are kept of a forged record's payload and of its key; the topic has the rest.
pub const FORGED_PAYLOAD_BYTES_MAX: usize = 16_384;
const FORGED_KEY_BYTES_MAX: usize = 1024;
/// Stages that a failing copy does not change: the order is in the database, or somebody gave it up.
const FINAL: &str = "'landed', 'discarded'";

/// Columns that a record which fails again changes. `stage` is last: MySQL assigns one after the other, and every
/// one of them reads it.
const CHANGES: [(&str, &str); 10] = [
    ("payload", "{new}"),
    ("order_id", "{new}"),
    ("campaign_id", "{new}"),
    ("sku_id", "{new}"),
    ("class", "{new}"),
    ("error", "{new}"),
    // A replay counts from one again.
    (
        "attempts",
        "CASE WHEN {new} > attempts THEN {new} ELSE attempts + 1 END",
    ),
    ("quantity", "{new}"),
    ("changed_at", "{new}"),
    ("stage", "{new}"),
];

/// Keeps records that were moved; one that is kept already takes on what is new.
pub(super) async fn insert(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    topic: &str,
    dead: &[(i32, &DeadRecord)],
    now: &str,
) -> StoreResult<u64> {
    let key = "topic, `partition`, `offset`";
    // The row of one order does not take on what another one says, whatever origin that claims.
    let new_order = dialect.new_value("order_id");
    let other = format!("(order_id IS NOT NULL AND order_id <> COALESCE({new_order}, ''))");
    let changes: Vec<(&str, String)> = CHANGES
        .iter()
        .map(|(column, new)| {
            let kept = format!("CASE WHEN stage IN ({FINAL}) OR {other} THEN {column} ELSE {new} END");
            (*column, kept)
        })
        .collect();
    let sql = format!(
        "INSERT INTO dead_letters ({key}, record_key, payload, error, landed_at, stage, class, attempts, order_id, \
         campaign_id, sku_id, quantity, recorded_at, changed_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?){}",
        dialect.on_conflict_all(key, &changes)
    );
    for (partition, record) in dead {
        let (topic, partition, offset) = match &record.origin {
            Some(origin) if is_free_for(tx, origin, &record.payload).await? => {
                (origin.topic.as_str(), origin.partition, origin.offset)
            }
            // It says it comes from where another one stood: it is kept where it was read.
            _ => (topic, *partition, record.offset),
        };
        let order = record.order.as_ref();
        // A moment that no database holds is none.
        let recorded_at = record.recorded_at.and_then(|at| time::to_text(at).ok());
        sqlx::query(AssertSqlSafe(sql.as_str()))
            .bind(topic)
            .bind(i64::from(partition))
            .bind(offset)
            .bind(record.key.as_slice())
            .bind(record.payload.as_slice())
            .bind(record.error.as_str())
            .bind(now)
            .bind(if record.retry { RETRY } else { DEAD })
            .bind(record.class)
            .bind(record.attempts)
            .bind(order.map(|order| order.order.to_string()))
            .bind(order.map(|order| order.campaign.as_str()))
            .bind(order.map(|order| order.sku.as_str()))
            .bind(order.map(|order| i64::from(order.quantity)))
            .bind(recorded_at)
            .bind(now)
            .execute(&mut **tx)
            .await?;
    }
    Ok(dead.len() as u64)
}

/// Keeps forged records, each where it was read, as far as there is room: how many. `hour_ago` is an hour before `now`.
pub(super) async fn keep_forged(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    topic: &str,
    forged: &[(i32, &DeadRecord)],
    (now, hour_ago): (&str, &str),
) -> StoreResult<u64> {
    if forged.is_empty() {
        return Ok(0);
    }
    let of_hour = count_forged(tx, Some(hour_ago), FORGED_PER_HOUR_MAX).await?;
    let all = count_forged(tx, None, FORGED_MAX).await?;
    let room = (FORGED_PER_HOUR_MAX - of_hour).min(FORGED_MAX - all);
    let key = "topic, `partition`, `offset`";
    // What stands there already is no less worth keeping.
    let clause = dialect.on_conflict(key, "stage", "stage");
    let sql = format!(
        "INSERT INTO dead_letters ({key}, record_key, payload, error, landed_at, stage, class, recorded_at, changed_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?){clause}"
    );
    let mut kept = 0;
    for (partition, record) in forged.iter().take(usize::try_from(room).unwrap_or(usize::MAX)) {
        let recorded_at = record.recorded_at.and_then(|at| time::to_text(at).ok());
        sqlx::query(AssertSqlSafe(sql.as_str()))
            .bind(topic)
            .bind(i64::from(*partition))
            .bind(record.offset)
            .bind(&record.key[..record.key.len().min(FORGED_KEY_BYTES_MAX)])
            .bind(&record.payload[..record.payload.len().min(FORGED_PAYLOAD_BYTES_MAX)])
            .bind(record.error.as_str())
            .bind(now)
            .bind(FORGED)
            .bind(FORGED_CLASS)
            .bind(recorded_at)
            .bind(now)
            .execute(&mut **tx)
            .await?;
        kept += 1;
    }
    Ok(kept)
}

/// How many there are, counted up to `most`.
async fn count_forged(tx: &mut Transaction<'_, Any>, since: Option<&str>, most: u64) -> StoreResult<u64> {
    let sql = format!(
        "SELECT COUNT(*) FROM (SELECT 1 AS one FROM dead_letters WHERE stage = ?{} LIMIT {most}) kept",
        if since.is_some() { " AND landed_at > ?" } else { "" }
    );
    let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(FORGED);
    let query = match since {
        Some(since) => query.bind(since),
        None => query,
    };
    let count: i64 = query.fetch_one(&mut **tx).await?;
    Ok(u64::try_from(count).unwrap_or(0).min(most))
}

/// What is kept of the record of this origin.
async fn payload_of(tx: &mut Transaction<'_, Any>, origin: &Origin) -> StoreResult<Option<Vec<u8>>> {
    let sql = "SELECT payload FROM dead_letters WHERE topic = ? AND `partition` = ? AND `offset` = ?";
    Ok(sqlx::query_scalar(sql)
        .bind(origin.topic.as_str())
        .bind(i64::from(origin.partition))
        .bind(origin.offset)
        .fetch_optional(&mut **tx)
        .await?)
}

/// Whether a record may be the one of this origin: nothing is kept of it, or the same bytes, or the same order whole.
async fn is_free_for(tx: &mut Transaction<'_, Any>, origin: &Origin, payload: &[u8]) -> StoreResult<bool> {
    let Some(kept) = payload_of(tx, origin).await? else {
        return Ok(true);
    };
    let orders = || {
        OrderEvent::decode(&kept)
            .ok()
            .zip(OrderEvent::decode(payload).ok())
    };
    Ok(kept == payload || orders().is_some_and(|(kept, new)| fence::is_same(&kept, &new)))
}

/// Marks the dead letters of orders that have landed after all. Where an order was first is what its headers say, so a
/// letter is closed by the same order alone; a repaired one is written into its letter before it is sent. One that was
/// discarded stays so where its order was revoked with it: this copy is a duplicate.
pub(super) async fn landed<'a>(
    tx: &mut Transaction<'_, Any>,
    returned: impl Iterator<Item = &'a Returned<'a>>,
    now: &str,
) -> StoreResult<()> {
    for Returned { order, origin } in returned {
        let kept = payload_of(tx, origin).await?;
        let kept = kept.and_then(|payload| OrderEvent::decode(&payload).ok());
        if !kept.is_some_and(|kept| fence::is_same(&kept, order)) {
            continue;
        }
        sqlx::query(
            "UPDATE dead_letters SET stage = ?, changed_at = ? \
             WHERE topic = ? AND `partition` = ? AND `offset` = ? AND stage <> ? \
             AND NOT (stage = ? AND EXISTS (SELECT 1 FROM orders o WHERE o.campaign_id = dead_letters.campaign_id \
             AND o.order_id = dead_letters.order_id AND o.revoked_reason = ?))",
        )
        .bind(LANDED)
        .bind(now)
        .bind(origin.topic.as_str())
        .bind(i64::from(origin.partition))
        .bind(origin.offset)
        .bind(LANDED)
        .bind(Stage::Discarded.as_str())
        .bind(DISCARDED)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}
