//! Landed orders, stock and offsets: reading.

use std::borrow::Cow;
use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::order::{Attempt, Charge, OrderId, OrderState};
use crate::recorded::{ADMITTED, Recorded};
use crate::store::dialect::{pieces, placeholders};
use crate::store::rows::{int, json, maybe_moment, maybe_text, moment, narrow, text};
use crate::store::{OrderRow, StockRow, Store, StoreError, StoreResult};

const SELECT: &str = "SELECT order_id, campaign_id, sku_id, CAST(user_id AS CHAR), quantity, revision, state, \
     CAST(placed_at AS CHAR), CAST(confirmed_at AS CHAR), revoked_reason, fingerprint, receipt FROM orders";

/// What `orders.receipt` holds besides the columns of its own.
#[derive(Serialize, Deserialize)]
pub(super) struct Receipt<'a> {
    pub modules: Cow<'a, [String]>,
    pub charges: Cow<'a, [Charge]>,
    #[serde(default, skip_serializing_if = "no_attributes")]
    pub attributes: Cow<'a, BTreeMap<String, String>>,
}

fn no_attributes(attributes: &BTreeMap<String, String>) -> bool {
    attributes.is_empty()
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

    /// Landed orders as the attempts they were, in the order of their ids here; those that are not there
    /// are left out.
    pub async fn orders_as_attempts(&self, campaign: &str, ids: &[OrderId]) -> StoreResult<Vec<Recorded>> {
        let mut found = BTreeMap::new();
        for range in pieces(ids.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!(
                "SELECT order_id, CAST(user_id AS CHAR), sku_id, quantity, revision, CAST(placed_at AS CHAR), receipt \
                 FROM orders WHERE campaign_id = ? AND order_id IN {marks}"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let query = ids[range]
                .iter()
                .fold(query, |query, id| query.bind(id.to_string()));
            for row in &query.fetch_all(&self.pool).await? {
                let recorded = recorded(row)?;
                found.insert(recorded.attempt.order, recorded);
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

fn order_row(row: &AnyRow) -> StoreResult<OrderRow> {
    let receipt: Receipt = json(row, 11)?;
    Ok(OrderRow {
        order: order_id(&text(row, 0)?)?,
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
        charges: receipt.charges.into_owned(),
    })
}

fn recorded(row: &AnyRow) -> StoreResult<Recorded> {
    let receipt: Receipt = json(row, 6)?;
    Ok(Recorded {
        at: moment(row, 5)?,
        attempt: Attempt {
            order: order_id(&text(row, 0)?)?,
            user: text(row, 1)?,
            sku: text(row, 2)?,
            quantity: narrow(row, 3)?,
            attributes: receipt.attributes.into_owned(),
        },
        revision: Some(narrow(row, 4)?),
        outcome: Some(ADMITTED.to_owned()),
    })
}

pub(super) fn order_id(text: &str) -> StoreResult<OrderId> {
    text.parse()
        .map_err(|error| StoreError::Permanent(format!("stored order id {text:?}: {error}")))
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
