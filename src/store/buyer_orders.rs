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

/// Which of a buyer's orders are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrdersOf<'a> {
    Campaign(&'a str),
    /// Of all campaigns of a merchant.
    Merchant(&'a str),
    All,
    /// Of all campaigns of merchants that have no issuer of their own.
    Shared,
}

impl OrdersOf<'_> {
    fn limit(self, found: &mut Where) {
        match self {
            Self::All => {}
            Self::Campaign(campaign) => found.and("campaign_id = ?", [Bound::Text(campaign.to_owned())]),
            Self::Merchant(merchant) => found.and(
                "EXISTS (SELECT 1 FROM campaigns c WHERE c.campaign_id = orders.campaign_id AND c.merchant = ?)",
                [Bound::Text(merchant.to_owned())],
            ),
            Self::Shared => found.and(
                "NOT EXISTS (SELECT 1 FROM campaigns c JOIN merchants m ON m.merchant_id = c.merchant \
                 WHERE c.campaign_id = orders.campaign_id AND m.issuer IS NOT NULL)",
                [],
            ),
        }
    }
}

impl Store {
    /// Orders of a buyer that landed, the one placed last first, those behind `before`, at most `limit`.
    pub async fn buyer_orders(
        &self,
        user: &str,
        of: OrdersOf<'_>,
        before: Option<&BuyerPlace>,
        limit: u32,
    ) -> StoreResult<Vec<BuyerOrder>> {
        let index = self.dialect.by_index("orders_buyer");
        let found = conditions(user, of, before)?;
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

    /// Where a landed order of this buyer stands; `None` where none of those that are meant has this id.
    pub async fn buyer_place(
        &self,
        user: &str,
        of: OrdersOf<'_>,
        (campaign, order): (&str, OrderId),
    ) -> StoreResult<Option<BuyerPlace>> {
        let text = |text: &str| Bound::Text(text.to_owned());
        let mut found = Where::default();
        found.and(
            "campaign_id = ? AND order_id = ? AND user_id = ?",
            [text(campaign), text(&order.to_string()), text(user)],
        );
        of.limit(&mut found);
        let sql = format!("SELECT CAST(placed_at AS CHAR) FROM orders{}", found.sql());
        let query = bind_all(sqlx::query(AssertSqlSafe(sql)), found.values);
        let row = query.fetch_optional(&self.pool).await?;
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

fn conditions(user: &str, of: OrdersOf<'_>, before: Option<&BuyerPlace>) -> StoreResult<Where> {
    let text = |text: &str| Bound::Text(text.to_owned());
    let mut found = Where::default();
    found.and("user_id = ?", [text(user)]);
    of.limit(&mut found);
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
