//! Changes of landed orders: paid, cancelled, expired, refunded. Each is one transaction: the state under the condition that it
//! was another one, a row that says who changed it and why, and what comes back of the order in `stock`, `usage` and `releases`.
//!
//! The order of the statements is the order of the locks, as in landing: orders ascending, usage, stock last. The engine gets
//! back what a release names only after the commit.

mod alter;
mod expiry;
pub(super) mod releases;
pub(super) mod row;

use sqlx::{Any, Transaction};

use crate::audit::AuditLine;
use crate::failpoint::{self, Point};
use crate::order::{EXPIRED, LandedOrder, OWN_ACTOR, OrderId, OrderState, OrderTerms, Release};
use crate::store::{Store, StoreError, StoreResult};
pub use row::ChangeRow;

/// Orders of one transaction at most: landing waits for no more than these.
pub const CHANGES_AT_ONCE: usize = 500;

/// What is to become of orders.
#[derive(Clone, Copy, Debug)]
pub struct OrderChange<'a> {
    pub to: OrderState,
    pub actor: &'a str,
    pub reason: &'a str,
    pub note: Option<&'a str>,
    /// The same change under the same key is made once.
    pub key: Option<&'a str>,
    /// What comes back, where the new state lets go of anything.
    pub release: Release,
}

impl OrderChange<'static> {
    /// An order of these terms expires.
    pub fn expiry(terms: &OrderTerms) -> Self {
        Self {
            to: OrderState::Expired,
            actor: OWN_ACTOR,
            reason: EXPIRED,
            note: None,
            key: None,
            release: terms.release(OrderState::Expired, EXPIRED),
        }
    }
}

/// What became of one order.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedOrder {
    /// As it stands now.
    pub order: LandedOrder,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Made(ChangeRow),
    /// Under the same key, earlier.
    MadeBefore(ChangeRow),
    /// The key stands for another change of this order.
    OtherChange(ChangeRow),
    /// What its state is now allows no such change; an order that is still to be paid does not expire.
    Forbidden,
    /// The time in which it could be paid is over; it has not expired yet.
    TooLate,
}

impl Outcome {
    /// Now, and not under the same key earlier.
    pub fn is_made(&self) -> bool {
        matches!(self, Self::Made(_))
    }
}

impl Store {
    /// Changes those of these orders of a campaign that landed and may change so, in one transaction, and says what became of
    /// each: in order of id, without those that have not landed. At most [`CHANGES_AT_ONCE`].
    pub async fn change_orders(
        &self,
        campaign: &str,
        orders: &[OrderId],
        change: OrderChange<'_>,
    ) -> StoreResult<Vec<ChangedOrder>> {
        self.change_orders_with(campaign, orders, change, None).await
    }

    /// The same, with a line of the audit trail for all that are changed; it gets the state that the first of them was in as `from`.
    async fn change_orders_with(
        &self,
        campaign: &str,
        orders: &[OrderId],
        change: OrderChange<'_>,
        line: Option<AuditLine<'_>>,
    ) -> StoreResult<Vec<ChangedOrder>> {
        let mut tx = self.begin().await?;
        let (mut asked, now) = self.lock_orders(&mut tx, campaign, orders, change).await?;
        let made = asked.iter().filter(|each| each.outcome.is_made());
        let before: Vec<&LandedOrder> = made.map(|each| &each.order).collect();
        if before.is_empty() {
            tx.rollback().await?;
            return Ok(asked);
        }
        alter::states(&mut tx, self.dialect, campaign, &before, change).await?;
        row::insert(&mut tx, campaign, &asked, now).await?;
        failpoint::hit(Point::L1);
        if change.to.releases() {
            self.release(&mut tx, campaign, &before, change, now).await?;
        }
        let line = line.map(|line| line.saying("from", before[0].state.as_str()));
        self.append_audit(&mut tx, line.as_slice()).await?;
        tx.commit().await.map_err(StoreError::of_commit)?;
        failpoint::hit(Point::L2);
        for each in asked.iter_mut().filter(|each| each.outcome.is_made()) {
            let order = &mut each.order;
            (order.holds, order.state, order.pay_by) = (alter::held(order, change), change.to, None);
        }
        Ok(asked)
    }

    /// The same for one order; `None` where it has not landed.
    pub async fn change_order(
        &self,
        campaign: &str,
        order: OrderId,
        change: OrderChange<'_>,
    ) -> StoreResult<Option<ChangedOrder>> {
        Ok(self.change_orders(campaign, &[order], change).await?.pop())
    }

    /// The same, with a line of the audit trail, which gets the state that the order was in as `from`.
    pub async fn change_order_with(
        &self,
        campaign: &str,
        order: OrderId,
        change: OrderChange<'_>,
        line: Option<AuditLine<'_>>,
    ) -> StoreResult<Option<ChangedOrder>> {
        Ok(self
            .change_orders_with(campaign, &[order], change, line)
            .await?
            .pop())
    }

    /// The changes of an order that have a row of their own, the first of them first.
    pub async fn changes_of(&self, campaign: &str, order: OrderId) -> StoreResult<Vec<ChangeRow>> {
        row::of_order(&self.pool, campaign, order).await
    }

    async fn release(
        &self,
        tx: &mut Transaction<'_, Any>,
        campaign: &str,
        before: &[&LandedOrder],
        change: OrderChange<'_>,
        now: i64,
    ) -> StoreResult<()> {
        let release = change.release;
        let all = before.iter().copied();
        let holding = all.filter(|order| order.holds.after(release) != order.holds);
        let holding: Vec<&LandedOrder> = holding.collect();
        releases::note(tx, campaign, &holding, change, now).await?;
        let of = |wanted: fn(&LandedOrder) -> bool| {
            let all = holding.iter().copied();
            all.filter(|order| wanted(order)).collect::<Vec<_>>()
        };
        if release.allowance() {
            let orders = of(|order| order.holds.allowance());
            alter::give_back_usage(tx, self.dialect, campaign, &orders).await?;
        }
        if release.stock() {
            let orders = of(|order| order.holds.stock());
            alter::give_back_stock(tx, self.dialect, campaign, &orders).await?;
        }
        Ok(())
    }
}
