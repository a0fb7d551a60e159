//! Every region has a share of the stock; what is unused is for everybody from a given time on.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod checks;
mod examples;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use rushgate_rule::params::{AttributeParam, MomentParam};
use rushgate_rule::{
    Bool, Context, Counter, Diagnostic, Example, Int, Need, Plan, Reason, Rule, Window, counter_id, int,
    json, listed, now, quantity, schemars, select, sku, stock,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const QUOTA: Reason = Reason::new("region-quota", "The share of this region is used up");

/// Parameters of region-quota.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The share of each region in the stock of every SKU, by the value of the attribute: {"eu": 40, "us": 30}.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64))]
    #[schemars(extend("additionalProperties" = json!({"type": "integer", "minimum": 0, "maximum": 1_000_000_000})))]
    shares: BTreeMap<String, u32>,
    /// The share of all other regions together; what the others leave where it is left out.
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
    const SUMMARY: &'static str = "Every region has a share of the stock of each SKU; what is unused can be released to everybody at a given time.";
    const REASONS: &'static [Reason] = &[QUOTA];

    fn attributes() -> Vec<Need> {
        AttributeParam::needs()
    }

    fn examples() -> Vec<Example> {
        examples::all()
    }

    fn compile(context: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        checks::check(context, &params)?;
        let region = params.region.attribute();
        let named = || region.one_of(params.shares.keys().map(String::as_str));
        let mut plan = Plan::new();

        // Two counters: one for each region that has a share, one for all others together, so that nobody
        // gets a share of their own by a region nobody named.
        let id = counter_id(&["units-per", params.region.as_str(), "and-sku"]);
        let cost = select(named(), quantity(), int(0));
        let of_region = plan.counter(id, [region.clone(), sku()], Window::Campaign, cost);
        let cost = select(named(), int(0), quantity());
        let id = counter_id(&["units-of-others-than", params.region.as_str(), "per-sku"]);
        let of_others = plan.counter(id, [sku()], Window::Campaign, cost);

        let shares = params
            .shares
            .iter()
            .map(|(region, share)| (region.as_str(), i64::from(*share)));
        let quota = params.unit.of_stock(region.lookup(shares, 0));
        limit(
            &mut plan,
            &params,
            named(),
            of_region,
            &quota,
            shares_sentence(&params),
        );
        let quota = others(context, &params);
        limit(
            &mut plan,
            &params,
            !named(),
            of_others,
            &quota,
            others_sentence(&params),
        );
        Ok(plan)
    }
}

fn limit(
    plan: &mut Plan,
    params: &Params,
    whose: Bool<rushgate_rule::PerOrder>,
    counter: Counter,
    quota: &Int,
    sentence: String,
) {
    let constraint = plan.require((counter.used() + quantity()).le(quota), &QUOTA, sentence);
    match &params.release {
        None => constraint.when(whose),
        Some(release) => constraint.when(whose.and(now().lt(release.expr()))),
    };
    constraint.measure(counter, quota);
}

/// What all other regions have together, in units.
fn others(context: &Context, params: &Params) -> Int {
    if let Some(share) = params.others {
        return params.unit.of_stock(int(i64::from(share)));
    }
    // Every share is rounded down by itself, as above; what that leaves is here.
    let rest = context.skus.iter().map(|on_sale| {
        let shares = params
            .shares
            .values()
            .map(|share| params.unit.of(on_sale.stock, *share));
        let left = on_sale.stock.saturating_sub(shares.sum());
        (on_sale.id.as_str(), i64::try_from(left).unwrap_or(i64::MAX))
    });
    sku().lookup(rest, 0).live()
}

fn shares_sentence(params: &Params) -> String {
    let unit = params.unit.words();
    let shares: Vec<String> = params
        .shares
        .iter()
        .map(|(region, share)| format!("{region} {share}{unit}"))
        .collect();
    let shares: Vec<&str> = shares.iter().map(String::as_str).collect();
    format!(
        "Every region has its share of each SKU{}: {}.",
        until(params),
        listed(&shares)
    )
}

fn others_sentence(params: &Params) -> String {
    match params.others {
        Some(share) => format!(
            "All other regions together have {share}{} of each SKU{}.",
            params.unit.words(),
            until(params)
        ),
        None => format!(
            "All other regions together have the rest of each SKU{}.",
            until(params)
        ),
    }
}

/// ", until 2 hours after the opening"
fn until(params: &Params) -> String {
    let Some(release) = &params.release else {
        return String::new();
    };
    let words = release.words();
    format!(" until {}", words.strip_prefix("at ").unwrap_or(&words))
}

rushgate_rule::export!(RegionQuota);
