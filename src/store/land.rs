//! Landing: one transaction that writes several partitions' orders exactly once.
//!
//! The order of the statements is the order of the locks, the same for every lander: offset rows
//! ascending, new orders, usage ascending, stock ascending. Stock is last because all landers of a
//! sale meet in its row.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection, Row, Transaction};

use super::dialect::{Dialect, pieces, placeholders};
use super::error::is_duplicate;
use super::orders::Receipt;
use super::rows::{int, narrow, to_json};
use super::stock::Revoked;
use super::{Landed, LandingSlice, Store, StoreError, StoreResult, fence, stock, time, usage};
use crate::campaign::check_id;
use crate::failpoint::{self, Point};
use crate::order::{OrderEvent, OrderState, QUANTITY_MAX, VALUE_BYTES_MAX};
use crate::plan::{COST_MAX, PLAN_COUNTERS_MAX};

/// A server that does not answer this long has let the connection hang.
const LAND_LIMIT: Duration = Duration::from_secs(30);
/// How often a batch is tried again around rows that another transaction has just inserted.
const DUPLICATE_ROUNDS_MAX: usize = 3;
const ORDER_COLUMNS: usize = 13;
// Widths of columns, in bytes.
const COUNTER_BYTES_MAX: usize = 160;
const SUBJECT_BYTES_MAX: usize = 2080;
const DIGEST_BYTES_MAX: usize = 64;
const FINGERPRINT_BYTES_MAX: usize = 32;

type Tx<'t> = Transaction<'t, Any>;

/// Whether the database can hold the order at all; what is wrong where it cannot.
pub fn check_event(event: &OrderEvent) -> Result<(), String> {
    let fits = |what: &str, bytes: usize, limit: usize| match bytes <= limit {
        true => Ok(()),
        false => Err(format!("{what} is {bytes} bytes long; at most {limit} fit")),
    };
    let within = |what: &str, value: i64, low: i64, high: i64| match (low..=high).contains(&value) {
        true => Ok(()),
        false => Err(format!("{what} {value} is not within {low} to {high}")),
    };
    check_id(&event.campaign).map_err(|error| format!("campaign id {error}"))?;
    check_id(&event.sku).map_err(|error| format!("SKU id {error}"))?;
    fits("user", event.user.len(), VALUE_BYTES_MAX)?;
    fits("plan digest", event.plan.len(), DIGEST_BYTES_MAX)?;
    fits("fingerprint", event.fingerprint.len(), FINGERPRINT_BYTES_MAX)?;
    within("quantity", event.quantity.into(), 1, QUANTITY_MAX.into())?;
    within("placed_at", event.placed_at, time::TIME_MIN_MS, time::TIME_MAX_MS)?;
    within(
        "number of charges",
        event.charges.len() as i64,
        0,
        PLAN_COUNTERS_MAX as i64,
    )?;
    for charge in &event.charges {
        fits("counter", charge.counter.len(), COUNTER_BYTES_MAX)?;
        fits("subject", charge.subject.len(), SUBJECT_BYTES_MAX)?;
        within("cost", charge.cost, 1, COST_MAX)?;
    }
    Ok(())
}

impl Store {
    /// Lands slices of several partitions in one transaction: offset rows locked and compared,
    /// orders inserted once, usage added, stock last and conditionally.
    ///
    /// After any error the same call may be made again, also when the commit's answer was lost:
    /// what was written then counts as duplicates.
    pub async fn land(&self, topic: &str, slices: &[LandingSlice], now: i64) -> StoreResult<Landed> {
        if slices.is_empty() {
            return Ok(Landed::default());
        }
        let mut connection = self.pool.acquire().await?;
        let landing = transaction(&mut connection, self.dialect, topic, slices, now);
        match tokio::time::timeout(LAND_LIMIT, landing).await {
            Ok(landed) => landed,
            Err(_) => {
                drop(connection.detach());
                let what = format!("{} gave no answer within {LAND_LIMIT:?}", self.place);
                Err(StoreError::Transient(what))
            }
        }
    }
}

async fn transaction(
    connection: &mut AnyConnection,
    dialect: Dialect,
    topic: &str,
    slices: &[LandingSlice],
    now: i64,
) -> StoreResult<Landed> {
    let now = time::to_text(now)?;
    let mut tx = connection.begin_with(dialect.begin()).await?;
    let stored = lock_offsets(&mut tx, dialect, topic, slices).await?;
    let mut work = fence::compare(slices, &stored);
    if !work.replayed.is_empty() {
        let replayed: Vec<&OrderEvent> = work.replayed.iter().map(|(_, order)| *order).collect();
        let known = existing(&mut tx, &replayed).await?;
        fence::recover(&mut work, |order| known.contains(&order.order.to_string()));
    }
    let mut landed = work.landed;
    if work.advance.is_empty() {
        tx.rollback().await?;
        return Ok(landed);
    }
    let fresh = insert_orders(&mut tx, &work.orders, &now).await?;
    failpoint::hit(Point::C2);
    landed.duplicates += (work.orders.len() - fresh.len()) as u64;
    landed.dead = insert_dead(&mut tx, dialect, topic, &work.dead, &now).await?;
    write_offsets(&mut tx, dialect, topic, &work.advance).await?;
    let mut revoked = usage::charge(&mut tx, dialect, &fresh).await?;
    let within = without(&fresh, &revoked);
    let oversold = stock::sell(&mut tx, dialect, &within).await?;
    if !oversold.is_empty() {
        let refunded: Vec<&OrderEvent> = oversold.iter().map(|revoked| revoked.order).collect();
        usage::refund(&mut tx, dialect, &refunded).await?;
        revoked.extend(oversold);
    }
    if !revoked.is_empty() {
        stock::revoke(&mut tx, &revoked, &now).await?;
    }
    tx.commit().await?;
    landed.revoked = revoked.len() as u64;
    landed.confirmed = fresh.len() as u64 - landed.revoked;
    Ok(landed)
}

fn without<'a>(orders: &[&'a OrderEvent], revoked: &[Revoked<'_>]) -> Vec<&'a OrderEvent> {
    let is_revoked = |order: &OrderEvent| {
        let mut each = revoked.iter();
        each.any(|revoked| std::ptr::eq(revoked.order, order))
    };
    orders
        .iter()
        .copied()
        .filter(|order| !is_revoked(order))
        .collect()
}

/// Locks the offset rows of the slices' partitions, after adding those that are missing.
async fn lock_offsets(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    topic: &str,
    slices: &[LandingSlice],
) -> StoreResult<BTreeMap<i32, i64>> {
    let mut first = BTreeMap::new();
    for slice in slices {
        let from = first.entry(slice.partition).or_insert(slice.from);
        *from = slice.from.min(*from);
    }
    let stored = select_offsets(tx, dialect, topic, &first).await?;
    if stored.len() == first.len() {
        return Ok(stored);
    }
    let missing: BTreeMap<i32, i64> = first
        .iter()
        .filter(|(partition, _)| !stored.contains_key(partition))
        .map(|(partition, from)| (*partition, *from))
        .collect();
    upsert_offsets(tx, dialect, topic, &missing, "next_offset").await?;
    select_offsets(tx, dialect, topic, &first).await
}

async fn select_offsets(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    topic: &str,
    partitions: &BTreeMap<i32, i64>,
) -> StoreResult<BTreeMap<i32, i64>> {
    let (marks, lock) = (placeholders(1, partitions.len()), dialect.for_update());
    let sql = format!(
        "SELECT `partition`, next_offset FROM landing_offsets WHERE topic = ? AND `partition` IN {marks} \
         ORDER BY `partition`{lock}"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(topic);
    let query = partitions
        .keys()
        .fold(query, |query, partition| query.bind(i64::from(*partition)));
    let rows = query.fetch_all(&mut **tx).await?;
    rows.iter()
        .map(|row| Ok((narrow(row, 0)?, int(row, 1)?)))
        .collect()
}

async fn write_offsets(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    topic: &str,
    next: &BTreeMap<i32, i64>,
) -> StoreResult<()> {
    upsert_offsets(tx, dialect, topic, next, "{new}").await
}

/// Inserts offsets; a row that exists gets `expression`.
async fn upsert_offsets(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    topic: &str,
    offsets: &BTreeMap<i32, i64>,
    expression: &str,
) -> StoreResult<()> {
    let marks = placeholders(offsets.len(), 3);
    let clause = dialect.on_conflict("topic, `partition`", "next_offset", expression);
    let sql = format!("INSERT INTO landing_offsets (topic, `partition`, next_offset) VALUES {marks}{clause}");
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (partition, next) in offsets {
        query = query.bind(topic).bind(i64::from(*partition)).bind(*next);
    }
    query.execute(&mut **tx).await?;
    Ok(())
}

/// Inserts the orders that are not there yet, and returns these.
async fn insert_orders<'a>(
    tx: &mut Tx<'_>,
    orders: &[&'a OrderEvent],
    now: &str,
) -> StoreResult<Vec<&'a OrderEvent>> {
    let mut fresh = Vec::with_capacity(orders.len());
    for range in pieces(orders.len()) {
        let mut chunk = orders[range].to_vec();
        let mut rounds = 0;
        // A plain INSERT, because duplicates are rare. One that meets a duplicate writes nothing;
        // then the rows that exist are looked up and left out.
        while !chunk.is_empty() && !insert_rows(tx, &chunk, now, rounds == 0).await? {
            rounds += 1;
            if rounds > DUPLICATE_ROUNDS_MAX {
                let what = "another transaction keeps inserting the same orders";
                return Err(StoreError::Transient(what.to_owned()));
            }
            let known = existing(tx, &chunk).await?;
            chunk.retain(|order| !known.contains(&order.order.to_string()));
        }
        fresh.extend(chunk);
    }
    Ok(fresh)
}

/// One INSERT; `false` when one of the rows exists already, and then none was inserted.
async fn insert_rows(
    tx: &mut Tx<'_>,
    orders: &[&OrderEvent],
    now: &str,
    persistent: bool,
) -> StoreResult<bool> {
    let sql = format!(
        "INSERT INTO orders (order_id, campaign_id, sku_id, user_id, quantity, revision, state, placed_at, \
         confirmed_at, shard, plan_digest, fingerprint, receipt) VALUES {}",
        placeholders(orders.len(), ORDER_COLUMNS)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(persistent);
    for order in orders {
        let receipt = Receipt {
            modules: order.modules.clone(),
            charges: order.charges.clone(),
            attributes: order.attributes.clone(),
        };
        query = query
            .bind(order.order.to_string())
            .bind(order.campaign.as_str())
            .bind(order.sku.as_str())
            .bind(order.user.as_str())
            .bind(i64::from(order.quantity))
            .bind(i64::from(order.revision))
            .bind(OrderState::Confirmed.as_str())
            .bind(time::to_text(order.placed_at)?)
            .bind(now)
            .bind(i64::from(order.shard))
            .bind(order.plan.as_str())
            .bind(order.fingerprint.as_str())
            .bind(to_json(&receipt)?);
    }
    match query.execute(&mut **tx).await {
        Ok(_) => Ok(true),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Ids of those orders that have a row.
async fn existing(tx: &mut Tx<'_>, orders: &[&OrderEvent]) -> StoreResult<HashSet<String>> {
    let mut by_campaign: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for order in orders {
        let ids = by_campaign.entry(order.campaign.as_str()).or_default();
        ids.push(order.order.to_string());
    }
    let mut known = HashSet::new();
    for (campaign, ids) in by_campaign {
        for range in pieces(ids.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!("SELECT order_id FROM orders WHERE campaign_id = ? AND order_id IN {marks}");
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let query = ids[range].iter().fold(query, |query, id| query.bind(id.as_str()));
            for row in query.fetch_all(&mut **tx).await? {
                known.insert(row.try_get(0)?);
            }
        }
    }
    Ok(known)
}

/// Keeps records that cannot land; one that is kept already stays as it is.
async fn insert_dead(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    topic: &str,
    dead: &[(i32, &super::DeadRecord)],
    now: &str,
) -> StoreResult<u64> {
    let clause = dialect.on_conflict("topic, `partition`, `offset`", "topic", "topic");
    let sql = format!(
        "INSERT INTO dead_letters (topic, `partition`, `offset`, record_key, payload, error, landed_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?){clause}"
    );
    for (partition, record) in dead {
        sqlx::query(AssertSqlSafe(sql.as_str()))
            .bind(topic)
            .bind(i64::from(*partition))
            .bind(record.offset)
            .bind(record.key.as_slice())
            .bind(record.payload.as_slice())
            .bind(record.error.as_str())
            .bind(now)
            .execute(&mut **tx)
            .await?;
    }
    Ok(dead.len() as u64)
}
