//! Each user may order as much as a claim of the token allows: more for gold than for silver.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use rushgate_rule::params::{ClaimName, Count, Scope, SkuGroups, SkuList, WindowParam};
use rushgate_rule::{
    Attribute, Context, Diagnostic, Example, Need, Order, Plan, Reason, Rule, Window, claim, counter_id,
    json, listed, listed_within, refuse, schemars, user,
};
use schemars::JsonSchema;
use serde::Deserialize;

const LIMIT: Reason = Reason::new("limit-per-tier", "This order passes the limit of the user's tier");
const EXCLUDED: Reason = Reason::new("tier-excluded", "This user's tier may not order");

/// Bytes of a sentence that the host allows.
const SENTENCE_BYTES_MAX: usize = 512;
/// Bytes of the tiers and the SKUs in one sentence.
const TIERS_BYTES_MAX: usize = 300;

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
    /// What is counted: units, or the orders they are ordered in.
    #[serde(default = "Count::units")]
    count: Count,
    /// The window the limit is for; the whole campaign where it is left out.
    window: Option<WindowParam>,
    /// The SKUs the limits are for, all of them together; every SKU where it is left out.
    skus: Option<SkuList>,
    /// Groups of SKUs, each with a count of its own: {"tees": ["tee-s", "tee-m"], "mugs": ["mug"]}. SKUs of no group are not
    /// limited.
    groups: Option<SkuGroups>,
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
        vec![units(), orders(), excluded(), per_day(), groups()]
    }

    fn compile(context: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        check(context, &params)?;
        let count = params.count;
        let tier = params.claim.attribute();
        let mut plan = Plan::new();
        exclude(&mut plan, &tier, &params);
        let limit = tier.lookup(entries(&params.tiers), i64::from(params.others));
        for scope in params.scopes() {
            let whom = scope.slug("per-user");
            let (id, window) = match &params.window {
                None => (counter_id(&[count.noun(), &whom]), Window::Campaign),
                Some(window) => {
                    let id = counter_id(&[count.noun(), &whom, &window.slug(context)]);
                    (id, window.window(context))
                }
            };
            let counter = plan.counter(id, [user()], window, scope.cost(count.cost()));
            let within = (counter.used() + count.cost()).le(&limit);
            let sentence = sentence(&params, scope);
            let constraint = plan.require(within, &LIMIT, sentence).measure(counter, &limit);
            if let Some(these) = scope.applies() {
                constraint.when(these);
            }
        }
        Ok(plan)
    }
}

impl Params {
    fn scopes(&self) -> Vec<Scope<'_>> {
        Scope::of(self.skus.as_ref(), self.groups.as_ref(), false)
    }
}

fn entries(tiers: &BTreeMap<String, u32>) -> impl Iterator<Item = (&str, i64)> {
    tiers
        .iter()
        .map(|(tier, limit)| (tier.as_str(), i64::from(*limit)))
}

/// A tier that may order nothing is told so, instead of being shown a limit that time could change.
fn exclude(plan: &mut Plan, tier: &Attribute, params: &Params) {
    let Params { tiers, others, .. } = params;
    let with = |none: bool| {
        let tiers = tiers.iter().filter(move |(_, limit)| (**limit == 0) == none);
        tiers.map(|(tier, _)| tier.as_str()).collect::<Vec<_>>()
    };
    let of = match (&params.skus, &params.groups) {
        (None, None) => "",
        _ => " what these limits are for",
    };
    let (named, sentence) = match others {
        0 => {
            let allowed = with(false);
            let sentence = format!("Only these tiers may order{of}: {}.", listed(&allowed));
            (tier.one_of(allowed), sentence)
        }
        _ if tiers.values().any(|limit| *limit == 0) => {
            let refused = with(true);
            let sentence = format!("These tiers may not order{of}: {}.", listed(&refused));
            (!tier.one_of(refused), sentence)
        }
        _ => return,
    };
    let constraint = plan.require(named, &EXCLUDED, sentence);
    let these = params.scopes().into_iter().map(Scope::applies);
    // All SKUs, or those of any group.
    let these = these.reduce(|any, next| any.zip(next).map(|(any, next)| any.or(next)));
    if let Some(these) = these.flatten() {
        constraint.when(these);
    }
}

/// "Each user may order as many units of mint, herbs together in the whole campaign as the tier allows: gold 5; everybody
/// else 1."
fn sentence(params: &Params, scope: Scope<'_>) -> String {
    let whole = sentence_about(params, &scope.words());
    match whole.len() > SENTENCE_BYTES_MAX {
        true => sentence_about(params, &scope.brief()),
        false => whole,
    }
}

fn sentence_about(params: &Params, skus: &str) -> String {
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
    let of = listed_within(&of, TIERS_BYTES_MAX.saturating_sub(skus.len()));
    let verb = match params.count {
        Count::Orders => "place",
        Count::Units => "order",
    };
    format!(
        "Each user may {verb} as many {}{skus} {window} as the tier allows: {of}; everybody else {}.",
        params.count.noun(),
        params.others
    )
}

fn check(context: &Context, params: &Params) -> Result<(), Vec<Diagnostic>> {
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
        let largest = params.tiers.values().copied().chain([params.others]).max();
        if params.count == Count::Orders {
            window.check_limit("/tiers", largest.unwrap_or(0), &mut problems);
        }
    }
    let skus = (params.skus.as_ref(), params.groups.as_ref());
    Scope::check(skus, context, "", None, &mut problems);
    refuse(problems)
}

fn of(user: &str, tier: &str) -> Order {
    Order::by(user).with(claim("tier"), tier)
}

fn units() -> Example {
    Example::new(
        "gold two units, everybody else one",
        json!({"tiers": {"gold": 2}, "others": 1}),
    )
    .rejects(of("ann", "gold").units(3), &LIMIT)
    .admits(of("ann", "gold").units(2))
    .rejects(of("ann", "gold"), &LIMIT)
    .rejects(of("bob", "silver").units(2), &LIMIT)
    .admits(of("bob", "silver"))
    .admits(of("cid", "Gold"))
    .rejects(of("cid", "Gold"), &LIMIT)
    .admits(Order::by("dan"))
    .rejects(Order::by("dan"), &LIMIT)
}

fn orders() -> Example {
    Example::new(
        "gold two orders, everybody else one, of however many units",
        json!({"tiers": {"gold": 2}, "others": 1, "count": "orders"}),
    )
    .admits(of("ann", "gold").units(5))
    .admits(of("ann", "gold"))
    .rejects(of("ann", "gold"), &LIMIT)
    .admits(of("bob", "silver").units(5))
    .rejects(of("bob", "silver"), &LIMIT)
}

fn excluded() -> Example {
    let params = json!({"tiers": {"member": 3, "guest": 0}, "others": 0, "claim": "level"});
    let of = |user: &str, level| Order::by(user).with(claim("level"), level);
    Example::new("members three units, nobody else", params)
        .rejects(of("ann", "member").units(4), &LIMIT)
        .admits(of("ann", "member").units(3))
        .rejects(of("bob", "guest"), &EXCLUDED)
        .rejects(Order::by("cid"), &EXCLUDED)
}

fn groups() -> Example {
    let params = json!({
        "tiers": {"gold": 2}, "others": 0, "groups": {"tees": ["tee-s", "tee-m"], "mugs": ["mug"]}
    });
    Example::new("two tees and two mugs for gold, tickets for everybody", params)
        .sku("tee-s", 10)
        .sku("tee-m", 10)
        .sku("mug", 10)
        .admits(of("ann", "gold").of("tee-s"))
        .admits(of("ann", "gold").of("tee-m"))
        .rejects(of("ann", "gold").of("tee-s"), &LIMIT)
        .admits(of("ann", "gold").of("mug").units(2))
        .rejects(of("bob", "silver").of("mug"), &EXCLUDED)
        .admits(of("bob", "silver").units(5))
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
