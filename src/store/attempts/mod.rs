//! Recorded attempts.

pub(super) mod held;
pub(super) mod older;
pub(super) mod pieces;
