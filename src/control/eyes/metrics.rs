//! What the control plane counts where two people have to agree.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::super::Control;
use crate::metrics::{self, metrics};

metrics! {
    /// What is counted.
    pub struct Metrics {
        /// Changes that need the approval of another person, and that the root token had done without
        pub bypassed: Counter = "four_eyes_bypassed";
    }
}

impl Control {
    /// Puts them on the page.
    pub fn register(&self, registry: &mut Registry) {
        metrics::register(registry, &self.metrics);
    }
}
