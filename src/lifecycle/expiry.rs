//! Orders that are not paid in time expire. Whichever lander holds the lease works them off, those that waited longest first, a
//! batch of one campaign in one transaction: landing never waits for more, and rests are as long as the work. Neither Kafka nor
//! the engine is needed; gateways give back there what the database says.

use std::time::{Duration, Instant};

use super::Metrics;
use crate::seldom::Seldom;
use crate::store::{CHANGES_AT_ONCE, OrderChange, Store, StoreResult};

const LEASE: &str = "expiry";
/// After a death another process goes on so much later.
const LEASE_MS: i64 = 5_000;
/// Between two looks where nothing was due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest rest between two batches.
const REST_MAX: Duration = Duration::from_millis(50);

/// Has orders expire that were not paid in time.
pub struct Expiry {
    pub store: Store,
    /// Names this process in the lease.
    pub owner: String,
    pub clock: fn() -> i64,
    pub metrics: Metrics,
}

impl Expiry {
    /// Looks again and again, until it is dropped.
    pub async fn run(self) {
        let mut trouble = Seldom::default();
        loop {
            let begun = Instant::now();
            let rest = match self.look().await {
                Ok(0) => LOOK_EVERY,
                Ok(expired) => {
                    tracing::debug!(expired, "orders were not paid in time");
                    begun.elapsed().min(REST_MAX)
                }
                Err(error) => {
                    if trouble.met(&error.to_string(), Instant::now()).is_some() {
                        tracing::warn!(%error, "orders that were not paid in time have not expired");
                    }
                    LOOK_EVERY
                }
            };
            tokio::time::sleep(rest).await;
        }
    }

    /// Has one batch expire: how many orders. None while another process is at it.
    pub async fn look(&self) -> StoreResult<u64> {
        if !self
            .store
            .lease(LEASE, &self.owner, (self.clock)(), LEASE_MS)
            .await?
        {
            return Ok(0);
        }
        let mut expired = 0;
        for (campaign, orders) in self.store.overdue(CHANGES_AT_ONCE).await? {
            let terms = self.store.order_terms(&campaign).await?.unwrap_or_default();
            let change = OrderChange::expiry(&terms);
            let changed = self.store.change_orders(&campaign, &orders, change).await?;
            let made = changed.iter().filter(|each| each.outcome.is_made());
            expired += made.count() as u64;
        }
        self.metrics.expired.inc_by(expired);
        Ok(expired)
    }
}
