//! Every region has a share of the stock: reserved for it, or the most it may order; until a given time, where one is given.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod cap;
mod checks;
mod examples;
mod reserve;
mod sentences;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use rushgate_rule::params::{AttributeParam, MomentParam};
use rushgate_rule::{Context, Diagnostic, Example, Int, Need, Plan, Reason, Rule, json, schemars, stock};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const QUOTA: Reason = Reason::new("region-quota", "The share of this region is used up");
const RESERVED: Reason = Reason::new("reserved", "What is left is reserved for other regions");

/// Parameters of region-quota.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The share of each region in the stock of every SKU, by the value of the attribute: {"eu": 40, "us": 30}.
    /// At most 16 regions where shares are reserved.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64))]
    #[schemars(extend("additionalProperties" = json!({"type": "integer", "minimum": 0, "maximum": 1_000_000_000})))]
    shares: BTreeMap<String, u32>,
    /// What a share is. "reserve": units that nobody else gets; a region may order more than its share, of what is
    /// reserved for nobody. "cap": the most that a region may order.
    #[serde(default)]
    mode: Mode,
    /// The share of all other regions together. Left out: nothing where shares are reserved, and what the
    /// others leave where they are caps.
    #[schemars(range(max = 1_000_000_000))]
    others: Option<u32>,
    /// What the shares are: percent or parts per thousand of the stock, rounded down, or units.
    #[serde(default)]
    unit: Unit,
    /// The attribute that says the region: "claim:region", or "client:region", which can be forged.
    #[serde(default = "region")]
    region: AttributeParam,
    /// From when on what is left is for everybody: {"at": time}, {"after_opening": "2h"} or
    /// {"before_closing": "30m"}. Shares hold to the end where it is left out.
    release: Option<MomentParam>,
}

// What a share is. No doc comments here: the schema shows the values alone, and the field says what they mean.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[schemars(inline)]
#[serde(rename_all = "lowercase")]
enum Mode {
    // Units that nobody else gets.
    #[default]
    Reserve,
    // The most that a region may order.
    Cap,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[schemars(inline)]
#[serde(rename_all = "lowercase")]
enum Unit {
    #[default]
    Percent,
    Permille,
    Units,
}

impl Unit {
    /// How many of them are the whole stock; `None` where they are units themselves.
    fn whole(self) -> Option<i64> {
        match self {
            Self::Percent => Some(100),
            Self::Permille => Some(1000),
            Self::Units => None,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Percent => " %",
            Self::Permille => " ‰",
            Self::Units => " units",
        }
    }

    /// The units of a share of so many.
    fn of(self, stock: u64, share: u32) -> u64 {
        match self.whole() {
            Some(whole) => stock.saturating_mul(u64::from(share)) / whole.unsigned_abs(),
            None => u64::from(share),
        }
    }

    /// The units of a share of the SKU that is ordered.
    fn of_stock(self, share: impl Into<Int>) -> Int {
        let share = share.into();
        match self.whole() {
            Some(whole) => (stock() * share).div_floor(whole),
            None => share,
        }
    }
}

fn region() -> AttributeParam {
    AttributeParam::claim("region")
}

struct RegionQuota;

impl Rule for RegionQuota {
    type Params = Params;

    const ID: &'static str = "region-quota";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "A share of the stock per region";
    const SUMMARY: &'static str = "Every region has a share of the stock of each SKU, reserved for it or as its limit; what is unused can be released to everybody at a given time.";
    const REASONS: &'static [Reason] = &[RESERVED, QUOTA];

    fn attributes() -> Vec<Need> {
        AttributeParam::needs()
    }

    fn examples() -> Vec<Example> {
        examples::all()
    }

    fn compile(context: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        checks::check(context, &params)?;
        Ok(match params.mode {
            Mode::Reserve => reserve::plan(&params),
            Mode::Cap => cap::plan(context, &params),
        })
    }
}

rushgate_rule::export!(RegionQuota);
