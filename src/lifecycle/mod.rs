//! The life of orders after they landed, as far as time decides it: those that are not paid in time expire.

mod expiry;
pub mod metrics;

pub use expiry::Expiry;
pub use metrics::Metrics;
