//! Each user may place one order, in the whole campaign or per SKU.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;

use rushgate_rule::{
    Context, Diagnostic, Example, Order, Plan, Reason, Rule, Window, json, schemars, sku, user,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const LIMIT: Reason = Reason::new("limit-per-user", "This user has ordered already");

/// Parameters of one-per-user.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What one order is allowed of: the whole campaign, or every SKU.
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

struct OnePerUser;

impl Rule for OnePerUser {
    type Params = Params;

    const ID: &'static str = "one-per-user";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "One order per user";
    const SUMMARY: &'static str = "Each user may place one order, in the whole campaign or of each SKU.";
    const REASONS: &'static [Reason] = &[LIMIT];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("a second order of the same user is rejected", json!({}))
                .admits(Order::by("ann"))
                .admits(Order::by("bob"))
                .rejects(Order::by("ann"), &LIMIT),
            Example::new("one order counts for every SKU", json!({"per": "campaign"}))
                .sku("poster", 10)
                .admits(Order::by("ann"))
                .rejects(Order::by("ann").of("poster"), &LIMIT),
            Example::new("one order of each SKU", json!({"per": "sku"}))
                .sku("poster", 10)
                .admits(Order::by("ann"))
                .admits(Order::by("ann").of("poster"))
                .rejects(Order::by("ann"), &LIMIT),
            Example::new("a rejected order uses nothing up", json!({}))
                .gateway_rejects(Order::by("ann").units(101), "sold-out")
                .admits(Order::by("ann")),
        ]
    }

    fn compile(_: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        let mut plan = Plan::new();
        let (orders, sentence) = match params.per {
            Per::Campaign => (
                plan.counter("orders-per-user", [user()], Window::Campaign, 1),
                "Each user may place at most 1 order in the whole campaign.",
            ),
            Per::Sku => (
                plan.counter("orders-per-user-and-sku", [user(), sku()], Window::Campaign, 1),
                "Each user may place at most 1 order of each SKU.",
            ),
        };
        plan.require((orders.used() + 1).le(1), &LIMIT, sentence)
            .measure(orders, 1);
        Ok(plan)
    }
}

rushgate_rule::export!(OnePerUser);
