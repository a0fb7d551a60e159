//! Landed orders, stock and offsets: reading.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::order::{Attempt, Charge, Holds, LandedOrder, OrderId, OrderState};
use crate::store::dialect::{pieces, placeholders};
use crate::store::rows::{int, json, maybe_moment, maybe_text, moment, narrow, text};
use crate::store::{StockRow, Store, StoreError, StoreResult};

/// Columns of an order's row, as [`landed_order`] reads them from `orders o`.
pub(super) const COLUMNS: &str = "o.order_id, CAST(o.user_id AS CHAR), o.sku_id, o.quantity, o.revision, o.state, \
     CAST(o.placed_at AS CHAR), CAST(o.confirmed_at AS CHAR), o.revoked_reason, o.fingerprint, o.receipt, \
     o.holds, CAST(o.pay_by AS CHAR), o.replaces";

/// How many these are.
pub(super) const COLUMNS_COUNT: usize = 14;

/// What `orders.receipt` holds besides the columns of its own.
#[derive(Serialize)]
pub(super) struct Receipt<'a> {
    pub modules: &'a [String],
    pub charges: &'a [Charge],
    /// An array as the one text that it is in an attempt, so that a release that knew none can read the row.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: &'a BTreeMap<String, String>,
}

/// What is read of it.
#[derive(Deserialize)]
pub(super) struct ReadReceipt {
    pub charges: Vec<Charge>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl Store {
    /// The order if it landed.
    pub async fn order(&self, campaign: &str, order: OrderId) -> StoreResult<Option<LandedOrder>> {
        let sql = format!("SELECT {COLUMNS} FROM orders o WHERE o.campaign_id = ? AND o.order_id = ?");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(order.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(landed_order).transpose()
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

    /// Landed orders of a campaign in order of id, after `after`, at most `limit`.
    pub async fn orders_page(
        &self,
        campaign: &str,
        after: Option<OrderId>,
        limit: u32,
    ) -> StoreResult<Vec<LandedOrder>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM orders o WHERE o.campaign_id = ? AND o.order_id > ? ORDER BY o.order_id LIMIT ?"
        );
        let rows = self.page(sql, campaign, after, limit).await?;
        rows.iter().map(landed_order).collect()
    }

    /// Rows of a statement that takes a campaign, the id that the last page ended with, and how many at most.
    pub(in crate::store) async fn page(
        &self,
        sql: String,
        campaign: &str,
        after: Option<OrderId>,
        limit: u32,
    ) -> StoreResult<Vec<AnyRow>> {
        let page = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(after.map(|order| order.to_string()).unwrap_or_default())
            .bind(i64::from(limit));
        Ok(page.fetch_all(&self.pool).await?)
    }

    /// Ids of a campaign's landed orders by moment, then by id, at most `limit`.
    pub async fn order_ids_by_moment(&self, campaign: &str, limit: u64) -> StoreResult<Vec<OrderId>> {
        let sql = "SELECT order_id FROM orders WHERE campaign_id = ? ORDER BY placed_at, order_id LIMIT ?";
        let mut rows = sqlx::query(sql)
            .bind(campaign)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch(&self.pool);
        let mut ids = Vec::new();
        while let Some(row) = rows.try_next().await? {
            ids.push(order_id(&text(&row, 0)?)?);
        }
        Ok(ids)
    }

    /// Landed orders in the order of their ids here; those that are not there are left out.
    pub async fn orders_of(&self, campaign: &str, ids: &[OrderId]) -> StoreResult<Vec<LandedOrder>> {
        let mut found = BTreeMap::new();
        for range in pieces(ids.len()) {
            let marks = placeholders(1, range.len());
            let sql =
                format!("SELECT {COLUMNS} FROM orders o WHERE o.campaign_id = ? AND o.order_id IN {marks}");
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let query = ids[range]
                .iter()
                .fold(query, |query, id| query.bind(id.to_string()));
            for row in &query.fetch_all(&self.pool).await? {
                let order = landed_order(row)?;
                found.insert(order.attempt.order, order);
            }
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
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

/// Reads [`COLUMNS`].
pub(super) fn landed_order(row: &AnyRow) -> StoreResult<LandedOrder> {
    let ReadReceipt { charges, attributes } = json(row, 10)?;
    Ok(LandedOrder {
        attempt: Attempt {
            order: order_id(&text(row, 0)?)?,
            user: text(row, 1)?,
            sku: text(row, 2)?,
            quantity: narrow(row, 3)?,
            attributes,
        },
        revision: narrow(row, 4)?,
        state: state(&text(row, 5)?)?,
        placed_at: moment(row, 6)?,
        confirmed_at: maybe_moment(row, 7)?,
        revoked_reason: maybe_text(row, 8)?,
        fingerprint: text(row, 9)?,
        holds: holds(&text(row, 11)?)?,
        pay_by: maybe_moment(row, 12)?,
        replaces: maybe_text(row, 13)?.as_deref().map(order_id).transpose()?,
        charges,
    })
}

pub(super) fn order_id(text: &str) -> StoreResult<OrderId> {
    text.parse()
        .map_err(|error| StoreError::Permanent(format!("stored order id {text:?}: {error}")))
}

pub(super) fn state(text: &str) -> StoreResult<OrderState> {
    OrderState::of(text)
        .ok_or_else(|| StoreError::Permanent(format!("stored order state {text:?} is unknown to this build")))
}

fn holds(text: &str) -> StoreResult<Holds> {
    Holds::of(text).ok_or_else(|| {
        StoreError::Permanent(format!(
            "an order is stored that holds {text:?}, which this build does not know"
        ))
    })
}
