//! Deliveries go after a while, and with their endpoint: in small pieces, so that nobody waits for their locks.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;

use super::log::DeliveryState;
use crate::order::TIME_MAX_MS;
use crate::store::dialect::{pieces, placeholders};
use crate::store::rows::text;
use crate::store::{Store, StoreResult, time};

/// Deliveries of one statement.
const AT_ONCE: i64 = 256;

impl Store {
    /// Removes deliveries that were written down before this moment, and those of endpoints that are gone: some of each
    /// endpoint. How many; none: there are no more.
    pub async fn prune_deliveries(&self, before: i64) -> StoreResult<u64> {
        let known: BTreeSet<String> = self.webhooks().await?.into_iter().map(|row| row.id).collect();
        let (mut pruned, mut last) = (0, String::new());
        // From endpoint to endpoint, whatever they have.
        loop {
            let next = sqlx::query(
                "SELECT webhook_id FROM webhook_deliveries WHERE webhook_id > ? ORDER BY webhook_id LIMIT 1",
            )
            .bind(last.as_str())
            .fetch_optional(&self.pool)
            .await?;
            let Some(row) = next else { return Ok(pruned) };
            last = text(&row, 0)?;
            let before = if known.contains(&last) {
                before
            } else {
                TIME_MAX_MS
            };
            for state in DeliveryState::ALL {
                pruned += self.prune_some(&last, state, &time::to_text(before)?).await?;
            }
        }
    }

    async fn prune_some(&self, webhook: &str, state: DeliveryState, before: &str) -> StoreResult<u64> {
        let sql = format!(
            "SELECT order_id FROM webhook_deliveries{} WHERE webhook_id = ? AND state = ? AND created_at < ? \
             ORDER BY created_at LIMIT ?",
            self.dialect.by_index("webhook_deliveries_log")
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(webhook)
            .bind(state.as_str())
            .bind(before)
            .bind(AT_ONCE)
            .fetch_all(&self.pool)
            .await?;
        let orders: BTreeSet<String> = rows.iter().map(|row| text(row, 0)).collect::<StoreResult<_>>()?;
        let orders: Vec<String> = orders.into_iter().collect();
        let mut pruned = 0;
        for piece in pieces(orders.len()) {
            let sql = format!(
                "DELETE FROM webhook_deliveries WHERE webhook_id = ? AND order_id IN {} AND state = ? AND created_at < ?",
                placeholders(1, piece.len())
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(webhook);
            let query = orders[piece]
                .iter()
                .fold(query, |query, order| query.bind(order.as_str()));
            let done = query
                .bind(state.as_str())
                .bind(before)
                .execute(&self.pool)
                .await?;
            pruned += done.rows_affected();
        }
        Ok(pruned)
    }
}
