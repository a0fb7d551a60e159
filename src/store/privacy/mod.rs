//! One buyer's data: where it is, handed out, and erased. docs/PRIVACY.md says what is kept where, and for how long.
//!
//! Erasing gives the buyer's orders a pseudonym and takes what else they say of a person off them: sums of stock and usage are
//! what they were. It does so when nothing needs the buyer any more: the campaign's state is gone from the engine, and nothing
//! of its orders is still to be told, given back, paid or landed.

pub(super) mod attempts;
pub(super) mod buyer;
pub(super) mod charges;
pub(super) mod deliveries;
pub(super) mod erasures;
pub(super) mod late;
pub(super) mod letters;
mod mask;
pub(super) mod orders;
pub(super) mod standing;
pub(super) mod traces;

/// A count of rows.
fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
