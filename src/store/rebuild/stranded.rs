//! Stranded orders: admitted, not landed, and among the dead letters that wait for a retry or for a person.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use crate::order::{EventError, OrderEvent, OrderId};
use crate::store::orders::order_id;
use crate::store::rows::text;
use crate::store::{Store, StoreError, StoreResult};

/// Stages of `dead_letters` whose orders are admitted and in no row of `orders`.
const STRANDED: &str = "'retry', 'dead', 'replayed', 'parked'";

/// An admitted order that waits for a retry or for a person, as far as its letter can be read.
pub type Stranded = (OrderId, Result<OrderEvent, EventError>);

impl Store {
    /// One order that was admitted, has not landed and waits for a retry or for a person.
    pub async fn stranded_order(&self, campaign: &str, order: OrderId) -> StoreResult<Option<OrderEvent>> {
        let sql = format!(
            "SELECT d.order_id, d.payload FROM dead_letters d \
             WHERE d.campaign_id = ? AND d.order_id = ? AND d.stage IN ({STRANDED}) LIMIT 1"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(order.to_string())
            .fetch_optional(&self.pool)
            .await?;
        let Some((order, event)) = row.as_ref().map(stranded).transpose()? else {
            return Ok(None);
        };
        let unreadable = |error| StoreError::Permanent(format!("the dead letter of order {order}: {error}"));
        event.map(Some).map_err(unreadable)
    }

    /// Admitted orders of a campaign that have not landed, in order of id, after `after`, at most `limit`.
    pub async fn stranded(
        &self,
        campaign: &str,
        after: Option<OrderId>,
        limit: u32,
    ) -> StoreResult<Vec<Stranded>> {
        // A record may have failed more than once, from more than one offset: its payload is the same.
        let sql = format!(
            "SELECT d.order_id, d.payload FROM dead_letters d \
             WHERE d.campaign_id = ? AND d.order_id > ? AND d.stage IN ({STRANDED}) AND NOT EXISTS \
             (SELECT 1 FROM orders o WHERE o.campaign_id = d.campaign_id AND o.order_id = d.order_id) \
             ORDER BY d.order_id LIMIT ?"
        );
        let rows = self.page(sql, campaign, after, limit).await?;
        let mut found = rows.iter().map(stranded).collect::<StoreResult<Vec<_>>>()?;
        found.dedup_by_key(|(order, _)| *order);
        Ok(found)
    }
}

fn stranded(row: &AnyRow) -> StoreResult<Stranded> {
    let payload: Vec<u8> = row.try_get(1)?;
    Ok((order_id(&text(row, 0)?)?, OrderEvent::decode(&payload)))
}
