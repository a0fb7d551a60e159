//! What a plan enforces, in the host's own words: read off the expressions that decide, never off what the module says
//! of them. It stands beside the module's sentence, so that one that says something else shows.
//!
//! Expressions share their parts, so that written out one may be far longer than its plan: the text ends at a bound, and
//! says that it does.

use std::collections::BTreeSet;

use super::{list_noun, noun, number};
use crate::plan::reach::{needed, reachable_from};
use crate::plan::{Attribute, CheckedPlan, Constraint, Counter, EarlyAccess, Expr, Node};

/// Bytes of one text, about; what is cut off says so.
const TEXT_BYTES_MAX: usize = 400;
/// Operands within operands.
const DEPTH_MAX: usize = 32;
/// Entries of a table or list that are written out.
const ENTRIES_SHOWN: usize = 5;
const CUT_OFF: &str = "… (cut off: the plan says more than can be read)";

/// What a constraint enforces: `at most 2`, `sku = "mug" or counted + 1 < 3, where …`.
pub fn enforced(plan: &CheckedPlan, constraint: &Constraint) -> String {
    let mut text = Text::new(plan, constraint.when.into_iter().chain([constraint.require]));
    match text.at_most(constraint.require) {
        Some(limit) => {
            text.push("at most ");
            text.node(limit, Binds::Loosest, 0);
        }
        None => text.node(constraint.require, Binds::Loosest, 0),
    }
    if let Some(when) = constraint.when {
        text.push(", where ");
        text.node(when, Binds::Loosest, 0);
    }
    text.done()
}

/// The limit that buyers are shown, where the plan enforces another.
pub(super) fn shown_instead(plan: &CheckedPlan, constraint: &Constraint) -> Option<String> {
    let shown = constraint.measure?.limit;
    let limit = Text::new(plan, []).at_most(constraint.require)?;
    let of = |node| {
        let mut text = Text::new(plan, [node]);
        text.node(node, Binds::Loosest, 0);
        text.done()
    };
    Some(of(shown)).filter(|text| *text != of(limit))
}

/// Whom an early access lets in.
pub(super) fn let_in(plan: &CheckedPlan, early: &EarlyAccess) -> String {
    let mut text = Text::new(plan, [early.when]);
    text.node(early.when, Binds::Loosest, 0);
    text.done()
}

/// What one order adds to a counter: `orders`, `units`, or a formula.
pub(super) fn counted(plan: &CheckedPlan, counter: &Counter) -> String {
    match &plan.plan().nodes[counter.cost as usize] {
        Expr::Int(1) => "orders".to_owned(),
        Expr::Attribute(Attribute::Quantity) => "units".to_owned(),
        _ => {
            let mut text = Text::new(plan, [counter.cost]);
            text.node(counter.cost, Binds::Loosest, 0);
            text.done() + " for each order"
        }
    }
}

/// How tightly the operator around an operand binds: what binds more loosely than it needs brackets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binds {
    Loosest,
    Or,
    And,
    Compare,
    Add,
    Multiply,
    Tightest,
}

struct Text<'a> {
    plan: &'a CheckedPlan,
    text: String,
    is_cut: bool,
    /// Counters that the text is about: one is only called what was counted, several are named.
    counters: usize,
}

impl<'a> Text<'a> {
    fn new(plan: &'a CheckedPlan, roots: impl IntoIterator<Item = Node>) -> Self {
        let reached = reachable_from(plan.plan(), roots.into_iter());
        let counters: BTreeSet<u32> = needed(plan.plan(), &reached)
            .filter_map(|expr| match expr {
                Expr::Counter(index) => Some(*index),
                _ => None,
            })
            .collect();
        Self {
            plan,
            text: String::new(),
            is_cut: false,
            counters: counters.len(),
        }
    }

    fn done(mut self) -> String {
        if self.is_cut {
            self.text.push_str(CUT_OFF);
        }
        self.text
    }

    fn push(&mut self, text: &str) {
        self.is_cut |= self.text.len() + text.len() > TEXT_BYTES_MAX;
        if !self.is_cut {
            self.text.push_str(text);
        }
    }

    fn expr(&self, node: Node) -> &'a Expr {
        &self.plan.plan().nodes[node as usize]
    }

    /// The limit of a condition that a counter, this order included, is at most that.
    fn at_most(&self, require: Node) -> Option<Node> {
        let cost = |counter: u32| self.plan.plan().counters[counter as usize].cost;
        match self.expr(require) {
            Expr::Le(sum, limit) => {
                let Expr::Add(a, b) = self.expr(*sum) else {
                    return None;
                };
                let (counter, added) = match (self.expr(*a), self.expr(*b)) {
                    (Expr::Counter(counter), _) => (*counter, *b),
                    (_, Expr::Counter(counter)) => (*counter, *a),
                    _ => return None,
                };
                let cost = cost(counter);
                (cost == added || self.same_leaf(cost, added)).then_some(*limit)
            }
            Expr::Lt(counter, limit) => match self.expr(*counter) {
                Expr::Counter(index) if *self.expr(cost(*index)) == Expr::Int(1) => Some(*limit),
                _ => None,
            },
            _ => None,
        }
    }

    fn same_leaf(&self, one: Node, other: Node) -> bool {
        matches!(self.expr(one), Expr::Int(_) | Expr::Attribute(_)) && self.expr(one) == self.expr(other)
    }

    fn node(&mut self, node: Node, around: Binds, depth: usize) {
        if depth > DEPTH_MAX {
            self.is_cut = true;
        }
        // What is cut off costs nothing, however often it is shared.
        if self.is_cut {
            return;
        }
        let below = depth + 1;
        match self.expr(node) {
            Expr::Int(value) => self.push(&number(*value)),
            Expr::Text(text) => self.push(&format!("{text:?}")),
            Expr::Attribute(attribute) => self.push(&noun(attribute)),
            Expr::Counter(index) => self.counter(*index),
            Expr::Remaining => self.push("units left of the SKU"),
            Expr::Stock => self.push("units of the SKU in all"),
            Expr::Now => self.push("the time of the order"),
            Expr::OpensAt => self.push("the opening"),
            Expr::ClosesAt => self.push("the closing"),
            Expr::Add(a, b) => self.infix(*a, " + ", *b, (Binds::Add, around), below),
            Expr::Sub(a, b) => self.infix(*a, " − ", *b, (Binds::Add, around), below),
            Expr::Mul(a, b) => self.infix(*a, " × ", *b, (Binds::Multiply, around), below),
            Expr::Div(a, by) => self.with(*a, &format!(" ÷ {by} (rounded down)"), around, below),
            Expr::Mod(a, by) => self.with(*a, &format!(" modulo {by}"), around, below),
            Expr::Min(a, b) => self.call("the smaller of ", *a, *b, below),
            Expr::Max(a, b) => self.call("the larger of ", *a, *b, below),
            Expr::Lt(a, b) => self.infix(*a, " < ", *b, (Binds::Compare, around), below),
            Expr::Le(a, b) => self.infix(*a, " ≤ ", *b, (Binds::Compare, around), below),
            Expr::Eq(a, b) => self.equal(*a, *b, around, below),
            Expr::And(a, b) => self.infix(*a, " and ", *b, (Binds::And, around), below),
            Expr::Or(a, b) => self.infix(*a, " or ", *b, (Binds::Or, around), below),
            Expr::Not(a) => {
                self.push("not (");
                self.node(*a, Binds::Loosest, below);
                self.push(")");
            }
            Expr::Select(when, then, other) => self.select(*when, *then, *other, below),
            Expr::OneOf(of, texts) => self.one_of(*of, texts, below),
            Expr::Lookup { entries, default, .. } if entries.is_empty() => self.push(&number(*default)),
            Expr::Lookup { of, entries, default } => {
                let shown = entries.iter().take(ENTRIES_SHOWN);
                let shown = shown.map(|(key, value)| format!("{key:?}: {}", number(*value)));
                let list = listed(shown.collect(), entries.len());
                self.push(&format!("({list}, every other: {}) by ", number(*default)));
                self.node(*of, Binds::Tightest, below);
            }
            Expr::Member { audience, of } => {
                self.push(&format!("{} is in the list {}", noun(of), list_noun(audience)));
            }
            Expr::Number {
                of,
                low,
                high,
                missing,
                unreadable,
            } => {
                self.push("(");
                self.node(*of, Binds::Tightest, below);
                let [low, high, missing, unreadable] = [low, high, missing, unreadable].map(|n| number(*n));
                self.push(&format!(
                    " as an integer from {low} to {high}; {missing} where it is missing, {unreadable} where it is no such integer)"
                ));
            }
            Expr::StartsWith(of, texts) => self.affix(*of, "starts", texts, below),
            Expr::EndsWith(of, texts) => self.affix(*of, "ends", texts, below),
        }
    }

    fn one_of(&mut self, of: Node, texts: &[String], depth: usize) {
        self.node(of, Binds::Compare, depth);
        let shown = texts.iter().take(ENTRIES_SHOWN).map(|text| format!("{text:?}"));
        let list = listed(shown.collect(), texts.len());
        self.push(&format!(" is one of {list}"));
    }

    fn affix(&mut self, of: Node, verb: &str, texts: &[String], depth: usize) {
        self.node(of, Binds::Compare, depth);
        let shown = texts.iter().take(ENTRIES_SHOWN).map(|text| format!("{text:?}"));
        let list = listed(shown.collect(), texts.len());
        let one_of = if texts.len() == 1 { "" } else { "one of " };
        self.push(&format!(" {verb} with {one_of}{list}"));
    }

    fn counter(&mut self, index: u32) {
        match self.counters {
            1 => self.push("counted"),
            _ => {
                let id = &self.plan.plan().counters[index as usize].id;
                self.push(&format!("counted by {id}"));
            }
        }
    }

    fn equal(&mut self, a: Node, b: Node, around: Binds, depth: usize) {
        let empty = Expr::Text(String::new());
        match (*self.expr(a) == empty, *self.expr(b) == empty) {
            (false, true) => self.with(a, " is missing", around, depth),
            (true, false) => self.with(b, " is missing", around, depth),
            _ => self.infix(a, " = ", b, (Binds::Compare, around), depth),
        }
    }

    /// `binds`: the operator, and the one around it.
    fn infix(&mut self, a: Node, operator: &str, b: Node, binds: (Binds, Binds), depth: usize) {
        let (own, around) = binds;
        let brackets = own < around;
        if brackets {
            self.push("(");
        }
        self.node(a, own, depth);
        self.push(operator);
        // `a − (b + c)` is no `a − b + c`; a chain of one operator needs no brackets.
        let right = match operator {
            " − " => Binds::Multiply,
            " < " | " ≤ " | " = " => Binds::Add,
            _ => own,
        };
        self.node(b, right, depth);
        if brackets {
            self.push(")");
        }
    }

    fn with(&mut self, a: Node, after: &str, around: Binds, depth: usize) {
        let brackets = around > Binds::Compare;
        if brackets {
            self.push("(");
        }
        self.node(a, Binds::Tightest, depth);
        self.push(after);
        if brackets {
            self.push(")");
        }
    }

    fn call(&mut self, name: &str, a: Node, b: Node, depth: usize) {
        self.push(name);
        self.push("(");
        self.node(a, Binds::Loosest, depth);
        self.push(" and ");
        self.node(b, Binds::Loosest, depth);
        self.push(")");
    }

    fn select(&mut self, when: Node, then: Node, other: Node, depth: usize) {
        self.push("(");
        self.node(then, Binds::Loosest, depth);
        self.push(" where ");
        self.node(when, Binds::Loosest, depth);
        self.push(", else ");
        self.node(other, Binds::Loosest, depth);
        self.push(")");
    }
}

fn listed(shown: Vec<String>, all: usize) -> String {
    let list = shown.join(", ");
    match all.saturating_sub(shown.len()) {
        0 => list,
        more => format!("{list}, … {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples::samples;
    use crate::plan::{Measure, check};

    /// A plan of a sample, changed.
    fn changed(name: &str, change: impl FnOnce(&mut crate::plan::Plan)) -> CheckedPlan {
        let samples = samples();
        let sample = samples
            .into_iter()
            .find(|sample| sample.name == name)
            .expect(name);
        let mut plan = sample.plan;
        change(&mut plan);
        check(plan, sample.context).expect("passes")
    }

    fn first(plan: &CheckedPlan) -> String {
        enforced(plan, &plan.plan().constraints[0])
    }

    #[test]
    fn the_host_reads_the_plan_and_not_the_module() {
        assert_eq!(first(&changed("orders per user", |_| {})), "at most 2");
        let lying = changed("orders per user", |plan| {
            let limit = plan.nodes.len() as Node;
            plan.nodes.push(Expr::Int(1000));
            let Expr::Le(sum, _) = plan.nodes[plan.constraints[0].require as usize] else {
                panic!("a limit is a comparison")
            };
            let require = plan.nodes.len() as Node;
            plan.nodes.push(Expr::Le(sum, limit));
            let shown = plan.constraints[0].measure.map(|measure| measure.limit);
            plan.constraints[0].require = require;
            plan.constraints[0].measure = shown.map(|limit| Measure { counter: 0, limit });
        });
        assert_eq!(first(&lying), "at most 1000");
        let shown = |plan: &CheckedPlan| shown_instead(plan, &plan.plan().constraints[0]);
        assert_eq!(shown(&lying).as_deref(), Some("2"));
        assert_eq!(shown(&changed("orders per user", |_| {})), None);
    }

    #[test]
    fn a_counter_that_nothing_is_added_to_shows() {
        let idle = changed("orders per user", |plan| {
            plan.nodes.push(Expr::Int(0));
            plan.counters[0].cost = plan.nodes.len() as Node - 1;
        });
        assert_eq!(first(&idle), "counted + 1 ≤ 2");
        assert_eq!(counted(&idle, &idle.plan().counters[0]), "0 for each order");
    }

    #[test]
    fn a_table_without_rows_is_its_default() {
        let limit_of = |entries: Vec<(String, i64)>| {
            changed("orders per user", |plan| {
                let Expr::Le(sum, _) = plan.nodes[plan.constraints[0].require as usize] else {
                    panic!("a limit is a comparison")
                };
                let of = plan.nodes.len() as Node;
                let category = Attribute::OfSku("category".to_owned());
                let table = Expr::Lookup {
                    of,
                    entries,
                    default: 2,
                };
                let require = Expr::Le(sum, of + 1);
                plan.nodes.extend([Expr::Attribute(category), table, require]);
                plan.constraints[0].require = of + 2;
            })
        };
        assert_eq!(first(&limit_of(Vec::new())), "at most 2");
        assert_eq!(
            first(&limit_of(vec![("mugs".to_owned(), 4)])),
            "at most (\"mugs\": 4, every other: 2) by category of the SKU"
        );
    }

    #[test]
    fn what_cannot_be_read_in_full_says_so() {
        let doubled = changed("orders per user", |plan| {
            let mut node = plan.constraints[0].require;
            for _ in 0..60 {
                plan.nodes.push(Expr::And(node, node));
                node = plan.nodes.len() as Node - 1;
            }
            plan.constraints[0].require = node;
        });
        let text = first(&doubled);
        assert!(
            text.ends_with(CUT_OFF) && text.len() < TEXT_BYTES_MAX + 100,
            "{text}"
        );
    }
}
