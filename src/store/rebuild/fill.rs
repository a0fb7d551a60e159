//! Landed orders charged afterwards, on counters that came after them: in their receipts, by which a rebuild restores them,
//! and in the usage that guards the limits.

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::order::{Charge, LandedOrder, OrderEvent, OrderId};
use crate::store::dialect::{pieces, placeholders};
use crate::store::landing::usage;
use crate::store::orders::{COLUMNS, landed_order};
use crate::store::rows::{json, to_json};
use crate::store::{Store, StoreError, StoreResult};

/// Place of the receipt in [`COLUMNS`].
const RECEIPT: usize = 10;

/// What is written of one order: its new charges, and the text of its receipt with them.
struct Charged {
    order: OrderEvent,
    receipt: String,
}

impl Store {
    /// Adds charges to those of these orders that hold theirs, in one transaction: `missing` says which an order lacks.
    pub async fn charge_landed(
        &self,
        campaign: &str,
        orders: &[OrderId],
        missing: impl Fn(&LandedOrder) -> Vec<Charge>,
    ) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let mut charged = Vec::new();
        for range in pieces(orders.len()) {
            // Who releases one of them meanwhile waits, and then finds what it is to take back.
            let sql = format!(
                "SELECT {COLUMNS} FROM orders o WHERE o.campaign_id = ? AND o.holds IN ('all', 'allowance') \
                 AND o.order_id IN {}{}",
                placeholders(1, range.len()),
                self.dialect.for_update()
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let query = orders[range]
                .iter()
                .fold(query, |query, order| query.bind(order.to_string()));
            for row in &query.fetch_all(&mut *tx).await? {
                let order = landed_order(row)?;
                let charges = missing(&order);
                if !charges.is_empty() {
                    charged.push(with(campaign, order, charges, row)?);
                }
            }
        }
        write_receipts(&mut tx, campaign, &charged).await?;
        let orders: Vec<&OrderEvent> = charged.iter().map(|each| &each.order).collect();
        usage::charge_afterwards(&mut tx, self.dialect, &orders).await?;
        tx.commit().await?;
        Ok(())
    }
}

fn with(campaign: &str, order: LandedOrder, charges: Vec<Charge>, row: &AnyRow) -> StoreResult<Charged> {
    // As it stands, so that nothing is lost that this build does not read.
    let mut receipt: serde_json::Value = json(row, RECEIPT)?;
    let id = order.attempt.order;
    let there = receipt
        .get_mut("charges")
        .and_then(serde_json::Value::as_array_mut);
    let there =
        there.ok_or_else(|| StoreError::Permanent(format!("the receipt of order {id} has no charges")))?;
    for charge in &charges {
        there.push(serde_json::json!(charge));
    }
    let mut event = OrderEvent::of(order.attempt, campaign, 0, (order.revision, ""), order.placed_at);
    event.charges = charges;
    Ok(Charged {
        order: event,
        receipt: to_json(&receipt)?,
    })
}

async fn write_receipts(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    charged: &[Charged],
) -> StoreResult<()> {
    for range in pieces(charged.len()) {
        let some = &charged[range];
        let cases = vec!["WHEN ? THEN ?"; some.len()].join(" ");
        let marks = placeholders(1, some.len());
        let sql = format!(
            "UPDATE orders SET receipt = CASE order_id {cases} END WHERE campaign_id = ? AND order_id IN {marks}"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for Charged { order, receipt } in some {
            query = query.bind(order.order.to_string()).bind(receipt.as_str());
        }
        query = query.bind(campaign);
        for Charged { order, .. } in some {
            query = query.bind(order.order.to_string());
        }
        query.execute(&mut **tx).await?;
    }
    Ok(())
}
