//! Each user may order as much as a claim of the token allows: more for gold than for silver.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use rushgate_rule::params::{ClaimName, Count, WindowParam};
use rushgate_rule::{
    Attribute, Context, Diagnostic, Example, Need, Order, Plan, Reason, Rule, Window, claim, counter_id,
    json, listed, refuse, schemars, user,
};
use schemars::JsonSchema;
use serde::Deserialize;

const LIMIT: Reason = Reason::new("limit-per-tier", "This user has reached the limit of the tier");
const EXCLUDED: Reason = Reason::new("tier-excluded", "This user's tier may not order");

/// Parameters of tiered.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How much a user of each tier may order, by the value of the claim: {"gold": 5, "silver": 2}. 0 lets a tier
    /// order nothing.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 100))]
    #[schemars(extend("additionalProperties" = json!({"type": "integer", "minimum": 0, "maximum": 1_000_000})))]
    tiers: BTreeMap<String, u32>,
    /// How much every other user may order: those with another tier, and those with none.
    #[schemars(range(max = 1_000_000))]
    others: u32,
    /// The claim of the token that says the tier.
    #[serde(default = "ClaimName::tier")]
    claim: ClaimName,
    /// What is counted: orders, or the units in them.
    #[serde(default)]
    count: Count,
    /// The window the limit is for; the whole campaign where it is left out.
    window: Option<WindowParam>,
}

struct Tiered;

impl Rule for Tiered {
    type Params = Params;

    const ID: &'static str = "tiered";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "So many per user, by tier";
    const SUMMARY: &'static str =
        "Each user may order as much as a claim of the token allows, with a limit for everybody else.";
    const REASONS: &'static [Reason] = &[LIMIT, EXCLUDED];

    fn attributes() -> Vec<Need> {
        vec![Need::optional(claim("*"))]
    }

    fn examples() -> Vec<Example> {
        vec![orders(), excluded(), per_day()]
    }

    fn compile(context: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        check(&params)?;
        let sentence = sentence(&params);
        let Params {
            tiers,
            others,
            claim: name,
            count,
            window,
        } = params;
        let tier = name.attribute();
        let mut plan = Plan::new();
        exclude(&mut plan, &tier, &tiers, others);
        let id = match &window {
            None => counter_id(&[count.noun(), "per-user"]),
            Some(window) => counter_id(&[count.noun(), "per-user", &window.slug(context)]),
        };
        let window = window.map_or(Window::Campaign, |window| window.window(context));
        let counter = plan.counter(id, [user()], window, count.cost());
        let limit = tier.lookup(entries(&tiers), i64::from(others));
        plan.require((counter.used() + count.cost()).le(&limit), &LIMIT, sentence)
            .measure(counter, &limit);
        Ok(plan)
    }
}

fn entries(tiers: &BTreeMap<String, u32>) -> impl Iterator<Item = (&str, i64)> {
    tiers
        .iter()
        .map(|(tier, limit)| (tier.as_str(), i64::from(*limit)))
}

/// A tier that may order nothing is told so, instead of being shown a limit that time could change.
fn exclude(plan: &mut Plan, tier: &Attribute, tiers: &BTreeMap<String, u32>, others: u32) {
    let none = |of: &u32| *of == 0;
    let (named, sentence) = match others {
        0 => {
            let allowed: Vec<&str> = tiers
                .iter()
                .filter(|(_, of)| !none(of))
                .map(|(tier, _)| tier.as_str())
                .collect();
            let sentence = format!("Only these tiers may order: {}.", listed(&allowed));
            (tier.one_of(allowed), sentence)
        }
        _ if tiers.values().any(none) => {
            let refused: Vec<&str> = tiers
                .iter()
                .filter(|(_, of)| none(of))
                .map(|(tier, _)| tier.as_str())
                .collect();
            let sentence = format!("These tiers may not order: {}.", listed(&refused));
            (!tier.one_of(refused), sentence)
        }
        _ => return,
    };
    plan.require(named, &EXCLUDED, sentence);
}

fn sentence(params: &Params) -> String {
    let of: Vec<String> = params
        .tiers
        .iter()
        .map(|(tier, limit)| format!("{tier} {limit}"))
        .collect();
    let of: Vec<&str> = of.iter().map(String::as_str).collect();
    let window = params
        .window
        .as_ref()
        .map_or_else(|| "in the whole campaign".into(), WindowParam::words);
    let noun = params.count.noun();
    format!(
        "Each user may order as many {noun} {window} as the tier allows: {}; everybody else {}.",
        listed(&of),
        params.others
    )
}

fn check(params: &Params) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    for tier in params.tiers.keys() {
        rushgate_rule::params::check_value("/tiers", tier, &mut problems);
    }
    if params.others == 0 && params.tiers.values().all(|limit| *limit == 0) {
        let problem = Diagnostic::error("/others", "nobody", "every limit is 0: nobody could order");
        problems.push(problem.hint("give a tier, or everybody else, a limit of at least 1"));
    }
    if let Some(window) = &params.window {
        window.check("/window", &mut problems);
        let largest = params
            .tiers
            .values()
            .copied()
            .chain([params.others])
            .max()
            .unwrap_or(0);
        if params.count == Count::Orders {
            window.check_limit("/tiers", largest, &mut problems);
        }
    }
    refuse(problems)
}

fn of(user: &str, tier: &str) -> Order {
    Order::by(user).with(claim("tier"), tier)
}

fn orders() -> Example {
    Example::new(
        "gold two orders, everybody else one",
        json!({"tiers": {"gold": 2}, "others": 1}),
    )
    .admits(of("ann", "gold"))
    .admits(of("ann", "gold"))
    .rejects(of("ann", "gold"), &LIMIT)
    .admits(of("bob", "silver"))
    .rejects(of("bob", "silver"), &LIMIT)
    .admits(of("cid", "Gold"))
    .rejects(of("cid", "Gold"), &LIMIT)
    .admits(Order::by("dan"))
    .rejects(Order::by("dan"), &LIMIT)
}

fn excluded() -> Example {
    let params = json!({"tiers": {"member": 3, "guest": 0}, "others": 0, "claim": "level", "count": "units"});
    let of = |user: &str, level| Order::by(user).with(claim("level"), level);
    Example::new("members three units, nobody else", params)
        .rejects(of("ann", "member").units(4), &LIMIT)
        .admits(of("ann", "member").units(3))
        .rejects(of("bob", "guest"), &EXCLUDED)
        .rejects(Order::by("cid"), &EXCLUDED)
}

fn per_day() -> Example {
    let params = json!({"tiers": {"gold": 2, "banned": 0}, "others": 1, "window": {"day": "UTC"}});
    let day = Duration::from_secs(24 * 3600);
    Example::new("per day, and nothing for those banned", params)
        .open_for(2 * day)
        .admits(of("ann", "silver"))
        .rejects(of("ann", "silver").after(day - Duration::from_millis(1)), &LIMIT)
        .admits(of("ann", "silver").after(day))
        .rejects(of("bob", "banned").after(day), &EXCLUDED)
}

rushgate_rule::export!(Tiered);
