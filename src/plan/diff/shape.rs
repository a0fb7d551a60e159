//! Digests of expressions by structure: two nodes of two plans with the same digest always have the same
//! value, whatever else stands in their arenas.

use sha2::{Digest, Sha256};

use crate::plan::{CheckedPlan, Expr};

pub(super) type Shape = [u8; 32];

/// One per node, operands included. `counter` names counters: the same name, the same count; `stock` the units of SKUs.
pub(super) fn shapes(plan: &CheckedPlan, counter: impl Fn(u32) -> String, stock: &str) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = Vec::with_capacity(plan.plan().nodes.len());
    for expr in &plan.plan().nodes {
        let mut hash = Sha256::new();
        hash.update(label(plan, expr, &counter, stock));
        for operand in expr.operands() {
            hash.update(shapes[operand as usize]);
        }
        shapes.push(hash.finalize().into());
    }
    shapes
}

/// Everything of a node but its operands. Opening and closing are the constants they stand for.
fn label(plan: &CheckedPlan, expr: &Expr, counter: &impl Fn(u32) -> String, stock: &str) -> String {
    let schedule = plan.context().schedule;
    match expr {
        Expr::OpensAt => format!("{:?}", Expr::Int(schedule.opens_at)),
        Expr::ClosesAt => format!("{:?}", Expr::Int(schedule.closes_at)),
        Expr::Stock => stock.to_owned(),
        Expr::Counter(index) => format!("counter {}", counter(*index)),
        Expr::Div(_, divisor) => format!("div {divisor}"),
        Expr::Mod(_, divisor) => format!("mod {divisor}"),
        Expr::OneOf(_, texts) => sorted("one of", texts),
        Expr::StartsWith(_, texts) => sorted("starts with", texts),
        Expr::EndsWith(_, texts) => sorted("ends with", texts),
        Expr::Number {
            of: _,
            low,
            high,
            missing,
            unreadable,
        } => format!("number {low} {high} {missing} {unreadable}"),
        Expr::Lookup { entries, default, .. } => {
            let mut entries = entries.clone();
            entries.sort();
            format!("lookup {entries:?} {default}")
        }
        Expr::Member { audience, of } => {
            let version = plan.context().audiences.get(audience).map(|list| list.version);
            format!("member {audience} {version:?} {of}")
        }
        // What is left is a leaf with its value, or an operation named before its operands.
        other if other.operands().next().is_none() => format!("{other:?}"),
        operation => {
            let text = format!("{operation:?}");
            text.split('(').next().unwrap_or_default().to_owned()
        }
    }
}

fn sorted(what: &str, texts: &[String]) -> String {
    let mut texts: Vec<&String> = texts.iter().collect();
    texts.sort();
    format!("{what} {texts:?}")
}
