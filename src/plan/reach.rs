//! Which nodes of a plan are computed from which: those that a root reaches, and the parts of a condition.

use super::{Expr, Node, Plan};

/// Which nodes are needed: those reachable from a constraint, an early access, a cost or a measure.
pub(super) fn reachable(plan: &Plan) -> Vec<bool> {
    reachable_from(plan, roots(plan))
}

/// Which nodes the roots are computed from, themselves included. Every index is known to be valid.
pub(super) fn reachable_from(plan: &Plan, roots: impl Iterator<Item = Node>) -> Vec<bool> {
    let mut reached = vec![false; plan.nodes.len()];
    for root in roots {
        reached[root as usize] = true;
    }
    for (index, expr) in plan.nodes.iter().enumerate().rev() {
        if reached[index] {
            for operand in expr.operands() {
                reached[operand as usize] = true;
            }
        }
    }
    reached
}

fn roots(plan: &Plan) -> impl Iterator<Item = Node> + '_ {
    let constraints = plan.constraints.iter().flat_map(|constraint| {
        let limit = constraint.measure.map(|measure| measure.limit);
        [constraint.when, Some(constraint.require), limit]
            .into_iter()
            .flatten()
    });
    let early = plan.early_access.iter().map(|early| early.when);
    let costs = plan.counters.iter().map(|counter| counter.cost);
    constraints.chain(early).chain(costs)
}

pub(super) fn needed<'a>(plan: &'a Plan, reached: &'a [bool]) -> impl Iterator<Item = &'a Expr> {
    plan.nodes
        .iter()
        .zip(reached)
        .filter_map(|(expr, reached)| reached.then_some(expr))
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
