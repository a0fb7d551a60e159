//! Limits for devices, addresses, IP addresses, and every other claim or client attribute: several at once, each
//! with a window of its own.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use rushgate_rule::params::{AttributeParam, Count, Missing, Subject, WindowParam};
use rushgate_rule::{
    Context, Diagnostic, Example, Need, Order, Plan, Reason, Rule, Window, claim, client, counter_id, ip,
    json, refuse, schemars,
};
use schemars::JsonSchema;
use serde::Deserialize;

const DEVICE: Reason = Reason::new("limit-per-device", "This device has reached the limit");
const ADDRESS: Reason = Reason::new("limit-per-address", "This address has reached the limit");
const IP: Reason = Reason::new("limit-per-ip", "This IP address has reached the limit");
const OTHER: Reason = Reason::new("limit-per-subject", "What this limit is for has reached it");
const MISSING: Reason = Reason::new(
    "subject-missing",
    "The order does not say what a limit is counted for",
);

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
    /// What is counted: orders, or the units in them.
    #[serde(default)]
    count: Count,
    /// The window the limit is for; the whole campaign where it is left out.
    window: Option<WindowParam>,
    /// What becomes of an order that lacks one of the attributes.
    #[serde(default)]
    missing: Missing,
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
        vec![at_once(), combined(), in_a_window(), without()]
    }

    fn compile(context: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        check(context, &params)?;
        let mut plan = Plan::new();
        for (index, limit) in params.limits.iter().enumerate() {
            let asked = params.limits[..index]
                .iter()
                .any(|other| is_asked_by(other, &limit.by));
            if !asked {
                limit.missing.require(&mut plan, &limit.by, &MISSING);
            }
        }
        for limit in &params.limits {
            add(&mut plan, context, limit);
        }
        Ok(plan)
    }
}

/// Whether an order that lacks an attribute of `by` is rejected for the sake of this limit already.
fn is_asked_by(limit: &Limit, by: &Subject) -> bool {
    limit.missing == Missing::Reject && limit.by.key().len() == by.key().len() && limit.by.slug() == by.slug()
}

fn add(plan: &mut Plan, context: &Context, limit: &Limit) {
    let Limit {
        by, count, missing, ..
    } = limit;
    let cost = missing.cost(by, count.cost());
    let most = i64::from(limit.limit);
    let window = limit
        .window
        .as_ref()
        .map_or(Window::Campaign, |window| window.window(context));
    let counter = plan.counter(id(context, limit), by.key(), window, cost);
    let constraint = plan.require(
        (counter.used() + count.cost()).le(most),
        reason(by),
        sentence(limit),
    );
    missing.only_given(constraint, by).measure(counter, most);
}

fn id(context: &Context, limit: &Limit) -> String {
    let (noun, by) = (limit.count.noun(), limit.by.slug());
    match &limit.window {
        None => counter_id(&[noun, "per", &by]),
        Some(window) => counter_id(&[noun, "per", &by, &window.slug(context)]),
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

/// "At most 2 orders for each device per day in Asia/Shanghai."
fn sentence(limit: &Limit) -> String {
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
        "At most {} {noun} for each {} {window}.",
        limit.limit,
        limit.by.noun()
    )
}

fn check(context: &Context, params: &Params) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    for (index, limit) in params.limits.iter().enumerate() {
        let at = format!("/limits/{index}");
        limit.by.check(&format!("{at}/by"), &mut problems);
        if let Some(window) = &limit.window {
            window.check(&format!("{at}/window"), &mut problems);
            if limit.count == Count::Orders {
                window.check_limit(&format!("{at}/limit"), limit.limit, &mut problems);
            }
        }
        let id = id(context, limit);
        if let Some(first) = ids.iter().position(|known| *known == id) {
            let message = format!(
                "limits {first} and {index} count the same: {} of each {}",
                limit.count.noun(),
                limit.by.noun()
            );
            problems.push(
                Diagnostic::error(&at, "duplicate", message).hint("keep the lower one; it decides anyway"),
            );
        }
        ids.push(id);
    }
    refuse(problems)
}

fn at_once() -> Example {
    let params = json!({"limits": [
        {"by": ["client:device"], "limit": 2},
        {"by": ["client:address"], "limit": 3, "count": "units"},
        {"by": ["ip"], "limit": 4},
        {"by": ["claim:household"], "limit": 5},
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
    Example::new("one order of a device in any hour", params)
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

rushgate_rule::export!(PerSubject);
