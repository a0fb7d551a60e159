//! Each user may order so many times, or so many units, in every window of time: a calendar day, week or month,
//! windows of one length, or the last so much time before each order.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use rushgate_rule::params::{Count, WindowParam};
use rushgate_rule::{
    Context, Diagnostic, Example, Order, Plan, Reason, Rule, counter_id, json, refuse, schemars, sku, user,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const LIMIT: Reason = Reason::new(
    "limit-per-window",
    "This user has reached the limit of this window of time",
)
.retryable();

/// Parameters of per-window.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How much each user may order in one window.
    #[schemars(range(min = 1, max = 1_000_000))]
    limit: u32,
    /// The window: {"day": "Asia/Shanghai"}, {"week": zone}, {"month": zone}, {"rolling": "24h"}, or
    /// {"tumbling": {"length": "15m"}}.
    window: WindowParam,
    /// What is counted: orders, or the units in them.
    #[serde(default)]
    count: Count,
    /// Whether a user has one limit, or one for every SKU.
    #[serde(default)]
    per: Per,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Per {
    #[default]
    User,
    UserAndSku,
}

struct PerWindow;

impl Rule for PerWindow {
    type Params = Params;

    const ID: &'static str = "per-window";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "So many per window of time";
    const SUMMARY: &'static str = "Each user may place a number of orders, or order a number of units, per calendar day, week or month, per window of one length, or in any stretch of one length.";
    const REASONS: &'static [Reason] = &[LIMIT];

    fn examples() -> Vec<Example> {
        vec![calendar(), week(), month(), tumbling(), rolling(), per_sku()]
    }

    fn compile(context: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        check(&params)?;
        let cost = params.count.cost();
        let (per, key) = match params.per {
            Per::User => ("per-user", vec![user()]),
            Per::UserAndSku => ("per-user-and-sku", vec![user(), sku()]),
        };
        let id = counter_id(&[params.count.noun(), per, &params.window.slug(context)]);
        let limit = i64::from(params.limit);
        let mut plan = Plan::new();
        let counter = plan.counter(id, key, params.window.window(context), &cost);
        plan.require((counter.used() + cost).le(limit), &LIMIT, sentence(&params))
            .measure(counter, limit);
        Ok(plan)
    }
}

fn check(params: &Params) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    params.window.check("/window", &mut problems);
    if params.count == Count::Orders {
        params.window.check_limit("/limit", params.limit, &mut problems);
    }
    refuse(problems)
}

/// "Each user may place at most 2 orders per day in Asia/Shanghai."
fn sentence(params: &Params) -> String {
    let of = match params.per {
        Per::User => "",
        Per::UserAndSku => " of each SKU",
    };
    let what = params.count.at_most(params.limit);
    format!("Each user may {what}{of} {}.", params.window.words())
}

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const MILLISECOND: Duration = Duration::from_millis(1);

// Campaigns of examples open at midnight UTC of Thursday, 2026-01-01.

fn calendar() -> Example {
    let params = json!({"limit": 1, "window": {"day": "Asia/Kolkata"}});
    let midnight = 18 * HOUR + 30 * MINUTE;
    Example::new("one order per day, from midnight in India", params)
        .admits(Order::by("ann"))
        .rejects(Order::by("ann").after(midnight - MILLISECOND), &LIMIT)
        .admits(Order::by("bob").after(midnight - MILLISECOND))
        .admits(Order::by("ann").after(midnight))
        .rejects(Order::by("ann").after(midnight), &LIMIT)
}

fn week() -> Example {
    let params = json!({"limit": 2, "window": {"week": "UTC"}, "count": "units"});
    let monday = 4 * 24 * HOUR;
    Example::new("two units per week, from Monday", params)
        .open_for(7 * 24 * HOUR)
        .rejects(Order::by("ann").units(3), &LIMIT)
        .admits(Order::by("ann").units(2))
        .rejects(Order::by("ann").after(monday - MILLISECOND), &LIMIT)
        .admits(Order::by("ann").after(monday))
}

fn month() -> Example {
    let params = json!({"limit": 1, "window": {"month": "UTC"}});
    let february = 31 * 24 * HOUR;
    Example::new("one order per month", params)
        .open_for(60 * 24 * HOUR)
        .admits(Order::by("ann"))
        .rejects(Order::by("ann").after(february - MILLISECOND), &LIMIT)
        .admits(Order::by("ann").after(february))
}

fn tumbling() -> Example {
    let params =
        json!({"limit": 1, "window": {"tumbling": {"length": "15m", "from": "2026-01-01T00:05:00Z"}}});
    Example::new("one order per quarter of an hour, from five past", params)
        .admits(Order::by("ann"))
        .rejects(Order::by("ann").after(5 * MINUTE - MILLISECOND), &LIMIT)
        .admits(Order::by("ann").after(5 * MINUTE))
        .rejects(Order::by("ann").after(20 * MINUTE - MILLISECOND), &LIMIT)
        .admits(Order::by("ann").after(20 * MINUTE))
}

fn rolling() -> Example {
    let params = json!({"limit": 2, "window": {"rolling": "1h"}});
    Example::new("two orders in any hour, to the millisecond", params)
        .admits(Order::by("ann"))
        .admits(Order::by("ann").after(30 * MINUTE))
        .rejects(Order::by("ann").after(HOUR - MILLISECOND), &LIMIT)
        .admits(Order::by("ann").after(HOUR))
        .rejects(Order::by("ann").after(HOUR + 30 * MINUTE - MILLISECOND), &LIMIT)
        .admits(Order::by("ann").after(HOUR + 30 * MINUTE))
}

fn per_sku() -> Example {
    let params = json!({"limit": 1, "window": {"day": "UTC"}, "per": "user-and-sku"});
    Example::new("one order of each SKU per day", params)
        .sku("poster", 10)
        .admits(Order::by("ann"))
        .admits(Order::by("ann").of("poster"))
        .rejects(Order::by("ann").of("poster"), &LIMIT)
}

rushgate_rule::export!(PerWindow);
