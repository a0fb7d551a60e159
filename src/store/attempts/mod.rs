//! Decided attempts, as the sample keeps them.

pub(super) mod held;
pub(super) mod older;
pub(super) mod pieces;
