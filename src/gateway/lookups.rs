//! Lookups of orders in the database: buyers ask for what they like, so only a few are made at the same time, and
//! landing and the control plane find the database free.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::order::{LandedOrder, OrderId};
use crate::store::{Store, StoreError, StoreResult};

/// Lookups at the same time: each reads one row by its key.
const AT_ONCE: usize = 4;
/// How long a lookup waits for its turn.
const TURN_LIMIT: Duration = Duration::from_secs(1);

pub(super) struct Lookups {
    store: Store,
    turns: Semaphore,
}

impl Lookups {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// See [`Store::order`].
    pub(super) async fn landed(&self, campaign: &str, order: OrderId) -> StoreResult<Option<LandedOrder>> {
        let _turn = self.turn().await?;
        self.store.order(campaign, order).await
    }

    /// An order among the dead letters as what its buyer was told it is: `accepted`.
    pub(super) async fn stranded(&self, campaign: &str, order: OrderId) -> StoreResult<Option<LandedOrder>> {
        let _turn = self.turn().await?;
        let stranded = self.store.stranded_order(campaign, order).await?;
        Ok(stranded.map(LandedOrder::accepted))
    }

    async fn turn(&self) -> StoreResult<SemaphorePermit<'_>> {
        match tokio::time::timeout(TURN_LIMIT, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(StoreError::Transient(
                "too many orders are being looked up".into(),
            )),
        }
    }
}
