//! Records that were moved away because they do not land, by their origin: written in the landing's transaction.

use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::order::DISCARDED;
use crate::record::fence::Returned;
use crate::record::{DeadRecord, LetterId};
use crate::store::dialect::Dialect;
use crate::store::letters::places;
use crate::store::{Stage, StoreResult, time};

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

/// What a record changes that fails again. Its payload stays: a repaired one is written before it is sent, and whatever
/// else a copy says the first one holds what was admitted. What it holds is added where that was not known.
const FAILED_AGAIN: &str = "UPDATE dead_letters SET class = ?, error = ?, \
     attempts = CASE WHEN ? > attempts THEN ? ELSE attempts + 1 END, \
     campaign_id = COALESCE(campaign_id, ?), sku_id = COALESCE(sku_id, ?), quantity = COALESCE(quantity, ?), \
     order_id = COALESCE(order_id, ?), changed_at = ?, stage = ? \
     WHERE topic = ? AND `partition` = ? AND `offset` = ? AND position = ? AND (order_id IS NULL OR order_id = ?)";

/// Keeps records that were moved, each in a row of its own; one that is kept already takes on what is new.
pub(in crate::store) async fn insert(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    topic: &str,
    dead: &[(i32, &DeadRecord)],
    now: &str,
) -> StoreResult<u64> {
    for (partition, record) in dead {
        let own = LetterId {
            topic: topic.to_owned(),
            partition: *partition,
            offset: record.at.offset,
            position: record.at.position,
        };
        loop {
            match places::find(tx, dialect, &own, record).await? {
                (place, true) => break fail_again(tx, &place, record, now).await?,
                (place, false) if add(tx, &place, record, now).await? => break,
                // Another lander was there first: what it wrote is to be looked at.
                (_, false) => {}
            }
        }
    }
    Ok(dead.len() as u64)
}

/// Whether the database knows a record that was read at `own`: it has its row, or its order has landed or was moved from
/// elsewhere. It does not where the log was made anew.
pub(in crate::store) async fn is_known(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    own: &LetterId,
    record: &DeadRecord,
) -> StoreResult<bool> {
    let (_, has_row) = places::find(tx, dialect, own, record).await?;
    let Some(order) = record.held().filter(|_| !has_row) else {
        return Ok(has_row);
    };
    let id = order.order.to_string();
    let rows = sqlx::query(
        "SELECT 1 FROM orders WHERE campaign_id = ? AND order_id = ? \
         UNION ALL SELECT 1 FROM dead_letters WHERE campaign_id = ? AND order_id = ?",
    )
    .bind(order.campaign.as_str())
    .bind(id.as_str())
    .bind(order.campaign.as_str())
    .bind(id.as_str())
    .fetch_all(&mut **tx)
    .await?;
    Ok(!rows.is_empty())
}

/// Writes a new row; says whether its place was free.
async fn add(
    tx: &mut Transaction<'_, Any>,
    place: &LetterId,
    record: &DeadRecord,
    now: &str,
) -> StoreResult<bool> {
    let order = record.held();
    // A moment that no database holds is none.
    let recorded_at = record.recorded_at.and_then(|at| time::to_text(at).ok());
    let added = sqlx::query(
        "INSERT INTO dead_letters (topic, `partition`, `offset`, position, record_key, payload, error, landed_at, stage, class, \
         attempts, order_id, campaign_id, sku_id, quantity, recorded_at, changed_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(place.topic.as_str())
    .bind(i64::from(place.partition))
    .bind(place.offset)
    .bind(i64::from(place.position))
    .bind(record.key.as_slice())
    .bind(record.payload.as_slice())
    .bind(record.error.as_str())
    .bind(now)
    .bind(stage(record))
    .bind(record.class)
    .bind(record.attempts)
    .bind(order.map(|order| order.order.to_string()))
    .bind(order.map(|order| order.campaign.as_str()))
    .bind(order.map(|order| order.sku.as_str()))
    .bind(order.map(|order| i64::from(order.quantity)))
    .bind(recorded_at)
    .bind(now)
    .execute(&mut **tx)
    .await;
    match added {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn fail_again(
    tx: &mut Transaction<'_, Any>,
    place: &LetterId,
    record: &DeadRecord,
    now: &str,
) -> StoreResult<()> {
    let order = record.held();
    let id = order.map(|order| order.order.to_string());
    let sql = format!("{FAILED_AGAIN} AND stage NOT IN ({FINAL})");
    sqlx::query(AssertSqlSafe(sql))
        .bind(record.class)
        .bind(record.error.as_str())
        // A replay counts from one again.
        .bind(record.attempts)
        .bind(record.attempts)
        .bind(order.map(|order| order.campaign.as_str()))
        .bind(order.map(|order| order.sku.as_str()))
        .bind(order.map(|order| i64::from(order.quantity)))
        .bind(id.clone())
        .bind(now)
        .bind(stage(record))
        .bind(place.topic.as_str())
        .bind(i64::from(place.partition))
        .bind(place.offset)
        .bind(i64::from(place.position))
        // One that nobody can have been admitted with says nothing of an order that somebody was.
        .bind(id.unwrap_or_default())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn stage(record: &DeadRecord) -> &'static str {
    if record.retry { RETRY } else { DEAD }
}

/// Keeps forged records, each where it was read, as far as there is room: how many. `hour_ago` is an hour before `now`.
pub(in crate::store) async fn keep_forged(
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
    let key = "topic, `partition`, `offset`, position";
    // What stands there already is no less worth keeping.
    let clause = dialect.on_conflict(key, "stage", "stage");
    let sql = format!(
        "INSERT INTO dead_letters ({key}, record_key, payload, error, landed_at, stage, class, recorded_at, changed_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?){clause}"
    );
    let mut kept = 0;
    for (partition, record) in forged.iter().take(usize::try_from(room).unwrap_or(usize::MAX)) {
        let recorded_at = record.recorded_at.and_then(|at| time::to_text(at).ok());
        sqlx::query(AssertSqlSafe(sql.as_str()))
            .bind(topic)
            .bind(i64::from(*partition))
            .bind(record.at.offset)
            .bind(i64::from(record.at.position))
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

/// Marks the dead letters of orders that have landed after all. Where an order was first is what its headers say, so a
/// letter is closed by the same order alone; a repaired one is written into its letter before it is sent. One that was
/// discarded stays so where its order was revoked with it: this copy is a duplicate.
pub(in crate::store) async fn landed<'a>(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    returned: impl Iterator<Item = &'a Returned<'a>>,
    now: &str,
) -> StoreResult<()> {
    for Returned { order, origin } in returned {
        for place in places::of_order(tx, dialect, origin, order).await? {
            close(tx, &place, now).await?;
        }
    }
    Ok(())
}

async fn close(tx: &mut Transaction<'_, Any>, place: &LetterId, now: &str) -> StoreResult<()> {
    sqlx::query(
        "UPDATE dead_letters SET stage = ?, changed_at = ? \
         WHERE topic = ? AND `partition` = ? AND `offset` = ? AND position = ? AND stage <> ? \
         AND NOT (stage = ? AND EXISTS (SELECT 1 FROM orders o WHERE o.campaign_id = dead_letters.campaign_id \
         AND o.order_id = dead_letters.order_id AND o.revoked_reason = ?))",
    )
    .bind(LANDED)
    .bind(now)
    .bind(place.topic.as_str())
    .bind(i64::from(place.partition))
    .bind(place.offset)
    .bind(i64::from(place.position))
    .bind(LANDED)
    .bind(Stage::Discarded.as_str())
    .bind(DISCARDED)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
