//! Limits for devices, addresses, IP addresses, and every other claim or client attribute: several at once, each
//! with a window of its own.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use rushgate_rule::params::{
    AttributeParam, Count, Missing, Scope, SkuGroups, SkuList, Subject, WindowParam,
};
use rushgate_rule::{
    Bool, Context, Diagnostic, Example, Need, Order, PerOrder, Plan, Reason, Rule, Window, claim, client,
    counter_id, ip, json, refuse, schemars,
};
use schemars::JsonSchema;
use serde::Deserialize;

const DEVICE: Reason = Reason::new("limit-per-device", "This order passes the limit of the device");
const ADDRESS: Reason = Reason::new("limit-per-address", "This order passes the limit of the address");
const IP: Reason = Reason::new("limit-per-ip", "This order passes the limit of the IP address");
const OTHER: Reason = Reason::new(
    "limit-per-subject",
    "This order passes the limit of what is counted for it",
);
const MISSING: Reason = Reason::new(
    "subject-missing",
    "The order does not say what a limit is counted for",
);

/// Counters that the host allows a plan.
const COUNTERS_MAX: usize = 32;

/// Parameters of per-subject.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The limits. All of them must hold.
    #[schemars(length(min = 1, max = 8))]
    limits: Vec<Limit>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
struct Limit {
    /// What the limit is for: attributes such as "client:device", "ip", "claim:account". Several together are one
    /// subject per combination: ["client:street", "client:town"].
    by: Subject,
    /// How much may be ordered for each subject.
    #[schemars(range(min = 1, max = 1_000_000))]
    limit: u32,
    /// What is counted: units, or the orders they are ordered in.
    #[serde(default = "Count::units")]
    count: Count,
    /// The window the limit is for; the whole campaign where it is left out.
    window: Option<WindowParam>,
    /// What becomes of an order that lacks one of the attributes.
    #[serde(default)]
    missing: Missing,
    /// The SKUs the limit is for, all of them together; every SKU where it is left out.
    skus: Option<SkuList>,
    /// Groups of SKUs, each with a count of its own: {"tees": ["tee-s", "tee-m"], "mugs": ["mug"]}. SKUs of no group are not
    /// limited.
    groups: Option<SkuGroups>,
}

struct PerSubject;

impl Rule for PerSubject {
    type Params = Params;

    const ID: &'static str = "per-subject";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "So many per device, address or other subject";
    const SUMMARY: &'static str = "Limits for each device, address, IP address, or any other claim or client attribute; several at once.";
    const REASONS: &'static [Reason] = &[DEVICE, ADDRESS, IP, OTHER, MISSING];

    fn attributes() -> Vec<Need> {
        AttributeParam::needs()
    }

    fn examples() -> Vec<Example> {
        vec![
            at_once(),
            combined(),
            in_a_window(),
            without(),
            orders(),
            some_skus(),
        ]
    }

    fn compile(context: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        check(context, &params)?;
        let mut plan = Plan::new();
        for (index, limit) in params.limits.iter().enumerate() {
            let asked = params.limits[..index].iter().any(|other| other.asks_for(limit));
            if !asked {
                let (of, these) = limit.all_skus();
                limit
                    .missing
                    .require_of(&mut plan, &limit.by, &MISSING, &of, these);
            }
        }
        for limit in &params.limits {
            for scope in limit.scopes() {
                add(&mut plan, context, limit, scope);
            }
        }
        Ok(plan)
    }
}

impl Limit {
    fn scopes(&self) -> Vec<Scope<'_>> {
        Scope::of(self.skus.as_ref(), self.groups.as_ref(), false)
    }

    /// The SKUs of all its counts, as a sentence names them and as a condition; empty and `None` where it is for all.
    fn all_skus(&self) -> (String, Option<Bool<PerOrder>>) {
        let scopes = self.scopes();
        let these = scopes.iter().map(|scope| scope.applies());
        let these = these.reduce(|any, next| any.zip(next).map(|(any, next)| any.or(next)));
        let of = match (&self.groups, scopes.as_slice()) {
            (None, [one]) => one.words(),
            _ => " of one of these groups".into(),
        };
        (of, these.flatten())
    }

    /// Whether an order that lacks an attribute of the other limit is rejected for the sake of this one already.
    fn asks_for(&self, other: &Self) -> bool {
        let (by, of) = (&other.by, (&self.skus, &self.groups));
        self.missing == Missing::Reject
            && self.by.key().len() == by.key().len()
            && self.by.slug() == by.slug()
            && (of == (&None, &None) || of == (&other.skus, &other.groups))
    }

    /// `per-client-device`.
    fn whom(&self) -> String {
        format!("per-{}", self.by.slug())
    }
}

fn add(plan: &mut Plan, context: &Context, limit: &Limit, scope: Scope<'_>) {
    let Limit {
        by, count, missing, ..
    } = limit;
    let cost = missing.cost(by, scope.cost(count.cost()));
    let most = i64::from(limit.limit);
    let window = limit
        .window
        .as_ref()
        .map_or(Window::Campaign, |window| window.window(context));
    let counter = plan.counter(id(context, limit, scope), by.key(), window, cost);
    let within = (counter.used() + count.cost()).le(most);
    let constraint = plan.require(within, reason(by), sentence(limit, scope));
    constraint.measure(counter, most);
    match (missing.applies(by), scope.applies()) {
        (Some(given), Some(these)) => drop(constraint.when(given.and(these))),
        (Some(only), None) | (None, Some(only)) => drop(constraint.when(only)),
        (None, None) => {}
    }
}

fn id(context: &Context, limit: &Limit, scope: Scope<'_>) -> String {
    let (noun, whom) = (limit.count.noun(), scope.slug(&limit.whom()));
    match &limit.window {
        None => counter_id(&[noun, &whom]),
        Some(window) => counter_id(&[noun, &whom, &window.slug(context)]),
    }
}

fn reason(by: &Subject) -> &'static Reason {
    let is = |name: &str| by.attributes().iter().all(|attribute| attribute.name() == name);
    match () {
        () if is("device") => &DEVICE,
        () if is("address") => &ADDRESS,
        () if is("ip") => &IP,
        () => &OTHER,
    }
}

/// "At most 2 units of tee-s, tee-m together for each device per day in Asia/Shanghai."
fn sentence(limit: &Limit, scope: Scope<'_>) -> String {
    let noun = limit.count.noun();
    let noun = if limit.limit == 1 {
        &noun[..noun.len() - 1]
    } else {
        noun
    };
    let window = limit
        .window
        .as_ref()
        .map_or_else(|| "in the whole campaign".into(), WindowParam::words);
    format!(
        "At most {} {noun}{} for each {} {window}.",
        limit.limit,
        scope.words(),
        limit.by.noun()
    )
}

fn check(context: &Context, params: &Params) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut ids: Vec<(usize, String)> = Vec::new();
    for (index, limit) in params.limits.iter().enumerate() {
        let at = format!("/limits/{index}");
        limit.by.check(&format!("{at}/by"), &mut problems);
        if let Some(window) = &limit.window {
            window.check(&format!("{at}/window"), &mut problems);
            if limit.count == Count::Orders {
                window.check_limit(&format!("{at}/limit"), limit.limit, &mut problems);
            }
        }
        let skus = (limit.skus.as_ref(), limit.groups.as_ref());
        Scope::check(skus, context, &at, None, &mut problems);
        for scope in limit.scopes() {
            let id = id(context, limit, scope);
            if let Some((first, _)) = ids.iter().find(|(_, known)| *known == id) {
                let message = format!(
                    "limits {first} and {index} count the same: {}{} for each {}",
                    limit.count.noun(),
                    scope.words(),
                    limit.by.noun()
                );
                let problem = Diagnostic::error(&at, "duplicate", message);
                problems.push(problem.hint("keep the lower one; it decides anyway"));
            }
            ids.push((index, id));
        }
    }
    if ids.len() > COUNTERS_MAX {
        let message = format!("the groups of all limits make {} counts", ids.len());
        let hint = format!("at most {COUNTERS_MAX} are possible: use fewer groups or limits");
        problems.push(Diagnostic::error("/limits", "too-many", message).hint(hint));
    }
    refuse(problems)
}

fn at_once() -> Example {
    let params = json!({"limits": [
        {"by": ["client:device"], "limit": 2, "count": "orders"},
        {"by": ["client:address"], "limit": 3},
        {"by": ["ip"], "limit": 4, "count": "orders"},
        {"by": ["claim:household"], "limit": 5, "count": "orders"},
    ]});
    let order = |user: &str, device, address, from, household| {
        Order::by(user)
            .with(client("device"), device)
            .with(client("address"), address)
            .with(ip(), from)
            .with(claim("household"), household)
    };
    Example::new("device, address, IP address and household at once", params)
        .admits(order("ann", "d1", "a1", "192.0.2.1", "h1"))
        .admits(order("bob", "d1", "a2", "192.0.2.1", "h1"))
        .rejects(order("cid", "d1", "a3", "192.0.2.2", "h2"), &DEVICE)
        .rejects(order("cid", "d2", "a1", "192.0.2.1", "h1").units(3), &ADDRESS)
        .admits(order("cid", "d2", "a1", "192.0.2.1", "h1").units(2))
        .admits(order("dan", "d3", "a3", "192.0.2.1", "h1"))
        .rejects(order("eve", "d4", "a4", "192.0.2.1", "h2"), &IP)
        .admits(order("eve", "d4", "a4", "192.0.2.2", "h1"))
        .rejects(order("fay", "d5", "a5", "192.0.2.3", "h1"), &OTHER)
        .rejects(Order::by("gus").with(client("device"), "d6"), &MISSING)
}

fn combined() -> Example {
    let params = json!({"limits": [{"by": ["client:town", "client:street"], "limit": 1}]});
    let at = |street, town| {
        Order::by("ann")
            .with(client("street"), street)
            .with(client("town"), town)
    };
    Example::new("street and town together are one address", params)
        .admits(at("a", "bc"))
        .admits(at("ab", "c"))
        .rejects(at("a", "bc"), &OTHER)
        .rejects(at("a", ""), &MISSING)
}

fn in_a_window() -> Example {
    let params = json!({"limits": [{"by": ["client:device"], "limit": 1, "window": {"rolling": "1h"}}]});
    let order = || Order::by("ann").with(client("device"), "d1");
    let hour = Duration::from_secs(3600);
    Example::new("one unit for a device in any hour", params)
        .rejects(order().units(2), &DEVICE)
        .admits(order())
        .rejects(order().after(hour - Duration::from_millis(1)), &DEVICE)
        .admits(order().after(hour))
}

fn without() -> Example {
    let params = json!({"limits": [{"by": ["client:device"], "limit": 1, "missing": "allow"}]});
    Example::new(
        "orders without a device are not limited where that is allowed",
        params,
    )
    .admits(Order::by("ann"))
    .admits(Order::by("bob"))
    .admits(Order::by("ann").with(client("device"), "d1"))
    .rejects(Order::by("bob").with(client("device"), "d1"), &DEVICE)
}

fn orders() -> Example {
    let params = json!({"limits": [{"by": ["client:device"], "limit": 1, "count": "orders"}]});
    let order = || Order::by("ann").with(client("device"), "d1");
    Example::new("one order of a device, of however many units", params)
        .admits(order().units(5))
        .rejects(order(), &DEVICE)
}

fn some_skus() -> Example {
    let params = json!({"limits": [
        {"by": ["client:device"], "limit": 2, "groups": {"tees": ["tee-s", "tee-m"], "mugs": ["mug"]}},
    ]});
    let order = |sku| Order::by("ann").with(client("device"), "d1").of(sku);
    Example::new("two tees and two mugs for each device", params)
        .sku("tee-s", 10)
        .sku("tee-m", 10)
        .sku("mug", 10)
        .admits(order("tee-s"))
        .admits(order("tee-m"))
        .rejects(order("tee-s"), &DEVICE)
        .admits(order("mug").units(2))
        .rejects(order("mug"), &DEVICE)
        .rejects(Order::by("bob").of("mug"), &MISSING)
        .admits(Order::by("bob").units(5))
}

rushgate_rule::export!(PerSubject);
