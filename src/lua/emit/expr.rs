//! Expressions of a plan as Lua text.

use std::collections::BTreeSet;

use super::membership::Membership;
use super::part::Part;
use super::text::{integer, literal};
use crate::lua::codec::ATTEMPT_FIELDS;
use crate::plan::kind::Kind;
use crate::plan::slots::Slot;
use crate::plan::{Attribute, CheckedPlan, Expr, INTEGER_MAX, Node};

/// Tables of more entries are built as tables; smaller ones are a row of comparisons.
pub(super) const CHAIN_MAX: usize = 8;
/// How tightly Lua binds, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Binding {
    Or,
    And,
    Compare,
    Add,
    Multiply,
    Unary,
    Atom,
}

/// Text of an expression with the binding of its outermost operator.
pub(super) type Written = (String, Binding);

/// Writes expressions; knows the plan and which nodes have variables.
pub(super) struct Expressions<'a> {
    pub(super) part: &'a Part<'a>,
}

impl Expressions<'_> {
    /// The node as an operand of an operator that binds as given.
    pub(super) fn operand(&self, node: Node, binding: Binding) -> String {
        tight(self.value(node), binding)
    }

    /// The node's variable, or its expression.
    pub(super) fn value(&self, node: Node) -> Written {
        if self.part.usage.is_variable(node) {
            return (self.variable(node), Binding::Atom);
        }
        self.definition(node)
    }

    fn variable(&self, node: Node) -> String {
        match self.part.usage.variables_in_table() {
            true => format!("v[{node}]"),
            false => format!("v{node}"),
        }
    }

    /// The statement that gives a node's variable its value.
    pub(super) fn assignment(&self, node: Node) -> String {
        let local = if self.part.usage.variables_in_table() {
            ""
        } else {
            "local "
        };
        format!("{local}{} = {}", self.variable(node), self.definition(node).0)
    }

    /// The opposite of a condition, without a `not` where Lua has an operator for it.
    pub(super) fn negation(&self, node: Node) -> String {
        let expr = &self.part.plan.plan().nodes[node as usize];
        let compare = |a, operator, b| {
            format!(
                "{} {operator} {}",
                self.operand(a, Binding::Add),
                self.operand(b, Binding::Add)
            )
        };
        match expr {
            _ if self.part.usage.is_variable(node) => format!("not {}", self.variable(node)),
            Expr::Lt(a, b) => compare(*a, ">=", *b),
            Expr::Le(a, b) => compare(*a, ">", *b),
            Expr::Eq(a, b) => compare(*a, "~=", *b),
            Expr::Not(a) => self.value(*a).0,
            _ => format!("not {}", self.operand(node, Binding::Unary)),
        }
    }

    fn definition(&self, node: Node) -> Written {
        let context = self.part.plan.context();
        let atom = |text: String| (text, Binding::Atom);
        match &self.part.plan.plan().nodes[node as usize] {
            Expr::Int(n) => atom(integer(*n)),
            Expr::Text(text) => atom(literal(text)),
            Expr::Attribute(attribute) => atom(self.attribute(attribute)),
            Expr::Counter(counter) => atom(self.part.used(self.part.counter(*counter))),
            Expr::Remaining => atom("remaining".into()),
            Expr::Stock => self.stock(node),
            Expr::Now => atom("now".into()),
            Expr::OpensAt => atom(integer(context.schedule.opens_at)),
            Expr::ClosesAt => atom(integer(context.schedule.closes_at)),
            Expr::Add(a, b) => self.binary(*a, "+", *b, Binding::Add),
            Expr::Sub(a, b) => self.binary(*a, "-", *b, Binding::Add),
            Expr::Mul(a, b) => self.binary(*a, "*", *b, Binding::Multiply),
            // Exact: the quotient of two integers below 2^53 never rounds up to the next integer.
            Expr::Div(a, by) => atom(format!("floor({} / {by})", self.operand(*a, Binding::Multiply))),
            Expr::Mod(a, by) => self.modulo(*a, *by),
            Expr::Min(a, b) => atom(format!("min({}, {})", self.value(*a).0, self.value(*b).0)),
            Expr::Max(a, b) => atom(format!("max({}, {})", self.value(*a).0, self.value(*b).0)),
            Expr::Lt(a, b) => self.compare(*a, "<", *b),
            Expr::Le(a, b) => self.compare(*a, "<=", *b),
            Expr::Eq(a, b) => self.compare(*a, "==", *b),
            Expr::And(a, b) => self.binary(*a, "and", *b, Binding::And),
            Expr::Or(a, b) => self.binary(*a, "or", *b, Binding::Or),
            Expr::Not(a) => (
                format!("not {}", self.operand(*a, Binding::Unary)),
                Binding::Unary,
            ),
            Expr::Select(condition, yes, no) => self.select(*condition, *yes, *no),
            Expr::OneOf(of, texts) => self.one_of(node, *of, texts),
            Expr::Lookup { of, entries, default } => self.lookup(node, &self.value(*of).0, entries, *default),
            Expr::Member { audience, of } => self.member(audience, of),
            Expr::Number {
                of,
                low,
                high,
                missing,
                unreadable,
            } => {
                let numbers = [low, high, missing, unreadable].map(|n| integer(*n)).join(", ");
                atom(format!("integer({}, {numbers})", self.value(*of).0))
            }
            Expr::StartsWith(of, texts) => {
                let of = self.value(*of).0;
                self.affix(node, texts, |length| format!("sub({of}, 1, {length})"))
            }
            Expr::EndsWith(of, texts) => {
                let of = self.value(*of).0;
                self.affix(node, texts, |length| format!("sub({of}, -{length})"))
            }
        }
    }

    /// Whether a part of a text, of so many bytes, is one of these; none of them is empty. Many are looked up once for
    /// each length that they have.
    fn affix(&self, node: Node, texts: &[String], part: impl Fn(usize) -> String) -> Written {
        let tests: Vec<String> = if texts.len() > CHAIN_MAX {
            let lengths: BTreeSet<usize> = texts.iter().map(String::len).collect();
            let table = self.part.table(node);
            let test = |length| format!("entries({table})[{}] == true", part(length));
            lengths.into_iter().map(test).collect()
        } else {
            let test = |text: &String| format!("{} == {}", part(text.len()), literal(text));
            texts.iter().map(test).collect()
        };
        match tests.len() {
            0 => ("false".into(), Binding::Atom),
            1 => (tests.concat(), Binding::Compare),
            _ => (tests.join(" or "), Binding::Or),
        }
    }

    fn binary(&self, a: Node, operator: &str, b: Node, binding: Binding) -> Written {
        // The right side in parentheses where it binds alike: a - (b - c), and sums keep the order
        // whose bounds were checked.
        let next = match binding {
            Binding::Or => Binding::Or,
            Binding::And => Binding::And,
            Binding::Add => Binding::Multiply,
            _ => Binding::Unary,
        };
        let text = format!(
            "{} {operator} {}",
            self.operand(a, binding),
            self.operand(b, next)
        );
        (text, binding)
    }

    fn compare(&self, a: Node, operator: &str, b: Node) -> Written {
        let text = format!(
            "{} {operator} {}",
            self.operand(a, Binding::Add),
            self.operand(b, Binding::Add)
        );
        (text, Binding::Compare)
    }

    fn modulo(&self, of: Node, by: i64) -> Written {
        let exact = matches!(self.part.plan.kind(of), Kind::Int { low, .. } if low >= by - 1 - INTEGER_MAX);
        match exact {
            true => (
                format!("{} % {by}", self.operand(of, Binding::Multiply)),
                Binding::Multiply,
            ),
            false => (format!("mod({}, {by})", self.value(of).0), Binding::Atom),
        }
    }

    /// Integers and texts are always true in Lua, so `and`/`or` choose between them; truth values
    /// need a function.
    fn select(&self, condition: Node, yes: Node, no: Node) -> Written {
        if self.part.plan.kind(yes) == Kind::Bool {
            let (condition, yes, no) = (self.value(condition).0, self.value(yes).0, self.value(no).0);
            return (format!("pick({condition}, {yes}, {no})"), Binding::Atom);
        }
        let condition = self.operand(condition, Binding::And);
        let (yes, no) = (self.operand(yes, Binding::Compare), self.operand(no, Binding::Or));
        (format!("{condition} and {yes} or {no}"), Binding::Or)
    }

    fn one_of(&self, node: Node, of: Node, texts: &[String]) -> Written {
        let is_array = self.part.plan.may_be_array(of);
        let of = self.value(of).0;
        match texts {
            [] => ("false".into(), Binding::Atom),
            _ if is_array && texts.len() > CHAIN_MAX => (
                format!("any(entries({}), {of})", self.part.table(node)),
                Binding::Atom,
            ),
            _ if texts.len() > CHAIN_MAX => (
                format!("entries({})[{of}] == true", self.part.table(node)),
                Binding::Compare,
            ),
            _ => {
                let is = |text: &String| format!("{of} == {}", literal(text));
                let mut tests: Vec<_> = texts.iter().map(is).collect();
                // Most claims are one text: only for an array is a function called.
                tests.extend(is_array.then(|| {
                    let table = self.part.table(node);
                    format!("byte({of}) == 31 and any(entries({table}), {of})")
                }));
                let binding = if tests.len() == 1 {
                    Binding::Compare
                } else {
                    Binding::Or
                };
                (tests.join(" or "), binding)
            }
        }
    }

    fn lookup(&self, node: Node, of: &str, entries: &[(String, i64)], default: i64) -> Written {
        if entries.len() > CHAIN_MAX {
            return (
                format!(
                    "(entries({})[{of}] or {})",
                    self.part.table(node),
                    integer(default)
                ),
                Binding::Atom,
            );
        }
        let chain: String = entries
            .iter()
            .map(|(text, n)| format!("{of} == {} and {} or ", literal(text), integer(*n)))
            .collect();
        let binding = if entries.is_empty() {
            Binding::Atom
        } else {
            Binding::Or
        };
        (chain + &integer(default), binding)
    }

    fn stock(&self, node: Node) -> Written {
        let entries: Vec<_> = stock_entries(self.part.plan);
        self.lookup(node, "sku", &entries, 0)
    }

    /// Whether a list has the attempt.
    pub(super) fn member(&self, audience: &str, of: &Attribute) -> Written {
        let slot = Slot::MemberBucket {
            audience: audience.to_owned(),
            of: of.clone(),
        };
        let membership = Membership::of(self.part.plan, audience, of);
        let call = membership.call(audience, &self.slot(&slot), &self.text_of(of));
        (call, Binding::Atom)
    }

    /// An attribute's value: an integer for the quantity, text for all others.
    fn attribute(&self, attribute: &Attribute) -> String {
        match attribute {
            Attribute::Quantity => "quantity".into(),
            other => self.text_of(other),
        }
    }

    fn text_of(&self, attribute: &Attribute) -> String {
        match attribute {
            Attribute::Sku => "sku".into(),
            Attribute::Quantity => "whole(quantity)".into(),
            other => self.slot(&Slot::Attribute(other.clone())),
        }
    }

    /// Where an attempt's value of a slot stands.
    pub(super) fn slot(&self, slot: &Slot) -> String {
        let index = self.part.slots.iter().position(|each| each == slot);
        let index = index.expect("the checker lists every slot the plan reads");
        format!("ARGV[at + {}]", ATTEMPT_FIELDS + index)
    }

    /// Every node with a variable, and every counter, that the given nodes need; sorted, so that
    /// operands come first.
    pub(super) fn needs(&self, roots: &[Node]) -> (Vec<Node>, Vec<u32>) {
        let nodes = &self.part.plan.plan().nodes;
        let mut seen = vec![false; nodes.len()];
        let mut open = roots.to_vec();
        let (mut variables, mut counters) = (Vec::new(), Vec::new());
        while let Some(node) = open.pop() {
            if std::mem::replace(&mut seen[node as usize], true) {
                continue;
            }
            if self.part.usage.is_variable(node) {
                variables.push(node);
            }
            if let Expr::Counter(counter) = nodes[node as usize] {
                counters.push(counter);
            }
            open.extend(nodes[node as usize].operands());
        }
        variables.sort_unstable();
        counters.sort_unstable();
        counters.dedup();
        (variables, counters)
    }
}

/// Units every SKU started with.
pub(super) fn stock_entries(plan: &CheckedPlan) -> Vec<(String, i64)> {
    let skus = &plan.context().skus;
    skus.iter()
        .map(|sku| (sku.id.clone(), sku.stock as i64))
        .collect()
}

pub(super) fn tight((text, binding): Written, at_least: Binding) -> String {
    if binding < at_least {
        format!("({text})")
    } else {
        text
    }
}
