//! As many units as the buyer's token says, delivered to some postcodes only: a rule whose plan needs `rule2`.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use rushgate_rule::params::ClaimName;
use rushgate_rule::*;

const LIMIT: Reason = Reason::new(
    "limit-of-token",
    "This user has ordered as many units as the token allows",
);
const NOT_DELIVERED: Reason = Reason::new("not-delivered", "Nothing is delivered to this postcode");

/// What the merchant writes.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The claim that says how many units a buyer may order: {"max_units": 5} in the token.
    claim: ClaimName,
    /// The most a claim may say; one that says more, or no whole number, lets its buyer order nothing.
    #[schemars(range(min = 1, max = 1_000_000))]
    at_most: u32,
    /// Units of buyers whose token does not have the claim.
    #[serde(default)]
    missing: u32,
    /// Only orders with a postcode that begins with one of these; every order where there is none.
    #[serde(default)]
    postcodes: Vec<String>,
}

struct ClaimLimit;

impl Rule for ClaimLimit {
    type Params = Params;

    const ID: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Units by token";
    const SUMMARY: &'static str = "Each user may order as many units as the token says.";
    const REASONS: &'static [Reason] = &[LIMIT, NOT_DELIVERED];

    fn attributes() -> Vec<Need> {
        vec![Need::optional(claim("*")), Need::optional(client("postcode"))]
    }

    fn examples() -> Vec<Example> {
        let ann = |says: &str| Order::by("ann").with(claim("max_units"), says);
        let to = |postcode: &str| ann("9").with(client("postcode"), postcode);
        vec![
            Example::new(
                "as many as the token says",
                json!({"claim": "max_units", "at_most": 10, "missing": 1}),
            )
            .admits(ann("5").units(4))
            .rejects(ann("5").units(2), &LIMIT)
            .admits(ann("10").units(6))
            .rejects(Order::by("bob").units(2), &LIMIT)
            .admits(Order::by("bob"))
            .rejects(Order::by("cid").with(claim("max_units"), "11"), &LIMIT)
            .rejects(Order::by("cid").with(claim("max_units"), "five"), &LIMIT)
            .rejects(Order::by("cid").with(claim("max_units"), "5.0"), &LIMIT)
            .rejects(Order::by("cid").with(claim("max_units"), "-1"), &LIMIT),
            Example::new(
                "to Berlin",
                json!({"claim": "max_units", "at_most": 10, "postcodes": ["10", "12", "13", "14"]}),
            )
            .admits(to("10115"))
            .rejects(to("80331"), &NOT_DELIVERED)
            .rejects(to("010115"), &NOT_DELIVERED)
            .rejects(ann("9"), &NOT_DELIVERED),
        ]
    }

    fn compile(_: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        if params.missing > params.at_most {
            let message = format!("{} is more than a claim may say", params.missing);
            let hint = format!("say {} or less, or raise at_most", params.at_most);
            problems.push(Diagnostic::error("/missing", "over-at-most", message).hint(hint));
        }
        if params.postcodes.iter().any(String::is_empty) {
            let message = "a postcode is empty";
            problems.push(Diagnostic::error("/postcodes", "empty", message).hint("leave it out"));
        }
        refuse(problems)?;
        let mut plan = Plan::new();
        let id = counter_id(&["units-per-user"]);
        let units = plan.counter(id, [user()], Window::Campaign, quantity());
        let name = params.claim.as_str();
        let limit = claim(name)
            .text()
            .number(0..=i64::from(params.at_most), i64::from(params.missing), 0);
        let sentence = format!(
            "Each user may order as many units as {name} of the token says, {} at most.",
            params.at_most
        );
        plan.require((units.used() + quantity()).le(&limit), &LIMIT, sentence)
            .measure(units, &limit);
        if !params.postcodes.is_empty() {
            let postcodes: Vec<&str> = params.postcodes.iter().map(String::as_str).collect();
            let sentence = format!("Only to postcodes that begin with {}.", listed(&postcodes));
            let near = client("postcode").text().starts_with(params.postcodes);
            plan.require(near, &NOT_DELIVERED, sentence);
        }
        Ok(plan)
    }
}

export!(ClaimLimit);
