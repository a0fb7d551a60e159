//! What became of an attempt, in a word: as figures compare two plans.

use super::CheckedPlan;
use super::eval::Rejection;

pub const ADMITTED: &str = "admitted";
pub const NOT_OPEN: &str = "not-open";
pub const CLOSED: &str = "closed";
pub const UNKNOWN_SKU: &str = "unknown-sku";
pub const SOLD_OUT: &str = "sold-out";
pub const WINDOW_FULL: &str = "window-full";
pub const ATTRIBUTE_MISSING: &str = "attribute-missing";
pub const ATTRIBUTE_UNREADABLE: &str = "attribute-unreadable";
/// The plan could not be asked: something it needs was not there.
pub const FAULT: &str = "fault";

/// The gateway's own word, or `<rule>/<reason>` of the constraint that failed.
pub fn of(plan: &CheckedPlan, judged: Result<(), &Rejection>) -> String {
    let own = match judged {
        Ok(()) => ADMITTED,
        Err(Rejection::NotOpen { .. }) => NOT_OPEN,
        Err(Rejection::Closed) => CLOSED,
        Err(Rejection::UnknownSku) => UNKNOWN_SKU,
        Err(Rejection::SoldOut { .. }) => SOLD_OUT,
        Err(Rejection::WindowFull { .. }) => WINDOW_FULL,
        Err(Rejection::Constraint { index, .. }) => return plan.plan().constraints[*index as usize].name(),
    };
    own.to_owned()
}
