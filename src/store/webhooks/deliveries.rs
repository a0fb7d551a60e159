//! What endpoints are to be told: written down once, and sent when it is due.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::store::dialect::{pieces, placeholders};
use crate::store::rows::{int, maybe_moment, narrow, text};
use crate::store::{Store, StoreResult, time};

/// An event that an endpoint is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    pub webhook: String,
    pub of: DeliveryOf,
    /// `order.paid`.
    pub event: String,
    /// JSON, as it is sent.
    pub body: String,
}

/// What a delivery is about: the same for every endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryOf {
    /// Empty: of none.
    pub campaign: String,
    /// An order's id; of an event that is of no order, whatever else it is about.
    pub order: String,
    pub number: i64,
}

impl DeliveryOf {
    /// As `webhook-id` names it: `<order>.<number>`.
    pub fn id(&self) -> String {
        format!("{}.{}", self.order, self.number)
    }
}

/// A delivery that may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDelivery {
    pub of: DeliveryOf,
    pub body: String,
    /// So far.
    pub attempts: u32,
    /// When an earlier number of its order is tried next: this one goes behind it.
    pub behind: Option<i64>,
}

const COLUMNS: usize = 10;

impl Store {
    /// Writes down deliveries that are due at `now`; one that is there stays as it is.
    pub async fn queue_deliveries(&self, mut new: Vec<NewDelivery>, now: i64) -> StoreResult<()> {
        // In order of the key, so that two who tell the same do not wait for each other in a circle.
        new.sort_by(|a, b| (&a.webhook, &a.of.order, &a.of).cmp(&(&b.webhook, &b.of.order, &b.of)));
        let now = time::to_text(now)?;
        let stays = self
            .dialect
            .on_conflict("webhook_id, order_id, campaign_id, number", "number", "{new}");
        for range in pieces(new.len()) {
            let sql = format!(
                "INSERT INTO webhook_deliveries (webhook_id, order_id, campaign_id, number, event, body, state, attempts, \
                 next_at, created_at) VALUES {}{stays}",
                placeholders(range.len(), COLUMNS)
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for each in &new[range] {
                query = query
                    .bind(each.webhook.as_str())
                    .bind(each.of.order.as_str())
                    .bind(each.of.campaign.as_str())
                    .bind(each.of.number)
                    .bind(each.event.as_str())
                    .bind(each.body.as_str())
                    .bind("waiting")
                    .bind(0_i64)
                    .bind(now.as_str())
                    .bind(now.as_str());
            }
            query.execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Deliveries of an endpoint that are due at `now`, those that have waited longest first, at most `limit`.
    pub async fn due_deliveries(
        &self,
        webhook: &str,
        now: i64,
        limit: usize,
    ) -> StoreResult<Vec<DueDelivery>> {
        let index = self.dialect.by_index("webhook_deliveries_due");
        let sql = format!(
            "SELECT d.campaign_id, d.order_id, d.number, d.body, d.attempts, (SELECT CAST(MAX(e.next_at) AS CHAR) \
             FROM webhook_deliveries e WHERE e.webhook_id = d.webhook_id AND e.order_id = d.order_id \
             AND e.campaign_id = d.campaign_id AND e.number < d.number AND e.state = 'waiting') \
             FROM webhook_deliveries d{index} WHERE d.webhook_id = ? AND d.state = 'waiting' AND d.next_at <= ? \
             ORDER BY d.next_at LIMIT ?"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(webhook)
            .bind(time::to_text(now)?)
            .bind(limit as i64)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(due).collect()
    }

    /// How many deliveries wait for an endpoint.
    pub async fn waiting_deliveries(&self, webhook: &str) -> StoreResult<u64> {
        let sql = "SELECT COUNT(*) FROM webhook_deliveries WHERE webhook_id = ? AND state = 'waiting'";
        let count: i64 = sqlx::query_scalar(sql)
            .bind(webhook)
            .fetch_one(&self.pool)
            .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

fn due(row: &AnyRow) -> StoreResult<DueDelivery> {
    Ok(DueDelivery {
        of: DeliveryOf {
            campaign: text(row, 0)?,
            order: text(row, 1)?,
            number: int(row, 2)?,
        },
        body: text(row, 3)?,
        attempts: narrow(row, 4)?,
        behind: maybe_moment(row, 5)?,
    })
}
