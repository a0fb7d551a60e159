//! Some buyers may order before the others: those on an uploaded list, or those of certain tiers. For how long is said
//! against one opening by its time, so that a sale that is moved lets nobody in at a time that nobody chose.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use rushgate_rule::params::{AttributeParam, ClaimName, ListId, Moment, Span};
use rushgate_rule::{
    Bool, Context, Diagnostic, Example, Need, Order, Plan, Reason, Rule, claim, json, listed_within, refuse,
    schemars,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The longest the host lets somebody in before the opening.
const LEAD_MAX: Span = Span::from_days(90);
/// Bytes of a claim's values in a sentence.
const VALUES_BYTES_MAX: usize = 150;

/// Parameters of early-access.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The opening that the leads are counted back from, as it was announced. Where the sale opens later than that, nobody
    /// may order before it does; where it opens earlier, everybody keeps the moment that was announced.
    opens_at: Moment,
    /// Who may order before the opening. A buyer of several groups has the longest lead.
    #[schemars(length(min = 1, max = 8))]
    groups: Vec<Group>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct Group {
    /// How long before `opens_at` the group may order.
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
    const SUMMARY: &'static str = "Buyers on a list or of a tier may order so long before an opening that is named by its time. Everybody else is told that the sale is not open.";
    /// Nobody is rejected by this rule: before the opening the gateway itself says `not-open`.
    const REASONS: &'static [Reason] = &[];

    fn attributes() -> Vec<Need> {
        AttributeParam::needs()
    }

    fn examples() -> Vec<Example> {
        vec![groups(), by_claim(), moved_later(), moved_earlier()]
    }

    fn compile(context: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        check(&params)?;
        let mut plan = Plan::new();
        for group in &params.groups {
            let (condition, whom) = members(&group.who);
            let lead = lead(group.lead, &params.opens_at, context);
            let sentence = sentence(&whom, group.lead, lead, &params.opens_at);
            plan.early_access(lead.duration(), condition, sentence);
        }
        Ok(plan)
    }
}

/// What is left of a lead before the opening that the sale now has: none where it was moved to later, and less where it
/// was moved to earlier, for the group begins when it was told to.
fn lead(announced: Span, anchor: &Moment, context: &Context) -> Span {
    match anchor.ms().checked_sub(context.opens_at_ms) {
        None => Span::from_ms(0),
        Some(earlier) => Span::from_ms(announced.ms().saturating_sub(earlier)),
    }
}

/// "Buyers whose tier is gold may order 2 hours before the opening at 2026-03-01T12:00:00Z."
fn sentence(whom: &str, announced: Span, lead: Span, anchor: &Moment) -> String {
    let anchor = anchor.as_str();
    if lead == announced {
        return format!("{whom} may order {announced} before the opening at {anchor}.");
    }
    let told =
        format!("{whom} were to order {announced} before an opening at {anchor}, and the sale was moved");
    match lead.ms() {
        0 => format!("{told}: they may order when everybody may."),
        _ => format!("{told}: they may order {lead} before everybody else."),
    }
}

fn members(who: &Who) -> (Bool, String) {
    match who {
        Who::List(list) => (
            list.by.attribute().member_of(list.id.as_str()),
            format!(
                "Buyers whose {} is on the list {}",
                list.by.noun(),
                list.id.as_str()
            ),
        ),
        Who::Claim(claimed) => {
            let values: Vec<&str> = claimed.values.iter().map(String::as_str).collect();
            let values = listed_within(&values, VALUES_BYTES_MAX);
            let whom = format!("Buyers whose {} is {values}", claimed.name.as_str());
            (claimed.name.attribute().one_of(&claimed.values).live(), whom)
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

/// When campaigns of examples open.
const OPENING: &str = "2026-01-01T00:00:00Z";
const HOUR: Duration = Duration::from_secs(3600);
const MILLISECOND: Duration = Duration::from_millis(1);

fn groups() -> Example {
    let params = json!({"opens_at": OPENING, "groups": [
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
    let params = json!({"opens_at": "2026-01-01T01:00:00+01:00", "groups": [
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

fn moved_later() -> Example {
    let params = json!({"opens_at": "2025-12-31T23:00:00Z", "groups": [
        {"lead": "2h", "who": {"claim": {"values": ["gold"]}}},
    ]});
    let gold = || Order::by("ann").with(claim("tier"), "gold");
    Example::new("a sale that was moved to later opens for everybody then", params)
        .gateway_rejects(gold().before(2 * HOUR), "not-open")
        .gateway_rejects(gold().before(HOUR + MILLISECOND), "not-open")
        .gateway_rejects(gold().before(MILLISECOND), "not-open")
        .admits(gold())
}

fn moved_earlier() -> Example {
    let params = json!({"opens_at": "2026-01-01T01:00:00Z", "groups": [
        {"lead": "3h", "who": {"claim": {"values": ["gold"]}}},
        {"lead": "1h", "who": {"claim": {"values": ["silver"]}}},
    ]});
    let of = |tier| Order::by("ann").with(claim("tier"), tier);
    Example::new(
        "a sale that was moved to earlier lets groups in when they were told",
        params,
    )
    .gateway_rejects(of("gold").before(2 * HOUR + MILLISECOND), "not-open")
    .admits(of("gold").before(2 * HOUR))
    .gateway_rejects(of("silver").before(MILLISECOND), "not-open")
    .admits(of("silver"))
}

rushgate_rule::export!(EarlyAccess);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_say_which_opening_is_meant() {
        let (anchor, hours): (Moment, _) = (OPENING.parse().expect("a time"), |n: u64| {
            Span::from_ms(n * 3_600_000)
        });
        let read = |lead| sentence("Buyers whose tier is gold", hours(2), lead, &anchor);
        assert_eq!(
            read(hours(2)),
            "Buyers whose tier is gold may order 2 hours before the opening at 2026-01-01T00:00:00Z."
        );
        assert_eq!(
            read(hours(0)),
            "Buyers whose tier is gold were to order 2 hours before an opening at 2026-01-01T00:00:00Z, and the sale was \
             moved: they may order when everybody may."
        );
        assert_eq!(
            read(hours(1)),
            "Buyers whose tier is gold were to order 2 hours before an opening at 2026-01-01T00:00:00Z, and the sale was \
             moved: they may order 1 hour before everybody else."
        );
    }
}
