//! What a limit counts: orders, or the units in them.

use alloc::format;
use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attribute::quantity;
use crate::expr::{Int, PerOrder, int};

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[schemars(inline)]
#[serde(rename_all = "lowercase")]
pub enum Count {
    /// Every order is one, however many units it has.
    #[default]
    Orders,
    /// An order is as many as its quantity.
    Units,
}

impl Count {
    /// For a limit that counts units where nothing is said: `#[serde(default = "Count::units")]`.
    pub fn units() -> Self {
        Self::Units
    }

    /// What one order adds to a counter.
    pub fn cost(self) -> Int<PerOrder> {
        match self {
            Self::Orders => int(1),
            Self::Units => quantity(),
        }
    }

    /// `orders` or `units`: the beginning of a counter's id.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Units => "units",
        }
    }

    /// `place at most 2 orders`, `order at most 1 unit`.
    pub fn at_most(self, limit: u32) -> String {
        let plural = if limit == 1 { "" } else { "s" };
        match self {
            Self::Orders => format!("place at most {limit} order{plural}"),
            Self::Units => format!("order at most {limit} unit{plural}"),
        }
    }
}
