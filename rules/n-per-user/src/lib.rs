//! Each user may order so many units, or so many times: in the whole campaign, of each SKU, or of each group of SKUs.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use rushgate_rule::params::{Count, Scope, SkuGroups, SkuList};
use rushgate_rule::{
    Context, Diagnostic, Example, Order, Plan, Reason, Rule, Window, counter_id, json, refuse, schemars, user,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const LIMIT: Reason = Reason::new("limit-per-user", "This order passes the limit of the user");

/// Parameters of n-per-user.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How much each user may order.
    #[schemars(range(min = 1, max = 1_000_000))]
    limit: u32,
    /// What is counted: units, or the orders they are ordered in.
    #[serde(default = "Count::units")]
    count: Count,
    /// What the limit is for: the whole campaign, or every SKU.
    #[serde(default)]
    per: Per,
    /// The SKUs the limit is for, all of them together; every SKU where it is left out.
    skus: Option<SkuList>,
    /// Groups of SKUs, each with a count of its own: {"tees": ["tee-s", "tee-m"], "mugs": ["mug"]}. SKUs of no group are not
    /// limited.
    groups: Option<SkuGroups>,
}

impl Params {
    fn scopes(&self) -> Vec<Scope<'_>> {
        Scope::of(self.skus.as_ref(), self.groups.as_ref(), self.per == Per::Sku)
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
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
    const SUMMARY: &'static str = "Each user may order a number of units, or place a number of orders, in the whole campaign, of each SKU, or of each group of SKUs.";
    const REASONS: &'static [Reason] = &[LIMIT];

    fn examples() -> Vec<Example> {
        vec![
            units(),
            orders(),
            each_sku(),
            some_skus(),
            groups(),
            each_of_some(),
        ]
    }

    fn compile(context: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let each = (params.per == Per::Sku).then_some("/per");
        let skus = (params.skus.as_ref(), params.groups.as_ref());
        Scope::check(skus, context, "", each, &mut problems);
        refuse(problems)?;

        let (limit, count) = (i64::from(params.limit), params.count);
        let mut plan = Plan::new();
        for scope in params.scopes() {
            let id = counter_id(&[count.noun(), &scope.slug("per-user")]);
            let cost = scope.cost(count.cost());
            let counter = plan.counter(id, scope.key(vec![user()]), Window::Campaign, cost);
            let within = (counter.used() + count.cost()).le(limit);
            let sentence = sentence(&params, scope);
            let constraint = plan.require(within, &LIMIT, sentence).measure(counter, limit);
            if let Some(these) = scope.applies() {
                constraint.when(these);
            }
        }
        Ok(plan)
    }
}

/// "Each user may order at most 2 units in the whole campaign."
fn sentence(params: &Params, scope: Scope<'_>) -> String {
    let what = params.count.at_most(params.limit);
    format!("Each user may {what}{}.", scope.words_in_campaign())
}

fn units() -> Example {
    Example::new("three units, however split", json!({"limit": 3}))
        .rejects(Order::by("ann").units(4), &LIMIT)
        .admits(Order::by("ann").units(2))
        .rejects(Order::by("ann").units(2), &LIMIT)
        .admits(Order::by("ann"))
        .rejects(Order::by("ann"), &LIMIT)
        .admits(Order::by("bob"))
}

fn orders() -> Example {
    Example::new("two orders, not three", json!({"limit": 2, "count": "orders"}))
        .admits(Order::by("ann"))
        .admits(Order::by("ann").units(5))
        .rejects(Order::by("ann"), &LIMIT)
        .admits(Order::by("bob"))
}

fn each_sku() -> Example {
    Example::new("two units of each SKU", json!({"limit": 2, "per": "sku"}))
        .sku("poster", 10)
        .admits(Order::by("ann").units(2))
        .admits(Order::by("ann").units(2).of("poster"))
        .rejects(Order::by("ann").of("poster"), &LIMIT)
}

fn some_skus() -> Example {
    let params = json!({"limit": 3, "skus": ["mint", "herbs"]});
    Example::new("three toothpastes in all, not three of each flavour", params)
        .sku("mint", 10)
        .sku("herbs", 10)
        .admits(Order::by("ann").of("mint").units(2))
        .rejects(Order::by("ann").of("herbs").units(2), &LIMIT)
        .admits(Order::by("ann").of("herbs"))
        .rejects(Order::by("ann").of("mint"), &LIMIT)
        .admits(Order::by("ann").units(5))
}

fn groups() -> Example {
    let params = json!({"limit": 2, "groups": {"tees": ["tee-s", "tee-m"], "mugs": ["mug"]}});
    Example::new("two tees and two mugs", params)
        .sku("tee-s", 10)
        .sku("tee-m", 10)
        .sku("mug", 10)
        .admits(Order::by("ann").of("tee-s"))
        .admits(Order::by("ann").of("tee-m"))
        .rejects(Order::by("ann").of("tee-s"), &LIMIT)
        .admits(Order::by("ann").of("mug").units(2))
        .rejects(Order::by("ann").of("mug"), &LIMIT)
        .admits(Order::by("ann").units(5))
}

fn each_of_some() -> Example {
    let params = json!({"limit": 1, "per": "sku", "skus": ["tee-s", "tee-m"], "count": "orders"});
    Example::new("one order of each tee, as many tickets as one likes", params)
        .sku("tee-s", 10)
        .sku("tee-m", 10)
        .admits(Order::by("ann").of("tee-s"))
        .rejects(Order::by("ann").of("tee-s"), &LIMIT)
        .admits(Order::by("ann").of("tee-m"))
        .admits(Order::by("ann"))
        .admits(Order::by("ann"))
}

rushgate_rule::export!(NPerUser);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_read_well() {
        let read = |text| {
            let params: Params = rushgate_rule::serde_json::from_str(text).expect("parameters of the test");
            let sentences = params.scopes().into_iter().map(|scope| sentence(&params, scope));
            sentences.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            read(r#"{"limit":2}"#),
            "Each user may order at most 2 units in the whole campaign."
        );
        assert_eq!(
            read(r#"{"limit":1,"count":"orders","per":"sku"}"#),
            "Each user may place at most 1 order of each SKU."
        );
        assert_eq!(
            read(r#"{"limit":3,"skus":["mint","herbs"]}"#),
            "Each user may order at most 3 units of mint, herbs together."
        );
        assert_eq!(
            read(r#"{"limit":3,"skus":["mint","herbs"],"per":"sku"}"#),
            "Each user may order at most 3 units of each of mint, herbs."
        );
    }
}
