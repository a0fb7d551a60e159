//! What endpoints were sent of an erased buyer's orders: the rows stay, since an event that is told again must find its own, and
//! name nobody.

use sqlx::{Any, AnyConnection, AssertSqlSafe, Transaction};

use super::mask::Mask;
use crate::store::dialect::{pieces, placeholders};
use crate::store::rows::{int, text, to_json};
use crate::store::{Store, StoreResult};

/// What an endpoint was sent, or is to be sent, about an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuyerDelivery {
    pub webhook: String,
    pub order: String,
    pub number: i64,
    pub event: String,
    pub state: String,
    /// JSON.
    pub body: String,
}

impl Store {
    /// What endpoints have about these orders of a campaign.
    pub async fn deliveries_about(
        &self,
        campaign: &str,
        orders: &[String],
    ) -> StoreResult<Vec<BuyerDelivery>> {
        let mut connection = self.pool.acquire().await?;
        self.deliveries_in(&mut connection, campaign, orders).await
    }

    async fn deliveries_in(
        &self,
        connection: &mut AnyConnection,
        campaign: &str,
        orders: &[String],
    ) -> StoreResult<Vec<BuyerDelivery>> {
        let mut found = Vec::new();
        for webhook in self.delivered_to(connection).await? {
            for range in pieces(orders.len()) {
                let sql = format!(
                    "SELECT order_id, number, event, state, body FROM webhook_deliveries WHERE webhook_id = ? \
                     AND campaign_id = ? AND order_id IN {} ORDER BY order_id, number",
                    placeholders(1, range.len())
                );
                let query = sqlx::query(AssertSqlSafe(sql))
                    .bind(webhook.as_str())
                    .bind(campaign);
                let query = orders[range]
                    .iter()
                    .fold(query, |query, id| query.bind(id.as_str()));
                for row in &query.fetch_all(&mut *connection).await? {
                    found.push(BuyerDelivery {
                        webhook: webhook.clone(),
                        order: text(row, 0)?,
                        number: int(row, 1)?,
                        event: text(row, 2)?,
                        state: text(row, 3)?,
                        body: text(row, 4)?,
                    });
                }
            }
        }
        Ok(found)
    }

    /// Puts the pseudonym into the messages about these orders of a campaign: how many.
    pub(super) async fn mask_deliveries(
        &self,
        tx: &mut Transaction<'_, Any>,
        campaign: &str,
        orders: &[String],
        mask: Mask<'_>,
    ) -> StoreResult<u64> {
        let sent = self.deliveries_in(tx, campaign, orders).await?;
        for one in &sent {
            sqlx::query(
                "UPDATE webhook_deliveries SET body = ?, last_answer = NULL WHERE webhook_id = ? \
                 AND order_id = ? AND campaign_id = ? AND number = ?",
            )
            .bind(masked_body(&one.body, mask)?)
            .bind(one.webhook.as_str())
            .bind(one.order.as_str())
            .bind(campaign)
            .bind(one.number)
            .execute(&mut **tx)
            .await?;
        }
        Ok(sent.len() as u64)
    }
}

fn masked_body(body: &str, mask: Mask<'_>) -> StoreResult<String> {
    match serde_json::from_str(body) {
        Ok(mut value) => {
            mask.json(&mut value);
            to_json(&value)
        }
        // Nothing of ours: nothing of it is kept.
        Err(_) => Ok("{}".to_owned()),
    }
}
