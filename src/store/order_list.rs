//! Landed orders as a merchant looks at them: filtered, the one placed last first, page by page. A page begins behind a place
//! that the page before names, so it costs the same however far down it is, and no order is shown twice or left out because
//! others land meanwhile.

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::order::{OrderId, OrderState, TIME_MAX_MS, TIME_MIN_MS};
use crate::store::conditions::{Bound, Where, bind_all};
use crate::store::orders::{order_id, state};
use crate::store::rows::{maybe_moment, maybe_text, moment, narrow, text};
use crate::store::{Store, StoreResult, time};

/// What is asked for of a campaign's orders; what is `None` is not asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFilter {
    pub state: Option<OrderState>,
    pub user: Option<String>,
    pub sku: Option<String>,
    /// Placed at this moment or later, milliseconds since 1970-01-01 UTC.
    pub from: Option<i64>,
    /// Placed before this moment.
    pub to: Option<i64>,
}

/// Where an order stands among those of its campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderPlace {
    pub placed_at: i64,
    pub order: OrderId,
}

/// One line of a list: what a merchant reads of a landed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    pub order: OrderId,
    pub state: OrderState,
    pub user: String,
    pub sku: String,
    pub quantity: u32,
    pub revision: u32,
    /// Redis' clock at the decision, milliseconds since 1970-01-01 UTC.
    pub placed_at: i64,
    pub confirmed_at: Option<i64>,
    pub revoked_reason: Option<String>,
    /// Until when it can be paid; `None` where it does not wait for that.
    pub pay_by: Option<i64>,
    /// The order that was not paid in time, in whose place this one came.
    pub replaces: Option<OrderId>,
}

impl OrderRow {
    pub fn place(&self) -> OrderPlace {
        OrderPlace {
            placed_at: self.placed_at,
            order: self.order,
        }
    }
}

/// What [`order_row`] reads.
pub(super) const COLUMNS: &str = "order_id, state, CAST(user_id AS CHAR), sku_id, quantity, revision, \
     CAST(placed_at AS CHAR), CAST(confirmed_at AS CHAR), revoked_reason, CAST(pay_by AS CHAR), replaces";

impl Store {
    /// Orders of a campaign that landed, the one placed last first, those behind `before`, at most `limit`.
    pub async fn listed_orders(
        &self,
        campaign: &str,
        filter: &OrderFilter,
        before: Option<OrderPlace>,
        limit: u32,
    ) -> StoreResult<Vec<OrderRow>> {
        let index = self.listing_index(filter);
        let found = conditions(campaign, filter, before)?;
        let sql = format!(
            "SELECT {COLUMNS} FROM orders{index}{} ORDER BY placed_at DESC, order_id DESC LIMIT ?",
            found.sql()
        );
        let query = bind_all(sqlx::query(AssertSqlSafe(sql)), found.values).bind(i64::from(limit));
        query.fetch_all(&self.pool).await?.iter().map(order_row).collect()
    }

    /// The index that orders which this lets through are read by.
    pub(super) fn listing_index(&self, filter: &OrderFilter) -> String {
        self.dialect.by_index(match filter.user {
            Some(_) => "orders_buyer",
            None => "orders_placed",
        })
    }

    /// Where a landed order stands; `None` where there is none of this id.
    pub async fn order_place(&self, campaign: &str, order: OrderId) -> StoreResult<Option<OrderPlace>> {
        let row =
            sqlx::query("SELECT CAST(placed_at AS CHAR) FROM orders WHERE campaign_id = ? AND order_id = ?")
                .bind(campaign)
                .bind(order.to_string())
                .fetch_optional(&self.pool)
                .await?;
        let Some(row) = row else { return Ok(None) };
        let placed_at = moment(&row, 0)?;
        Ok(Some(OrderPlace { placed_at, order }))
    }
}

pub(super) fn conditions(
    campaign: &str,
    filter: &OrderFilter,
    before: Option<OrderPlace>,
) -> StoreResult<Where> {
    // What lies outside of what a database can hold is asked for as its bound.
    let moment = |ms: i64| time::to_text(ms.clamp(TIME_MIN_MS, TIME_MAX_MS)).map(Bound::Text);
    let text = |text: &str| Bound::Text(text.to_owned());
    let mut found = Where::default();
    found.and("campaign_id = ?", [text(campaign)]);
    if let Some(state) = filter.state {
        found.and("state = ?", [text(state.as_str())]);
    }
    if let Some(user) = &filter.user {
        found.and("user_id = ?", [text(user)]);
    }
    if let Some(sku) = &filter.sku {
        found.and("sku_id = ?", [text(sku)]);
    }
    if let Some(from) = filter.from {
        found.and("placed_at >= ?", [moment(from)?]);
    }
    if let Some(to) = filter.to {
        found.and("placed_at < ?", [moment(to)?]);
    }
    if let Some(OrderPlace { placed_at, order }) = before {
        // The first condition alone is a range of the index.
        let (at, order) = (moment(placed_at)?, text(&order.to_string()));
        found.and(
            "placed_at <= ? AND (placed_at < ? OR order_id < ?)",
            [at.clone(), at, order],
        );
    }
    Ok(found)
}

pub(super) fn order_row(row: &AnyRow) -> StoreResult<OrderRow> {
    Ok(OrderRow {
        order: order_id(&text(row, 0)?)?,
        state: state(&text(row, 1)?)?,
        user: text(row, 2)?,
        sku: text(row, 3)?,
        quantity: narrow(row, 4)?,
        revision: narrow(row, 5)?,
        placed_at: moment(row, 6)?,
        confirmed_at: maybe_moment(row, 7)?,
        revoked_reason: maybe_text(row, 8)?,
        pay_by: maybe_moment(row, 9)?,
        replaces: maybe_text(row, 10)?.as_deref().map(order_id).transpose()?,
    })
}
