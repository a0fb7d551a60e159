//! What the database knows of a campaign, read to be held against the engine: sums, orders that still hold
//! something, ids, and usage.

use std::collections::{BTreeMap, HashSet};

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use crate::audit::AuditLine;
use crate::order::{Charge, Holds, OrderEvent, OrderId};
use crate::store::dialect::{pieces, placeholders};
use crate::store::orders::{ReadReceipt, order_id};
use crate::store::rows::{int, maybe_int, moment, text};
use crate::store::{Stage, Store, StoreError, StoreResult, time};

/// An admitted order that holds in the engine what no row of the database says it holds: a dead letter that may land yet, or a
/// released order that has not given back there.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOrder {
    pub order: OrderId,
    pub sku: String,
    pub quantity: i64,
    pub placed_at: i64,
    pub charges: Vec<Charge>,
    /// It gives back soon what it holds, if the engine does not have that back already.
    pub released: bool,
}

/// One SKU in the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkuSums {
    pub total: i64,
    /// As `stock` says.
    pub sold: i64,
    /// As the orders say that hold units.
    pub held: i64,
    /// Of these, orders placed before the moment asked for, without those left out.
    pub before: i64,
}

/// A campaign at one moment of the database.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CampaignSums {
    pub skus: BTreeMap<String, SkuSums>,
    /// Orders placed in the very millisecond asked for, without those left out.
    pub at_the_moment: i64,
    pub held: Vec<HeldOrder>,
}

/// A row of `usage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    pub subject: String,
    pub window: i64,
    pub used: i64,
    /// `None`: any number.
    pub allowed: Option<i64>,
}

/// Kind, SKU, order, three numbers, moment, payload, receipt.
const NO_TEXTS: &str = "'', '', ''";

const STOCK: &str = "SELECT 'stock', sku_id, '', total, sold, 0, '', '', '' FROM stock WHERE campaign_id = ?";

fn letters_sql() -> String {
    let stages = Stage::OPEN
        .map(|stage| format!("'{}'", stage.as_str()))
        .join(", ");
    format!(
        "SELECT 'letter' AS kind, COALESCE(d.sku_id, '') AS sku, d.order_id AS order_id, COALESCE(d.quantity, 0) AS a, \
         0 AS b, 0 AS c, CAST(COALESCE(d.recorded_at, d.landed_at) AS CHAR) AS moment, d.payload AS payload, '' AS receipt \
         FROM dead_letters d WHERE d.campaign_id = ? AND d.order_id IS NOT NULL AND d.stage IN ({stages}) \
         AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.campaign_id = d.campaign_id AND o.order_id = d.order_id)"
    )
}

const RELEASED: &str = "SELECT 'released', o.sku_id, o.order_id, CASE WHEN r.stock = 1 THEN o.quantity ELSE 0 END, 0, 0, \
     CAST(o.placed_at AS CHAR), '', o.receipt \
     FROM releases r JOIN orders o ON o.campaign_id = r.campaign_id AND o.order_id = r.order_id \
     WHERE r.campaign_id = ? AND r.given_back_at IS NULL";

impl Store {
    /// Sums per SKU and the orders that hold something, in one statement, so that no order is missed or counted
    /// twice while it lands. Orders of `except` are left out of `before`, `at_the_moment` and `held`.
    pub async fn campaign_sums(
        &self,
        campaign: &str,
        moment: i64,
        except: &HashSet<OrderId>,
    ) -> StoreResult<CampaignSums> {
        let others = match except.len() {
            0 => String::new(),
            n => format!(" AND order_id NOT IN {}", placeholders(1, n)),
        };
        let sql = format!(
            "{} UNION ALL {RELEASED} \
             UNION ALL SELECT 'held', sku_id, '', CAST(SUM(quantity) AS SIGNED), \
             CAST(SUM(CASE WHEN placed_at < ?{others} THEN quantity ELSE 0 END) AS SIGNED), \
             CAST(SUM(CASE WHEN placed_at = ?{others} THEN 1 ELSE 0 END) AS SIGNED), {NO_TEXTS} \
             FROM orders WHERE campaign_id = ? AND holds IN ('all', 'stock') GROUP BY sku_id UNION ALL {STOCK}",
            letters_sql()
        );
        let moment = time::to_text(moment)?;
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .persistent(false)
            .bind(campaign)
            .bind(campaign);
        for _ in ["before", "at the moment"] {
            query = query.bind(moment.as_str());
            for order in except {
                query = query.bind(order.to_string());
            }
        }
        let rows = query.bind(campaign).bind(campaign).fetch_all(&self.pool).await?;
        let mut sums = CampaignSums::default();
        let mut seen = HashSet::new();
        for row in &rows {
            add(&mut sums, &mut seen, except, row)?;
        }
        Ok(sums)
    }

    /// Like [`Self::campaign_sums`] for the moment of the call, without reading the orders: `stock.sold`
    /// stands for `held` and `before`. Costs a row per SKU, per dead letter and per order that gives back.
    pub async fn sold_sums(&self, campaign: &str) -> StoreResult<CampaignSums> {
        let sql = format!("{} UNION ALL {RELEASED} UNION ALL {STOCK}", letters_sql());
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for _ in ["letters", "released", "stock"] {
            query = query.bind(campaign);
        }
        let mut sums = CampaignSums::default();
        let mut seen = HashSet::new();
        for row in &query.fetch_all(&self.pool).await? {
            add(&mut sums, &mut seen, &HashSet::new(), row)?;
        }
        for sku in sums.skus.values_mut() {
            (sku.held, sku.before) = (sku.sold, sku.sold);
        }
        // The database answers them in any order, and two answers are to be comparable.
        sums.held.sort_by_key(|held| held.order);
        Ok(sums)
    }

    /// Orders that hold something in the engine and nothing of it in the database.
    pub async fn held_orders(&self, campaign: &str) -> StoreResult<Vec<HeldOrder>> {
        let sql = format!("{} UNION ALL {RELEASED}", letters_sql());
        let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign).bind(campaign);
        let mut seen = HashSet::new();
        let mut orders = Vec::new();
        for row in &query.fetch_all(&self.pool).await? {
            let held = held(row, &text(row, 0)?)?;
            if seen.insert(held.order) {
                orders.push(held);
            }
        }
        Ok(orders)
    }

    /// Ids of a campaign's landed orders after `after`, and whether each holds something, at most `limit`.
    pub async fn order_ids_page(
        &self,
        campaign: &str,
        after: Option<OrderId>,
        limit: u32,
    ) -> StoreResult<Vec<(OrderId, bool)>> {
        let sql = "SELECT order_id, holds FROM orders WHERE campaign_id = ? AND order_id > ? ORDER BY order_id LIMIT ?";
        let rows = self.page(sql.to_owned(), campaign, after, limit).await?;
        let id = |row: &AnyRow| {
            let holds = text(row, 1)? != Holds::None.as_str();
            Ok((order_id(&text(row, 0)?)?, holds))
        };
        rows.iter().map(id).collect()
    }

    /// Those of the orders that the database has heard of: landed, or dead letters of any stage.
    pub async fn orders_known(&self, campaign: &str, orders: &[OrderId]) -> StoreResult<HashSet<OrderId>> {
        let mut known = HashSet::new();
        for range in pieces(orders.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!(
                "SELECT order_id FROM orders WHERE campaign_id = ? AND order_id IN {marks} \
                 UNION SELECT order_id FROM dead_letters WHERE campaign_id = ? AND order_id IN {marks}"
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for _ in ["orders", "dead letters"] {
                query = query.bind(campaign);
                for order in &orders[range.clone()] {
                    query = query.bind(order.to_string());
                }
            }
            for row in &query.fetch_all(&self.pool).await? {
                known.insert(order_id(&text(row, 0)?)?);
            }
        }
        Ok(known)
    }

    /// Usage of a counter in windows that start at `from` or later, by subject and window, after `after`.
    pub async fn usage_page(
        &self,
        campaign: &str,
        counter: &str,
        from: i64,
        after: Option<(&str, i64)>,
        limit: u32,
    ) -> StoreResult<Vec<UsageRow>> {
        let (subject, window) = after.unwrap_or(("", i64::MIN));
        let rows = sqlx::query(
            "SELECT CAST(subject AS CHAR), window_start, used, allowed FROM `usage` WHERE campaign_id = ? AND counter = ? \
             AND window_start >= ? AND subject >= ? AND (subject > ? OR window_start > ?) \
             ORDER BY subject, window_start LIMIT ?",
        )
        .bind(campaign)
        .bind(counter)
        .bind(from)
        .bind(subject)
        .bind(subject)
        .bind(window)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(usage_row).collect()
    }

    /// Usage of these subjects.
    pub async fn usage_of(
        &self,
        campaign: &str,
        counter: &str,
        from: i64,
        subjects: &[&str],
    ) -> StoreResult<Vec<UsageRow>> {
        let mut found = Vec::new();
        for range in pieces(subjects.len()) {
            let sql = format!(
                "SELECT CAST(subject AS CHAR), window_start, used, allowed FROM `usage` WHERE campaign_id = ? AND counter = ? \
                 AND window_start >= ? AND subject IN {}",
                placeholders(1, range.len())
            );
            let query = sqlx::query(AssertSqlSafe(sql))
                .bind(campaign)
                .bind(counter)
                .bind(from);
            let query = subjects[range]
                .iter()
                .fold(query, |query, subject| query.bind(*subject));
            for row in &query.fetch_all(&self.pool).await? {
                found.push(usage_row(row)?);
            }
        }
        Ok(found)
    }

    /// Sets `stock.sold` to what the orders say that hold units, if both are still as they were compared; says whether.
    /// Landing waits for the row meanwhile, so no order comes between.
    pub async fn mend_sold(
        &self,
        (campaign, sku): (&str, &str),
        (sold, held): (i64, i64),
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let lock = self.dialect.for_update();
        let sql = format!("SELECT sold FROM stock WHERE campaign_id = ? AND sku_id = ?{lock}");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(sku)
            .fetch_optional(&mut *tx)
            .await?;
        let there = row.as_ref().map(|row| int(row, 0)).transpose()?;
        let row = sqlx::query(
            "SELECT CAST(COALESCE(SUM(quantity), 0) AS SIGNED) FROM orders \
             WHERE campaign_id = ? AND sku_id = ? AND holds IN ('all', 'stock')",
        )
        .bind(campaign)
        .bind(sku)
        .fetch_one(&mut *tx)
        .await?;
        if there != Some(sold) || int(&row, 0)? != held {
            tx.rollback().await?;
            return Ok(false);
        }
        sqlx::query("UPDATE stock SET sold = ? WHERE campaign_id = ? AND sku_id = ?")
            .bind(held)
            .bind(campaign)
            .bind(sku)
            .execute(&mut *tx)
            .await?;
        self.append_audit(&mut tx, audit).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn add(
    sums: &mut CampaignSums,
    seen: &mut HashSet<OrderId>,
    except: &HashSet<OrderId>,
    row: &AnyRow,
) -> StoreResult<()> {
    let kind = text(row, 0)?;
    match kind.as_str() {
        "stock" => {
            let sku = sums.skus.entry(text(row, 1)?).or_default();
            (sku.total, sku.sold) = (int(row, 3)?, int(row, 4)?);
        }
        "held" => {
            let sku = sums.skus.entry(text(row, 1)?).or_default();
            (sku.held, sku.before) = (int(row, 3)?, int(row, 4)?);
            sums.at_the_moment += int(row, 5)?;
        }
        kind => {
            let held = held(row, kind)?;
            // Two copies of an order may both be dead letters.
            if !except.contains(&held.order) && seen.insert(held.order) {
                sums.held.push(held);
            }
        }
    }
    Ok(())
}

fn held(row: &AnyRow, kind: &str) -> StoreResult<HeldOrder> {
    let mut held = HeldOrder {
        order: order_id(&text(row, 2)?)?,
        sku: text(row, 1)?,
        quantity: int(row, 3)?,
        placed_at: moment(row, 6)?,
        charges: Vec::new(),
        released: kind == "released",
    };
    if kind == "letter" {
        let payload: Vec<u8> = row.try_get(7)?;
        // Its columns were filled from an order once; what it was charged is only in the payload.
        if let Ok(event) = OrderEvent::decode(&payload) {
            held.placed_at = event.placed_at;
            held.charges = event.charges;
        }
    } else {
        let receipt: ReadReceipt = serde_json::from_str(&text(row, 8)?)
            .map_err(|error| StoreError::Permanent(format!("stored receipt of {}: {error}", held.order)))?;
        held.charges = receipt.charges;
    }
    Ok(held)
}

fn usage_row(row: &AnyRow) -> StoreResult<UsageRow> {
    Ok(UsageRow {
        subject: text(row, 0)?,
        window: int(row, 1)?,
        used: int(row, 2)?,
        allowed: maybe_int(row, 3)?,
    })
}
