//! Admission: decides order attempts in batches, one script call for whatever arrived while the last
//! call was in flight.

use std::time::Duration;

use crate::order::{Attempt, OrderId, OrderState};
use crate::plan::eval::Placed;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Admitted now, or found to have been admitted before (`replayed`).
    Order {
        placed: Placed,
        state: OrderState,
        replayed: bool,
    },
    Rejected(Refusal),
}

/// A rejection with the names a client sees. `reason` is one of the gateway's own (`not-open`,
/// `closed`, `sold-out`, `unknown-sku`, `window-full`, `attribute-missing`, `key-reused`) or a
/// module's reason code, in which case `constraint` is `<rule>/<reason>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: String,
    pub constraint: Option<String>,
    /// Sentence for the buyer.
    pub detail: String,
    pub retryable: bool,
    /// When time alone would help, milliseconds since 1970-01-01 UTC.
    pub retry_at: Option<i64>,
    /// (used, limit) where the constraint measures.
    pub measure: Option<(i64, i64)>,
    /// JSON pointer into the order, for `attribute-missing`.
    pub pointer: Option<String>,
}

/// Why an attempt got no decision. The order id of a keyed attempt stays the same on a retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    #[error("no campaign {0:?}")]
    UnknownCampaign(String),
    /// The queue is full: nothing was begun.
    #[error("too many orders are waiting")]
    Overloaded { retry_after: Duration },
    /// The engine has no state for the campaign, or a foreign one; or it is being rebuilt.
    #[error("the gate is closed: {why}")]
    GateClosed { why: String, retry_after: Duration },
    /// The deadline passed first; the order may have been admitted.
    #[error("no decision within {0:?}")]
    Deadline(Duration),
    /// The engine is down or failing.
    #[error("{0}")]
    Engine(String),
}

/// The stage.
pub struct Admission {}

#[allow(unused_variables)]
impl Admission {
    /// Decides an attempt and, where it is admitted, waits up to `accept_wait` for Kafka. What was
    /// begun goes on when the caller goes away. `keyed`: the attempt carried an `Idempotency-Key`.
    pub async fn place(
        &self,
        campaign: &str,
        attempt: Attempt,
        keyed: bool,
    ) -> Result<Outcome, AdmissionError> {
        todo!("admission")
    }

    /// An order as the engine knows it: its record and whether Kafka has it.
    pub async fn find(
        &self,
        campaign: &str,
        order: OrderId,
    ) -> Result<Option<(Placed, OrderState)>, AdmissionError> {
        todo!("admission")
    }

    /// SKUs that this gateway answers `sold-out` without asking.
    pub fn sold_out(&self, campaign: &str, sku: &str) -> bool {
        todo!("admission")
    }
}
