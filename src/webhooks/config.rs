//! Where webhooks may be sent: the keys of `[webhooks]`.

use serde::{Deserialize, Serialize};

use crate::serving::Networks;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "struct Webhooks")]
pub struct Config {
    /// Networks that may be reached although they are private; plain http goes nowhere else.
    pub private: Networks,
}
