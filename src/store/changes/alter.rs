//! What a change writes about orders: their state and what they hold, and what comes back into `usage` and `stock`.

use std::collections::{BTreeMap, HashMap};

use sqlx::{Any, AssertSqlSafe, Transaction};

use super::row::{self, ChangeRow};
use super::{ChangedOrder, OrderChange, Outcome};
use crate::order::{Holds, LandedOrder, OrderId, OrderState};
use crate::store::dialect::{Dialect, pieces, placeholders};
use crate::store::landing::usage;
use crate::store::orders::{COLUMNS, COLUMNS_COUNT, landed_order};
use crate::store::rows::int;
use crate::store::{Store, StoreError, StoreResult};

impl Store {
    /// Locks the rows of these orders in order of id, and says of each what comes of the change; with the database's clock.
    pub(super) async fn lock_orders(
        &self,
        tx: &mut Transaction<'_, Any>,
        campaign: &str,
        orders: &[OrderId],
        change: OrderChange<'_>,
    ) -> StoreResult<(Vec<ChangedOrder>, i64)> {
        let mut ids = orders.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let (mut asked, mut now) = (Vec::with_capacity(ids.len()), 0);
        for range in pieces(ids.len()) {
            let sql = format!(
                "SELECT {COLUMNS}, {} FROM orders o WHERE o.campaign_id = ? AND o.order_id IN {} ORDER BY o.order_id{}",
                self.dialect.now_ms(),
                placeholders(1, range.len()),
                self.dialect.for_update()
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(campaign);
            let some = ids[range].iter();
            let query = some.fold(query, |query, order| query.bind(order.to_string()));
            for row in &query.fetch_all(&mut **tx).await? {
                now = int(row, COLUMNS_COUNT)?;
                asked.push(landed_order(row)?);
            }
        }
        let earlier = match change.key {
            Some(key) => row::under_key(tx, campaign, &asked, key).await?,
            None => HashMap::new(),
        };
        let judged = asked.into_iter().map(|order| {
            let outcome = judge(&order, earlier.get(&order.attempt.order), change, now);
            ChangedOrder { order, outcome }
        });
        Ok((judged.collect(), now))
    }
}

fn judge(order: &LandedOrder, earlier: Option<&ChangeRow>, change: OrderChange<'_>, now: i64) -> Outcome {
    if let Some(earlier) = earlier {
        let is_same = earlier.to == change.to && earlier.reason == change.reason;
        return match is_same {
            true => Outcome::MadeBefore(earlier.clone()),
            false => Outcome::OtherChange(earlier.clone()),
        };
    }
    let is_over = order.pay_by.is_some_and(|pay_by| pay_by <= now);
    if !order.state.may_become(change.to) || (change.to == OrderState::Expired && !is_over) {
        return Outcome::Forbidden;
    }
    if change.to == OrderState::Paid && is_over {
        return Outcome::TooLate;
    }
    Outcome::Made(ChangeRow::of(order.state, change, now))
}

/// What an order holds after the change.
pub(super) fn held(order: &LandedOrder, change: OrderChange<'_>) -> Holds {
    match change.to.releases() {
        true => order.holds.after(change.release),
        false => order.holds,
    }
}

/// Writes the new state of orders whose rows are locked.
pub(super) async fn states(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    campaign: &str,
    before: &[&LandedOrder],
    change: OrderChange<'_>,
) -> StoreResult<()> {
    let mut groups: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for order in before {
        let group = (order.state.as_str(), held(order, change).as_str());
        groups
            .entry(group)
            .or_default()
            .push(order.attempt.order.to_string());
    }
    for ((from, holds), ids) in groups {
        for range in pieces(ids.len()) {
            let sql = format!(
                "UPDATE orders{} SET state = ?, holds = ?, pay_by = NULL \
                 WHERE campaign_id = ? AND state = ? AND order_id IN {}",
                dialect.by_key(),
                placeholders(1, range.len())
            );
            let query = sqlx::query(AssertSqlSafe(sql));
            let query = query
                .bind(change.to.as_str())
                .bind(holds)
                .bind(campaign)
                .bind(from);
            let some = &ids[range];
            let query = some.iter().fold(query, |query, id| query.bind(id.as_str()));
            if query.execute(&mut **tx).await?.rows_affected() != some.len() as u64 {
                let what = "orders changed under their locks".to_owned();
                return Err(StoreError::Transient(what));
            }
        }
    }
    Ok(())
}

/// Takes the charges of orders off `usage`, in the windows they were made in.
pub(super) async fn give_back_usage(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    campaign: &str,
    orders: &[&LandedOrder],
) -> StoreResult<()> {
    let charges = orders.iter().flat_map(|order| &order.charges);
    usage::give_back(tx, dialect, charges.map(|charge| (campaign, charge))).await
}

/// Takes the units of orders off what is sold.
pub(super) async fn give_back_stock(
    tx: &mut Transaction<'_, Any>,
    dialect: Dialect,
    campaign: &str,
    orders: &[&LandedOrder],
) -> StoreResult<()> {
    let mut units: BTreeMap<&str, i64> = BTreeMap::new();
    for order in orders {
        *units.entry(&order.attempt.sku).or_default() += i64::from(order.attempt.quantity);
    }
    let floor = dialect.not_below_zero("sold - ?");
    let sql = format!("UPDATE stock SET sold = {floor} WHERE campaign_id = ? AND sku_id = ?");
    for (sku, units) in units {
        sqlx::query(AssertSqlSafe(sql.clone()))
            .bind(units)
            .bind(campaign)
            .bind(sku)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
