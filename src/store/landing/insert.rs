//! Inserting orders: each id once. An order that is there already is compared whole, so that another one under its id
//! is no duplicate.

use std::collections::{BTreeMap, HashMap};

use sqlx::AssertSqlSafe;

use crate::failpoint::{self, Point};
use crate::order::{OrderEvent, OrderState, REPLACES, is_pseudonym, replaced_by};
use crate::record::fence::ToWrite;
use crate::store::dialect::{Dialect, large_pieces, pieces, placeholders};
use crate::store::error::is_duplicate;
use crate::store::landing::holds;
use crate::store::landing::lane::{Lane, Tx, Value};
use crate::store::orders::Receipt;
use crate::store::rows::{int, text, to_json};
use crate::store::{StoreError, StoreResult};

/// How often a batch is tried again around rows that another transaction has just inserted.
const DUPLICATE_ROUNDS_MAX: usize = 3;
/// Values of an order's row that are bound; its state is always the same.
const ORDER_BINDS: usize = 14;
/// Bytes of one statement at most: half of what `rushgate doctor` asks `max_allowed_packet` to be. A server that takes
/// less refuses it, and then smaller ones are tried.
const STATEMENT_BYTES_MAX: usize = 2 << 20;
/// Bytes of a row besides its receipt and user at most: ids of two times 64 bytes, digests, numbers.
const ROW_BYTES: usize = 400;

/// An order that fails for itself, with the reason.
pub(in crate::store) type Apart<'a> = (&'a OrderEvent, StoreError);

/// Inserts the orders that are not there yet, and returns these. With `failed`, orders that fail for themselves
/// are found by quartering the statement that fails, and left out: a statement that fails writes nothing. Quarters
/// of a piece are pieces too, so their statements are prepared already.
pub(in crate::store) async fn insert_orders<'a>(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    orders: &[&'a OrderEvent],
    now: &str,
    mut failed: Option<&mut Vec<Apart<'a>>>,
) -> StoreResult<Vec<&'a OrderEvent>> {
    let moments = Moments {
        confirmed_at: Value::Text(now),
        pay_by: holds::pay_by(&mut Lane::Any(tx), dialect, orders).await?,
    };
    let mut fresh = Vec::with_capacity(orders.len());
    for range in pieces(orders.len()) {
        let mut open = vec![&orders[range]];
        while let Some(part) = open.pop() {
            match (insert_new(tx, part, &moments).await, &mut failed) {
                (Ok((new, others)), failed) => {
                    fresh.extend(new);
                    match failed {
                        Some(failed) => failed.extend(others),
                        None => others
                            .into_iter()
                            .next()
                            .map_or(Ok(()), |(_, error)| Err(error))?,
                    }
                    if !open.is_empty() {
                        failpoint::hit(Point::C6);
                    }
                }
                (Err(error), Some(failed)) if error.is_of_a_row() => match part {
                    [one] => failed.push((*one, error)),
                    _ => open.extend(part.chunks(part.len().div_ceil(4)).rev()),
                },
                (Err(error), _) => return Err(error),
            }
        }
    }
    Ok(fresh)
}

/// Inserts those of the orders that are not there yet, and returns these, and those whose id another order has.
async fn insert_new<'a>(
    tx: &mut Tx<'_>,
    orders: &[&'a OrderEvent],
    moments: &Moments<'_>,
) -> StoreResult<(Vec<&'a OrderEvent>, Vec<Apart<'a>>)> {
    let mut new = orders.to_vec();
    let mut others = Vec::new();
    let mut rounds = 0;
    // A plain INSERT, because duplicates are rare. One that meets a duplicate writes nothing;
    // then the rows that exist are looked up and left out.
    while !new.is_empty() && !insert_rows(&mut Lane::Any(tx), &rows(&new)?, moments, rounds == 0).await? {
        rounds += 1;
        if rounds > DUPLICATE_ROUNDS_MAX {
            let what = "an order collides with another one in a unique key that is not rushgate's";
            return Err(StoreError::Conflict(what.to_owned()));
        }
        let known = same_ids(tx, &new).await?;
        new.retain(|order| match known.get(&place_in_table(order)) {
            None => true,
            Some(content) => {
                if !is_of(content, order) {
                    others.push((*order, other_order(order)));
                }
                false
            }
        });
    }
    Ok((new, others))
}

/// Orders that differ from another one of their batch, by now in the table: those that are in it themselves are
/// duplicates, and the others stay in `work` and fail.
pub(in crate::store) async fn compare_whole<'a>(
    tx: &mut Tx<'_>,
    work: &mut ToWrite<'a>,
    failed: &mut Vec<Apart<'a>>,
) -> StoreResult<()> {
    if work.contradicted.is_empty() {
        return Ok(());
    }
    let known = same_ids(tx, &work.contradicted).await?;
    let all = work.contradicted.len();
    let is_there = |order: &&OrderEvent| {
        let content = known.get(&place_in_table(order));
        content.is_some_and(|content| is_of(content, order))
    };
    work.contradicted.retain(|order| !is_there(order));
    work.duplicates += (all - work.contradicted.len()) as u64;
    failed.extend(work.contradicted.iter().map(|order| (*order, other_order(order))));
    Ok(())
}

/// Campaign and id.
fn place_in_table(order: &OrderEvent) -> (String, String) {
    (order.campaign.clone(), order.order.to_string())
}

/// [`OrderEvent::content`] of a row.
type Content = (String, String, i64, String);

/// Of an order whose buyer was erased, the row no longer says who that was: the rest has to be the same.
fn is_of(content: &Content, order: &OrderEvent) -> bool {
    let (user, sku, quantity, fingerprint) = content;
    let user = if is_pseudonym(user) { &order.user } else { user };
    (user.as_str(), sku.as_str(), *quantity, fingerprint.as_str()) == order.content()
}

fn other_order(order: &OrderEvent) -> StoreError {
    StoreError::Contradiction(format!(
        "order {} of campaign {} is another one already: its user, SKU, quantity or fingerprint differs",
        order.order, order.campaign
    ))
}

/// The rows that have the orders' ids.
async fn same_ids(
    tx: &mut Tx<'_>,
    orders: &[&OrderEvent],
) -> StoreResult<HashMap<(String, String), Content>> {
    let mut known = HashMap::new();
    for (campaign, ids) in ids_by_campaign(orders) {
        for range in pieces(ids.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!(
                "SELECT order_id, CAST(user_id AS CHAR), sku_id, quantity, fingerprint FROM orders \
                 WHERE campaign_id = ? AND order_id IN {marks}"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let query = ids[range].iter().fold(query, |query, id| query.bind(id.as_str()));
            for row in &query.fetch_all(&mut **tx).await? {
                let content = (text(row, 1)?, text(row, 2)?, int(row, 3)?, text(row, 4)?);
                known.insert((campaign.to_owned(), text(row, 0)?), content);
            }
        }
    }
    Ok(known)
}

pub(in crate::store) fn ids_by_campaign<'a>(orders: &[&'a OrderEvent]) -> BTreeMap<&'a str, Vec<String>> {
    let mut by_campaign: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for order in orders {
        let ids = by_campaign.entry(order.campaign.as_str()).or_default();
        ids.push(order.order.to_string());
    }
    by_campaign
}

/// Moments of the rows of one landing.
struct Moments<'v> {
    confirmed_at: Value<'v>,
    /// By campaign; those without a hold are not in it.
    pay_by: BTreeMap<String, i64>,
}

impl Moments<'_> {
    fn pay_by_of(&self, order: &OrderEvent) -> Value<'static> {
        Value::MaybeMoment(self.pay_by.get(&order.campaign).copied())
    }
}

/// An order, and the text of its receipt.
type WithReceipt<'a> = (&'a OrderEvent, String);

fn rows<'a>(orders: &[&'a OrderEvent]) -> StoreResult<Vec<WithReceipt<'a>>> {
    let row = |order: &&'a OrderEvent| {
        let receipt = Receipt {
            modules: &order.modules,
            charges: &order.charges,
            attributes: &order.attributes,
        };
        Ok((*order, to_json(&receipt)?))
    };
    orders.iter().map(row).collect()
}

/// Inserts all of the orders with as few statements as may be; says until when they are to be paid, by campaign. `None` when one
/// of them is there already: then the transaction is to be rolled back.
pub(in crate::store) async fn insert_all(
    lane: &mut Lane<'_>,
    dialect: Dialect,
    orders: &[&OrderEvent],
    confirmed_at: Value<'_>,
) -> StoreResult<Option<BTreeMap<String, i64>>> {
    let pay_by = holds::pay_by(lane, dialect, orders).await?;
    let moments = Moments { confirmed_at, pay_by };
    let rows = rows(orders)?;
    let bytes = |(order, receipt): &WithReceipt<'_>| ROW_BYTES + order.user.len() + receipt.len();
    let largest = rows.iter().map(bytes).max().unwrap_or(1);
    for range in large_pieces(rows.len(), STATEMENT_BYTES_MAX / largest) {
        if !insert_rows(lane, &rows[range], &moments, true).await? {
            return Ok(None);
        }
    }
    Ok(Some(moments.pay_by))
}

/// One INSERT; `false` when one of the rows exists already, and then none was inserted.
async fn insert_rows(
    lane: &mut Lane<'_>,
    rows: &[WithReceipt<'_>],
    moments: &Moments<'_>,
    keep: bool,
) -> StoreResult<bool> {
    let marks = format!(
        "(?,?,?,?,?,?,'{}',?,?,?,?,?,?,?,?)",
        OrderState::Confirmed.as_str()
    );
    let sql = format!(
        "INSERT INTO orders (order_id, campaign_id, sku_id, user_id, quantity, revision, state, placed_at, \
         confirmed_at, pay_by, replaces, shard, plan_digest, fingerprint, receipt) VALUES {}",
        vec![marks.as_str(); rows.len()].join(",")
    );
    let ids: Vec<String> = rows.iter().map(|(order, _)| order.order.to_string()).collect();
    let mut values = Vec::with_capacity(ORDER_BINDS * rows.len());
    for ((order, receipt), id) in rows.iter().zip(&ids) {
        let replaced = replaced_by(&order.attributes).and_then(|_| order.attributes.get(REPLACES));
        let replaced = replaced.map(String::as_str);
        values.extend([
            Value::Text(id),
            Value::Text(&order.campaign),
            Value::Text(&order.sku),
            Value::Text(&order.user),
            Value::Int(i64::from(order.quantity)),
            Value::Int(i64::from(order.revision)),
            Value::moment(order.placed_at)?,
            moments.confirmed_at.clone(),
            moments.pay_by_of(order),
            Value::MaybeText(replaced),
            Value::Int(i64::from(order.shard)),
            Value::Text(&order.plan),
            Value::Text(&order.fingerprint),
            Value::Text(receipt),
        ]);
    }
    match lane.execute(sql, &values, keep).await {
        Ok(_) => Ok(true),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
