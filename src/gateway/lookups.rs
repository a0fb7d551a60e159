//! Lookups and cancels of orders in the database: buyers ask for what they like, so only a few are made at the same time, and
//! landing and the control plane find the database free.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::cancel::{CANCEL_TURN_LIMIT, Cancelled};
use super::my_orders::{BuyerOrders, BuyerPage};
use crate::order::{BUYER, LandedOrder, OrderId, OrderState};
use crate::store::{OrderChange, Outcome, Store, StoreError, StoreResult};

/// Lookups at the same time: each reads one row by its key.
const AT_ONCE: usize = 4;
/// Lists at the same time: each reads a page by an index. They do not hold up the lookups.
const LISTS_AT_ONCE: usize = 2;
/// How long a lookup waits for its turn.
const TURN_LIMIT: Duration = Duration::from_secs(1);
/// Cancels that wait for their turn at most: each keeps a request of some kilobytes. When a sale is called off, all of its
/// buyers cancel at once, and none of them is to try again and again.
const CANCELS_WAITING: usize = 2_048;
/// How long an answer waits until the engine has back what an order held.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(1);

pub(super) struct Lookups {
    store: Store,
    turns: Semaphore,
    /// Of those that change something: one may have to wait for a row.
    changes: Semaphore,
    /// Of those that change something or wait for that.
    cancels: Semaphore,
    lists: Semaphore,
}

impl Lookups {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            turns: Semaphore::new(AT_ONCE),
            changes: Semaphore::new(AT_ONCE),
            cancels: Semaphore::new(AT_ONCE + CANCELS_WAITING),
            lists: Semaphore::new(LISTS_AT_ONCE),
        }
    }

    /// See [`Store::order`].
    pub(super) async fn landed(&self, campaign: &str, order: OrderId) -> StoreResult<Option<LandedOrder>> {
        let _turn = turn(&self.turns).await?;
        self.store.order(campaign, order).await
    }

    /// An order among the dead letters as what its buyer was told it is: `accepted`.
    pub(super) async fn stranded(&self, campaign: &str, order: OrderId) -> StoreResult<Option<LandedOrder>> {
        let _turn = turn(&self.turns).await?;
        let stranded = self.store.stranded_order(campaign, order).await?;
        Ok(stranded.map(LandedOrder::accepted))
    }

    /// See [`Store::replacement`].
    pub(super) async fn replacement(
        &self,
        campaign: &str,
        user: &str,
        replaced: OrderId,
    ) -> StoreResult<Option<OrderId>> {
        let _turn = turn(&self.turns).await?;
        self.store.replacement(campaign, user, replaced).await
    }

    /// Cancels an order for its buyer; `true` where that was done now and not before. Those that come at once wait for each other,
    /// in the order in which they came.
    pub(super) async fn cancel(
        &self,
        campaign: &str,
        user: &str,
        order: OrderId,
    ) -> StoreResult<(Cancelled, bool)> {
        let Ok(_place) = self.cancels.try_acquire() else {
            return Ok((Cancelled::NotTried, false));
        };
        let waited = tokio::time::timeout(CANCEL_TURN_LIMIT, self.changes.acquire()).await;
        let Ok(Ok(_turn)) = waited else {
            return Ok((Cancelled::NotTried, false));
        };
        let Some(there) = self.store.order(campaign, order).await? else {
            return Ok((Cancelled::NotThere, false));
        };
        if there.attempt.user != user {
            return Ok((Cancelled::NotThere, false));
        }
        if self.is_cancelled_by_buyer(campaign, &there).await? {
            return Ok((Cancelled::Order(there), false));
        }
        let terms = self.store.order_terms(campaign).await?.unwrap_or_default();
        if !terms.cancel_by_buyer {
            return Ok((Cancelled::NotAllowed, false));
        }
        let change = OrderChange {
            to: OrderState::Cancelled,
            actor: BUYER,
            reason: BUYER,
            note: None,
            key: None,
            release: terms.release(OrderState::Cancelled, BUYER),
        };
        let Some(changed) = self.store.change_order(campaign, order, change).await? else {
            return Ok((Cancelled::NotThere, false));
        };
        let order = changed.order;
        match changed.outcome {
            Outcome::Made(_) => Ok((Cancelled::Order(order), true)),
            // The same buyer was there at the same time.
            _ if self.is_cancelled_by_buyer(campaign, &order).await? => Ok((Cancelled::Order(order), false)),
            _ => Ok((Cancelled::Forbidden(order), false)),
        }
    }

    async fn is_cancelled_by_buyer(&self, campaign: &str, order: &LandedOrder) -> StoreResult<bool> {
        if order.state != OrderState::Cancelled {
            return Ok(false);
        }
        let changes = self.store.changes_of(campaign, order.attempt.order).await?;
        Ok(changes.last().is_some_and(|last| last.actor == BUYER))
    }

    /// Waits until the engine has back what an order held, as long as a buyer is kept waiting for it.
    pub(super) async fn given_back(&self, campaign: &str, order: OrderId) {
        let given_back = self.store.is_given_back(campaign, order, GIVEN_BACK_WITHIN).await;
        if let Err(error) = given_back {
            tracing::debug!(%error, "whether a cancelled order has given back is not known");
        }
    }

    /// A page of a buyer's orders, the campaign being known.
    pub(super) async fn buyer_orders(&self, page: &BuyerPage<'_>) -> StoreResult<BuyerOrders> {
        let _turn = turn(&self.lists).await?;
        let place = match page.before {
            None => None,
            Some(order) => match self.store.buyer_place(page.user, page.of, order).await? {
                None => return Ok(BuyerOrders::NoPlace),
                place => place,
            },
        };
        let rows = self
            .store
            .buyer_orders(page.user, page.of, place.as_ref(), page.limit);
        Ok(BuyerOrders::Page(rows.await?))
    }
}

async fn turn(turns: &Semaphore) -> StoreResult<SemaphorePermit<'_>> {
    match tokio::time::timeout(TURN_LIMIT, turns.acquire()).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(StoreError::Transient(
            "too many orders are being looked up".into(),
        )),
    }
}
