//! Each user may order one unit, or place one order: in the whole campaign, of each SKU, or of each group of SKUs.
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

const LIMIT: Reason = Reason::new("limit-per-user", "This is more than one for the user");

/// Parameters of one-per-user.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What a user may have one of: the whole campaign, or every SKU.
    #[serde(default)]
    per: Per,
    /// What there is one of: a unit, or an order of however many units.
    #[serde(default = "Count::units")]
    count: Count,
    /// The SKUs this is about, one of all of them together; every SKU where it is left out.
    skus: Option<SkuList>,
    /// Groups of SKUs, one of each group: {"tees": ["tee-s", "tee-m"], "mugs": ["mug"]}. SKUs of no group are not limited.
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

struct OnePerUser;

impl Rule for OnePerUser {
    type Params = Params;

    const ID: &'static str = "one-per-user";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "One per user";
    const SUMMARY: &'static str = "Each user may order one unit, or place one order, in the whole campaign, of each SKU, or of each group of SKUs.";
    const REASONS: &'static [Reason] = &[LIMIT];

    fn examples() -> Vec<Example> {
        vec![
            units(),
            orders(),
            each_sku(),
            some_skus(),
            groups(),
            nothing_used_up(),
        ]
    }

    fn compile(context: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let each = (params.per == Per::Sku).then_some("/per");
        let skus = (params.skus.as_ref(), params.groups.as_ref());
        Scope::check(skus, context, "", each, &mut problems);
        refuse(problems)?;

        let count = params.count;
        let mut plan = Plan::new();
        for scope in params.scopes() {
            let id = counter_id(&[count.noun(), &scope.slug("per-user")]);
            let cost = scope.cost(count.cost());
            let counter = plan.counter(id, scope.key(vec![user()]), Window::Campaign, cost);
            let within = (counter.used() + count.cost()).le(1);
            let constraint = plan
                .require(within, &LIMIT, sentence(count, scope))
                .measure(counter, 1);
            if let Some(these) = scope.applies() {
                constraint.when(these);
            }
        }
        Ok(plan)
    }
}

/// "Each user may order at most 1 unit of each SKU."
fn sentence(count: Count, scope: Scope<'_>) -> String {
    format!("Each user may {}{}.", count.at_most(1), scope.words_in_campaign())
}

fn units() -> Example {
    Example::new("one unit, however it is ordered", json!({}))
        .sku("poster", 10)
        .rejects(Order::by("ann").units(2), &LIMIT)
        .admits(Order::by("ann"))
        .admits(Order::by("bob"))
        .rejects(Order::by("ann"), &LIMIT)
        .rejects(Order::by("ann").of("poster"), &LIMIT)
}

fn orders() -> Example {
    Example::new("one order, of however many units", json!({"count": "orders"}))
        .admits(Order::by("ann").units(5))
        .rejects(Order::by("ann"), &LIMIT)
}

fn each_sku() -> Example {
    Example::new("one unit of each SKU", json!({"per": "sku"}))
        .sku("poster", 10)
        .admits(Order::by("ann"))
        .rejects(Order::by("ann").of("poster").units(2), &LIMIT)
        .admits(Order::by("ann").of("poster"))
        .rejects(Order::by("ann"), &LIMIT)
}

fn some_skus() -> Example {
    Example::new("one tee, small or medium", json!({"skus": ["tee-s", "tee-m"]}))
        .sku("tee-s", 10)
        .sku("tee-m", 10)
        .admits(Order::by("ann").of("tee-s"))
        .rejects(Order::by("ann").of("tee-m"), &LIMIT)
        .admits(Order::by("ann").units(5))
}

fn groups() -> Example {
    let params = json!({"groups": {"tees": ["tee-s", "tee-m"], "mugs": ["mug"]}});
    Example::new("one tee and one mug", params)
        .sku("tee-s", 10)
        .sku("tee-m", 10)
        .sku("mug", 10)
        .admits(Order::by("ann").of("tee-s"))
        .rejects(Order::by("ann").of("tee-m"), &LIMIT)
        .admits(Order::by("ann").of("mug"))
        .rejects(Order::by("ann").of("mug"), &LIMIT)
}

fn nothing_used_up() -> Example {
    Example::new("a rejected order uses nothing up", json!({"count": "orders"}))
        .gateway_rejects(Order::by("ann").units(101), "sold-out")
        .admits(Order::by("ann"))
}

rushgate_rule::export!(OnePerUser);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_read_well() {
        let read = |text| {
            let params: Params = rushgate_rule::serde_json::from_str(text).expect("parameters of the test");
            let of = |scope| sentence(params.count, scope);
            params.scopes().into_iter().map(of).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            read("{}"),
            "Each user may order at most 1 unit in the whole campaign."
        );
        assert_eq!(
            read(r#"{"count":"orders","per":"sku"}"#),
            "Each user may place at most 1 order of each SKU."
        );
        assert_eq!(
            read(r#"{"groups":{"tees":["s","m"],"mugs":["mug"]}}"#),
            "Each user may order at most 1 unit of the group mugs (mug). Each user may order at most 1 unit of the group \
             tees (s, m) together."
        );
    }
}
