//! Each user may order so many times, or so many units, in the whole campaign or per SKU.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use rushgate_rule::params::Count;
use rushgate_rule::{
    Context, Diagnostic, Example, Order, Plan, Reason, Rule, Window, json, schemars, sku, user,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const LIMIT: Reason = Reason::new("limit-per-user", "This user has reached the limit");

/// Parameters of n-per-user.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How much each user may order.
    #[schemars(range(min = 1, max = 1_000_000))]
    limit: u32,
    /// What is counted: orders, or the units in them.
    #[serde(default)]
    count: Count,
    /// What the limit is for: the whole campaign, or every SKU.
    #[serde(default)]
    per: Per,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
enum Per {
    #[default]
    Campaign,
    Sku,
}

struct NPerUser;

impl Rule for NPerUser {
    type Params = Params;

    const ID: &'static str = "n-per-user";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "So many per user";
    const SUMMARY: &'static str = "Each user may place a number of orders, or order a number of units, in the whole campaign or of each SKU.";
    const REASONS: &'static [Reason] = &[LIMIT];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("two orders, not three", json!({"limit": 2}))
                .admits(Order::by("ann"))
                .admits(Order::by("ann").units(5))
                .rejects(Order::by("ann"), &LIMIT)
                .admits(Order::by("bob")),
            Example::new(
                "three units, however split",
                json!({"limit": 3, "count": "units"}),
            )
            .rejects(Order::by("ann").units(4), &LIMIT)
            .admits(Order::by("ann").units(2))
            .rejects(Order::by("ann").units(2), &LIMIT)
            .admits(Order::by("ann"))
            .rejects(Order::by("ann"), &LIMIT),
            Example::new(
                "two units of each SKU",
                json!({"limit": 2, "count": "units", "per": "sku"}),
            )
            .sku("poster", 10)
            .admits(Order::by("ann").units(2))
            .admits(Order::by("ann").units(2).of("poster"))
            .rejects(Order::by("ann").of("poster"), &LIMIT),
            Example::new("one order of each SKU", json!({"limit": 1, "per": "sku"}))
                .sku("poster", 10)
                .admits(Order::by("ann"))
                .rejects(Order::by("ann"), &LIMIT)
                .admits(Order::by("ann").of("poster")),
        ]
    }

    fn compile(_: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        let limit = i64::from(params.limit);
        let (noun, cost) = (params.count.noun(), params.count.cost());
        let (id, key) = match params.per {
            Per::Campaign => (format!("{noun}-per-user"), vec![user()]),
            Per::Sku => (format!("{noun}-per-user-and-sku"), vec![user(), sku()]),
        };
        let mut plan = Plan::new();
        let counter = plan.counter(id, key, Window::Campaign, &cost);
        plan.require((counter.used() + cost).le(limit), &LIMIT, sentence(&params))
            .measure(counter, limit);
        Ok(plan)
    }
}

/// "Each user may place at most 2 orders in the whole campaign."
fn sentence(params: &Params) -> alloc::string::String {
    let scope = match params.per {
        Per::Campaign => "in the whole campaign",
        Per::Sku => "of each SKU",
    };
    format!("Each user may {} {scope}.", params.count.at_most(params.limit))
}

rushgate_rule::export!(NPerUser);

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Params {
        rushgate_rule::serde_json::from_str(text).expect("parameters of the test")
    }

    #[test]
    fn sentences_read_well() {
        let read = |text| sentence(&params(text));
        assert_eq!(
            read(r#"{"limit":2}"#),
            "Each user may place at most 2 orders in the whole campaign."
        );
        assert_eq!(
            read(r#"{"limit":1,"count":"units","per":"sku"}"#),
            "Each user may order at most 1 unit of each SKU."
        );
    }
}
