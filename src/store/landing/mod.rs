//! Landing: orders into their tables, once, with the guards of stock and limits beside them.

pub(super) mod careful;
pub(super) mod gaps;
pub(super) mod guards;
pub(super) mod halve;
mod holds;
pub(super) mod insert;
pub(super) mod lane;
pub(super) mod offsets;
pub(super) mod plain;
pub(super) mod resolve;
pub(super) mod stock;
pub(super) mod usage;
