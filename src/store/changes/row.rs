//! Rows of `order_changes`: what became of an order after it landed, who changed it and why.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{Any, AnyPool, AssertSqlSafe, Transaction};

use super::{ChangedOrder, OrderChange, Outcome};
use crate::order::{LandedOrder, OrderEvent, OrderId, OrderState};
use crate::store::dialect::{pieces, placeholders};
use crate::store::orders::{order_id, state};
use crate::store::rows::{maybe_text, moment, narrow, text};
use crate::store::{StoreResult, time};

/// One change of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRow {
    /// Among the changes of its order, from 1.
    pub number: u32,
    /// `None`: it had not landed.
    pub from: Option<OrderState>,
    pub to: OrderState,
    /// The database's clock, milliseconds since 1970-01-01 UTC.
    pub at: i64,
    pub actor: String,
    pub reason: String,
    pub note: Option<String>,
    pub key: Option<String>,
}

/// Columns as [`change_row`] reads them.
const COLUMNS: &str = "order_id, number, from_state, to_state, CAST(changed_at AS CHAR), actor, reason, note, \
     CAST(idempotency_key AS CHAR)";
const COLUMNS_WRITTEN: usize = 10;

impl ChangeRow {
    pub(super) fn of(from: OrderState, change: OrderChange<'_>, at: i64) -> Self {
        Self {
            number: change.to.number(),
            from: Some(from),
            to: change.to,
            at,
            actor: change.actor.to_owned(),
            reason: change.reason.to_owned(),
            note: change.note.map(str::to_owned),
            key: change.key.map(str::to_owned),
        }
    }
}

/// Writes those of these changes that are made.
pub(super) async fn insert(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    asked: &[ChangedOrder],
    now: i64,
) -> StoreResult<()> {
    let rows = asked.iter().filter_map(|each| match &each.outcome {
        Outcome::Made(row) => Some((each.order.attempt.order, row)),
        _ => None,
    });
    write(tx, campaign, &rows.collect::<Vec<_>>(), &time::to_text(now)?).await
}

/// Writes rows of a campaign's orders.
async fn write(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    rows: &[(OrderId, &ChangeRow)],
    now: &str,
) -> StoreResult<()> {
    for range in pieces(rows.len()) {
        let marks = placeholders(range.len(), COLUMNS_WRITTEN);
        let sql = format!(
            "INSERT INTO order_changes (campaign_id, order_id, number, from_state, to_state, changed_at, actor, reason, note, \
             idempotency_key) VALUES {marks}"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (order, row) in &rows[range] {
            query = query
                .bind(campaign)
                .bind(order.to_string())
                .bind(i64::from(row.number))
                .bind(row.from.map_or("", OrderState::as_str))
                .bind(row.to.as_str())
                .bind(now)
                .bind(row.actor.as_str())
                .bind(row.reason.as_str())
                .bind(row.note.as_deref())
                .bind(row.key.as_deref());
        }
        query.execute(&mut **tx).await?;
    }
    Ok(())
}

/// Notes who gave up an order that had not landed: it did not come through landing, which tells of all others.
pub(in crate::store) async fn revoked(
    tx: &mut Transaction<'_, Any>,
    event: &OrderEvent,
    (actor, reason): (&str, &str),
    now: &str,
) -> StoreResult<()> {
    let row = ChangeRow {
        number: OrderState::Revoked.number(),
        from: None,
        to: OrderState::Revoked,
        at: time::from_text(now)?,
        actor: actor.to_owned(),
        reason: reason.to_owned(),
        note: None,
        key: None,
    };
    write(tx, &event.campaign, &[(event.order, &row)], now).await
}

/// Changes that were made of these orders under this key.
pub(super) async fn under_key(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    orders: &[LandedOrder],
    key: &str,
) -> StoreResult<HashMap<OrderId, ChangeRow>> {
    let mut found = HashMap::new();
    for range in pieces(orders.len()) {
        let marks = placeholders(1, range.len());
        let sql = format!(
            "SELECT {COLUMNS} FROM order_changes WHERE campaign_id = ? AND idempotency_key = ? AND order_id IN {marks}"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign).bind(key);
        let some = orders[range].iter();
        let query = some.fold(query, |query, order| query.bind(order.attempt.order.to_string()));
        for row in &query.fetch_all(&mut **tx).await? {
            found.insert(order_id(&text(row, 0)?)?, change_row(row)?);
        }
    }
    Ok(found)
}

pub(super) async fn of_order(pool: &AnyPool, campaign: &str, order: OrderId) -> StoreResult<Vec<ChangeRow>> {
    let sql =
        format!("SELECT {COLUMNS} FROM order_changes WHERE campaign_id = ? AND order_id = ? ORDER BY number");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(campaign)
        .bind(order.to_string())
        .fetch_all(pool)
        .await?;
    rows.iter().map(change_row).collect()
}

fn change_row(row: &AnyRow) -> StoreResult<ChangeRow> {
    let from = text(row, 2)?;
    Ok(ChangeRow {
        number: narrow(row, 1)?,
        from: match from.is_empty() {
            true => None,
            false => Some(state(&from)?),
        },
        to: state(&text(row, 3)?)?,
        at: moment(row, 4)?,
        actor: text(row, 5)?,
        reason: text(row, 6)?,
        note: maybe_text(row, 7)?,
        key: maybe_text(row, 8)?,
    })
}
