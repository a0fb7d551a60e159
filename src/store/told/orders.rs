//! That orders were confirmed or revoked, read from where they landed: every order's first change, whatever came after it.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::order::{OrderId, OrderState, ToldChange};
use crate::store::dialect::{pieces, placeholders};
use crate::store::order_list::OrderPlace;
use crate::store::orders::{order_id, state};
use crate::store::rows::{maybe_moment, maybe_text, moment, narrow, text};
use crate::store::{Store, StoreResult, time};

/// As [`first_change`] reads it. A revoked order keeps the moment beside what it gives back.
const SELECT: &str = "SELECT o.order_id, o.campaign_id, CAST(o.user_id AS CHAR), o.sku_id, o.quantity, o.revision, o.state, \
     CAST(o.placed_at AS CHAR), CAST(o.confirmed_at AS CHAR), o.revoked_reason, CAST(o.pay_by AS CHAR), \
     o.replaces, CAST(COALESCE(r.released_at, b.revoked_at) AS CHAR) FROM orders o";
/// A lander of the release before writes the second of them.
const REVOKED: &str = " LEFT JOIN releases r ON o.state = 'revoked' AND r.campaign_id = o.campaign_id AND r.order_id = o.order_id \
     LEFT JOIN revocations b ON o.state = 'revoked' AND b.campaign_id = o.campaign_id AND b.order_id = o.order_id";

impl Store {
    /// The first change of each of these orders that has landed, in no order.
    pub async fn first_changes(&self, campaign: &str, ids: &[OrderId]) -> StoreResult<Vec<ToldChange>> {
        let mut changes = Vec::with_capacity(ids.len());
        for range in pieces(ids.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!("{SELECT}{REVOKED} WHERE o.campaign_id = ? AND o.order_id IN {marks}");
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let query = ids[range]
                .iter()
                .fold(query, |query, id| query.bind(id.to_string()));
            for row in &query.fetch_all(&self.pool).await? {
                changes.push(first_change(row)?);
            }
        }
        Ok(changes)
    }

    /// The first changes of a campaign's orders in the order in which they were placed: those behind `after` up to `last`, at
    /// most `limit`.
    pub async fn first_changes_page(
        &self,
        campaign: &str,
        after: OrderPlace,
        last: OrderPlace,
        limit: u32,
    ) -> StoreResult<Vec<ToldChange>> {
        let index = self.dialect.by_index("orders_placed");
        // The moments bound the range of the index; the ids only part orders of one moment.
        let sql = format!(
            "{SELECT}{index}{REVOKED} WHERE o.campaign_id = ? AND o.placed_at >= ? AND o.placed_at <= ? \
             AND (o.placed_at > ? OR o.order_id > ?) ORDER BY o.placed_at, o.order_id LIMIT ?"
        );
        let (from, to) = (time::to_text(after.placed_at)?, time::to_text(last.placed_at)?);
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(from.as_str())
            .bind(to)
            .bind(from.as_str())
            .bind(after.order.to_string())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(first_change).collect()
    }

    /// Campaigns that have orders which were placed at a moment or later, each with the one placed last.
    pub async fn last_orders(&self, since: i64) -> StoreResult<Vec<(String, OrderPlace)>> {
        let since = time::to_text(since)?;
        let index = self.dialect.by_index("orders_placed");
        let sql = format!(
            "SELECT order_id, CAST(placed_at AS CHAR) FROM orders{index} WHERE campaign_id = ? AND placed_at >= ? \
             ORDER BY placed_at DESC, order_id DESC LIMIT 1"
        );
        let campaigns = sqlx::query("SELECT campaign_id FROM campaigns ORDER BY seq")
            .fetch_all(&self.pool)
            .await?;
        let mut last = Vec::new();
        for campaign in campaigns {
            let campaign = text(&campaign, 0)?;
            let row = sqlx::query(AssertSqlSafe(sql.as_str()))
                .bind(campaign.as_str())
                .bind(since.as_str())
                .fetch_optional(&self.pool)
                .await?;
            if let Some(row) = row {
                let (order, placed_at) = (order_id(&text(&row, 0)?)?, moment(&row, 1)?);
                last.push((campaign, OrderPlace { placed_at, order }));
            }
        }
        Ok(last)
    }
}

fn first_change(row: &AnyRow) -> StoreResult<ToldChange> {
    let placed_at = moment(row, 7)?;
    let (state, reason) = match state(&text(row, 6)?)? {
        OrderState::Revoked => (OrderState::Revoked, maybe_text(row, 9)?),
        // Whatever became of it later.
        _ => (OrderState::Confirmed, None),
    };
    let at = match state {
        OrderState::Revoked => maybe_moment(row, 12)?,
        _ => maybe_moment(row, 8)?,
    };
    Ok(ToldChange {
        order: order_id(&text(row, 0)?)?,
        campaign: text(row, 1)?,
        merchant: None,
        user: text(row, 2)?,
        sku: text(row, 3)?,
        quantity: narrow(row, 4)?,
        revision: narrow(row, 5)?,
        state,
        number: state.number(),
        at: at.unwrap_or(placed_at),
        reason,
        actor: None,
        placed_at,
        // Gone once it is paid, or is not to be paid any more.
        pay_by: maybe_moment(row, 10)?,
        replaces: maybe_text(row, 11)?.as_deref().map(order_id).transpose()?,
    })
}
