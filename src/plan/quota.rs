//! What one buyer has used and still has under each constraint of a plan, and whether an order would be refused by what is
//! known of it already.

use std::collections::BTreeSet;

use super::decision::Rejection;
use super::explain::enforced;
use super::facts::Facts;
use super::reach::{needed, reachable_from};
use super::retry::{self, Scope};
use super::run::{Run, Source};
use super::window::falls_at;
use super::{Attribute, CheckedPlan, Constraint, Expr, Node};
use crate::order::Attempt;

/// One constraint as it stands for one buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// `<rule>/<reason>`.
    pub constraint: String,
    pub sentence: String,
    /// What the plan enforces, in the host's words.
    pub enforced: String,
    /// Whether it refuses the order; `None` where something is missing to say so.
    pub refused: Option<bool>,
    /// `None` where the constraint does not count, or something is missing.
    pub numbers: Option<Numbers>,
    /// Attributes that decide about it or its numbers and were not given.
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

/// An order that somebody thinks of: some of what it would say is not known.
pub struct Thought<'a, F> {
    pub plan: &'a CheckedPlan,
    /// See [`CheckedPlan::quota_needs`].
    pub facts: &'a Facts,
    pub attempt: &'a Attempt,
    /// Whether the attempt really has the attribute.
    pub given: F,
}

impl<F: Fn(&Attribute) -> bool> Thought<'_, F> {
    /// Every constraint that applies to the order, as far as that is known, in order.
    pub fn allowances(&self) -> Vec<Allowance> {
        let mut run = self.run();
        let constraints = &self.plan.plan().constraints;
        let allowances = (0..).zip(constraints).filter_map(|(index, constraint)| {
            let is_known = self.missing(constraint.when, None).is_empty();
            if is_known && constraint.when.is_some_and(|when| !run.bool(when)) {
                return None;
            }
            let undecided = self.missing(constraint.condition(), None);
            let (measure, limit) = (
                constraint.measure,
                constraint.measure.map(|measure| measure.limit),
            );
            let uncounted = self.missing(
                constraint.when.into_iter().chain(limit),
                measure.map(|m| m.counter),
            );
            let numbers = measure.filter(|_| uncounted.is_empty()).map(|measure| {
                let falls_at = falls_at(self.plan, self.facts, measure.counter, self.facts.taken_at);
                Numbers {
                    used: run.used(measure.counter),
                    limit: run.int(measure.limit),
                    resets_at: falls_at.filter(|at| *at < self.plan.context().schedule.closes_at),
                }
            });
            Some(Allowance {
                constraint: constraint.name(),
                sentence: constraint.sentence.clone(),
                enforced: enforced(self.plan, constraint),
                refused: undecided.is_empty().then(|| !run.holds(index)),
                numbers,
                missing: undecided.union(&uncounted).cloned().collect(),
            })
        });
        allowances.collect()
    }

    /// What refuses the order already, asked in the order of `lua/README.md`. What is not known to refuse it does not, so an
    /// order may be refused for another reason, or for longer.
    pub fn rejection(&self) -> Option<Rejection> {
        let (plan, facts, attempt) = (self.plan, self.facts, self.attempt);
        let (mut run, scope) = (self.run(), self.scope());
        if facts.taken_at >= plan.context().schedule.closes_at {
            return Some(Rejection::Closed);
        }
        let early = plan.plan().early_access.iter().map(|early| early.when);
        if !run.is_open() && self.missing(early, None).is_empty() {
            return Some(Rejection::NotOpen {
                wait: retry::wait(plan, facts, attempt, &scope),
            });
        }
        if let Some(paused) = facts.paused {
            return Some(Rejection::Paused(paused));
        }
        let remaining = facts.remaining;
        if (self.given)(&Attribute::Sku) && remaining < i64::from(attempt.quantity) {
            return Some(Rejection::SoldOut { remaining });
        }
        if let Some(index) = scope.constraints.iter().copied().find(|index| !run.holds(*index)) {
            let Constraint { measure, when, .. } = &plan.plan().constraints[index as usize];
            let read = when.iter().copied().chain(measure.map(|measure| measure.limit));
            let uncounted = self.missing(read, measure.map(|measure| measure.counter));
            return Some(Rejection::Constraint {
                index,
                measure: measure
                    .filter(|_| uncounted.is_empty())
                    .map(|measure| run.measured(measure)),
                wait: retry::wait(plan, facts, attempt, &scope),
            });
        }
        let full = scope
            .counters
            .iter()
            .find(|counter| retry::is_full(plan, **counter, &mut run))?;
        Some(Rejection::WindowFull {
            counter: *full,
            wait: retry::wait(plan, facts, attempt, &scope),
        })
    }

    fn run(&self) -> Run<'_> {
        Run::new(
            self.plan,
            Source::Facts(self.facts),
            self.attempt,
            self.facts.taken_at,
        )
    }

    /// What can be judged.
    fn scope(&self) -> Scope {
        let parts = self.plan.plan();
        let constraints = (0..).zip(&parts.constraints);
        let judged = constraints.filter(|(_, each)| self.missing(each.condition(), None).is_empty());
        let counters = (0..).zip(&parts.counters);
        let counted = counters.filter(|(index, each)| self.missing([each.cost], Some(*index)).is_empty());
        Scope {
            constraints: judged.map(|(index, _)| index).collect(),
            counters: counted.map(|(index, _)| index).collect(),
        }
    }

    /// Attributes that the nodes and the counter are computed from and that were not given.
    fn missing(&self, roots: impl IntoIterator<Item = Node>, counter: Option<u32>) -> BTreeSet<Attribute> {
        let mut read = reads(self.plan, roots.into_iter(), counter);
        read.retain(|attribute| !(self.given)(attribute));
        read
    }
}

/// Attributes that the nodes and the counter are computed from.
fn reads(plan: &CheckedPlan, roots: impl Iterator<Item = Node>, counter: Option<u32>) -> BTreeSet<Attribute> {
    let parts = plan.plan();
    let reached = reachable_from(parts, roots);
    let mut counters: BTreeSet<u32> = counter.into_iter().collect();
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
    // Whoever names the SKU has given its attributes, too.
    let asked = |attribute: Attribute| match attribute.is_of_sku() {
        true => Attribute::Sku,
        false => attribute,
    };
    read.into_iter().map(asked).collect()
}
