//! Ceilings: what a counter may hold once an order is counted, as far as that follows from the order alone.
//!
//! The database holds landed orders against them, in whatever order they land. For that a ceiling must be certain:
//! only constraints of the form `counter + … <= …` (or `<`, or `==`) give one, whose other parts read neither counters
//! nor stock nor lists. Every other constraint gives none.

use std::collections::BTreeSet;

use super::reach::{needed, reachable_from};
use super::run::Run;
use super::{CheckedPlan, Expr, Node, Plan};

/// `counter <= Σ terms`, less one where `strict`, for every order that `when` applies to, before it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ceiling {
    counter: u32,
    when: Option<Node>,
    /// Sign and node.
    terms: Vec<(i64, Node)>,
    strict: bool,
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

/// The least that the ceilings of a counter allow it before the order of `run` is counted.
pub(super) fn before(plan: &CheckedPlan, counter: u32, run: &mut Run<'_>) -> Option<i64> {
    let ceilings = plan.ceilings.iter().filter(|ceiling| ceiling.counter == counter);
    ceilings
        .filter_map(|ceiling| {
            let applies = ceiling.when.is_none_or(|when| run.bool(when));
            applies.then(|| {
                let terms = ceiling.terms.iter();
                let sum = terms.fold(0_i64, |sum, (sign, node)| {
                    sum.saturating_add(sign.saturating_mul(run.int(*node)))
                });
                sum - i64::from(ceiling.strict)
            })
        })
        .min()
}

impl CheckedPlan {
    /// Counters whose ceilings follow from how many units there are: other ones after stock was added or taken.
    pub fn limited_by_stock(&self) -> BTreeSet<String> {
        let follows = |ceiling: &&Ceiling| {
            let terms = ceiling.terms.iter().map(|(_, node)| *node);
            let reached = reachable_from(&self.plan, ceiling.when.into_iter().chain(terms));
            needed(&self.plan, &reached).any(|expr| matches!(expr, Expr::Stock))
        };
        let counters = self.ceilings.iter().filter(follows);
        counters
            .map(|ceiling| self.plan.counters[ceiling.counter as usize].id.clone())
            .collect()
    }
}

/// Which nodes are computed from more than the order and the clock.
fn stateful(plan: &Plan) -> Vec<bool> {
    let mut stateful: Vec<bool> = Vec::with_capacity(plan.nodes.len());
    for expr in &plan.nodes {
        let own = matches!(expr, Expr::Counter(_) | Expr::Remaining | Expr::Member { .. });
        let inherited = expr.operands().any(|operand| stateful[operand as usize]);
        stateful.push(own || inherited);
    }
    stateful
}

/// The parts that must all hold for a condition to hold, each once: conditions share their parts, and written out one may
/// be far longer than its plan.
pub(super) fn conjuncts(plan: &Plan, root: Node) -> Vec<Node> {
    let (mut parts, mut open) = (Vec::new(), vec![root]);
    let mut seen = vec![false; plan.nodes.len()];
    while let Some(node) = open.pop() {
        if std::mem::replace(&mut seen[node as usize], true) {
            continue;
        }
        match plan.nodes[node as usize] {
            Expr::And(a, b) => open.extend([b, a]),
            _ => parts.push(node),
        }
    }
    parts
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
mod tests {
    use super::*;
    use crate::plan::check;
    use crate::plan::samples::samples;

    /// A module's plan may share its parts again and again: written out, these have 2^60 of them.
    #[test]
    fn conditions_and_sums_that_share_their_parts_end() {
        let sample = samples()
            .into_iter()
            .find(|sample| sample.name == "orders per user");
        let sample = sample.expect("there");
        let mut plan = sample.plan;
        let require = plan.constraints[0].require;
        let add = |plan: &mut Plan, expr| {
            plan.nodes.push(expr);
            plan.nodes.len() as Node - 1
        };
        let mut all = require;
        for _ in 0..60 {
            all = add(&mut plan, Expr::And(all, all));
        }
        plan.constraints[0].require = all;
        let checked = check(plan.clone(), sample.context.clone()).expect("passes");
        assert_eq!(
            checked.ceilings.len(),
            1,
            "the condition is one, however often it stands there"
        );
        let counter = add(&mut plan, Expr::Counter(0));
        let mut sum = add(&mut plan, Expr::Sub(counter, counter));
        for _ in 0..60 {
            sum = add(&mut plan, Expr::Sub(sum, sum));
        }
        let limit = add(&mut plan, Expr::Int(2));
        plan.constraints[0].require = add(&mut plan, Expr::Le(sum, limit));
        // Its numbers are beyond every bound, so that it is refused; what counts is that this is found out.
        assert!(check(plan, sample.context).is_err());
    }
}
