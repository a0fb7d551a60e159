//! What a rebuild puts back into the engine: landed orders, and those that were admitted and stand among
//! the dead letters. Only the columns it needs, a page at a time.

use std::collections::BTreeMap;

use serde::Deserialize;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::order::{Charge, OrderId, OrderState};
use crate::store::orders::order_id;
use crate::store::rows::{json, moment, narrow, text};
use crate::store::{Store, StoreResult};

/// Stages of `dead_letters` whose orders are admitted and in no row of `orders`.
const STRANDED: &str = "'retry', 'dead', 'replayed', 'parked'";

/// An order with what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restorable {
    pub order: OrderId,
    pub sku: String,
    pub user: String,
    pub quantity: u32,
    pub revision: u32,
    pub placed_at: i64,
    pub fingerprint: String,
    /// It holds nothing any more, and a retry has to find out.
    pub revoked: bool,
    /// Empty where it is revoked.
    pub charges: Vec<Charge>,
    /// What its gateway kept of the attempt, by the attributes' text form. Empty where it is revoked.
    pub attributes: BTreeMap<String, String>,
}

/// An admitted order that waits for a retry or for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranded {
    pub order: OrderId,
    /// The record as it was.
    pub payload: Vec<u8>,
}

/// Of `orders.receipt` only this is read.
#[derive(Default, Deserialize)]
struct Held {
    charges: Vec<Charge>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl Store {
    /// Landed orders of a campaign in order of id, after `after`, at most `limit`.
    pub async fn restorable(
        &self,
        campaign: &str,
        after: Option<OrderId>,
        limit: u32,
    ) -> StoreResult<Vec<Restorable>> {
        let rows = sqlx::query(
            "SELECT order_id, sku_id, CAST(user_id AS CHAR), quantity, revision, CAST(placed_at AS CHAR), \
             fingerprint, state, receipt FROM orders \
             WHERE campaign_id = ? AND order_id > ? ORDER BY order_id LIMIT ?",
        )
        .bind(campaign)
        .bind(after.map(|order| order.to_string()).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(restorable).collect()
    }

    /// One order that was admitted, has not landed and waits for a retry or for a person.
    pub async fn stranded_order(&self, campaign: &str, order: OrderId) -> StoreResult<Option<Stranded>> {
        let sql = format!(
            "SELECT d.order_id, d.payload FROM dead_letters d \
             WHERE d.campaign_id = ? AND d.order_id = ? AND d.stage IN ({STRANDED}) LIMIT 1"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(order.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(stranded).transpose()
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
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(after.map(|order| order.to_string()).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        let mut found = rows.iter().map(stranded).collect::<StoreResult<Vec<_>>>()?;
        found.dedup_by_key(|stranded| stranded.order);
        Ok(found)
    }
}

fn restorable(row: &AnyRow) -> StoreResult<Restorable> {
    let revoked = text(row, 7)? == OrderState::Revoked.as_str();
    let Held { charges, attributes } = match revoked {
        true => Held::default(),
        false => json(row, 8)?,
    };
    Ok(Restorable {
        order: order_id(&text(row, 0)?)?,
        sku: text(row, 1)?,
        user: text(row, 2)?,
        quantity: narrow(row, 3)?,
        revision: narrow(row, 4)?,
        placed_at: moment(row, 5)?,
        fingerprint: text(row, 6)?,
        revoked,
        charges,
        attributes,
    })
}

fn stranded(row: &AnyRow) -> StoreResult<Stranded> {
    use sqlx::Row;
    Ok(Stranded {
        order: order_id(&text(row, 0)?)?,
        payload: row.try_get(1)?,
    })
}
