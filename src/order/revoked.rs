//! Revoked orders: admitted, and refused by the database's own guard, or given up.

use super::OrderEvent;

// Reasons, as they stand in `orders.revoked_reason`.
/// There are too few units.
pub const OVERSOLD: &str = "oversold";
pub const UNKNOWN_SKU: &str = "unknown-sku";
/// The order would pass a limit: its counters were full in the database.
pub const OVER_LIMIT: &str = "over-limit";
/// The order was lost between Redis and the database, and given up.
pub const LOST: &str = "lost";
/// A person discarded the order's dead letter.
pub const DISCARDED: &str = "discarded";

/// An order that does not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Revoked<'a> {
    pub order: &'a OrderEvent,
    pub reason: &'static str,
    /// Ids of the counters that are full.
    pub counters: Vec<&'a str>,
}

impl<'a> Revoked<'a> {
    pub fn new(order: &'a OrderEvent, reason: &'static str) -> Self {
        Self {
            order,
            reason,
            counters: Vec::new(),
        }
    }

    /// Whether its units are there to come back. An order is refused only after the engine lost something, and what is full in
    /// the database then stands for what the engine forgot: the unit of an oversold order never existed.
    pub fn gives_back_units(&self) -> bool {
        Self::gives_back_units_of(self.reason)
    }

    /// The same of an order that was revoked for this reason.
    pub fn gives_back_units_of(reason: &str) -> bool {
        [OVER_LIMIT, LOST, DISCARDED].contains(&reason)
    }
}
