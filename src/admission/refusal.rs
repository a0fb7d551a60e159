//! Rejections with the names a client sees.

use std::borrow::Cow;
use std::time::Duration;

use crate::campaign::Paused;
use crate::order::Attempt;
use crate::plan::calendar::spoken;
use crate::plan::decision::{Measured, Rejection, Wait};
use crate::plan::unfit::{Unfit, Why};
use crate::plan::{Attribute, CheckedPlan, Window};
use crate::rejection::{Own, Reason};
use crate::ruleset::Objection;
use crate::wire::echo;

/// What a buyer is told to wait for units that may come back: orders are on their way to the database for about as long when many
/// are, and everybody who was refused comes back after it.
const UNITS_RETRY_AFTER: Duration = Duration::from_secs(5);

/// What a buyer is told to wait where nobody knows when a paused sale goes on.
const PAUSED_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Those who were refused by a pause come back spread over so long, not all in the second in which the sale goes on.
const PAUSED_SPREAD: Duration = Duration::from_secs(5);

/// When time alone would help, both by the engine's clock, milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    pub at: i64,
    /// The moment of the decision.
    pub now: i64,
}

/// A rejection with the names a client sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    /// `<rule>/<reason>` where a rule's constraint or precheck stands behind it; the counter of a window that is full.
    pub constraint: Option<String>,
    /// Sentence for the buyer.
    pub detail: Cow<'static, str>,
    pub retryable: bool,
    /// When time alone would help.
    pub retry: Option<Retry>,
    /// How long to wait where something else may help, and nobody knows when.
    pub retry_after: Option<Duration>,
    /// (used, limit) where the constraint measures.
    pub measure: Option<(i64, i64)>,
    /// JSON pointer into the order, for `attribute-missing`.
    pub pointer: Option<String>,
}

impl Refusal {
    fn own(reason: impl Into<Reason>, detail: impl Into<Cow<'static, str>>, retryable: bool) -> Self {
        Self {
            reason: reason.into(),
            constraint: None,
            detail: detail.into(),
            retryable,
            retry: None,
            retry_after: None,
            measure: None,
            pointer: None,
        }
    }

    pub fn closed() -> Self {
        Self::own(Own::Closed, "The sale is over.", false)
    }

    /// Somebody has paused the sale, as of `now`.
    fn paused(paused: Paused, now: i64) -> Self {
        let detail = match paused.resume_at {
            None => Cow::Borrowed("The sale is paused."),
            Some(at) => Cow::Owned(format!("The sale is paused until {}.", spoken(at, now, None))),
        };
        let mut refusal = Self::own(Own::Paused, detail, true);
        refusal.retry = paused.resume_at.map(|at| Retry { at, now });
        let left = |at: i64| Duration::from_millis(at.saturating_sub(now).max(0) as u64);
        let wait = paused.resume_at.map_or(PAUSED_RETRY_AFTER, left);
        refusal.retry_after = Some(wait + PAUSED_SPREAD.mul_f64(fastrand::f64()));
        refusal
    }

    /// Fewer units are left than the order asks for, and none is known to come back.
    pub(super) fn sold_out(remaining: i64) -> Self {
        let detail = match remaining {
            ..=0 => Cow::Borrowed("Every unit is sold."),
            1 => Cow::Borrowed("Only 1 unit is left."),
            n => Cow::Owned(format!("Only {n} units are left.")),
        };
        Self::own(Own::SoldOut, detail, false)
    }

    /// The same where units of orders that have not landed may come back.
    pub(super) fn taken(remaining: i64) -> Self {
        let mut refusal = Self::sold_out(remaining);
        if remaining <= 0 {
            refusal.detail = Cow::Borrowed("Every unit is taken.");
        }
        refusal.detail.to_mut().push_str(" Units may come back.");
        refusal.retryable = true;
        refusal.retry_after = Some(UNITS_RETRY_AFTER);
        refusal
    }

    /// The key was used before for an order of something else.
    pub fn key_reused() -> Self {
        Self::own(
            Own::KeyReused,
            "This Idempotency-Key belongs to an order of another body: SKU, quantity, attributes or what it replaces differ; use a new key \
             for a new order.",
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
        let constraint = format!("{rule}/{code}");
        let mut refusal = Self::own(Reason::Rule(code), title, retryable);
        refusal.constraint = Some(constraint);
        refusal
    }

    /// A precheck trapped, overran its budget or answered nonsense: the order is not admitted.
    pub(super) fn precheck_failed(rule: &str) -> Self {
        let mut refusal = Self::own(
            Own::PrecheckFailed,
            "A rule of this sale could not check the order; nothing was ordered.",
            true,
        );
        refusal.constraint = Some(format!("{rule}/{}", Own::PrecheckFailed.name()));
        refusal
    }

    /// The attempt lacks an attribute the active plan requires, of those whose values are known.
    pub(super) fn missing(
        plan: &CheckedPlan,
        attempt: &Attempt,
        is_known: impl Fn(&Attribute) -> bool,
    ) -> Option<Self> {
        let mut required = plan.plan().required.iter();
        let attribute = required.find(|each| is_known(each) && plan.text_of(each, attempt).is_empty())?;
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
        let mut refusal = Self::own(Own::AttributeMissing, detail, false);
        refusal.pointer = Some(pointer).filter(|pointer| !pointer.is_empty());
        Some(refusal)
    }

    /// The attempt has an attribute that the active rules read and cannot read. Its value is not repeated: it is of no form
    /// that could be shown.
    pub(super) fn unfit(unfit: &Unfit<'_>) -> Self {
        let Unfit { attribute, why } = *unfit;
        let what = match why {
            Why::Unreadable(why) => format!("which {why}: it cannot be read"),
            Why::NotSingle(0) => "which is an array of no element: it reads one value".to_owned(),
            Why::NotSingle(elements) => {
                format!("which is an array of {elements} elements: it reads one value")
            }
        };
        let needed = match why {
            Why::Unreadable(_) => "it is a text, a number, a truth value or an array of these",
            Why::NotSingle(_) => "it is one value",
        };
        let detail = match attribute.strip_prefix("claim:") {
            Some(claim) => format!(
                "A rule of this sale reads the claim {} of the token, {what}, so nothing was ordered. Ask whoever issued \
                 the token for one in which {needed}.",
                echo(claim)
            ),
            None => format!(
                "A rule of this sale reads the attribute {}, {what}.",
                echo(attribute)
            ),
        };
        Self::own(unfit.reason(), detail, false)
    }

    /// Names a rejection of the script, made at `now`.
    pub(super) fn named(plan: &CheckedPlan, rejection: &Rejection, now: i64) -> Self {
        match rejection {
            Rejection::NotOpen { wait } => {
                let refusal = Self::own(Own::NotOpen, "The sale has not opened yet.", true);
                refusal.until(*wait, now)
            }
            Rejection::Closed => Self::closed(),
            Rejection::UnknownSku => {
                let mut refusal = Self::own(Own::UnknownSku, "The campaign does not sell this SKU.", false);
                refusal.pointer = Some("/sku".to_owned());
                refusal
            }
            Rejection::Paused(paused) => Self::paused(*paused, now),
            Rejection::SoldOut { remaining } => Self::sold_out(*remaining),
            Rejection::WindowFull { counter, wait } => {
                let id = &plan.plan().counters[*counter as usize].id;
                let detail = "Too many orders in this rolling window to be counted.";
                let mut refusal = Self::own(Own::WindowFull, detail, true);
                refusal.constraint = Some(id.clone());
                refusal.until(*wait, now)
            }
            Rejection::Constraint { index, measure, wait } => {
                Self::by_constraint(plan, *index, *measure, (*wait, now))
            }
        }
    }

    /// The same, for as long as everything refuses the order.
    fn until(mut self, wait: Wait, now: i64) -> Self {
        self.retryable = wait.ends();
        self.retry = wait.until().map(|at| Retry { at, now });
        self
    }

    fn by_constraint(
        plan: &CheckedPlan,
        index: u32,
        measure: Option<Measured>,
        (wait, now): (Wait, i64),
    ) -> Self {
        let constraint = &plan.plan().constraints[index as usize];
        let zone = constraint.measure.and_then(|measure| zone(plan, measure.counter));
        let mut numbers = Vec::new();
        numbers.extend(measure.map(|m| format!("{} of {} used", m.used, m.limit)));
        numbers.extend(
            wait.until()
                .map(|at| format!("next at {}", spoken(at, now, zone))),
        );
        let detail = match numbers.is_empty() {
            true => constraint.sentence.clone(),
            false => format!("{} ({})", constraint.sentence, numbers.join(", ")),
        };
        let refusal = Self {
            reason: Reason::Rule(constraint.reason.clone()),
            constraint: Some(constraint.name()),
            detail: detail.into(),
            retryable: false,
            retry: None,
            retry_after: None,
            measure: measure.map(|m| (m.used, m.limit)),
            pointer: None,
        };
        refusal.until(wait, now)
    }
}

/// The time zone a counter's windows follow.
fn zone(plan: &CheckedPlan, counter: u32) -> Option<&str> {
    match &plan.plan().counters[counter as usize].window {
        Window::Calendar { zone, .. } => Some(zone),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::check;
    use crate::plan::samples::samples;

    fn plan(name: &str) -> CheckedPlan {
        let sample = samples()
            .into_iter()
            .find(|sample| sample.name == name)
            .expect(name);
        check(sample.plan, sample.context).expect("passes")
    }

    fn named(plan: &CheckedPlan, after: i64, retry_after: Option<i64>) -> Refusal {
        let opens_at = plan.context().schedule.opens_at;
        let rejection = Rejection::Constraint {
            index: 0,
            measure: Some(Measured { used: 2, limit: 2 }),
            wait: retry_after.map_or(Wait::Forever, |after| Wait::Until(opens_at + after)),
        };
        Refusal::named(plan, &rejection, opens_at + after)
    }

    #[test]
    fn the_detail_names_the_numbers_and_the_local_time_of_the_next_try() {
        let hour = 3_600_000;
        // Midnight in Berlin, in the night in which the clocks skip an hour.
        let daily = plan("per day across the clock change in spring");
        let refusal = named(&daily, 2 * hour, Some(11 * hour));
        assert!(
            refusal
                .detail
                .ends_with(" (2 of 2 used, next at 00:00 Europe/Berlin)"),
            "{}",
            refusal.detail
        );
        assert_eq!((refusal.retryable, refusal.measure), (true, Some((2, 2))));
        let rolling = plan("rolling window");
        for (retry_after, words) in [
            (1, "12:00:01 UTC"),
            (60_000, "12:01 UTC"),
            (25 * hour, "2026-03-29 13:00 UTC"),
        ] {
            let detail = named(&rolling, 0, Some(retry_after)).detail;
            assert!(detail.ends_with(&format!("used, next at {words})")), "{detail}");
        }
    }
}
