//! Ceilings: what a counter may hold once an order is counted, as far as that follows from the order alone.
//!
//! The database holds landed orders against them, in whatever order they land. For that a ceiling must be certain:
//! only constraints of the form `counter + … <= …` (or `<`, or `==`) give one, whose other parts read neither counters
//! nor stock nor lists. Every other constraint gives none.

use super::reach::{conjuncts, needed, reachable_from};
use super::{Constraint, Expr, Node, Plan};

/// `counter <= Σ terms`, less one where `strict`, for every order that `when` applies to, before it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ceiling {
    pub(super) counter: u32,
    pub(super) when: Option<Node>,
    /// Sign and node.
    pub(super) terms: Vec<(i64, Node)>,
    pub(super) strict: bool,
}

impl Ceiling {
    /// Whether it follows from how many units there are.
    pub(super) fn follows_stock(&self, plan: &Plan) -> bool {
        let terms = self.terms.iter().map(|(_, node)| *node);
        let reached = reachable_from(plan, self.when.into_iter().chain(terms));
        needed(plan, &reached).any(|expr| matches!(expr, Expr::Stock))
    }
}

/// Every ceiling of a plan.
pub(super) fn ceilings(plan: &Plan) -> Vec<Ceiling> {
    let stateful = stateful(plan);
    let certain = plan
        .constraints
        .iter()
        .filter(|constraint| constraint.when.is_none_or(|when| !stateful[when as usize]));
    certain
        .flat_map(|constraint| {
            let parts = conjuncts(plan, constraint.require).into_iter();
            parts.filter_map(|part| ceiling(plan, &stateful, constraint.when, part))
        })
        .collect()
}

/// Whether the database holds landed orders against everything that a constraint counts. Counts of other subjects, sums of
/// them and units left have no ceiling: only the script enforces them.
pub(super) fn is_held(plan: &Plan, constraint: &Constraint) -> bool {
    let counting = inherited(plan, |expr| matches!(expr, Expr::Counter(_) | Expr::Remaining));
    if !constraint.condition().any(|node| counting[node as usize]) {
        return true;
    }
    let stateful = stateful(plan);
    let mut parts = conjuncts(plan, constraint.require).into_iter();
    constraint.when.is_none_or(|when| !stateful[when as usize])
        && parts
            .all(|part| !counting[part as usize] || ceiling(plan, &stateful, constraint.when, part).is_some())
}

/// Which nodes are computed from more than the order and the clock.
fn stateful(plan: &Plan) -> Vec<bool> {
    inherited(plan, |expr| {
        matches!(expr, Expr::Counter(_) | Expr::Remaining | Expr::Member { .. })
    })
}

/// Which nodes are such expressions, or computed from one.
fn inherited(plan: &Plan, is: impl Fn(&Expr) -> bool) -> Vec<bool> {
    let mut inherited: Vec<bool> = Vec::with_capacity(plan.nodes.len());
    for expr in &plan.nodes {
        let by_operand = expr.operands().any(|operand| inherited[operand as usize]);
        inherited.push(is(expr) || by_operand);
    }
    inherited
}

fn ceiling(plan: &Plan, stateful: &[bool], when: Option<Node>, node: Node) -> Option<Ceiling> {
    let form = |small, large| form(plan, stateful, small, large);
    let (counter, terms) = match plan.nodes[node as usize] {
        Expr::Le(a, b) | Expr::Lt(a, b) => form(a, b),
        Expr::Eq(a, b) => form(a, b).or_else(|| form(b, a)),
        _ => None,
    }?;
    Some(Ceiling {
        counter,
        when,
        terms,
        strict: matches!(plan.nodes[node as usize], Expr::Lt(..)),
    })
}

/// Solves `small <= large` for the one counter that is added, once, on the smaller side.
fn form(plan: &Plan, stateful: &[bool], small: Node, large: Node) -> Option<(u32, Vec<(i64, Node)>)> {
    let (mut counter, mut terms) = (None, Vec::new());
    let mut open = vec![(1, small), (-1, large)];
    // A sum that takes many more steps than there are nodes shares its parts again and again: it gives no ceiling.
    let mut steps = 2 * plan.nodes.len();
    while let Some((sign, node)) = open.pop() {
        steps = steps.checked_sub(1)?;
        if !stateful[node as usize] {
            terms.push((-sign, node));
            continue;
        }
        match plan.nodes[node as usize] {
            Expr::Counter(index) if sign == 1 && counter.is_none() => counter = Some(index),
            Expr::Add(a, b) => open.extend([(sign, a), (sign, b)]),
            Expr::Sub(a, b) => open.extend([(sign, a), (-sign, b)]),
            _ => return None,
        }
    }
    Some((counter?, terms))
}

#[cfg(test)]
mod tests;
