//! The guards of limits and stock over orders that were just inserted: what does not fit is revoked.

use crate::failpoint::{self, Point};
use crate::order::{OrderEvent, Revoked};
use crate::store::StoreResult;
use crate::store::dialect::Dialect;
use crate::store::landing::lane::Tx;
use crate::store::landing::{stock, usage};

/// New orders that were written, and how many of these were revoked.
#[derive(Default)]
pub(in crate::store) struct Written {
    pub fresh: u64,
    pub revoked: u64,
}

/// Counts new orders in `usage` and stock, and revokes those that do not fit: how many these are.
pub(in crate::store) async fn account(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    fresh: &[&OrderEvent],
    now: &str,
) -> StoreResult<u64> {
    failpoint::hit(Point::C2);
    let mut revoked = usage::charge(tx, dialect, fresh).await?;
    let within = without(fresh, &revoked);
    let oversold = stock::sell(tx, dialect, &within).await?;
    if !oversold.is_empty() {
        let refunded: Vec<&OrderEvent> = oversold.iter().map(|revoked| revoked.order).collect();
        usage::refund(tx, dialect, &refunded).await?;
        revoked.extend(oversold);
    }
    if !revoked.is_empty() {
        stock::revoke(tx, &revoked, now).await?;
    }
    Ok(revoked.len() as u64)
}

fn without<'a>(orders: &[&'a OrderEvent], revoked: &[Revoked<'_>]) -> Vec<&'a OrderEvent> {
    let is_revoked = |order: &OrderEvent| {
        let mut each = revoked.iter();
        each.any(|revoked| std::ptr::eq(revoked.order, order))
    };
    let kept = orders.iter().copied();
    kept.filter(|order| !is_revoked(order)).collect()
}
