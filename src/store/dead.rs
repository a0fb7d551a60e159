//! Records that were moved away because they do not land, by their origin: written in the landing's transaction.

use sqlx::{Any, AssertSqlSafe, Transaction};

use super::dialect::Dialect;
use super::{DeadRecord, Origin, StoreResult, time};

const DEAD: &str = "dead";
const RETRY: &str = "retry";
const LANDED: &str = "landed";
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
    let changes: Vec<(&str, String)> = CHANGES
        .iter()
        .map(|(column, new)| {
            let kept = format!("CASE WHEN stage IN ({FINAL}) THEN {column} ELSE {new} END");
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
            Some(origin) => (origin.topic.as_str(), origin.partition, origin.offset),
            None => (topic, *partition, record.offset),
        };
        let order = record.order.as_ref();
        let recorded_at = record.recorded_at.map(time::to_text).transpose()?;
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

/// Marks the dead letters of records that have landed after all.
pub(super) async fn landed(
    tx: &mut Transaction<'_, Any>,
    origins: impl Iterator<Item = &Origin>,
    now: &str,
) -> StoreResult<()> {
    for origin in origins {
        sqlx::query(
            "UPDATE dead_letters SET stage = ?, changed_at = ? \
             WHERE topic = ? AND `partition` = ? AND `offset` = ? AND stage <> ?",
        )
        .bind(LANDED)
        .bind(now)
        .bind(origin.topic.as_str())
        .bind(i64::from(origin.partition))
        .bind(origin.offset)
        .bind(LANDED)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}
