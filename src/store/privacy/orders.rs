//! The orders of an erased buyer: they get a pseudonym, in their rows, in `usage` and in what endpoints were sent.
//!
//! One transaction for some orders of a campaign, locked as those lock who change orders; what is left has the buyer's id still,
//! so that the next look finds it.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::charges::{self, Kept};
use super::erasures::ErasureRow;
use super::mask::Mask;
use crate::failpoint::{self, Point};
use crate::order::LandedOrder;
use crate::plan::Counter;
use crate::store::dialect::{pieces, placeholders};
use crate::store::orders::{COLUMNS, landed_order};
use crate::store::rows::{json, text, to_json};
use crate::store::{Store, StoreError, StoreResult, time};

/// Orders of one transaction at most: landing waits for no more than these.
const ORDERS_AT_ONCE: usize = 500;
/// Place of the receipt in [`COLUMNS`].
const RECEIPT: usize = 10;

/// What one transaction erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasedOrders {
    pub orders: u64,
    pub changes: u64,
    pub deliveries: u64,
}

/// An order, and its receipt as it is stored.
type WithReceipt = (LandedOrder, serde_json::Value);

impl Store {
    /// Erases the buyer from some orders of a campaign; none where the campaign still needs the buyer at `now`, where the orders
    /// wait for something, or where there are no more.
    pub async fn erase_orders(
        &self,
        erasure: &ErasureRow,
        campaign: &str,
        now: i64,
    ) -> StoreResult<ErasedOrders> {
        let mask = erasure.mask()?;
        let counters = self.counters_of(campaign).await?;
        let mut tx = self.begin().await?;
        if !self.may_erase(&mut tx, erasure, campaign, now).await? {
            tx.rollback().await?;
            return Ok(ErasedOrders::default());
        }
        let found = self
            .own_orders(&mut tx, campaign, mask.user, erasure.asked_at)
            .await?;
        let (orders, receipts): (Vec<LandedOrder>, Vec<serde_json::Value>) = found.into_iter().unzip();
        let ids: Vec<String> = orders
            .iter()
            .map(|order| order.attempt.order.to_string())
            .collect();
        let kept = charges::rename(&mut tx, self.dialect, campaign, &orders, &counters, mask).await?;
        for (id, receipt) in ids.iter().zip(receipts) {
            write(
                &mut tx,
                campaign,
                id,
                &to_json(&without(receipt, &kept, mask))?,
                mask,
            )
            .await?;
        }
        let erased = ErasedOrders {
            orders: ids.len() as u64,
            changes: changes(&mut tx, campaign, &ids, mask).await?,
            deliveries: self.mask_deliveries(&mut tx, campaign, &ids, mask).await?,
        };
        failpoint::hit(Point::P2);
        tx.commit().await.map_err(StoreError::of_commit)?;
        failpoint::hit(Point::P3);
        Ok(erased)
    }

    /// Whether nothing needs the buyer's orders of a campaign any more.
    async fn may_erase(
        &self,
        tx: &mut Transaction<'_, Any>,
        erasure: &ErasureRow,
        campaign: &str,
        now: i64,
    ) -> StoreResult<bool> {
        if self.due_at(tx, campaign).await? > now {
            return Ok(false);
        }
        let (user, until) = (erasure.mask()?.user, erasure.asked_at);
        Ok(self.waits(tx, campaign, user, until).await?.is_empty())
    }

    /// The counters that any revision of a campaign has, the active one's before others of the same id.
    pub(super) async fn counters_of(&self, campaign: &str) -> StoreResult<BTreeMap<String, Counter>> {
        let rows = sqlx::query(
            "SELECT r.plan FROM revisions r JOIN campaigns c ON c.campaign_id = r.campaign_id WHERE r.campaign_id = ? \
             ORDER BY CASE WHEN r.revision = c.revision THEN 1 ELSE 0 END, r.revision",
        )
        .bind(campaign)
        .fetch_all(&self.pool)
        .await?;
        let mut counters = BTreeMap::new();
        for row in &rows {
            let plan: Counters = json(row, 0)?;
            counters.extend(
                plan.counters
                    .into_iter()
                    .map(|counter| (counter.id.clone(), counter)),
            );
        }
        Ok(counters)
    }

    /// Orders that name the buyer, locked in order of id, with their receipts.
    async fn own_orders(
        &self,
        tx: &mut Transaction<'_, Any>,
        campaign: &str,
        user: &str,
        until: i64,
    ) -> StoreResult<Vec<WithReceipt>> {
        let sql = format!(
            "SELECT order_id FROM orders{} WHERE user_id = ? AND campaign_id = ? AND placed_at <= ? LIMIT ?",
            self.dialect.by_index("orders_buyer")
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(user)
            .bind(campaign)
            .bind(time::to_text(until)?)
            .bind(ORDERS_AT_ONCE as i64)
            .fetch_all(&mut **tx)
            .await?;
        let mut ids: Vec<String> = rows.iter().map(|row| text(row, 0)).collect::<StoreResult<_>>()?;
        ids.sort_unstable();
        let mut found = Vec::with_capacity(ids.len());
        for range in pieces(ids.len()) {
            let sql = format!(
                "SELECT {COLUMNS} FROM orders o WHERE o.campaign_id = ? AND o.order_id IN {} AND o.user_id = ? \
                 ORDER BY o.order_id{}",
                placeholders(1, range.len()),
                self.dialect.for_update()
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let query = ids[range].iter().fold(query, |query, id| query.bind(id.as_str()));
            for row in &query.bind(user).fetch_all(&mut **tx).await? {
                found.push(with_receipt(row)?);
            }
        }
        Ok(found)
    }
}

/// What is read of a plan.
#[derive(serde::Deserialize)]
struct Counters {
    counters: Vec<Counter>,
}

fn with_receipt(row: &AnyRow) -> StoreResult<WithReceipt> {
    Ok((landed_order(row)?, json(row, RECEIPT)?))
}

/// The receipt with other subjects and without attributes; whatever else it says stays.
fn without(mut receipt: serde_json::Value, kept: &Kept, mask: Mask<'_>) -> serde_json::Value {
    if let Some(receipt) = receipt.as_object_mut() {
        receipt.remove("attributes");
    }
    let charges = receipt
        .get_mut("charges")
        .and_then(serde_json::Value::as_array_mut);
    for charge in charges.into_iter().flatten() {
        let said = |name: &str| charge[name].as_str().unwrap_or_default().to_owned();
        let place = (said("counter"), said("subject"));
        if !kept.contains(&place) {
            charge["subject"] = mask.subject(&place.0, &place.1).into();
        }
    }
    receipt
}

async fn write(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    order: &str,
    receipt: &str,
    mask: Mask<'_>,
) -> StoreResult<()> {
    sqlx::query("UPDATE orders SET user_id = ?, receipt = ? WHERE campaign_id = ? AND order_id = ?")
        .bind(mask.pseudonym)
        .bind(receipt)
        .bind(campaign)
        .bind(order)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What people said of the orders goes, since it may say who the buyer is; so do keys that hold the buyer's id.
async fn changes(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    orders: &[String],
    mask: Mask<'_>,
) -> StoreResult<u64> {
    let mut changed = 0;
    for range in pieces(orders.len()) {
        let marks = placeholders(1, range.len());
        let sql = format!(
            "UPDATE order_changes SET note = NULL, actor = CASE WHEN actor = ? THEN ? ELSE actor END, \
             idempotency_key = CASE WHEN INSTR(CAST(idempotency_key AS CHAR), ?) > 0 THEN NULL ELSE idempotency_key END \
             WHERE campaign_id = ? AND order_id IN {marks}"
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(mask.user)
            .bind(mask.pseudonym)
            .bind(mask.user)
            .bind(campaign);
        let query = orders[range]
            .iter()
            .fold(query, |query, id| query.bind(id.as_str()));
        changed += query.execute(&mut **tx).await?.rows_affected();
    }
    Ok(changed)
}
