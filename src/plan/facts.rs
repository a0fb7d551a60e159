//! What a decision was made from: the few values of the engine's state that one constraint reads.
//! With them its numbers can be shown, and the moment found at which time alone would change it,
//! without asking the engine again.

use std::collections::{BTreeMap, BTreeSet};

use super::reach::{needed, reachable_from};
use super::{Attribute, Constraint, Counter, Expr, Node, Plan, Window};

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
    /// Per constraint: what a rejection by it answers.
    pub(super) constraints: Vec<Needs>,
    /// Per constraint: whether the passing of time alone can change it.
    pub(super) timed: Vec<bool>,
    /// Per counter: what a rejection by its rolling window answers.
    pub(super) full: Vec<Needs>,
    /// What `not-open` answers.
    pub(super) early: Needs,
    /// What `inspect` answers: every counter, and what decides about limits.
    pub(super) quota: Needs,
}

impl Wanted {
    pub(super) fn of(plan: &Plan) -> Self {
        let timed: Vec<bool> = plan.constraints.iter().map(|each| is_timed(plan, each)).collect();
        let constraints = 0..plan.constraints.len();
        let early = plan.early_access.iter().map(|early| early.when);
        let early = early.chain(plan.constraints.iter().flat_map(Constraint::condition));
        let quota = plan.constraints.iter().filter_map(|constraint| {
            let limit = constraint.measure?.limit;
            Some(constraint.when.into_iter().chain([limit]))
        });
        Self {
            constraints: constraints
                .map(|index| constraint_needs(plan, index, timed[index]))
                .collect(),
            full: (0..plan.counters.len())
                .map(|counter| full_needs(plan, counter))
                .collect(),
            early: Needs::of(plan, early, std::iter::empty()),
            quota: Needs::of(plan, quota.flatten(), 0..plan.counters.len() as u32),
            timed,
        }
    }
}

/// The numbers need the limit and the measured counter. Whether a retry can help, and when, needs everything that the
/// constraints are computed from, in whatever order they are asked; nothing of that where this one refuses for good.
fn constraint_needs(plan: &Plan, index: usize, timed: bool) -> Needs {
    let constraint = &plan.constraints[index];
    let measure = constraint.measure;
    let mut roots: Vec<Node> = measure.map(|measure| measure.limit).into_iter().collect();
    let mut counters: Vec<u32> = measure.map(|measure| measure.counter).into_iter().collect();
    if timed || constraint.retryable {
        roots.extend(plan.constraints.iter().flat_map(Constraint::condition));
        counters.extend(rolling(plan, 0));
    }
    Needs::of(plan, roots.into_iter(), counters.into_iter())
}

/// The windows that are asked from this one on.
fn full_needs(plan: &Plan, counter: usize) -> Needs {
    Needs::of(plan, std::iter::empty(), rolling(plan, counter))
}

fn rolling(plan: &Plan, from: usize) -> impl Iterator<Item = u32> {
    let counters = (0..).zip(&plan.counters).skip(from);
    let rolling = counters.filter(|(_, counter)| matches!(counter.window, Window::Rolling { .. }));
    rolling.map(|(index, _)| index)
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
