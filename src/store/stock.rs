//! The last oversell guard: sells stock, conditionally, and revokes what does not fit.

use std::collections::BTreeMap;

use sqlx::{Any, AssertSqlSafe, Transaction};

use super::StoreResult;
use super::dialect::{Dialect, pieces, placeholders};
use super::rows::{int, to_json};
use crate::order::{OrderEvent, OrderState};

/// Reasons an order is revoked for.
pub(super) const OVERSOLD: &str = "oversold";
pub(super) const UNKNOWN_SKU: &str = "unknown-sku";

/// An order that does not fit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Revoked<'a> {
    pub order: &'a OrderEvent,
    pub reason: &'static str,
    /// Ids of the counters that are full.
    pub counters: Vec<&'a str>,
}

impl<'a> Revoked<'a> {
    pub(super) fn new(order: &'a OrderEvent, reason: &'static str) -> Self {
        Self {
            order,
            reason,
            counters: Vec::new(),
        }
    }
}

/// Sells the orders' units, SKU by SKU in a fixed order, and says which orders did not fit. The rows
/// touched stay locked until the transaction ends, so this comes last.
pub(super) async fn sell<'a>(
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
        if !add_sold(tx, campaign, sku, units).await? {
            revoked.extend(sell_what_fits(tx, dialect, campaign, sku, &orders).await?);
        }
    }
    Ok(revoked)
}

async fn add_sold(tx: &mut Transaction<'_, Any>, campaign: &str, sku: &str, units: i64) -> StoreResult<bool> {
    let updated = sqlx::query(
        "UPDATE stock SET sold = sold + ? WHERE campaign_id = ? AND sku_id = ? AND sold + ? <= total",
    )
    .bind(units)
    .bind(campaign)
    .bind(sku)
    .bind(units)
    .execute(&mut **tx)
    .await?;
    Ok(updated.rows_affected() > 0)
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
    let mut left = room;
    let mut revoked = Vec::new();
    for order in orders {
        let units = i64::from(order.quantity);
        if units <= left {
            left -= units;
        } else {
            revoked.push(Revoked::new(order, OVERSOLD));
        }
    }
    if left < room {
        add_sold(tx, campaign, sku, room - left).await?;
    }
    Ok(revoked)
}

/// Marks rows of this transaction as revoked, and notes that the engine is to get back what they hold.
pub(super) async fn revoke(
    tx: &mut Transaction<'_, Any>,
    revoked: &[Revoked<'_>],
    now: &str,
) -> StoreResult<()> {
    let mut groups: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for Revoked { order, reason, .. } in revoked {
        let group = groups.entry((order.campaign.as_str(), *reason)).or_default();
        group.push(order.order.to_string());
    }
    note(tx, revoked, now).await?;
    for ((campaign, reason), ids) in groups {
        for range in pieces(ids.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!(
                "UPDATE orders SET state = ?, confirmed_at = NULL, revoked_reason = ? \
                 WHERE campaign_id = ? AND order_id IN {marks}"
            );
            let query = sqlx::query(AssertSqlSafe(sql))
                .bind(OrderState::Revoked.as_str())
                .bind(reason)
                .bind(campaign);
            let query = ids[range].iter().fold(query, |query, id| query.bind(id.as_str()));
            query.execute(&mut **tx).await?;
        }
    }
    Ok(())
}

async fn note(tx: &mut Transaction<'_, Any>, revoked: &[Revoked<'_>], now: &str) -> StoreResult<()> {
    for range in pieces(revoked.len()) {
        let marks = placeholders(range.len(), 5);
        let sql = format!(
            "INSERT INTO revocations (campaign_id, order_id, reason, counters, revoked_at) VALUES {marks}"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for each in &revoked[range] {
            query = query
                .bind(each.order.campaign.as_str())
                .bind(each.order.order.to_string())
                .bind(each.reason)
                .bind(to_json(&each.counters)?)
                .bind(now);
        }
        query.execute(&mut **tx).await?;
    }
    Ok(())
}
