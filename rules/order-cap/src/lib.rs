//! How many units one order may have: at most, at least, and only whole packs.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use rushgate_rule::{
    Bool, Context, Diagnostic, Example, Order, Plan, Reason, Rule, json, listed, quantity, refuse, schemars,
    sku,
};
use schemars::JsonSchema;
use serde::Deserialize;

const TOO_LARGE: Reason = Reason::new(
    "order-too-large",
    "The order has more units than one order may have",
);
const TOO_SMALL: Reason = Reason::new(
    "order-too-small",
    "The order has fewer units than an order must have",
);
const NOT_WHOLE_PACKS: Reason = Reason::new(
    "not-whole-packs",
    "The units of the order do not fill whole packs",
);

/// Parameters of order-cap.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Units one order may have at most.
    #[schemars(range(min = 1, max = 1_000_000))]
    max: Option<u32>,
    /// Units one order must have at least.
    #[schemars(range(min = 1, max = 1_000_000))]
    min: Option<u32>,
    /// Units of a pack: an order is for whole packs.
    #[schemars(range(min = 2, max = 1_000_000))]
    pack: Option<u32>,
    /// The SKUs this is about; every SKU where it is left out.
    #[schemars(length(min = 1, max = 100))]
    skus: Option<Vec<String>>,
}

struct OrderCap;

impl Rule for OrderCap {
    type Params = Params;

    const ID: &'static str = "order-cap";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Units per order";
    const SUMMARY: &'static str =
        "One order may have so many units at most and at least, and only whole packs.";
    const REASONS: &'static [Reason] = &[TOO_LARGE, TOO_SMALL, NOT_WHOLE_PACKS];

    fn examples() -> Vec<Example> {
        let units = |units| Order::by("ann").units(units);
        vec![
            Example::new("at most three units", json!({"max": 3}))
                .admits(units(3))
                .rejects(units(4), &TOO_LARGE),
            Example::new(
                "two to twelve units in packs of two",
                json!({"min": 4, "max": 12, "pack": 2}),
            )
            .rejects(units(2), &TOO_SMALL)
            .admits(units(4))
            .rejects(units(5), &NOT_WHOLE_PACKS)
            .admits(units(12))
            .rejects(units(14), &TOO_LARGE),
            Example::new("only of one SKU", json!({"pack": 6, "skus": ["bottle"]}))
                .sku("bottle", 60)
                .admits(units(1))
                .admits(units(6).of("bottle"))
                .rejects(units(7).of("bottle"), &NOT_WHOLE_PACKS),
        ]
    }

    fn compile(context: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        check(context, &params)?;
        let Params { max, min, pack, skus } = params;
        let of = skus.as_deref().map_or_else(String::new, |skus| {
            let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
            format!(" of {}", listed(&skus))
        });
        let mut plan = Plan::new();
        let mut require = |condition: Bool<_>, reason, sentence| {
            let constraint = plan.require(condition, reason, sentence);
            if let Some(skus) = &skus {
                constraint.when(sku().one_of(skus.iter().map(String::as_str)));
            }
        };
        if let Some(max) = max {
            let sentence = format!("An order{of} has at most {max} units.");
            require(quantity().le(i64::from(max)), &TOO_LARGE, sentence);
        }
        if let Some(min) = min {
            let sentence = format!("An order{of} has at least {min} units.");
            require(quantity().ge(i64::from(min)), &TOO_SMALL, sentence);
        }
        if let Some(pack) = pack {
            let sentence = format!("An order{of} is for whole packs of {pack} units.");
            require(
                quantity().modulo(i64::from(pack)).equals(0),
                &NOT_WHOLE_PACKS,
                sentence,
            );
        }
        Ok(plan)
    }
}

fn check(context: &Context, params: &Params) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut problem = |pointer: &str, code, message: String, hint: String| {
        problems.push(Diagnostic::error(pointer, code, message).hint(hint));
    };
    let Params { max, min, pack, skus } = params;
    if max.is_none() && min.is_none() && pack.is_none() {
        problem(
            "",
            "nothing-limited",
            "no parameter limits anything".into(),
            "give max, min or pack".into(),
        );
    }
    if let (Some(max), Some(min)) = (*max, *min)
        && min > max
    {
        let message = format!("at least {min} units and at most {max} is never possible");
        problem(
            "/min",
            "min-over-max",
            message,
            format!("min is at most max, {max}"),
        );
    }
    if let (Some(max), Some(pack)) = (*max, *pack)
        && !max.is_multiple_of(pack)
    {
        let largest = max / pack * pack;
        let message = format!("{max} units are no whole packs of {pack}");
        let hint = match largest {
            0 => format!("the smallest order is one pack: make max at least {pack}"),
            _ => format!(
                "the largest order would be {largest}: make max {largest} or {}",
                largest + pack
            ),
        };
        problem("/max", "max-not-whole-packs", message, hint);
    }
    if let (Some(min), Some(pack)) = (*min, *pack)
        && !min.is_multiple_of(pack)
    {
        let smallest = min.div_ceil(pack) * pack;
        let message = format!("{min} units are no whole packs of {pack}");
        problem(
            "/min",
            "min-not-whole-packs",
            message,
            format!("the smallest order would be {smallest}: make min {smallest}"),
        );
    }
    for (index, id) in skus.iter().flatten().enumerate() {
        let pointer = format!("/skus/{index}");
        if !context.skus.iter().any(|sku| sku.id == *id) {
            let sold: Vec<&str> = context.skus.iter().take(8).map(|sku| sku.id.as_str()).collect();
            let hint = format!("it sells {}", sold.join(", "));
            problem(
                &pointer,
                "unknown-sku",
                format!("the campaign sells no SKU {id:?}"),
                hint,
            );
        }
        if skus.iter().flatten().take(index).any(|other| other == id) {
            problem(
                &pointer,
                "duplicate",
                format!("the SKU {id:?} is there twice"),
                "name it once".into(),
            );
        }
    }
    refuse(problems)
}

rushgate_rule::export!(OrderCap);
