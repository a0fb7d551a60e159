//! What orders gave back in the database and the engine is to get back: a row per order, until the engine has it.

use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::OrderChange;
use crate::order::{Charge, LandedOrder, OrderId, Revoked};
use crate::store::dialect::{pieces, placeholders};
use crate::store::orders::{COLUMNS, COLUMNS_COUNT, landed_order};
use crate::store::rows::{int, json, maybe_text, text, to_json};
use crate::store::{Store, StoreResult, time};

/// An order that holds nothing of this any more, with what comes back in the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Released {
    pub order: LandedOrder,
    /// Why it was revoked, cancelled or refunded, or that it expired.
    pub reason: String,
    pub stock: bool,
    pub allowance: bool,
    /// Counters whose charges stay all the same: they were full in the database.
    pub counters: Vec<String>,
}

impl Released {
    pub fn id(&self) -> OrderId {
        self.order.attempt.order
    }

    /// Units and charges that come back.
    pub fn returns(&self) -> (u32, Vec<Charge>) {
        let comes_back = |charge: &&Charge| self.allowance && !self.counters.contains(&charge.counter);
        let charges = self.order.charges.iter().filter(comes_back).cloned();
        let units = if self.stock {
            self.order.attempt.quantity
        } else {
            0
        };
        (units, charges.collect())
    }
}

/// A row that is to be written.
struct NewRelease<'a> {
    campaign: &'a str,
    order: OrderId,
    reason: &'a str,
    stock: bool,
    allowance: bool,
    counters: String,
}

const COLUMNS_WRITTEN: usize = 7;
/// Between two looks whether the engine has something back.
const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_MAX: Duration = Duration::from_millis(40);
/// Rows that a lander of the release before wrote, of one transaction.
const ADOPTED_AT_ONCE: i64 = 100;

/// Notes what orders give back that are cancelled, expire or are refunded.
pub(super) async fn note(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    orders: &[&LandedOrder],
    change: OrderChange<'_>,
    now: i64,
) -> StoreResult<()> {
    let rows = orders.iter().map(|order| NewRelease {
        campaign,
        order: order.attempt.order,
        reason: change.reason,
        stock: change.release.stock() && order.holds.stock(),
        allowance: change.release.allowance() && order.holds.allowance(),
        counters: "[]".to_owned(),
    });
    insert(tx, &rows.collect::<Vec<_>>(), &time::to_text(now)?).await
}

/// Notes what revoked orders give back.
pub(in crate::store) async fn note_revoked(
    tx: &mut Transaction<'_, Any>,
    revoked: &[Revoked<'_>],
    now: &str,
) -> StoreResult<()> {
    let mut rows = Vec::with_capacity(revoked.len());
    for each in revoked {
        rows.push(NewRelease {
            campaign: &each.order.campaign,
            order: each.order.order,
            reason: each.reason,
            stock: each.gives_back_units(),
            allowance: true,
            counters: to_json(&each.counters)?,
        });
    }
    insert(tx, &rows, now).await
}

async fn insert(tx: &mut Transaction<'_, Any>, rows: &[NewRelease<'_>], now: &str) -> StoreResult<()> {
    for range in pieces(rows.len()) {
        let marks = placeholders(range.len(), COLUMNS_WRITTEN);
        let sql = format!(
            "INSERT INTO releases (campaign_id, order_id, reason, stock, allowance, counters, released_at) VALUES {marks}"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for row in &rows[range] {
            query = query
                .bind(row.campaign)
                .bind(row.order.to_string())
                .bind(row.reason)
                .bind(i64::from(row.stock))
                .bind(i64::from(row.allowance))
                .bind(row.counters.as_str())
                .bind(now);
        }
        query.execute(&mut **tx).await?;
    }
    Ok(())
}

fn select() -> String {
    format!(
        "SELECT {COLUMNS}, r.reason, r.stock, r.allowance, r.counters FROM releases r \
         JOIN orders o ON o.campaign_id = r.campaign_id AND o.order_id = r.order_id"
    )
}

impl Store {
    /// Campaigns with orders whose release the engine does not have yet. Each is found by a look into the index, however many
    /// orders wait.
    pub async fn campaigns_with_releases(&self) -> StoreResult<Vec<String>> {
        let mut campaigns: Vec<String> = Vec::new();
        loop {
            let row = sqlx::query(
                "SELECT MIN(campaign_id) FROM releases WHERE given_back_at IS NULL AND campaign_id > ?",
            )
            .bind(campaigns.last().map_or("", String::as_str))
            .fetch_one(&self.pool)
            .await?;
            match maybe_text(&row, 0)? {
                Some(campaign) => campaigns.push(campaign),
                None => return Ok(campaigns),
            }
        }
    }

    /// Those of one campaign, in order of id, at most `limit`.
    pub async fn waiting_releases(&self, campaign: &str, limit: u32) -> StoreResult<Vec<Released>> {
        let sql = format!(
            "{} WHERE r.campaign_id = ? AND r.given_back_at IS NULL ORDER BY r.order_id LIMIT ?",
            select()
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(released).collect()
    }

    /// Those of these orders that were released, whether the engine has it or not.
    pub async fn releases_of(&self, campaign: &str, orders: &[OrderId]) -> StoreResult<Vec<Released>> {
        let mut found = Vec::new();
        for range in pieces(orders.len()) {
            let sql = format!(
                "{} WHERE r.campaign_id = ? AND r.order_id IN {}",
                select(),
                placeholders(1, range.len())
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let query = orders[range]
                .iter()
                .fold(query, |query, order| query.bind(order.to_string()));
            for row in &query.fetch_all(&self.pool).await? {
                found.push(released(row)?);
            }
        }
        Ok(found)
    }

    /// Waits until the engine has back what a released order held; `false` where it has not within this time.
    pub async fn is_given_back(&self, campaign: &str, order: OrderId, within: Duration) -> StoreResult<bool> {
        let looks = async {
            let mut rest = LOOK_FIRST;
            while self.is_release_waiting(campaign, order).await? {
                tokio::time::sleep(rest).await;
                rest = (rest * 2).min(LOOK_MAX);
            }
            Ok(true)
        };
        tokio::time::timeout(within, looks).await.unwrap_or(Ok(false))
    }

    async fn is_release_waiting(&self, campaign: &str, order: OrderId) -> StoreResult<bool> {
        let waiting = sqlx::query(
            "SELECT 1 FROM releases WHERE campaign_id = ? AND order_id = ? AND given_back_at IS NULL",
        )
        .bind(campaign)
        .bind(order.to_string())
        .fetch_optional(&self.pool)
        .await?;
        Ok(waiting.is_some())
    }

    /// The engine has back what these orders held, or holds nothing of them any more.
    pub async fn mark_given_back(&self, campaign: &str, orders: &[OrderId], now: i64) -> StoreResult<()> {
        for range in pieces(orders.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!(
                "UPDATE releases SET given_back_at = ? \
                 WHERE campaign_id = ? AND given_back_at IS NULL AND order_id IN {marks}"
            );
            let query = sqlx::query(AssertSqlSafe(sql))
                .bind(time::to_text(now)?)
                .bind(campaign);
            let query = orders[range]
                .iter()
                .fold(query, |query, order| query.bind(order.to_string()));
            query.execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Takes over what a lander of the release before noted of orders that it revoked: how many. Without one, a look into an
    /// empty table.
    pub async fn adopt_revocations(&self) -> StoreResult<usize> {
        let any = sqlx::query("SELECT 1 FROM revocations LIMIT 1");
        if any.fetch_optional(&self.pool).await?.is_none() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        let sql = format!(
            "SELECT campaign_id, order_id, reason, counters, CAST(revoked_at AS CHAR), CAST(given_back_at AS CHAR) \
             FROM revocations ORDER BY campaign_id, order_id LIMIT ?{}",
            self.dialect.for_update()
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(ADOPTED_AT_ONCE)
            .fetch_all(&mut *tx)
            .await?;
        for row in &rows {
            adopt(&mut tx, row).await?;
        }
        tx.commit().await?;
        Ok(rows.len())
    }
}

async fn adopt(tx: &mut Transaction<'_, Any>, row: &AnyRow) -> StoreResult<()> {
    let (campaign, order, reason) = (text(row, 0)?, text(row, 1)?, text(row, 2)?);
    sqlx::query("UPDATE orders SET holds = 'none', pay_by = NULL WHERE campaign_id = ? AND order_id = ?")
        .bind(campaign.as_str())
        .bind(order.as_str())
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT INTO releases (campaign_id, order_id, reason, stock, allowance, counters, released_at, given_back_at) \
         VALUES (?, ?, ?, ?, 1, ?, ?, ?)",
    )
    .bind(campaign.as_str())
    .bind(order.as_str())
    .bind(reason.as_str())
    .bind(i64::from(Revoked::gives_back_units_of(&reason)))
    .bind(text(row, 3)?)
    .bind(text(row, 4)?)
    .bind(maybe_text(row, 5)?)
    .execute(&mut **tx)
    .await?;
    sqlx::query("DELETE FROM revocations WHERE campaign_id = ? AND order_id = ?")
        .bind(campaign.as_str())
        .bind(order.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn released(row: &AnyRow) -> StoreResult<Released> {
    let is_set = |column| Ok::<_, crate::store::StoreError>(int(row, column)? != 0);
    Ok(Released {
        order: landed_order(row)?,
        reason: text(row, COLUMNS_COUNT)?,
        stock: is_set(COLUMNS_COUNT + 1)?,
        allowance: is_set(COLUMNS_COUNT + 2)?,
        counters: json(row, COLUMNS_COUNT + 3)?,
    })
}
