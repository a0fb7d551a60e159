//! Some buyers may order before the others: those on an uploaded list, or those of certain tiers.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use rushgate_rule::params::{AttributeParam, ClaimName, ListId, Span};
use rushgate_rule::{
    Bool, Context, Diagnostic, Example, Need, Order, Plan, Reason, Rule, claim, json, listed, refuse,
    schemars,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The longest the host lets somebody in before the opening.
const LEAD_MAX: Span = Span::from_days(90);

/// Parameters of early-access.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Who may order before the opening. A buyer of several groups has the longest lead.
    #[schemars(length(min = 1, max = 8))]
    groups: Vec<Group>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct Group {
    /// How long before the opening the group may order.
    lead: Span,
    /// Who belongs to the group: {"list": {"id": "vip"}} or {"claim": {"values": ["gold"]}}.
    who: Who,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Who {
    /// Those on an uploaded list.
    List(Listed),
    /// Those whose claim has one of some values.
    Claim(Claimed),
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct Listed {
    /// The id of the uploaded list.
    id: ListId,
    /// The attribute whose value is looked up in the list.
    #[serde(default = "AttributeParam::user")]
    by: AttributeParam,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct Claimed {
    /// The claim of the token.
    #[serde(default = "ClaimName::tier")]
    name: ClaimName,
    /// Its values that belong to the group.
    #[schemars(length(min = 1, max = 100))]
    values: Vec<String>,
}

struct EarlyAccess;

impl Rule for EarlyAccess {
    type Params = Params;

    const ID: &'static str = "early-access";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Some may order first";
    const SUMMARY: &'static str = "Buyers on a list or of a tier may order so long before the opening. Everybody else is told that the sale is not open.";
    /// Nobody is rejected by this rule: before the opening the gateway itself says `not-open`.
    const REASONS: &'static [Reason] = &[];

    fn attributes() -> Vec<Need> {
        AttributeParam::needs()
    }

    fn examples() -> Vec<Example> {
        vec![groups(), by_claim()]
    }

    fn compile(_: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        check(&params)?;
        let mut plan = Plan::new();
        for group in &params.groups {
            let (condition, whom) = members(&group.who);
            plan.early_access(
                group.lead.duration(),
                condition,
                format!("{whom} may order before the others."),
            );
        }
        Ok(plan)
    }
}

fn members(who: &Who) -> (Bool, String) {
    match who {
        Who::List(list) => (
            list.by.attribute().member_of(list.id.as_str()),
            format!("A {} on the list {}", list.by.noun(), list.id.as_str()),
        ),
        Who::Claim(claimed) => {
            let values: Vec<&str> = claimed.values.iter().map(String::as_str).collect();
            let whom = format!("Buyers whose {} is {}", claimed.name.as_str(), listed(&values));
            (claimed.name.attribute().one_of(values).live(), whom)
        }
    }
}

fn check(params: &Params) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for (index, group) in params.groups.iter().enumerate() {
        let at = format!("/groups/{index}");
        let lead = group.lead;
        if lead.ms() == 0 || lead > LEAD_MAX {
            let message = format!("a lead of {lead} is not possible");
            let problem = Diagnostic::error(&format!("{at}/lead"), "bound", message);
            problems.push(problem.hint(format!("it is 1 millisecond to {LEAD_MAX}")));
        }
        let names = match &group.who {
            Who::List(list) => vec![format!("list {} by {}", list.id.as_str(), list.by.as_str())],
            Who::Claim(claimed) => {
                let pointer = format!("{at}/who/claim/values");
                for value in &claimed.values {
                    rushgate_rule::params::check_value(&pointer, value, &mut problems);
                }
                let name = claimed.name.as_str();
                claimed
                    .values
                    .iter()
                    .map(|value| format!("claim {name}={value}"))
                    .collect()
            }
        };
        for name in names {
            if seen.contains(&name) {
                let problem = Diagnostic::error(&at, "duplicate", format!("{name} is there twice"));
                problems.push(problem.hint("name it once, with the longest lead"));
            }
            seen.push(name);
        }
    }
    refuse(problems)
}

const HOUR: Duration = Duration::from_secs(3600);
const MILLISECOND: Duration = Duration::from_millis(1);

fn groups() -> Example {
    let params = json!({"groups": [
        {"lead": "2h", "who": {"list": {"id": "vip"}}},
        {"lead": "1h", "who": {"claim": {"values": ["gold", "silver"]}}},
    ]});
    let gold = |user: &str| Order::by(user).with(claim("tier"), "gold");
    Example::new("a list two hours, two tiers one hour before the others", params)
        .audience("vip", &["ann"])
        .gateway_rejects(Order::by("ann").before(2 * HOUR + MILLISECOND), "not-open")
        .admits(Order::by("ann").before(2 * HOUR))
        .gateway_rejects(gold("bob").before(HOUR + MILLISECOND), "not-open")
        .admits(gold("bob").before(HOUR))
        .admits(gold("ann").before(HOUR))
        .gateway_rejects(Order::by("cid").before(MILLISECOND), "not-open")
        .admits(Order::by("cid"))
}

fn by_claim() -> Example {
    let params = json!({"groups": [
        {"lead": "15m", "who": {"list": {"id": "companies", "by": "claim:company"}}},
        {"lead": "5m", "who": {"claim": {"name": "staff", "values": ["yes"]}}},
    ]});
    let minutes = |n: u64| Duration::from_secs(60 * n);
    Example::new("companies on a list, and staff", params)
        .audience("companies", &["acme"])
        .admits(
            Order::by("ann")
                .with(claim("company"), "acme")
                .before(minutes(15)),
        )
        .gateway_rejects(
            Order::by("bob")
                .with(claim("company"), "other")
                .before(minutes(1)),
            "not-open",
        )
        .admits(Order::by("cid").with(claim("staff"), "yes").before(minutes(5)))
}

rushgate_rule::export!(EarlyAccess);
