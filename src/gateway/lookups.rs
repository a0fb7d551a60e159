//! Lookups of orders in the database: buyers ask for what they like, so only a few are made at the same time, and
//! landing and the control plane find the database free.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::my_orders::{BuyerOrders, BuyerPage};
use crate::order::{LandedOrder, OrderId};
use crate::store::{Store, StoreError, StoreResult};

/// Lookups at the same time: each reads one row by its key.
const AT_ONCE: usize = 4;
/// Lists at the same time: each reads a page by an index. They do not hold up the lookups.
const LISTS_AT_ONCE: usize = 2;
/// How long a lookup waits for its turn.
const TURN_LIMIT: Duration = Duration::from_secs(1);

pub(super) struct Lookups {
    store: Store,
    turns: Semaphore,
    lists: Semaphore,
}

impl Lookups {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            turns: Semaphore::new(AT_ONCE),
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

    /// A page of a buyer's orders, the campaign being known.
    pub(super) async fn buyer_orders(&self, page: &BuyerPage<'_>) -> StoreResult<BuyerOrders> {
        let _turn = turn(&self.lists).await?;
        let place = match page.before {
            None => None,
            Some((campaign, order)) => match self.store.buyer_place(page.user, campaign, order).await? {
                None => return Ok(BuyerOrders::NoPlace),
                place => place,
            },
        };
        let rows = self
            .store
            .buyer_orders(page.user, page.campaign, place.as_ref(), page.limit);
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
