//! Each user may order so many units, or so many times, in every window of time: a calendar day, week or month,
//! windows of one length, or the last so much time before each order. Of all SKUs, of each, or of groups of them.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use rushgate_rule::params::{Count, Scope, SkuGroups, SkuList, WindowParam};
use rushgate_rule::{
    Context, Diagnostic, Example, Order, Plan, Reason, Rule, counter_id, json, refuse, schemars, user,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const LIMIT: Reason = Reason::new(
    "limit-per-window",
    "This order passes the user's limit of this window of time",
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
    /// What is counted: units, or the orders they are ordered in.
    #[serde(default = "Count::units")]
    count: Count,
    /// Whether a user has one limit, or one for every SKU.
    #[serde(default)]
    per: Per,
    /// The SKUs the limit is for, all of them together; every SKU where it is left out.
    skus: Option<SkuList>,
    /// Groups of SKUs, each with a count of its own: {"tees": ["tee-s", "tee-m"], "mugs": ["mug"]}. SKUs of no group are not
    /// limited.
    groups: Option<SkuGroups>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
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
    const SUMMARY: &'static str = "Each user may order a number of units, or place a number of orders, per calendar day, week or month, per window of one length, or in any stretch of one length.";
    const REASONS: &'static [Reason] = &[LIMIT];

    fn examples() -> Vec<Example> {
        vec![
            calendar(),
            week(),
            month(),
            tumbling(),
            rolling(),
            per_sku(),
            orders(),
            groups(),
        ]
    }

    fn compile(context: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        check(context, &params)?;
        let (limit, count, window) = (i64::from(params.limit), params.count, &params.window);
        let each = params.per == Per::UserAndSku;
        let mut plan = Plan::new();
        for scope in Scope::of(params.skus.as_ref(), params.groups.as_ref(), each) {
            let id = counter_id(&[count.noun(), &scope.slug("per-user"), &window.slug(context)]);
            let cost = scope.cost(count.cost());
            let counter = plan.counter(id, scope.key(vec![user()]), window.window(context), cost);
            let within = (counter.used() + count.cost()).le(limit);
            let sentence = sentence(&params, scope);
            let constraint = plan.require(within, &LIMIT, sentence).measure(counter, limit);
            if let Some(these) = scope.applies() {
                constraint.when(these);
            }
        }
        Ok(plan)
    }
}

fn check(context: &Context, params: &Params) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    params.window.check("/window", &mut problems);
    if params.count == Count::Orders {
        params.window.check_limit("/limit", params.limit, &mut problems);
    }
    let each = (params.per == Per::UserAndSku).then_some("/per");
    let skus = (params.skus.as_ref(), params.groups.as_ref());
    Scope::check(skus, context, "", each, &mut problems);
    refuse(problems)
}

/// "Each user may order at most 2 units of each SKU per day in Asia/Shanghai."
fn sentence(params: &Params, scope: Scope<'_>) -> String {
    let what = params.count.at_most(params.limit);
    format!("Each user may {what}{} {}.", scope.words(), params.window.words())
}

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const MILLISECOND: Duration = Duration::from_millis(1);

// Campaigns of examples open at midnight UTC of Thursday, 2026-01-01.

fn calendar() -> Example {
    let params = json!({"limit": 1, "window": {"day": "Asia/Kolkata"}});
    let midnight = 18 * HOUR + 30 * MINUTE;
    Example::new("one unit per day, from midnight in India", params)
        .admits(Order::by("ann"))
        .rejects(Order::by("ann").after(midnight - MILLISECOND), &LIMIT)
        .admits(Order::by("bob").after(midnight - MILLISECOND))
        .admits(Order::by("ann").after(midnight))
        .rejects(Order::by("ann").after(midnight), &LIMIT)
}

fn week() -> Example {
    let params = json!({"limit": 2, "window": {"week": "UTC"}});
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
    Example::new("one unit per month", params)
        .open_for(60 * 24 * HOUR)
        .admits(Order::by("ann"))
        .rejects(Order::by("ann").after(february - MILLISECOND), &LIMIT)
        .admits(Order::by("ann").after(february))
}

fn tumbling() -> Example {
    let params =
        json!({"limit": 1, "window": {"tumbling": {"length": "15m", "from": "2026-01-01T00:05:00Z"}}});
    Example::new("one unit per quarter of an hour, from five past", params)
        .admits(Order::by("ann"))
        .rejects(Order::by("ann").after(5 * MINUTE - MILLISECOND), &LIMIT)
        .admits(Order::by("ann").after(5 * MINUTE))
        .rejects(Order::by("ann").after(20 * MINUTE - MILLISECOND), &LIMIT)
        .admits(Order::by("ann").after(20 * MINUTE))
}

fn rolling() -> Example {
    let params = json!({"limit": 2, "window": {"rolling": "1h"}});
    Example::new("two units in any hour, to the millisecond", params)
        .admits(Order::by("ann"))
        .admits(Order::by("ann").after(30 * MINUTE))
        .rejects(Order::by("ann").after(HOUR - MILLISECOND), &LIMIT)
        .admits(Order::by("ann").after(HOUR))
        .rejects(Order::by("ann").after(HOUR + 30 * MINUTE - MILLISECOND), &LIMIT)
        .admits(Order::by("ann").after(HOUR + 30 * MINUTE))
}

fn per_sku() -> Example {
    let params = json!({"limit": 1, "window": {"day": "UTC"}, "per": "user-and-sku"});
    Example::new("one unit of each SKU per day", params)
        .sku("poster", 10)
        .admits(Order::by("ann"))
        .admits(Order::by("ann").of("poster"))
        .rejects(Order::by("ann").of("poster"), &LIMIT)
}

fn orders() -> Example {
    let params = json!({"limit": 1, "window": {"day": "UTC"}, "count": "orders"});
    Example::new("one order per day, of however many units", params)
        .admits(Order::by("ann").units(5))
        .rejects(Order::by("ann"), &LIMIT)
}

fn groups() -> Example {
    let params = json!({
        "limit": 2, "window": {"rolling": "1h"}, "groups": {"tees": ["tee-s", "tee-m"], "mugs": ["mug"]}
    });
    Example::new("two tees and two mugs in any hour", params)
        .sku("tee-s", 10)
        .sku("tee-m", 10)
        .sku("mug", 10)
        .admits(Order::by("ann").of("tee-s"))
        .admits(Order::by("ann").of("tee-m").after(30 * MINUTE))
        .rejects(Order::by("ann").of("tee-s").after(30 * MINUTE), &LIMIT)
        .admits(Order::by("ann").of("mug").units(2).after(30 * MINUTE))
        .admits(Order::by("ann").of("tee-s").after(HOUR))
        .admits(Order::by("ann").units(5).after(HOUR))
}

rushgate_rule::export!(PerWindow);
