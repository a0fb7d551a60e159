//! Landed orders, stock and offsets: reading.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::rows::{int, json, maybe_moment, maybe_text, moment, narrow, text};
use super::{OrderRow, StockRow, Store, StoreError, StoreResult};
use crate::order::{Charge, OrderId, OrderState};

const SELECT: &str = "SELECT order_id, campaign_id, sku_id, CAST(user_id AS CHAR), quantity, revision, state, \
     CAST(placed_at AS CHAR), CAST(confirmed_at AS CHAR), revoked_reason, fingerprint, receipt FROM orders";

/// What `orders.receipt` holds besides the columns of its own.
#[derive(Serialize, Deserialize)]
pub(super) struct Receipt {
    pub modules: Vec<String>,
    pub charges: Vec<Charge>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl Store {
    /// The order if it landed.
    pub async fn order(&self, campaign: &str, order: OrderId) -> StoreResult<Option<OrderRow>> {
        let sql = format!("{SELECT} WHERE campaign_id = ? AND order_id = ?");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(order.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(order_row).transpose()
    }

    /// Stock of every SKU, in the merchant's order.
    pub async fn stock(&self, campaign: &str) -> StoreResult<Vec<StockRow>> {
        let rows =
            sqlx::query("SELECT sku_id, total, sold FROM stock WHERE campaign_id = ? ORDER BY position")
                .bind(campaign)
                .fetch_all(&self.pool)
                .await?;
        let stock_row = |row: &AnyRow| {
            Ok(StockRow {
                sku: text(row, 0)?,
                total: int(row, 1)?,
                sold: int(row, 2)?,
            })
        };
        rows.iter().map(stock_row).collect()
    }

    /// Landed orders of a campaign in order of id, after `after`, at most `limit`: for a rebuild.
    pub async fn orders_page(
        &self,
        campaign: &str,
        after: Option<OrderId>,
        limit: u32,
    ) -> StoreResult<Vec<OrderRow>> {
        let sql = format!("{SELECT} WHERE campaign_id = ? AND order_id > ? ORDER BY order_id LIMIT ?");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(after.map(|order| order.to_string()).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(order_row).collect()
    }

    /// Next offset per partition; partitions never landed are missing.
    pub async fn offsets(&self, topic: &str) -> StoreResult<BTreeMap<i32, i64>> {
        let rows = sqlx::query("SELECT `partition`, next_offset FROM landing_offsets WHERE topic = ?")
            .bind(topic)
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| Ok((narrow(row, 0)?, int(row, 1)?)))
            .collect()
    }
}

fn order_row(row: &AnyRow) -> StoreResult<OrderRow> {
    let id = text(row, 0)?;
    let receipt: Receipt = json(row, 11)?;
    Ok(OrderRow {
        order: id
            .parse()
            .map_err(|error| StoreError::Permanent(format!("stored order id {id:?}: {error}")))?,
        campaign: text(row, 1)?,
        sku: text(row, 2)?,
        user: text(row, 3)?,
        quantity: narrow(row, 4)?,
        revision: narrow(row, 5)?,
        state: state(&text(row, 6)?)?,
        placed_at: moment(row, 7)?,
        confirmed_at: maybe_moment(row, 8)?,
        revoked_reason: maybe_text(row, 9)?,
        fingerprint: text(row, 10)?,
        charges: receipt.charges,
    })
}

fn state(text: &str) -> StoreResult<OrderState> {
    [
        OrderState::Pending,
        OrderState::Accepted,
        OrderState::Confirmed,
        OrderState::Revoked,
    ]
    .into_iter()
    .find(|state| state.as_str() == text)
    .ok_or_else(|| StoreError::Permanent(format!("stored order state {text:?} is unknown to this build")))
}
