//! Whether changes of orders are told: the keys of `[events]`.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "struct Events")]
pub struct Config {
    /// Landers publish an event for every change of an order. What changes while none is published is never told.
    pub enabled: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true }
    }
}
