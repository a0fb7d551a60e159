//! Whether anybody can have been admitted with an order: what a plan says without counts, stock and lists.
//!
//! It follows from the plan, the attempt and the moment alone, so whoever finds an order can ask it again. What it
//! does not refuse may have been refused all the same: by a count, by the stock, by a list.

use super::ceiling::conjuncts;
use super::nodes::{Nodes, Reads};
use super::run::{Run, Source};
use super::{Attribute, CheckedPlan, Node, Plan};
use crate::order::Attempt;

/// Why nobody can have been admitted with an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Impossible {
    /// It lacks an attribute that every order must carry.
    Missing(Attribute),
    /// It was placed before the opening, and no early access lets this buyer in by then.
    NotOpen,
    /// Index into the constraints of the plan: one that refuses it, whatever has been counted.
    Constraint(u32),
}

/// The parts of a plan that are computed from nothing but the order and the clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Certain {
    parts: Vec<Part>,
    /// One per early access: whether its condition is such a part.
    early: Vec<bool>,
}

/// Something that must hold, wherever `when` does, for its constraint to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    constraint: u32,
    when: Option<Node>,
    require: Node,
}

impl Certain {
    pub(super) fn of(plan: &Plan, nodes: &Nodes) -> Self {
        let is_certain = |node: &Node| {
            let Reads {
                counters,
                stock,
                clock: _,
                audiences,
            } = nodes.reads[*node as usize];
            !counters && !stock && !audiences
        };
        let constraints = (0..).zip(&plan.constraints);
        let parts = constraints
            .filter(|(_, constraint)| constraint.when.as_ref().is_none_or(is_certain))
            .flat_map(|(index, constraint)| {
                let parts = conjuncts(plan, constraint.require).into_iter().filter(is_certain);
                parts.map(move |require| Part {
                    constraint: index,
                    when: constraint.when,
                    require,
                })
            });
        Self {
            parts: parts.collect(),
            early: plan
                .early_access
                .iter()
                .map(|early| is_certain(&early.when))
                .collect(),
        }
    }
}

/// Why nobody can have been admitted with this attempt at `now`, milliseconds since 1970-01-01 UTC. The opening is
/// taken to be `slack_ms` earlier. Closing, SKU and stock are not looked at.
pub fn impossible(plan: &CheckedPlan, attempt: &Attempt, now: i64, slack_ms: i64) -> Option<Impossible> {
    let required = &plan.plan.required;
    if let Some(missing) = required.iter().find(|of| attempt.text(of).is_empty()) {
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
