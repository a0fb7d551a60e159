//! Units per user, more for some tiers.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use rushgate_rule::*;

const LIMIT: Reason = Reason::new("limit-per-tier", "This user has reached the limit of the tier");

/// What the merchant writes. The JSON Schema is derived from it, and the gateway checks it before `compile`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Units per tier, by the claim `tier` of the buyer's token.
    tiers: BTreeMap<String, u32>,
    /// Units for every other buyer.
    others: u32,
}

struct Tiers;

impl Rule for Tiers {
    type Params = Params;

    const ID: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Units by tier";
    const SUMMARY: &'static str = "Each user may order a number of units that depends on the tier.";
    const REASONS: &'static [Reason] = &[LIMIT];

    fn attributes() -> Vec<Need> {
        vec![Need::optional(claim("tier"))]
    }

    /// Orders and what must come of them; the gateway plays them before a revision with this rule can be activated.
    fn examples() -> Vec<Example> {
        let gold = || Order::by("ann").with(claim("tier"), "gold");
        vec![
            Example::new("gold may order more", json!({"tiers": {"gold": 2}, "others": 1}))
                .admits(gold().units(2))
                .rejects(gold(), &LIMIT)
                .rejects(Order::by("bob").units(2), &LIMIT)
                .admits(Order::by("bob")),
        ]
    }

    fn compile(_: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        let below: Vec<Diagnostic> = params
            .tiers
            .iter()
            .filter(|(_, limit)| **limit < params.others)
            .map(|(tier, _)| {
                Diagnostic::error("/tiers", "below-others", alloc::format!("{tier} may order less than everybody else"))
                    .hint("raise its limit, or lower \"others\"")
            })
            .collect();
        if !below.is_empty() {
            return Err(below);
        }
        let mut plan = Plan::new();
        let units = plan.counter("units-per-user", [user()], Window::Campaign, quantity());
        let tiers = params.tiers.into_iter().map(|(tier, limit)| (tier, i64::from(limit)));
        let limit = claim("tier").lookup(tiers, i64::from(params.others));
        plan.require(
            (units.used() + quantity()).le(&limit),
            &LIMIT,
            "Each user may order as many units as the tier allows.",
        )
        .measure(units, &limit);
        Ok(plan)
    }
}

export!(Tiers);
