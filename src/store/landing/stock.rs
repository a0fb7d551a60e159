//! The last oversell guard: sells stock, conditionally, and revokes what does not fit.

use std::collections::BTreeMap;

use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::order::{Holds, OrderEvent, OrderState, Revoked, UNKNOWN_SKU, usage};
use crate::store::StoreResult;
use crate::store::changes::releases;
use crate::store::dialect::{Dialect, pieces, placeholders};
use crate::store::landing::lane::{Lane, Value};
use crate::store::rows::int;

/// SKUs whose units one statement sells.
const SKUS_MAX: usize = 16;

/// Sells the orders' units, SKU by SKU in a fixed order, and says which orders did not fit. The rows
/// touched stay locked until the transaction ends, so this comes last.
pub(in crate::store) async fn sell<'a>(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    orders: &[&'a OrderEvent],
) -> StoreResult<Vec<Revoked<'a>>> {
    let mut by_sku: BTreeMap<(&str, &str), Vec<&'a OrderEvent>> = BTreeMap::new();
    for order in orders {
        let sku = (order.campaign.as_str(), order.sku.as_str());
        by_sku.entry(sku).or_default().push(order);
    }
    let mut revoked = Vec::new();
    for ((campaign, sku), orders) in by_sku {
        let units = orders.iter().map(|order| i64::from(order.quantity)).sum();
        if !add_sold(&mut Lane::Any(tx), campaign, sku, units).await? {
            revoked.extend(sell_what_fits(tx, dialect, campaign, sku, &orders).await?);
        }
    }
    Ok(revoked)
}

/// Sells all of the orders' units with one statement for up to [`SKUS_MAX`] SKUs; `false` when some do not fit: then the
/// transaction is to be rolled back.
pub(in crate::store) async fn sell_all(
    lane: &mut Lane<'_>,
    dialect: Dialect,
    orders: &[&OrderEvent],
) -> StoreResult<bool> {
    let mut by_sku: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for order in orders {
        let sku = (order.campaign.as_str(), order.sku.as_str());
        *by_sku.entry(sku).or_default() += i64::from(order.quantity);
    }
    let by_sku: Vec<Units<'_>> = by_sku.into_iter().collect();
    for some in by_sku.chunks(SKUS_MAX) {
        let fit = match some {
            [((campaign, sku), units)] => add_sold(lane, campaign, sku, *units).await?,
            _ => add_sold_to_each(lane, dialect, some).await?,
        };
        if !fit {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Campaign and SKU, and units of it.
type Units<'a> = ((&'a str, &'a str), i64);

/// Whether all of them fit; otherwise those were sold that do.
async fn add_sold_to_each(lane: &mut Lane<'_>, dialect: Dialect, some: &[Units<'_>]) -> StoreResult<bool> {
    let sql = format!(
        "UPDATE stock{} SET sold = sold + CASE {} END WHERE {}",
        dialect.by_key(),
        vec!["WHEN campaign_id = ? AND sku_id = ? THEN ?"; some.len()].join(" "),
        vec!["(campaign_id = ? AND sku_id = ? AND sold + ? <= total)"; some.len()].join(" OR "),
    );
    let each = some.iter().chain(some);
    let values = each
        .flat_map(|((campaign, sku), units)| [Value::Text(campaign), Value::Text(sku), Value::Int(*units)]);
    let values: Vec<Value<'_>> = values.collect();
    Ok(lane.execute(sql, &values, true).await? == some.len() as u64)
}

async fn add_sold(lane: &mut Lane<'_>, campaign: &str, sku: &str, units: i64) -> StoreResult<bool> {
    let sql = "UPDATE stock SET sold = sold + ? WHERE campaign_id = ? AND sku_id = ? AND sold + ? <= total";
    let values = [
        Value::Int(units),
        Value::Text(campaign),
        Value::Text(sku),
        Value::Int(units),
    ];
    Ok(lane.execute(sql.to_owned(), &values, true).await? > 0)
}

/// Lets orders in, in their order, as long as each fits.
async fn sell_what_fits<'a>(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    campaign: &str,
    sku: &str,
    orders: &[&'a OrderEvent],
) -> StoreResult<Vec<Revoked<'a>>> {
    let lock = dialect.for_update();
    let sql = format!("SELECT total, sold FROM stock WHERE campaign_id = ? AND sku_id = ?{lock}");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(campaign)
        .bind(sku)
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else {
        let unknown = |order: &&'a OrderEvent| Revoked::new(order, UNKNOWN_SKU);
        return Ok(orders.iter().map(unknown).collect());
    };
    let room = int(&row, 0)? - int(&row, 1)?;
    let (units, revoked) = usage::sell(orders, room);
    if units > 0 {
        add_sold(&mut Lane::Any(tx), campaign, sku, units).await?;
    }
    Ok(revoked)
}

/// Marks rows of this transaction as revoked, and notes that the engine is to get back what they hold.
pub(in crate::store) async fn revoke(
    tx: &mut Transaction<'_, Any>,
    revoked: &[Revoked<'_>],
    now: &str,
) -> StoreResult<()> {
    let mut groups: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for Revoked { order, reason, .. } in revoked {
        let group = groups.entry((order.campaign.as_str(), *reason)).or_default();
        group.push(order.order.to_string());
    }
    releases::note_revoked(tx, revoked, now).await?;
    for ((campaign, reason), ids) in groups {
        for range in pieces(ids.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!(
                "UPDATE orders SET state = ?, holds = ?, pay_by = NULL, confirmed_at = NULL, revoked_reason = ? \
                 WHERE campaign_id = ? AND order_id IN {marks}"
            );
            let query = sqlx::query(AssertSqlSafe(sql))
                .bind(OrderState::Revoked.as_str())
                .bind(Holds::None.as_str())
                .bind(reason)
                .bind(campaign);
            let query = ids[range].iter().fold(query, |query, id| query.bind(id.as_str()));
            query.execute(&mut **tx).await?;
        }
    }
    Ok(())
}
