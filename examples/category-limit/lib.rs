//! So many units of each category per user, and one order of each limited edition: a rule that reads what the campaign says
//! of a SKU, and needs `rule2` for it.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use rushgate_rule::*;

const LIMIT: Reason = Reason::new(
    "limit-per-category",
    "This user has ordered as many units of this category as there may be",
);
const EDITION: Reason = Reason::new(
    "one-per-edition",
    "This user has ordered this limited edition before",
);

/// What the merchant writes.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Units per user of each of these categories; "" are the SKUs of which the campaign says none.
    #[serde(default)]
    limits: BTreeMap<String, u32>,
    /// Units per user of every other category. SKUs of which the campaign says none are one together.
    others: u32,
    /// Values of the attribute "edition" whose SKUs each user may order once.
    #[serde(default)]
    once: Vec<String>,
}

struct CategoryLimit;

impl Rule for CategoryLimit {
    type Params = Params;

    const ID: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Units by category";
    const SUMMARY: &'static str = "Each user may order so many units of each category of the campaign's SKUs.";
    const REASONS: &'static [Reason] = &[LIMIT, EDITION];

    /// The campaign of an example says nothing of its SKUs, so that they are all of one category, and of the edition "".
    fn examples() -> Vec<Example> {
        vec![
            Example::new(
                "two of a category",
                json!({"limits": {"mugs": 9}, "others": 2}),
            )
            .admits(Order::by("ann"))
            .rejects(Order::by("ann").units(2), &LIMIT)
            .admits(Order::by("ann"))
            .admits(Order::by("bob").units(2)),
            Example::new("one order of an edition", json!({"others": 9, "once": [""]}))
                .admits(Order::by("ann"))
                .rejects(Order::by("ann"), &EDITION)
                .admits(Order::by("bob")),
        ]
    }

    fn compile(_: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        let mut plan = Plan::new();
        let category = || sku_attribute("category");
        let units = plan.counter_by(
            counter_id(&["units-per-user-and-category"]),
            [user().into(), category().into()],
            Window::Campaign,
            quantity(),
        );
        let named: Vec<String> = params
            .limits
            .iter()
            .map(|(name, limit)| match name.as_str() {
                "" => format!("{limit} of SKUs without a category"),
                _ => format!("{limit} of {name}"),
            })
            .collect();
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        let sentence = match named.is_empty() {
            true => format!("Each user may order {} units of each category.", params.others),
            false => format!(
                "Each user may order {}, and {} units of each other category.",
                listed(&named),
                params.others
            ),
        };
        let others = i64::from(params.others);
        let limit = match params.limits.is_empty() {
            true => int(others),
            false => {
                let limits = params.limits.into_iter();
                let limits = limits.map(|(name, limit)| (name, i64::from(limit)));
                category().text().lookup(limits, others)
            }
        };
        plan.require((units.used() + quantity()).le(&limit), &LIMIT, sentence)
            .measure(units, &limit);
        if !params.once.is_empty() {
            let id = counter_id(&["orders-per-user-and-sku"]);
            let orders = plan.counter(id, [user(), sku()], Window::Campaign, 1);
            let sentence = "Each user may order a SKU of a limited edition once.";
            plan.require(orders.used().lt(1), &EDITION, sentence)
                .when(sku_attribute("edition").text().one_of(params.once));
        }
        Ok(plan)
    }
}

export!(CategoryLimit);
