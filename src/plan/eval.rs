//! The interpreter: decides attempts from a [`CheckedPlan`] in plain Rust. It is the oracle the
//! generated Lua is held against, and computes the charges an admitted order carries.

use std::collections::{BTreeMap, BTreeSet};

use super::CheckedPlan;
use crate::order::{Attempt, Charge};

/// Why an attempt was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The sale has not opened for this buyer.
    NotOpen,
    Closed,
    UnknownSku,
    /// Fewer units are left than the order asks for.
    SoldOut {
        remaining: i64,
    },
    /// A rolling window holds as many orders of this subject as can be counted exactly.
    WindowFull {
        counter: u32,
    },
    /// Index into the constraints of the plan: the first that failed.
    Constraint {
        index: u32,
        measure: Option<Measured>,
    },
}

/// The numbers of a failed constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    pub used: i64,
    pub limit: i64,
    /// When time alone changes the count, milliseconds since 1970-01-01 UTC.
    pub retry_at: Option<i64>,
}

/// The record of an admitted order, as kept in Redis and by the interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub placed_at: i64,
    pub revision: u32,
    pub quantity: u32,
    pub fingerprint: String,
    pub sku: String,
    pub user: String,
    pub released: bool,
}

/// The answer to one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Admitted,
    /// The same order was admitted before.
    Existing(Placed),
    Rejected(Rejection),
}

/// Everything an engine keeps for one campaign shard, in its plainest form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub stock: BTreeMap<String, i64>,
    /// (counter id, window start, subject) → used. Without rolling counters.
    pub counters: BTreeMap<(String, i64, String), i64>,
    /// (counter id, subject) → (moment, cost), oldest first.
    pub rolling: BTreeMap<(String, String), Vec<(i64, i64)>>,
    /// Order id as text → record.
    pub orders: BTreeMap<String, Placed>,
    /// Audience id → members.
    pub audiences: BTreeMap<String, BTreeSet<String>>,
}

/// Decides one attempt at `now` (milliseconds since 1970-01-01 UTC) and, when it is admitted,
/// applies it to the state. A rejected attempt changes nothing.
pub fn decide(
    _plan: &CheckedPlan,
    _revision: u32,
    _state: &mut State,
    _attempt: &Attempt,
    _now: i64,
) -> Decision {
    todo!("plan::eval")
}

/// What an attempt admitted at `now` consumes. Follows from the plan, the attempt and the moment
/// alone, so it can be computed again by whoever finds the order in the outbox.
pub fn charges(_plan: &CheckedPlan, _attempt: &Attempt, _now: i64) -> Vec<Charge> {
    todo!("plan::eval")
}

/// Takes back an order's charges and stock, exactly once; says whether it did.
pub fn release(_state: &mut State, _order: &str, _charges: &[Charge]) -> bool {
    todo!("plan::eval")
}
