//! Changes of orders after they landed, and of those that somebody gave up: each has a row that says whether it was told.
//!
//! They are found by that alone. A place behind which the new ones stand would not do: what commits late stands before it.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::order::ToldChange;
use crate::store::dialect::pieces;
use crate::store::orders::{order_id, state};
use crate::store::rows::{maybe_text, moment, narrow, text};
use crate::store::{Store, StoreResult, time};

impl Store {
    /// Changes that are not told, at most `limit`, in no order.
    pub async fn untold_changes(&self, limit: u32) -> StoreResult<Vec<ToldChange>> {
        let index = self.dialect.by_index("order_changes_told");
        let sql = format!(
            "SELECT c.order_id, c.campaign_id, CAST(o.user_id AS CHAR), o.sku_id, o.quantity, o.revision, c.to_state, c.number, \
             CAST(c.changed_at AS CHAR), c.reason, c.actor, CAST(o.placed_at AS CHAR), o.replaces \
             FROM order_changes c{index} JOIN orders o ON o.campaign_id = c.campaign_id AND o.order_id = c.order_id \
             WHERE c.told_at IS NULL LIMIT ?"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(change).collect()
    }

    /// They were told, now.
    pub async fn changes_were_told(&self, changes: &[ToldChange], now: i64) -> StoreResult<()> {
        let now = time::to_text(now)?;
        // In the order of the key, as whoever changes orders locks rows.
        let mut keys: Vec<_> = changes
            .iter()
            .map(|change| (change.campaign.as_str(), change.order.to_string(), change.number))
            .collect();
        keys.sort_unstable();
        for range in pieces(keys.len()) {
            let any = vec!["(campaign_id = ? AND order_id = ? AND number = ?)"; range.len()].join(" OR ");
            let sql = format!(
                "UPDATE order_changes{} SET told_at = ? WHERE told_at IS NULL AND ({any})",
                self.dialect.by_key()
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(now.as_str());
            let query = keys[range]
                .iter()
                .fold(query, |query, (campaign, order, number)| {
                    query
                        .bind(*campaign)
                        .bind(order.as_str())
                        .bind(i64::from(*number))
                });
            query.execute(&self.pool).await?;
        }
        Ok(())
    }
}

fn change(row: &AnyRow) -> StoreResult<ToldChange> {
    Ok(ToldChange {
        order: order_id(&text(row, 0)?)?,
        campaign: text(row, 1)?,
        merchant: None,
        user: text(row, 2)?,
        sku: text(row, 3)?,
        quantity: narrow(row, 4)?,
        revision: narrow(row, 5)?,
        state: state(&text(row, 6)?)?,
        number: narrow(row, 7)?,
        at: moment(row, 8)?,
        reason: maybe_text(row, 9)?.filter(|reason| !reason.is_empty()),
        actor: maybe_text(row, 10)?.filter(|actor| !actor.is_empty()),
        placed_at: moment(row, 11)?,
        pay_by: None,
        replaces: maybe_text(row, 12)?.as_deref().map(order_id).transpose()?,
    })
}
