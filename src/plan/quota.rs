//! What one buyer has used and still has under each constraint of a plan.

use std::collections::BTreeSet;

use super::explain::enforced;
use super::facts::Facts;
use super::reach::{needed, reachable_from};
use super::run::{Run, Source};
use super::window::falls_at;
use super::{Attribute, CheckedPlan, Constraint, Expr};
use crate::order::Attempt;

/// One constraint as it stands for one buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// `<rule>/<reason>`.
    pub constraint: String,
    pub sentence: String,
    /// What the plan enforces, in the host's words.
    pub enforced: String,
    /// `None` where the constraint does not count, or something is missing.
    pub numbers: Option<Numbers>,
    /// Attributes that decide about the numbers and were not given.
    pub missing: Vec<Attribute>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub used: i64,
    pub limit: i64,
    /// When time alone next lowers what is used, if that is before closing, milliseconds since
    /// 1970-01-01 UTC.
    pub resets_at: Option<i64>,
}

impl Numbers {
    pub fn remaining(&self) -> i64 {
        self.limit.saturating_sub(self.used).max(0)
    }
}

/// Every constraint that applies to the buyer, in order. `attempt` is as if ordering, `given` says which
/// attributes it really has. Facts: [`CheckedPlan::quota_needs`].
pub fn quota(
    plan: &CheckedPlan,
    facts: &Facts,
    attempt: &Attempt,
    given: impl Fn(&Attribute) -> bool,
) -> Vec<Allowance> {
    let mut run = Run::new(plan, Source::Facts(facts), attempt, facts.taken_at);
    let constraints = plan.plan().constraints.iter();
    constraints
        .filter_map(|constraint| {
            let missing: Vec<Attribute> = reads(plan, constraint)
                .into_iter()
                .filter(|attribute| !given(attribute))
                .collect();
            let applies = constraint.when.is_none_or(|when| run.bool(when));
            if missing.is_empty() && !applies {
                return None;
            }
            let numbers = constraint.measure.filter(|_| missing.is_empty()).map(|measure| {
                let falls_at = falls_at(plan, facts, measure.counter, facts.taken_at);
                Numbers {
                    used: run.used(measure.counter),
                    limit: run.int(measure.limit),
                    resets_at: falls_at.filter(|at| *at < plan.context().schedule.closes_at),
                }
            });
            Some(Allowance {
                constraint: constraint.name(),
                sentence: constraint.sentence.clone(),
                enforced: enforced(plan, constraint),
                numbers,
                missing,
            })
        })
        .collect()
}

/// Attributes that decide whether a constraint applies, and about its numbers.
fn reads(plan: &CheckedPlan, constraint: &Constraint) -> BTreeSet<Attribute> {
    let parts = plan.plan();
    let limit = constraint.measure.map(|measure| measure.limit);
    let reached = reachable_from(parts, constraint.when.into_iter().chain(limit));
    let mut counters: BTreeSet<u32> = constraint.measure.iter().map(|measure| measure.counter).collect();
    let mut read = BTreeSet::new();
    for expr in needed(parts, &reached) {
        match expr {
            Expr::Attribute(attribute) | Expr::Member { of: attribute, .. } => {
                read.insert(attribute.clone());
            }
            Expr::Remaining | Expr::Stock => drop(read.insert(Attribute::Sku)),
            Expr::Counter(counter) => drop(counters.insert(*counter)),
            _ => {}
        }
    }
    let keys = counters
        .iter()
        .flat_map(|counter| &parts.counters[*counter as usize].key);
    read.extend(keys.cloned());
    read
}
