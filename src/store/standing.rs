//! How landed orders stand, of many at once, for those who wait for a change. Only what tells a change is read.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::order::{OrderId, OrderState};
use crate::store::dialect::{pieces, placeholders};
use crate::store::orders::{order_id, state};
use crate::store::rows::{moment, text};
use crate::store::{Store, StoreResult};

/// How one order stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whose it is, where that was asked for.
    pub user: Option<String>,
    pub order: OrderId,
    pub state: OrderState,
}

impl Store {
    /// How those of these orders stand that landed; in no order.
    pub async fn standing(&self, campaign: &str, orders: &[OrderId]) -> StoreResult<Vec<Standing>> {
        let mut found = Vec::with_capacity(orders.len());
        for range in pieces(orders.len()) {
            let marks = placeholders(1, range.len());
            let sql =
                format!("SELECT order_id, state FROM orders WHERE campaign_id = ? AND order_id IN {marks}");
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let query = orders[range]
                .iter()
                .fold(query, |query, order| query.bind(order.to_string()));
            for row in &query.fetch_all(&self.pool).await? {
                found.push(standing(row, None)?);
            }
        }
        Ok(found)
    }

    /// How the newest landed orders of these buyers in a campaign stand, at most `each` of a buyer, the newest first.
    pub async fn newest_of_buyers(
        &self,
        campaign: &str,
        users: &[String],
        each: u32,
    ) -> StoreResult<Vec<Standing>> {
        let index = self.dialect.by_index("orders_buyer");
        let mut found = Vec::new();
        for range in pieces(users.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!(
                "SELECT order_id, state, buyer FROM (SELECT order_id, state, CAST(user_id AS CHAR) AS buyer, \
                 ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY placed_at DESC, order_id DESC) AS place \
                 FROM orders{index} WHERE campaign_id = ? AND user_id IN {marks}) AS newest \
                 WHERE place <= ? ORDER BY buyer, place"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let query = users[range]
                .iter()
                .fold(query, |query, user| query.bind(user.as_str()));
            for row in &query.bind(i64::from(each)).fetch_all(&self.pool).await? {
                found.push(standing(row, Some(text(row, 2)?))?);
            }
        }
        Ok(found)
    }

    /// When these orders changed last, of those that changed since they landed: milliseconds since 1970-01-01 UTC.
    pub async fn changed_at(&self, campaign: &str, orders: &[OrderId]) -> StoreResult<HashMap<OrderId, i64>> {
        let mut found = HashMap::new();
        for range in pieces(orders.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!(
                "SELECT order_id, CAST(MAX(changed_at) AS CHAR) FROM order_changes \
                 WHERE campaign_id = ? AND order_id IN {marks} GROUP BY order_id"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let query = orders[range]
                .iter()
                .fold(query, |query, order| query.bind(order.to_string()));
            for row in &query.fetch_all(&self.pool).await? {
                found.insert(order_id(&text(row, 0)?)?, moment(row, 1)?);
            }
        }
        Ok(found)
    }
}

fn standing(row: &AnyRow, user: Option<String>) -> StoreResult<Standing> {
    Ok(Standing {
        user,
        order: order_id(&text(row, 0)?)?,
        state: state(&text(row, 1)?)?,
    })
}
