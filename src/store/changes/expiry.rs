//! Orders that were not paid in time.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use crate::order::OrderId;
use crate::store::orders::order_id;
use crate::store::rows::text;
use crate::store::{Store, StoreResult};

impl Store {
    /// Orders whose time to be paid is over by the database's clock, those that waited longest first, by campaign; at most
    /// `limit`.
    pub async fn overdue(&self, limit: usize) -> StoreResult<BTreeMap<String, Vec<OrderId>>> {
        let sql = format!(
            "SELECT campaign_id, order_id FROM orders{} WHERE pay_by <= {} ORDER BY pay_by LIMIT ?",
            self.dialect.by_index("orders_pay_by"),
            self.dialect.now()
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(limit as i64)
            .fetch_all(&self.pool)
            .await?;
        let mut overdue: BTreeMap<String, Vec<OrderId>> = BTreeMap::new();
        for row in &rows {
            let orders = overdue.entry(text(row, 0)?).or_default();
            orders.push(order_id(&text(row, 1)?)?);
        }
        Ok(overdue)
    }
}
