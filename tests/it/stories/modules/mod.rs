//! Rule modules made, built, tried and shipped with `rushgate module`, as a platform team would.

mod beyond;
mod languages;
mod readme;
mod story;
pub mod tool;
mod wrong;
