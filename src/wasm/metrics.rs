//! What became of prechecks, by module.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::metrics::metrics;

/// One module of all those that have prechecks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ModuleLabels {
    /// Its id.
    pub module: String,
    pub digest: String,
}

metrics! {
    /// What became of the prechecks of this process.
    pub struct Metrics {
        /// Prechecks run
        pub runs: Family<ModuleLabels, Counter> = "module_prechecks";
        /// Prechecks that trapped, overran their budget or answered what is not declared
        pub failures: Family<ModuleLabels, Counter> = "module_precheck_failures";
    }
}
