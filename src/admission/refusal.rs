//! Rejections with the names a client sees.

use crate::order::Attempt;
use crate::plan::eval::Rejection;
use crate::plan::{Attribute, CheckedPlan};
use crate::ruleset::Objection;

const PRECHECK_FAILED: &str = "precheck-failed";

/// The reason of an attempt whose `Idempotency-Key` belongs to another order.
pub(super) const KEY_REUSED: &str = "key-reused";

/// A rejection with the names a client sees. `reason` is one of the gateway's own (`not-open`,
/// `closed`, `sold-out`, `unknown-sku`, `window-full`, `attribute-missing`, `key-reused`,
/// `precheck-failed`) or a module's reason code, in which case `constraint` is `<rule>/<reason>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: String,
    pub constraint: Option<String>,
    /// Sentence for the buyer.
    pub detail: String,
    pub retryable: bool,
    /// When time alone would help, milliseconds since 1970-01-01 UTC.
    pub retry_at: Option<i64>,
    /// (used, limit) where the constraint measures.
    pub measure: Option<(i64, i64)>,
    /// JSON pointer into the order, for `attribute-missing`.
    pub pointer: Option<String>,
}

impl Refusal {
    fn own(reason: &str, detail: impl Into<String>, retryable: bool) -> Self {
        Self {
            reason: reason.to_owned(),
            constraint: None,
            detail: detail.into(),
            retryable,
            retry_at: None,
            measure: None,
            pointer: None,
        }
    }

    pub(super) fn closed() -> Self {
        Self::own("closed", "The sale is over.", false)
    }

    pub(super) fn sold_out(remaining: i64) -> Self {
        let detail = match remaining {
            ..=0 => "Every unit is sold.".to_owned(),
            1 => "Only 1 unit is left.".to_owned(),
            n => format!("Only {n} units are left."),
        };
        Self::own("sold-out", detail, false)
    }

    /// The key was used before for an order of something else.
    pub(super) fn key_reused() -> Self {
        Self::own(
            KEY_REUSED,
            "This Idempotency-Key belongs to an order with another SKU or quantity; use a new key for a new order.",
            false,
        )
    }

    /// A precheck does not let it pass, for a reason that its module declares.
    pub(super) fn objected(rule: &str, objection: Objection) -> Self {
        let Objection {
            code,
            title,
            retryable,
        } = objection;
        let mut refusal = Self::own(&code, title, retryable);
        refusal.constraint = Some(format!("{rule}/{code}"));
        refusal
    }

    /// A precheck trapped, overran its budget or answered nonsense: the order is not admitted.
    pub(super) fn precheck_failed(rule: &str) -> Self {
        let mut refusal = Self::own(
            PRECHECK_FAILED,
            "A rule of this sale could not check the order; nothing was ordered.",
            true,
        );
        refusal.constraint = Some(format!("{rule}/{PRECHECK_FAILED}"));
        refusal
    }

    /// The attempt lacks an attribute the active plan requires.
    pub(super) fn missing(plan: &CheckedPlan, attempt: &Attempt) -> Option<Self> {
        let attribute = plan.plan().required.iter().find(|a| attempt.text(a).is_empty())?;
        let (detail, pointer) = match attribute {
            Attribute::Client(name) => (
                format!("This sale needs the attribute {name:?} in \"attributes\"."),
                format!("/attributes/{name}"),
            ),
            Attribute::Claim(name) => (
                format!("This sale needs a token with the claim {name:?}."),
                String::new(),
            ),
            other => (format!("This sale needs the attribute {other}."), String::new()),
        };
        let mut refusal = Self::own("attribute-missing", detail, false);
        refusal.pointer = Some(pointer).filter(|pointer| !pointer.is_empty());
        Some(refusal)
    }

    /// Names a rejection of the script.
    pub(super) fn named(plan: &CheckedPlan, rejection: &Rejection) -> Self {
        let schedule = plan.context().schedule;
        match rejection {
            Rejection::NotOpen => {
                let mut refusal = Self::own("not-open", "The sale has not opened yet.", true);
                refusal.retry_at = Some(schedule.opens_at);
                refusal
            }
            Rejection::Closed => Self::closed(),
            Rejection::UnknownSku => {
                let mut refusal = Self::own("unknown-sku", "The campaign does not sell this SKU.", false);
                refusal.pointer = Some("/sku".to_owned());
                refusal
            }
            Rejection::SoldOut { remaining } => Self::sold_out(*remaining),
            Rejection::WindowFull { counter } => {
                let id = &plan.plan().counters[*counter as usize].id;
                let mut refusal = Self::own(
                    "window-full",
                    "Too many orders in this rolling window to be counted.",
                    true,
                );
                refusal.constraint = Some(id.clone());
                refusal
            }
            Rejection::Constraint { index, measure } => {
                let constraint = &plan.plan().constraints[*index as usize];
                let retry_at = measure.and_then(|m| m.retry_at);
                let detail = match measure {
                    Some(m) => format!("{} ({} of {} used)", constraint.sentence, m.used, m.limit),
                    None => constraint.sentence.clone(),
                };
                Self {
                    reason: constraint.reason.clone(),
                    constraint: Some(format!("{}/{}", constraint.rule, constraint.reason)),
                    detail,
                    retryable: constraint.retryable || retry_at.is_some(),
                    retry_at,
                    measure: measure.map(|m| (m.used, m.limit)),
                    pointer: None,
                }
            }
        }
    }
}
