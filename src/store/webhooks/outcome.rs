//! What became of deliveries that were tried.

use sqlx::AssertSqlSafe;

use super::deliveries::DeliveryOf;
use crate::store::{Store, StoreResult, time};

/// The one that a statement is about: an endpoint's, as long as it waits.
const THIS: &str = "webhook_id = ? AND order_id = ? AND campaign_id = ? AND number = ? AND state = 'waiting'";

/// What came of one attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempted {
    /// Of HTTP, where an answer came.
    pub status: Option<u16>,
    /// Why it does not count as delivered.
    pub error: Option<String>,
    /// The beginning of the body that came.
    pub answer: Option<String>,
}

impl Store {
    /// A delivery succeeded.
    pub async fn delivered(
        &self,
        webhook: &str,
        of: &DeliveryOf,
        attempted: &Attempted,
        now: i64,
    ) -> StoreResult<()> {
        self.attempted(webhook, of, attempted, ("delivered", now), Some(now))
            .await
    }

    /// An attempt failed. The next one is not before `next`, and neither are later numbers of the order; `None`: there is none.
    pub async fn not_delivered(
        &self,
        webhook: &str,
        of: &DeliveryOf,
        attempted: &Attempted,
        next: Option<i64>,
        now: i64,
    ) -> StoreResult<()> {
        let Some(next) = next else {
            return self
                .attempted(webhook, of, attempted, ("failed", now), None)
                .await;
        };
        self.attempted(webhook, of, attempted, ("waiting", next), None)
            .await?;
        let until = time::to_text(next)?;
        sqlx::query(
            "UPDATE webhook_deliveries SET next_at = ? WHERE webhook_id = ? AND order_id = ? AND campaign_id = ? \
             AND number > ? AND state = 'waiting' AND next_at < ?",
        )
        .bind(until.as_str())
        .bind(webhook)
        .bind(of.order.as_str())
        .bind(of.campaign.as_str())
        .bind(of.number)
        .bind(until.as_str())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Puts a delivery off that goes behind another one.
    pub async fn put_off_delivery(&self, webhook: &str, of: &DeliveryOf, until: i64) -> StoreResult<()> {
        let sql = format!("UPDATE webhook_deliveries SET next_at = ? WHERE {THIS}");
        sqlx::query(AssertSqlSafe(sql))
            .bind(time::to_text(until)?)
            .bind(webhook)
            .bind(of.order.as_str())
            .bind(of.campaign.as_str())
            .bind(of.number)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    async fn attempted(
        &self,
        webhook: &str,
        of: &DeliveryOf,
        attempted: &Attempted,
        (state, next): (&str, i64),
        delivered_at: Option<i64>,
    ) -> StoreResult<()> {
        let sql = format!(
            "UPDATE webhook_deliveries SET state = ?, attempts = attempts + 1, next_at = ?, last_status = ?, \
             last_error = ?, last_answer = ?, delivered_at = ? WHERE {THIS}"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(state)
            .bind(time::to_text(next)?)
            .bind(attempted.status.map(i64::from))
            .bind(attempted.error.as_deref())
            .bind(attempted.answer.as_deref())
            .bind(delivered_at.map(time::to_text).transpose()?)
            .bind(webhook)
            .bind(of.order.as_str())
            .bind(of.campaign.as_str())
            .bind(of.number)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
