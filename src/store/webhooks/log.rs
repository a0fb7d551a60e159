//! The log of deliveries: read page by page, the one written down last first, and sent again.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::deliveries::DeliveryOf;
use super::outcome::Attempted;
use crate::order::{TIME_MAX_MS, TIME_MIN_MS};
use crate::store::conditions::{Bound, Where, bind_all};
use crate::store::dialect::{pieces, placeholders};
use crate::store::rows::{int, maybe_int, maybe_moment, maybe_text, moment, narrow, text};
use crate::store::{Store, StoreError, StoreResult, time};

/// Deliveries that one statement sends again.
const AT_ONCE: u32 = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeliveryState {
    Waiting,
    Delivered,
    /// It was tried for a day.
    Failed,
}

impl DeliveryState {
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A line of the log. Moments in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    pub of: DeliveryOf,
    pub event: String,
    pub state: DeliveryState,
    pub attempts: u32,
    /// Of one that waits: not before.
    pub next_at: i64,
    pub last: Attempted,
    pub created_at: i64,
    pub delivered_at: Option<i64>,
}

/// Where a delivery stands in the log of its endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryPlace {
    pub created_at: i64,
    pub order: String,
    pub number: i64,
}

impl DeliveryRow {
    pub fn place(&self) -> DeliveryPlace {
        DeliveryPlace {
            created_at: self.created_at,
            order: self.of.order.clone(),
            number: self.of.number,
        }
    }
}

/// Deliveries in one state, written down at `from` or later and before `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryRange {
    pub state: DeliveryState,
    pub from: Option<i64>,
    pub to: Option<i64>,
}

impl Store {
    /// A page of the log of an endpoint, those behind `before`, at most `limit`.
    pub async fn deliveries(
        &self,
        webhook: &str,
        state: Option<DeliveryState>,
        before: Option<&DeliveryPlace>,
        limit: u32,
    ) -> StoreResult<Vec<DeliveryRow>> {
        let states = state.map_or(DeliveryState::ALL.to_vec(), |state| vec![state]);
        let mut found = Vec::new();
        // The index has each state in the order of the log.
        for state in states {
            let mut wanted = Where::default();
            wanted.and("webhook_id = ?", [Bound::Text(webhook.to_owned())]);
            wanted.and("state = ?", [Bound::Text(state.as_str().to_owned())]);
            if let Some(place) = before {
                let at = Bound::Text(bounded(place.created_at)?);
                let order = Bound::Text(place.order.clone());
                wanted.and(
                    "created_at <= ? AND (created_at < ? OR order_id < ? OR (order_id = ? AND number < ?))",
                    [at.clone(), at, order.clone(), order, Bound::Int(place.number)],
                );
            }
            let sql = format!(
                "SELECT campaign_id, order_id, number, event, state, attempts, CAST(next_at AS CHAR), last_status, last_error, \
                 last_answer, CAST(created_at AS CHAR), CAST(delivered_at AS CHAR) FROM webhook_deliveries{}{} \
                 ORDER BY created_at DESC, order_id DESC, number DESC LIMIT ?",
                self.dialect.by_index("webhook_deliveries_log"),
                wanted.sql()
            );
            let query = bind_all(sqlx::query(AssertSqlSafe(sql)), wanted.values).bind(i64::from(limit));
            for row in &query.fetch_all(&self.pool).await? {
                found.push(delivery(row)?);
            }
        }
        found.sort_by_key(|row| std::cmp::Reverse(row.place()));
        found.truncate(limit as usize);
        Ok(found)
    }

    /// Has deliveries of a range sent again from `now` on, as if they had never been tried, those from behind `after`; how many,
    /// and where it left off, `None` at the end.
    pub async fn replay_deliveries(
        &self,
        webhook: &str,
        range: DeliveryRange,
        after: Option<&DeliveryPlace>,
        now: i64,
    ) -> StoreResult<(u64, Option<DeliveryPlace>)> {
        let mut wanted = Where::default();
        wanted.and("webhook_id = ?", [Bound::Text(webhook.to_owned())]);
        wanted.and("state = ?", [Bound::Text(range.state.as_str().to_owned())]);
        if let Some(from) = range.from {
            wanted.and("created_at >= ?", [Bound::Text(bounded(from)?)]);
        }
        if let Some(to) = range.to {
            wanted.and("created_at < ?", [Bound::Text(bounded(to)?)]);
        }
        if let Some(place) = after {
            let at = Bound::Text(bounded(place.created_at)?);
            let order = Bound::Text(place.order.clone());
            wanted.and(
                "created_at >= ? AND (created_at > ? OR order_id > ? OR (order_id = ? AND number > ?))",
                [at.clone(), at, order.clone(), order, Bound::Int(place.number)],
            );
        }
        let sql = format!(
            "SELECT CAST(created_at AS CHAR), order_id, number FROM webhook_deliveries{}{} \
             ORDER BY created_at, order_id, number LIMIT ?",
            self.dialect.by_index("webhook_deliveries_log"),
            wanted.sql()
        );
        let query = bind_all(sqlx::query(AssertSqlSafe(sql)), wanted.values).bind(i64::from(AT_ONCE));
        let rows = query.fetch_all(&self.pool).await?;
        let places: Vec<DeliveryPlace> = rows.iter().map(place).collect::<StoreResult<_>>()?;
        let replayed = self.replay(webhook, range, &places, now).await?;
        let more = places.len() == AT_ONCE as usize;
        Ok((replayed, places.into_iter().next_back().filter(|_| more)))
    }

    /// Has every delivery of an order sent again; how many.
    pub async fn replay_order(&self, webhook: &str, order: &str, now: i64) -> StoreResult<u64> {
        let done = sqlx::query(
            "UPDATE webhook_deliveries SET state = 'waiting', attempts = 0, next_at = ?, delivered_at = NULL \
             WHERE webhook_id = ? AND order_id = ?",
        )
        .bind(time::to_text(now)?)
        .bind(webhook)
        .bind(order)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    async fn replay(
        &self,
        webhook: &str,
        range: DeliveryRange,
        places: &[DeliveryPlace],
        now: i64,
    ) -> StoreResult<u64> {
        let orders: BTreeSet<&str> = places.iter().map(|place| place.order.as_str()).collect();
        let orders: Vec<&str> = orders.into_iter().collect();
        let (first, last) = match (places.first(), places.last()) {
            (Some(first), Some(last)) => (bounded(first.created_at)?, bounded(last.created_at)?),
            _ => return Ok(0),
        };
        let mut replayed = 0;
        for piece in pieces(orders.len()) {
            let sql = format!(
                "UPDATE webhook_deliveries SET state = 'waiting', attempts = 0, next_at = ?, delivered_at = NULL \
                 WHERE webhook_id = ? AND order_id IN {} AND state = ? AND created_at >= ? AND created_at <= ?",
                placeholders(1, piece.len())
            );
            let query = sqlx::query(AssertSqlSafe(sql))
                .bind(time::to_text(now)?)
                .bind(webhook);
            let query = orders[piece]
                .iter()
                .fold(query, |query, order| query.bind(*order));
            let done = query
                .bind(range.state.as_str())
                .bind(first.as_str())
                .bind(last.as_str())
                .execute(&self.pool)
                .await?;
            replayed += done.rows_affected();
        }
        Ok(replayed)
    }
}

/// What lies outside of what a database can hold is asked for as its bound.
fn bounded(ms: i64) -> StoreResult<String> {
    time::to_text(ms.clamp(TIME_MIN_MS, TIME_MAX_MS))
}

fn place(row: &AnyRow) -> StoreResult<DeliveryPlace> {
    Ok(DeliveryPlace {
        created_at: moment(row, 0)?,
        order: text(row, 1)?,
        number: int(row, 2)?,
    })
}

fn delivery(row: &AnyRow) -> StoreResult<DeliveryRow> {
    let state = text(row, 4)?;
    let unknown = || StoreError::Permanent(format!("stored state {state:?} of a delivery"));
    let status = maybe_int(row, 7)?;
    Ok(DeliveryRow {
        of: DeliveryOf {
            campaign: text(row, 0)?,
            order: text(row, 1)?,
            number: int(row, 2)?,
        },
        event: text(row, 3)?,
        state: DeliveryState::named(&state).ok_or_else(unknown)?,
        attempts: narrow(row, 5)?,
        next_at: moment(row, 6)?,
        last: Attempted {
            status: status.and_then(|status| u16::try_from(status).ok()),
            error: maybe_text(row, 8)?,
            answer: maybe_text(row, 9)?,
        },
        created_at: moment(row, 10)?,
        delivered_at: maybe_moment(row, 11)?,
    })
}
