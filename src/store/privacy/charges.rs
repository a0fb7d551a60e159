//! What an erased buyer's orders use of counters, moved to subjects that name nobody: each sum stays what it was.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Any, AnyConnection, AssertSqlSafe, Transaction};

use super::mask::{Mask, Names};
use crate::order::LandedOrder;
use crate::plan::Counter;
use crate::store::dialect::Dialect;
use crate::store::rows::{int, maybe_int, text};
use crate::store::{Store, StoreResult};

/// Rows that one statement reads.
const ROWS_AT_ONCE: usize = 64;

/// Counter, subject and window: the order of the table's key.
type Place = (String, String, i64);

/// Counters and their subjects that keep their names.
pub(super) type Kept = BTreeSet<(String, String)>;

/// What orders have of one row.
struct Own {
    used: i64,
    names: Names,
}

/// A row as it is.
struct There {
    used: i64,
    allowed: Option<i64>,
}

/// A row of `usage` that names a buyer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuyerUsage {
    pub counter: String,
    pub subject: String,
    pub window: i64,
    /// All there is, also of other buyers of the same device or address.
    pub used: i64,
    pub allowed: Option<i64>,
}

impl Store {
    /// The rows that these orders of one buyer were counted in and that name the buyer, in order.
    pub async fn buyer_usage(
        &self,
        campaign: &str,
        user: &str,
        orders: &[LandedOrder],
    ) -> StoreResult<Vec<BuyerUsage>> {
        let counters = self.counters_of(campaign).await?;
        let own = own(orders, &counters, user);
        let named = own.iter().filter(|(_, own)| own.names == Names::Buyer);
        let named: Vec<&Place> = named.map(|(place, _)| place).collect();
        let mut connection = self.pool.acquire().await?;
        let there = read(&mut connection, campaign, &named, "").await?;
        let row = |((counter, subject, window), row): (Place, There)| BuyerUsage {
            counter,
            subject,
            window,
            used: row.used,
            allowed: row.allowed,
        };
        Ok(there.into_iter().map(row).collect())
    }
}

/// Moves what these orders of one buyer use, whose rows are locked, to subjects that name nobody. What stays as it is: subjects of
/// claims that others are counted under as well, and those that name nobody anyhow.
pub(super) async fn rename(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    campaign: &str,
    orders: &[LandedOrder],
    counters: &BTreeMap<String, Counter>,
    mask: Mask<'_>,
) -> StoreResult<Kept> {
    let own = own(orders, counters, mask.user);
    let named = own.iter().filter(|(_, own)| own.names != Names::Nobody);
    let named: Vec<&Place> = named.map(|(place, _)| place).collect();
    let there = read(tx, campaign, &named, dialect.for_update()).await?;
    let kept = kept(&own, &there);
    for ((counter, subject, window), own) in &own {
        let Some(row) = there.get(&(counter.clone(), subject.clone(), *window)) else {
            continue;
        };
        if kept.contains(&(counter.clone(), subject.clone())) {
            continue;
        }
        let moved = own.used.min(row.used);
        let place = (counter.as_str(), subject.as_str(), *window);
        take(tx, campaign, place, row.used - moved).await?;
        if moved > 0 {
            let place = (counter.as_str(), mask.subject(counter, subject), *window);
            put(tx, dialect, campaign, place, (moved, row.allowed)).await?;
        }
    }
    Ok(kept)
}

/// By row, what orders have of it. Those that gave their allowance back have nothing, and name it all the same.
fn own(orders: &[LandedOrder], counters: &BTreeMap<String, Counter>, user: &str) -> BTreeMap<Place, Own> {
    let mut own: BTreeMap<Place, Own> = BTreeMap::new();
    for order in orders {
        for charge in &order.charges {
            let place = (charge.counter.clone(), charge.subject.clone(), charge.window);
            let row = own.entry(place).or_insert_with(|| Own {
                used: 0,
                names: Names::of(counters.get(&charge.counter), &charge.subject, user),
            });
            if order.holds.allowance() {
                row.used += charge.cost;
            }
        }
    }
    own
}

/// A subject that is maybe the buyer is so where no row of it has more than the buyer's orders.
fn kept(own: &BTreeMap<Place, Own>, there: &BTreeMap<Place, There>) -> Kept {
    let keeps = |(place, own): &(&Place, &Own)| match own.names {
        Names::Nobody => true,
        Names::Maybe => there.get(place).is_some_and(|row| row.used > own.used),
        Names::Buyer => false,
    };
    let kept = own.iter().filter(keeps);
    kept.map(|((counter, subject, _), _)| (counter.clone(), subject.clone()))
        .collect()
}

/// The rows at these places, in order, which is that in which landing locks them; `lock` ends the statement.
async fn read(
    connection: &mut AnyConnection,
    campaign: &str,
    named: &[&Place],
    lock: &str,
) -> StoreResult<BTreeMap<Place, There>> {
    let mut there = BTreeMap::new();
    for places in named.chunks(ROWS_AT_ONCE) {
        let one = "(campaign_id = ? AND counter = ? AND subject = ? AND window_start = ?)";
        let sql = format!(
            "SELECT counter, CAST(subject AS CHAR), window_start, used, allowed FROM `usage` WHERE {} \
             ORDER BY campaign_id, counter, subject, window_start{lock}",
            vec![one; places.len()].join(" OR ")
        );
        let query = places.iter().fold(
            sqlx::query(AssertSqlSafe(sql)),
            |query, (counter, subject, window)| {
                query
                    .bind(campaign)
                    .bind(counter.as_str())
                    .bind(subject.as_str())
                    .bind(*window)
            },
        );
        for row in &query.fetch_all(&mut *connection).await? {
            let (used, allowed) = (int(row, 3)?, maybe_int(row, 4)?);
            there.insert(
                (text(row, 0)?, text(row, 1)?, int(row, 2)?),
                There { used, allowed },
            );
        }
    }
    Ok(there)
}

/// Leaves so much in a row; none where it is nothing: an order that is charged later makes it anew.
async fn take(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    (counter, subject, window): (&str, &str, i64),
    left: i64,
) -> StoreResult<()> {
    const THIS: &str = "campaign_id = ? AND counter = ? AND subject = ? AND window_start = ?";
    let sql = match left {
        0 => format!("DELETE FROM `usage` WHERE {THIS}"),
        _ => format!("UPDATE `usage` SET used = ? WHERE {THIS}"),
    };
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = if left == 0 { query } else { query.bind(left) };
    query
        .bind(campaign)
        .bind(counter)
        .bind(subject)
        .bind(window)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Adds to a row what its orders use there, under what was allowed where they were before.
async fn put(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    campaign: &str,
    (counter, subject, window): (&str, String, i64),
    (used, allowed): (i64, Option<i64>),
) -> StoreResult<()> {
    let clause = dialect.on_conflict_all(
        "campaign_id, counter, subject, window_start",
        &[("used", "used + {new}"), ("allowed", dialect.greatest())],
    );
    let sql = format!(
        "INSERT INTO `usage` (campaign_id, counter, subject, window_start, used, allowed) VALUES (?, ?, ?, ?, ?, ?){clause}"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(campaign)
        .bind(counter)
        .bind(subject)
        .bind(window)
        .bind(used)
        .bind(allowed)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
