//! What a decision was made from: the few values of the engine's state that one constraint reads.
//! With them its numbers can be shown, and the moment found at which time alone would change it,
//! without asking the engine again.

use std::collections::{BTreeMap, BTreeSet};

use super::reach::{needed, reachable_from};
use super::{Attribute, Constraint, Counter, Expr, Node, Plan, Window};
use crate::campaign::Paused;

/// Which facts are wanted, in the order the scripts answer them: units left, counters, lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Units left of the order's SKU.
    pub remaining: bool,
    /// Indices of counters, rising.
    pub counters: Vec<u32>,
    /// Uploaded lists, each with the attribute that is looked up.
    pub members: Vec<(String, Attribute)>,
}

/// What one subject has used of one counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Count {
    Units(i64),
    /// Moment and cost of every order a rolling window still counts, in the order of admission.
    Rolling(Vec<(i64, i64)>),
}

/// Values of [`Needs`] for one attempt at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The moment they were true, milliseconds since 1970-01-01 UTC.
    pub taken_at: i64,
    pub remaining: i64,
    /// Whether the sale is paused then; only of [`Wanted::quota`].
    pub paused: Option<Paused>,
    pub counters: BTreeMap<u32, Count>,
    /// The lists of which the attempt is a member.
    pub members: BTreeSet<(String, Attribute)>,
}

impl Needs {
    /// What the nodes are computed from, and these counters besides.
    fn of(plan: &Plan, roots: impl Iterator<Item = Node>, counters: impl Iterator<Item = u32>) -> Self {
        let reached = reachable_from(plan, roots);
        let mut counters: BTreeSet<u32> = counters.collect();
        let (mut remaining, mut members) = (false, BTreeSet::new());
        for expr in needed(plan, &reached) {
            match expr {
                Expr::Remaining => remaining = true,
                Expr::Counter(counter) => drop(counters.insert(*counter)),
                Expr::Member { audience, of } => drop(members.insert((audience.clone(), of.clone()))),
                _ => {}
            }
        }
        Self {
            remaining,
            counters: counters.into_iter().collect(),
            members: members.into_iter().collect(),
        }
    }

    /// How many values these are.
    pub fn len(&self) -> usize {
        usize::from(self.remaining) + self.counters.len() + self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What each answer of a plan's scripts carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Per constraint: whether the passing of time alone can change it.
    pub(super) timed: Vec<bool>,
    /// Per constraint: what its numbers need.
    pub(super) numbers: Vec<Needs>,
    /// What it takes to say whether a retry can help, and when: everything an order is refused by besides schedule and
    /// stock.
    pub(super) retry: Needs,
    /// What `inspect` answers: the same, units left, and every counter.
    pub(super) quota: Needs,
}

impl Wanted {
    pub(super) fn of(plan: &Plan) -> Self {
        let all = 0..plan.counters.len() as u32;
        Self {
            timed: plan.constraints.iter().map(|each| is_timed(plan, each)).collect(),
            numbers: plan.constraints.iter().map(|each| numbers(plan, each)).collect(),
            retry: Needs::of(plan, decisive_nodes(plan), decisive_counters(plan)),
            quota: Needs {
                remaining: true,
                ..Needs::of(plan, decisive_nodes(plan), all)
            },
        }
    }
}

/// The limit and the measured counter.
fn numbers(plan: &Plan, constraint: &Constraint) -> Needs {
    let limit = constraint.measure.map(|measure| measure.limit);
    let counter = constraint.measure.map(|measure| measure.counter);
    Needs::of(plan, limit.into_iter(), counter.into_iter())
}

/// The nodes that decide whether an order is refused, and what numbers are shown: those of all constraints, their limits, and
/// who comes early.
fn decisive_nodes(plan: &Plan) -> impl Iterator<Item = Node> {
    let early = plan.early_access.iter().map(|early| early.when);
    let conditions = plan.constraints.iter().flat_map(Constraint::condition);
    let limits = plan.constraints.iter().filter_map(|each| each.measure);
    let limits = limits.map(|measure| measure.limit);
    conditions.chain(limits).chain(early)
}

/// Counters that are shown with a rejection, and rolling ones: one that is full rejects.
fn decisive_counters(plan: &Plan) -> impl Iterator<Item = u32> {
    let measured = plan.constraints.iter().filter_map(|each| each.measure);
    let measured = measured.map(|measure| measure.counter);
    let rolling = (0..)
        .zip(&plan.counters)
        .filter(|(_, counter)| matches!(counter.window, Window::Rolling { .. }));
    measured.chain(rolling.map(|(index, _)| index))
}

fn is_timed(plan: &Plan, constraint: &Constraint) -> bool {
    let reached = reachable_from(plan, constraint.condition());
    needed(plan, &reached).any(|expr| match expr {
        Expr::Now => true,
        Expr::Counter(counter) => falls_with_time(&plan.counters[*counter as usize]),
        _ => false,
    })
}

/// Whether a count goes down as time passes.
fn falls_with_time(counter: &Counter) -> bool {
    !matches!(counter.window, Window::Campaign)
}
