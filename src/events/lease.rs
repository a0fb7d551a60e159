//! The right to tell what nobody tells as it lands: one lander has it. Two that both take it tell some of it twice.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::clock::now_ms;
use crate::store::{Store, StoreResult};

const NAME: &str = "order-events";
/// How long a lander that died keeps it.
const LEASE_MS: i64 = 6000;
/// The database is asked no more often than this.
const RENEW_EVERY: Duration = Duration::from_secs(2);
const TRY_EVERY: Duration = Duration::from_secs(1);

/// What this lander knows of it.
pub(super) struct Lease {
    store: Store,
    owner: String,
    known: Mutex<Option<(Instant, bool)>>,
}

impl Lease {
    /// `owner` names this lander, and no other.
    pub(super) fn new(store: Store, owner: String) -> Self {
        Self {
            store,
            owner,
            known: Mutex::default(),
        }
    }

    /// Whether this lander has it; takes it where nobody does.
    pub(super) async fn is_held(&self) -> StoreResult<bool> {
        let mut known = self.known.lock().await;
        if let Some((at, held)) = *known {
            let every = if held { RENEW_EVERY } else { TRY_EVERY };
            if at.elapsed() < every {
                return Ok(held);
            }
        }
        *known = None;
        let held = self.store.lease(NAME, &self.owner, now_ms(), LEASE_MS).await?;
        *known = Some((Instant::now(), held));
        Ok(held)
    }
}
