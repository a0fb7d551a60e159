//! The last guard of the limits: counts what landed orders use, and says which of them no limit allowed.
//!
//! A row's `used` never passes its `allowed`, the largest limit under which one of its orders was admitted: the table's
//! CHECK refuses it, so that orders within their limits cost one upsert and no read. A charge without a limit loosens
//! nothing; [`NO_LIMIT`] does, which landing writes where the plan sets none. In whatever order orders land, those
//! that one engine admitted in one go fit: the last of them was admitted with all others counted. Entries of a
//! rolling window are rows of their own and are added up.

use std::collections::BTreeMap;
use std::ops;

use crate::order::{Charge, NO_LIMIT, OrderEvent};
use crate::store::dialect::{Dialect, large_pieces, pieces, placeholders};
use crate::store::error::is_check_violation;
use crate::store::landing::lane::{Lane, Tx, Value};
use crate::store::landing::stock::Revoked;
use crate::store::{StoreError, StoreResult};

/// Why an order is revoked that would pass a limit.
pub(in crate::store) const OVER_LIMIT: &str = "over-limit";
/// Subjects whose rolling windows are read by one statement.
const RANGES: usize = 64;
/// Rows of one statement at most.
const ROWS_MAX: usize = 1024;

/// Campaign, counter and subject.
type Subject<'a> = (&'a str, &'a str, &'a str);
/// In the order of the table's key, which is the order of its locks.
type Rows<'a> = BTreeMap<(Subject<'a>, i64), Row>;

/// Units used, and how many are allowed; `None`: nobody has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    used: i64,
    allowed: Option<i64>,
}

impl Row {
    fn of(charge: &Charge) -> Self {
        Self {
            used: charge.cost,
            allowed: charge.limit,
        }
    }

    fn add(&mut self, other: Self) {
        self.used += other.used;
        self.allowed = self.allowed.max(other.allowed);
    }

    fn fits(self) -> bool {
        self.allowed.is_none_or(|allowed| self.used <= allowed)
    }
}

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
    let mut there = Rows::new();
    let lane = &mut Lane::Any(tx);
    for ranges in ranges(orders, |_| true).chunks(RANGES) {
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
    let mut sums = sums(orders);
    sums.values_mut().for_each(|row| row.used = -row.used);
    upsert(&mut Lane::Any(tx), dialect, &sums, pieces).await.map(drop)
}

fn charges<'a>(order: &'a OrderEvent) -> impl Iterator<Item = (Subject<'a>, &'a Charge)> {
    order.charges.iter().map(|charge| {
        let subject = (
            order.campaign.as_str(),
            charge.counter.as_str(),
            charge.subject.as_str(),
        );
        (subject, charge)
    })
}

fn sums<'a>(orders: &[&'a OrderEvent]) -> Rows<'a> {
    let mut sums = Rows::new();
    for (subject, charge) in orders.iter().flat_map(|order| charges(order)) {
        sums.entry((subject, charge.window))
            .and_modify(|row| row.add(Row::of(charge)))
            .or_insert_with(|| Row::of(charge));
    }
    sums
}

/// `false` when a row would pass what is allowed; then part of the rows may be written.
async fn upsert(
    lane: &mut Lane<'_>,
    dialect: Dialect,
    sums: &Rows<'_>,
    cut: impl Fn(usize) -> Vec<ops::Range<usize>>,
) -> StoreResult<bool> {
    let sums: Vec<_> = sums.iter().collect();
    let clause = dialect.on_conflict_all(
        "campaign_id, counter, subject, window_start",
        &[("used", "used + {new}"), ("allowed", dialect.greatest())],
    );
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

/// Windows of one subject from the first, exclusive, to the last.
type Range<'a> = (Subject<'a>, (i64, i64));

/// What the charges look at: one stretch of windows per subject.
fn ranges<'a>(orders: &[&'a OrderEvent], wanted: impl Fn(&Charge) -> bool) -> Vec<Range<'a>> {
    let mut ranges: BTreeMap<Subject<'a>, (i64, i64)> = BTreeMap::new();
    for (subject, charge) in orders.iter().flat_map(|order| charges(order)) {
        if wanted(charge) {
            let (after, last) = looks_at(charge);
            let range = ranges.entry(subject).or_insert((after, last));
            *range = (range.0.min(after), range.1.max(last));
        }
    }
    ranges.into_iter().collect()
}

/// The windows whose rows a charge's limit is about: the first, exclusive, and the last.
fn looks_at(charge: &Charge) -> (i64, i64) {
    let length = charge.rolling_ms.max(1);
    (charge.window.saturating_sub(length), charge.window)
}

/// Whether the rolling windows, this transaction's orders counted, hold no more than is allowed.
async fn rolling_fits(lane: &mut Lane<'_>, dialect: Dialect, orders: &[&OrderEvent]) -> StoreResult<bool> {
    let is_limited = |charge: &Charge| charge.rolling_ms > 0 && charge.limit != Some(NO_LIMIT);
    let ranges = ranges(orders, is_limited);
    let mut there = Rows::new();
    for some in ranges.chunks(RANGES) {
        read(lane, dialect, some, &mut there).await?;
    }
    let mut limited = orders
        .iter()
        .flat_map(|order| charges(order))
        .filter(|(_, charge)| is_limited(charge));
    Ok(limited.all(|(subject, charge)| seen(&there, subject, charge).is_none_or(Row::fits)))
}

/// Reads and locks the rows of the ranges.
async fn read<'a>(
    lane: &mut Lane<'_>,
    dialect: Dialect,
    ranges: &[Range<'a>],
    there: &mut Rows<'a>,
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
        Ok(at.zip(Some(row.int(3)?)).map(|key| (key, Row { used, allowed })))
    });
    there.extend(found.await?.into_iter().flatten());
    Ok(())
}

/// What the rows that a charge's limit is about hold together.
fn seen(there: &Rows<'_>, subject: Subject<'_>, charge: &Charge) -> Option<Row> {
    let (after, last) = looks_at(charge);
    let rows = there.range((subject, after.saturating_add(1))..=(subject, last));
    rows.map(|(_, row)| *row).reduce(|mut sum, row| {
        sum.add(row);
        sum
    })
}

/// Lets orders in, in their order, as long as each fits with all of its charges.
fn judge<'a>(orders: &[&'a OrderEvent], mut there: Rows<'a>) -> (Vec<&'a OrderEvent>, Vec<Revoked<'a>>) {
    let (mut fitting, mut revoked) = (Vec::new(), Vec::new());
    for order in orders {
        let full: Vec<&str> = charges(order)
            .filter(|(subject, charge)| {
                let mut row = Row::of(charge);
                seen(&there, *subject, charge)
                    .into_iter()
                    .for_each(|seen| row.add(seen));
                !row.fits()
            })
            .map(|((_, counter, _), _)| counter)
            .collect();
        if !full.is_empty() {
            revoked.push(Revoked {
                order,
                reason: OVER_LIMIT,
                counters: full,
            });
            continue;
        }
        for (subject, charge) in charges(order) {
            there
                .entry((subject, charge.window))
                .and_modify(|row| row.add(Row::of(charge)))
                .or_insert_with(|| Row::of(charge));
        }
        fitting.push(*order);
    }
    (fitting, revoked)
}
