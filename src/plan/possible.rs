//! Whether anybody can have been admitted with an order: what a plan says without counts, stock and lists.
//!
//! It follows from the plan, the attempt and the moment alone, so whoever finds an order can ask it again. What it
//! does not refuse may have been refused all the same: by a count, by the stock, by a list.

use super::Attribute;
use super::checked::CheckedPlan;
use super::run::{Run, Source};
use crate::order::Attempt;

/// Why nobody can have been admitted with an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Impossible {
    /// It has an attribute, by its text form, that the plan reads and cannot read.
    Unfit(String),
    /// It lacks an attribute that every order must carry.
    Missing(Attribute),
    /// It was placed before the opening, and no early access lets this buyer in by then.
    NotOpen,
    /// Index into the constraints of the plan: one that refuses it, whatever has been counted.
    Constraint(u32),
}

/// Why nobody can have been admitted with this attempt at `now`, milliseconds since 1970-01-01 UTC. The opening is
/// taken to be `slack_ms` earlier. Closing, SKU and stock are not looked at.
pub fn impossible(plan: &CheckedPlan, attempt: &Attempt, now: i64, slack_ms: i64) -> Option<Impossible> {
    if let Some(unfit) = plan.reads.unfit(&attempt.attributes) {
        return Some(Impossible::Unfit(unfit.attribute.to_owned()));
    }
    if let Some(missing) = plan.missing(attempt) {
        return Some(Impossible::Missing(missing.clone()));
    }
    let mut run = Run::new(plan, Source::Nothing, attempt, now);
    let opens_at = plan.context.schedule.opens_at - slack_ms;
    if now < opens_at {
        let mut early = plan.plan.early_access.iter().zip(&plan.certain.early);
        let lets_in = early
            .any(|(early, certain)| now >= opens_at - early.lead_ms && (!certain || run.bool(early.when)));
        if !lets_in {
            return Some(Impossible::NotOpen);
        }
    }
    let mut parts = plan.certain.parts.iter();
    let failed = parts.find(|part| part.when.is_none_or(|when| run.bool(when)) && !run.bool(part.require));
    failed.map(|part| Impossible::Constraint(part.constraint))
}
