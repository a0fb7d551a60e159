//! What is counted of orders that expire.

use prometheus_client::metrics::counter::Counter;

use crate::metrics::metrics;

metrics! {
    /// What a process that has orders expire counts.
    pub struct Metrics {
        /// Orders that expired, because they were not paid in time
        pub expired: Counter = "orders_expired";
    }
}
