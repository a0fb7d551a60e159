//! Landed orders as their buyer looks at them: of one campaign or of all, the one placed last first, page by page. What is behind
//! a place stays there, whatever lands meanwhile.

use sqlx::AssertSqlSafe;

use crate::order::{OrderId, OrderState};
use crate::store::conditions::{Bound, Where, bind_all};
use crate::store::order_list::{COLUMNS, OrderRow, order_row};
use crate::store::orders::order_id;
use crate::store::rows::{moment, text};
use crate::store::{Store, StoreResult, time};

/// Columns of [`COLUMNS`].
const COLUMN_COUNT: usize = 11;

/// Where an order stands among those of its buyer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuyerPlace {
    pub placed_at: i64,
    pub campaign: String,
    pub order: OrderId,
}

/// One line of a buyer's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuyerOrder {
    pub campaign: String,
    pub row: OrderRow,
}

impl Store {
    /// Orders of a buyer that landed, the one placed last first, those behind `before`, at most `limit`; where `campaign` is
    /// given, of that one alone.
    pub async fn buyer_orders(
        &self,
        user: &str,
        campaign: Option<&str>,
        before: Option<&BuyerPlace>,
        limit: u32,
    ) -> StoreResult<Vec<BuyerOrder>> {
        let index = self.dialect.by_index("orders_buyer");
        let found = conditions(user, campaign, before)?;
        let sql = format!(
            "SELECT {COLUMNS}, campaign_id FROM orders{index}{} ORDER BY placed_at DESC, campaign_id DESC, order_id DESC LIMIT ?",
            found.sql()
        );
        let query = bind_all(sqlx::query(AssertSqlSafe(sql)), found.values).bind(i64::from(limit));
        let rows = query.fetch_all(&self.pool).await?;
        let read = |row| {
            Ok(BuyerOrder {
                campaign: text(row, COLUMN_COUNT)?,
                row: order_row(row)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Where a landed order of this buyer stands; `None` where none of theirs has this id.
    pub async fn buyer_place(
        &self,
        user: &str,
        campaign: &str,
        order: OrderId,
    ) -> StoreResult<Option<BuyerPlace>> {
        let row = sqlx::query(
            "SELECT CAST(placed_at AS CHAR) FROM orders WHERE campaign_id = ? AND order_id = ? AND user_id = ?",
        )
        .bind(campaign)
        .bind(order.to_string())
        .bind(user)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(BuyerPlace {
            placed_at: moment(&row, 0)?,
            campaign: campaign.to_owned(),
            order,
        }))
    }

    /// The landed order of this buyer that came in the place of `replaced`, and was not revoked; the first, where there are several.
    pub async fn replacement(
        &self,
        campaign: &str,
        user: &str,
        replaced: OrderId,
    ) -> StoreResult<Option<OrderId>> {
        let index = self.dialect.by_index("orders_buyer");
        let sql = format!(
            "SELECT order_id FROM orders{index} WHERE user_id = ? AND campaign_id = ? AND replaces = ? AND state <> ? \
             ORDER BY placed_at, order_id LIMIT 1"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(user)
            .bind(campaign)
            .bind(replaced.to_string())
            .bind(OrderState::Revoked.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| order_id(&text(&row, 0)?)).transpose()
    }
}

fn conditions(user: &str, campaign: Option<&str>, before: Option<&BuyerPlace>) -> StoreResult<Where> {
    let text = |text: &str| Bound::Text(text.to_owned());
    let mut found = Where::default();
    found.and("user_id = ?", [text(user)]);
    if let Some(campaign) = campaign {
        found.and("campaign_id = ?", [text(campaign)]);
    }
    if let Some(place) = before {
        // The first condition alone is a range of the index.
        let (at, campaign) = (
            Bound::Text(time::to_text(place.placed_at)?),
            text(&place.campaign),
        );
        found.and(
            "placed_at <= ? AND (placed_at < ? OR campaign_id < ? OR (campaign_id = ? AND order_id < ?))",
            [
                at.clone(),
                at,
                campaign.clone(),
                campaign,
                text(&place.order.to_string()),
            ],
        );
    }
    Ok(found)
}
