//! The last guard of the limits: counts what landed orders use, and says which of them no limit allowed.
//!
//! A row's `used` never passes its `allowed`, the largest limit under which one of its orders was admitted: the table's
//! CHECK refuses it, so that orders within their limits cost one upsert and no read. A charge without a limit loosens
//! nothing; [`NO_LIMIT`](crate::order::NO_LIMIT) does, which landing writes where the plan sets none. In whatever order orders land, those
//! that one engine admitted in one go fit: the last of them was admitted with all others counted. Entries of a
//! rolling window are rows of their own and are added up.

use std::ops;

use crate::order::usage::{self, Range, Usage, Used, judge, sums};
use crate::order::{Charge, OrderEvent, Revoked};
use crate::store::dialect::{Dialect, large_pieces, pieces, placeholders};
use crate::store::error::is_check_violation;
use crate::store::landing::lane::{Lane, Tx, Value};
use crate::store::{StoreError, StoreResult};

/// Subjects whose rolling windows are read by one statement.
const RANGES: usize = 64;
/// The table's key.
const KEY: &str = "campaign_id, counter, subject, window_start";
/// Rows of one statement at most.
const ROWS_MAX: usize = 1024;

/// Adds the orders' charges; the answer names the orders that do not fit, none of whose charges were added.
pub(in crate::store) async fn charge<'a>(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    orders: &[&'a OrderEvent],
) -> StoreResult<Vec<Revoked<'a>>> {
    sqlx::raw_sql("SAVEPOINT charges").execute(&mut **tx).await?;
    let all = sums(orders);
    let lane = &mut Lane::Any(tx);
    let fits = upsert(lane, dialect, &all, pieces).await? && rolling_fits(lane, dialect, orders).await?;
    if fits {
        return Ok(Vec::new());
    }
    sqlx::raw_sql("ROLLBACK TO SAVEPOINT charges")
        .execute(&mut **tx)
        .await?;
    let mut there = Usage::new();
    let lane = &mut Lane::Any(tx);
    for ranges in usage::ranges(orders, |_| true).chunks(RANGES) {
        read(lane, dialect, ranges, &mut there).await?;
    }
    let (fitting, revoked) = judge(orders, there);
    match upsert(lane, dialect, &sums(&fitting), pieces).await? {
        true => Ok(revoked),
        // The rows are locked, so nobody else can have filled them.
        false => Err(StoreError::Transient(
            "usage rows changed under their locks".to_owned(),
        )),
    }
}

/// Adds the orders' charges with as few statements as may be; `false` when one of them does not fit: then the
/// transaction is to be rolled back.
pub(in crate::store) async fn charge_all(
    lane: &mut Lane<'_>,
    dialect: Dialect,
    orders: &[&OrderEvent],
) -> StoreResult<bool> {
    let cut = |len| large_pieces(len, ROWS_MAX);
    Ok(upsert(lane, dialect, &sums(orders), cut).await? && rolling_fits(lane, dialect, orders).await?)
}

/// Takes the orders' charges off again.
pub(in crate::store) async fn refund(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    orders: &[&OrderEvent],
) -> StoreResult<()> {
    take_off(tx, dialect, sums(orders)).await
}

async fn take_off(tx: &mut Tx<'_>, dialect: Dialect, mut sums: Usage<'_>) -> StoreResult<()> {
    sums.values_mut().for_each(|row| row.used = -row.used);
    upsert(&mut Lane::Any(tx), dialect, &sums, pieces).await.map(drop)
}

/// Takes charges, each with its campaign, off again.
pub(in crate::store) async fn give_back<'a>(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    charges: impl Iterator<Item = (&'a str, &'a Charge)>,
) -> StoreResult<()> {
    take_off(tx, dialect, usage::sums_of(charges)).await
}

/// Adds charges of orders that landed before their counter was there. No limit of it let them in: what is allowed rises as
/// far as they need it, and no further.
pub(in crate::store) async fn charge_afterwards(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    orders: &[&OrderEvent],
) -> StoreResult<()> {
    let clause = dialect.on_conflict_all(
        KEY,
        &[
            ("allowed", dialect.at_least_used()),
            ("used", "used + {new}".into()),
        ],
    );
    let lane = &mut Lane::Any(tx);
    match upsert_by(lane, &clause, &sums(orders), pieces).await? {
        true => Ok(()),
        false => Err(StoreError::Permanent(
            "a row of usage is beyond what it allows itself".to_owned(),
        )),
    }
}

/// `false` when a row would pass what is allowed; then part of the rows may be written.
async fn upsert(
    lane: &mut Lane<'_>,
    dialect: Dialect,
    sums: &Usage<'_>,
    cut: impl Fn(usize) -> Vec<ops::Range<usize>>,
) -> StoreResult<bool> {
    let clause = dialect.on_conflict_all(KEY, &[("used", "used + {new}"), ("allowed", dialect.greatest())]);
    upsert_by(lane, &clause, sums, cut).await
}

/// `clause` says what becomes of a row that is there.
async fn upsert_by(
    lane: &mut Lane<'_>,
    clause: &str,
    sums: &Usage<'_>,
    cut: impl Fn(usize) -> Vec<ops::Range<usize>>,
) -> StoreResult<bool> {
    let sums: Vec<_> = sums.iter().collect();
    for range in cut(sums.len()) {
        let marks = placeholders(range.len(), 6);
        let sql = format!(
            "INSERT INTO `usage` (campaign_id, counter, subject, window_start, used, allowed) VALUES {marks}{clause}"
        );
        let mut values = Vec::with_capacity(6 * range.len());
        for (((campaign, counter, subject), window), row) in &sums[range] {
            values.extend([
                Value::Text(campaign),
                Value::Text(counter),
                Value::Text(subject),
                Value::Int(*window),
                Value::Int(row.used),
                Value::MaybeInt(row.allowed),
            ]);
        }
        match lane.execute(sql, &values, true).await {
            Ok(_) => {}
            Err(error) if is_check_violation(&error) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Whether the rolling windows, this transaction's orders counted, hold no more than is allowed.
async fn rolling_fits(lane: &mut Lane<'_>, dialect: Dialect, orders: &[&OrderEvent]) -> StoreResult<bool> {
    let ranges = usage::ranges(orders, usage::is_rolling);
    let mut there = Usage::new();
    for some in ranges.chunks(RANGES) {
        read(lane, dialect, some, &mut there).await?;
    }
    Ok(usage::rolling_fits(orders, &there))
}

/// Reads and locks the rows of the ranges.
async fn read<'a>(
    lane: &mut Lane<'_>,
    dialect: Dialect,
    ranges: &[Range<'a>],
    there: &mut Usage<'a>,
) -> StoreResult<()> {
    let one = "(campaign_id = ? AND counter = ? AND subject = ? AND window_start > ? AND window_start <= ?)";
    let any = vec![one; ranges.len()].join(" OR ");
    let sql = format!(
        "SELECT campaign_id, counter, CAST(subject AS CHAR), window_start, used, allowed FROM `usage` WHERE {any} \
         ORDER BY campaign_id, counter, subject, window_start{}",
        dialect.for_update()
    );
    let mut values = Vec::with_capacity(5 * ranges.len());
    for ((campaign, counter, subject), (after, last)) in ranges {
        values.extend([
            Value::Text(campaign),
            Value::Text(counter),
            Value::Text(subject),
            Value::Int(*after),
            Value::Int(*last),
        ]);
    }
    let found = lane.fetch(sql, &values, |row| {
        let (campaign, counter, subject) = (row.text(0)?, row.text(1)?, row.text(2)?);
        let subject = (campaign.as_str(), counter.as_str(), subject.as_str());
        let (used, allowed) = (row.int(4)?, row.maybe_int(5)?);
        // In order, as they were collected.
        let asked = ranges.binary_search_by(|(asked, _)| asked.cmp(&subject));
        let at = asked.ok().map(|index| ranges[index].0);
        Ok(at.zip(Some(row.int(3)?)).map(|key| (key, Used { used, allowed })))
    });
    there.extend(found.await?.into_iter().flatten());
    Ok(())
}
