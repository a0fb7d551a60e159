//! Revoked orders whose holds in the engine are to be given back.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::order::{LandedOrder, OrderId};
use crate::store::dialect::{pieces, placeholders};
use crate::store::orders::{COLUMNS, landed_order};
use crate::store::rows::{json, text};
use crate::store::{Store, StoreResult, time};

/// A revoked order that still holds in the engine what its admission took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub order: LandedOrder,
    /// `oversold`, `unknown-sku`, `over-limit`, `lost` or `discarded`: see [`crate::order::Revoked`].
    pub reason: String,
    /// Counters that were full.
    pub counters: Vec<String>,
}

impl Revocation {
    pub fn id(&self) -> OrderId {
        self.order.attempt.order
    }
}

fn select() -> String {
    format!(
        "SELECT {COLUMNS}, r.reason, r.counters FROM revocations r \
         JOIN orders o ON o.campaign_id = r.campaign_id AND o.order_id = r.order_id"
    )
}

impl Store {
    /// Campaigns with revoked orders that have not given back what they held.
    pub async fn campaigns_with_revoked(&self) -> StoreResult<Vec<String>> {
        let sql =
            "SELECT DISTINCT campaign_id FROM revocations WHERE given_back_at IS NULL ORDER BY campaign_id";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await?;
        rows.iter().map(|row| text(row, 0)).collect()
    }

    /// Those of one campaign, in order of id, at most `limit`.
    pub async fn revoked(&self, campaign: &str, limit: u32) -> StoreResult<Vec<Revocation>> {
        let sql = format!(
            "{} WHERE r.campaign_id = ? AND r.given_back_at IS NULL ORDER BY r.order_id LIMIT ?",
            select()
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(revocation).collect()
    }

    /// Those of these orders that were revoked, whether they have given back or not.
    pub async fn revocations_of(&self, campaign: &str, orders: &[OrderId]) -> StoreResult<Vec<Revocation>> {
        let mut found = Vec::new();
        for range in pieces(orders.len()) {
            let sql = format!(
                "{} WHERE r.campaign_id = ? AND r.order_id IN {}",
                select(),
                placeholders(1, range.len())
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let query = orders[range]
                .iter()
                .fold(query, |query, order| query.bind(order.to_string()));
            for row in &query.fetch_all(&self.pool).await? {
                found.push(revocation(row)?);
            }
        }
        Ok(found)
    }

    /// The engine has back what these orders held, or holds nothing of them any more.
    pub async fn mark_given_back(&self, campaign: &str, orders: &[OrderId], now: i64) -> StoreResult<()> {
        for range in pieces(orders.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!(
                "UPDATE revocations SET given_back_at = ? \
                 WHERE campaign_id = ? AND given_back_at IS NULL AND order_id IN {marks}"
            );
            let query = sqlx::query(AssertSqlSafe(sql))
                .bind(time::to_text(now)?)
                .bind(campaign);
            let query = orders[range]
                .iter()
                .fold(query, |query, order| query.bind(order.to_string()));
            query.execute(&self.pool).await?;
        }
        Ok(())
    }
}

fn revocation(row: &AnyRow) -> StoreResult<Revocation> {
    Ok(Revocation {
        order: landed_order(row)?,
        reason: text(row, 11)?,
        counters: json(row, 12)?,
    })
}
