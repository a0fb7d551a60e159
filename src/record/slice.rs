//! What one landing transaction is to do with a partition's records: orders that land, and records that do not.

use super::{At, LetterId};
use crate::order::OrderEvent;

/// One partition's part of a landing transaction: its records from `from` up to, not including,
/// `next`. Orders and dead records are each in order of offset and position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LandingSlice {
    pub partition: i32,
    pub from: i64,
    pub next: i64,
    /// The partition's offset moves up to here at most, though orders behind it land: a record of which an order is
    /// still to be moved away.
    pub stop: Option<i64>,
    /// Those which [`check_event`](crate::order::check_event) has accepted.
    pub orders: Vec<(At, OrderEvent)>,
    /// Place and origin of those orders that were moved before: their dead letter has landed then, if it is theirs.
    pub returned: Vec<(At, LetterId)>,
    pub dead: Vec<DeadRecord>,
    /// Records that none of ours wrote: passed over, and kept as far as the store allows.
    pub forged: Vec<DeadRecord>,
    /// Ascending stretches of the partition's offsets whose orders were told, each up to, not including, its second number.
    pub told: Vec<(i64, i64)>,
}

/// A record, or an order of one, that was moved to another topic because it does not land, kept with what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadRecord {
    pub at: At,
    /// Where it was first; `None`: here.
    pub origin: Option<LetterId>,
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
    /// It will be tried again by itself; otherwise it is among the dead letters.
    pub retry: bool,
    /// Class of the error, one word.
    pub class: &'static str,
    pub error: String,
    /// Landings that were tried.
    pub attempts: i64,
    /// The order that its payload is, where that can be read.
    pub order: Option<OrderEvent>,
    /// Somebody may have been admitted with that order, so the row holds back what the order takes.
    pub holds: bool,
    /// Its timestamp where it was first, in milliseconds since 1970-01-01 UTC.
    pub recorded_at: Option<i64>,
}

impl DeadRecord {
    /// The order that its row holds back.
    pub fn held(&self) -> Option<&OrderEvent> {
        self.order.as_ref().filter(|_| self.holds)
    }
}
