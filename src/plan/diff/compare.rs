//! Two expressions compared by structure: whether the new one is never more, never less, or always the
//! same. `false` is less than `true`, so a condition that is never more admits no more.

use std::collections::HashMap;

use super::counters::Pairs;
use super::shape::{Shape, shapes};
use crate::plan::explain::number as shown;
use crate::plan::kind::Kind;
use crate::plan::{CheckedPlan, Expr, Node};

/// Operands inside operands; what is deeper is not compared.
const DEPTH_MAX: u32 = 64;

/// How the new expression stands to the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Same,
    /// Never more, sometimes less as far as one can see.
    Less,
    More,
    Unknown,
}

use Relation::{Less, More, Same, Unknown};

impl Relation {
    /// Of a whole that grows with both parts.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Same, other) => other,
            (one, Same) => one,
            (one, other) if one == other => one,
            _ => Unknown,
        }
    }

    /// Of a whole that shrinks as the part grows.
    pub(super) fn reversed(self) -> Self {
        match self {
            Less => More,
            More => Less,
            other => other,
        }
    }

    fn of<T: Ord>(old: &T, new: &T) -> Self {
        match new.cmp(old) {
            std::cmp::Ordering::Less => Less,
            std::cmp::Ordering::Equal => Same,
            std::cmp::Ordering::Greater => More,
        }
    }
}

/// A constant that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Which entry of a table, where it is one.
    pub(super) entry: Option<String>,
    pub(super) old: String,
    pub(super) new: String,
}

pub(super) struct Compare<'a> {
    old: &'a CheckedPlan,
    new: &'a CheckedPlan,
    shapes: (Vec<Shape>, Vec<Shape>),
    known: HashMap<(Node, Node), Relation>,
    /// Found since it was last emptied.
    pub(super) differences: Vec<Difference>,
}

impl<'a> Compare<'a> {
    pub(super) fn new(old: &'a CheckedPlan, new: &'a CheckedPlan, counters: &Pairs) -> Self {
        let name = |side: &'static str, plan: &'a CheckedPlan| {
            move |index: u32| {
                let id = &plan.plan().counters[index as usize].id;
                match counters.is_same(id) {
                    true => id.clone(),
                    // A counter that counts something else has other values.
                    false => format!("{side} {id}"),
                }
            }
        };
        let (was, is) = match stock(old, new).0 {
            Same => ("stock", "stock"),
            _ => ("old stock", "new stock"),
        };
        let shapes = (
            shapes(old, name("old", old), was),
            shapes(new, name("new", new), is),
        );
        Self {
            old,
            new,
            shapes,
            known: HashMap::new(),
            differences: Vec::new(),
        }
    }

    pub(super) fn is_same(&self, old: Node, new: Node) -> bool {
        self.shapes.0[old as usize] == self.shapes.1[new as usize]
    }

    pub(super) fn nodes(&mut self, old: Node, new: Node) -> Relation {
        self.at(old, new, 0)
    }

    fn at(&mut self, old: Node, new: Node, depth: u32) -> Relation {
        if self.is_same(old, new) {
            return Same;
        }
        if depth == DEPTH_MAX {
            return Unknown;
        }
        if let Some(known) = self.known.get(&(old, new)) {
            return *known;
        }
        let mut relation = self.structure(old, new, depth + 1);
        if relation == Unknown {
            relation = self.bounds(old, new);
        }
        self.known.insert((old, new), relation);
        relation
    }

    fn constant(plan: &CheckedPlan, node: Node) -> Option<i64> {
        match plan.plan().nodes[node as usize] {
            Expr::Int(value) => Some(value),
            Expr::OpensAt => Some(plan.context().schedule.opens_at),
            Expr::ClosesAt => Some(plan.context().schedule.closes_at),
            _ => None,
        }
    }

    fn structure(&mut self, old: Node, new: Node, depth: u32) -> Relation {
        if let (Some(before), Some(after)) = (Self::constant(self.old, old), Self::constant(self.new, new)) {
            self.differ(None, shown(before), shown(after));
            return Relation::of(&before, &after);
        }
        let (one, other) = (self.old, self.new);
        let (one, other) = (&one.plan().nodes[old as usize], &other.plan().nodes[new as usize]);
        match (one, other) {
            (Expr::Add(a, b), Expr::Add(c, d))
            | (Expr::Min(a, b), Expr::Min(c, d))
            | (Expr::Max(a, b), Expr::Max(c, d))
            | (Expr::And(a, b), Expr::And(c, d))
            | (Expr::Or(a, b), Expr::Or(c, d)) => self.at(*a, *c, depth).and(self.at(*b, *d, depth)),
            (Expr::Sub(a, b), Expr::Sub(c, d)) => {
                self.at(*a, *c, depth).and(self.at(*b, *d, depth).reversed())
            }
            (Expr::Lt(a, b), Expr::Lt(c, d)) | (Expr::Le(a, b), Expr::Le(c, d)) => {
                self.at(*a, *c, depth).reversed().and(self.at(*b, *d, depth))
            }
            (Expr::Mul(a, b), Expr::Mul(c, d)) if self.positive(&[*a, *b], &[*c, *d]) => {
                self.at(*a, *c, depth).and(self.at(*b, *d, depth))
            }
            (Expr::Div(a, n), Expr::Div(c, m)) if n == m => self.at(*a, *c, depth),
            (Expr::Not(a), Expr::Not(c)) => self.at(*a, *c, depth).reversed(),
            (Expr::Select(when, a, b), Expr::Select(then, c, d)) if self.is_same(*when, *then) => {
                self.at(*a, *c, depth).and(self.at(*b, *d, depth))
            }
            (Expr::OneOf(a, before), Expr::OneOf(c, after))
            | (Expr::StartsWith(a, before), Expr::StartsWith(c, after))
            | (Expr::EndsWith(a, before), Expr::EndsWith(c, after))
                if self.is_same(*a, *c) =>
            {
                self.texts(before, after)
            }
            (
                Expr::Lookup {
                    of: a,
                    entries,
                    default,
                },
                Expr::Lookup {
                    of: c,
                    entries: after,
                    default: other,
                },
            ) if self.is_same(*a, *c) => self.tables((entries, *default), (after, *other)),
            (Expr::Number { of: a, .. }, Expr::Number { of: c, .. }) if self.is_same(*a, *c) => {
                self.numbers(one, other)
            }
            (Expr::Stock, Expr::Stock) => {
                let (relation, differences) = stock(self.old, self.new);
                for Difference { entry, old, new } in differences {
                    self.differ(entry, old, new);
                }
                relation
            }
            _ => Unknown,
        }
    }

    /// The same text read as an integer: what comes of one that is out of bounds in only one of them cannot be said.
    fn numbers(&mut self, one: &Expr, other: &Expr) -> Relation {
        let parts = |expr: &Expr| match *expr {
            Expr::Number {
                low,
                high,
                missing,
                unreadable,
                ..
            } => [low, high, missing, unreadable],
            _ => [0; 4],
        };
        let (before, after) = (parts(one), parts(other));
        let names = ["from", "to", "where missing", "where no such integer"];
        for (name, (before, after)) in names.into_iter().zip(before.into_iter().zip(after)) {
            if before != after {
                self.differ(Some(name.to_owned()), shown(before), shown(after));
            }
        }
        let ([low, high, missing, unreadable], [low_after, high_after, missing_after, unreadable_after]) =
            (before, after);
        match (low, high) == (low_after, high_after) {
            true => Relation::of(&missing, &missing_after).and(Relation::of(&unreadable, &unreadable_after)),
            false => Unknown,
        }
    }

    fn positive(&self, old: &[Node], new: &[Node]) -> bool {
        let at_least_zero =
            |plan: &CheckedPlan, node: &Node| matches!(plan.kind(*node), Kind::Int { low, .. } if low >= 0);
        old.iter().all(|node| at_least_zero(self.old, node))
            && new.iter().all(|node| at_least_zero(self.new, node))
    }

    /// Values that cannot overlap are ordered, whatever they are computed from.
    fn bounds(&self, old: Node, new: Node) -> Relation {
        match (self.old.kind(old), self.new.kind(new)) {
            (Kind::Int { low, .. }, Kind::Int { high, .. }) if high <= low => Less,
            (Kind::Int { high, .. }, Kind::Int { low, .. }) if low >= high => More,
            _ => Unknown,
        }
    }

    fn texts(&mut self, before: &[String], after: &[String]) -> Relation {
        let mut relation = Same;
        for text in before.iter().filter(|text| !after.contains(text)) {
            self.differ(Some(text.clone()), "listed".into(), "not listed".into());
            relation = relation.and(Less);
        }
        for text in after.iter().filter(|text| !before.contains(text)) {
            self.differ(Some(text.clone()), "not listed".into(), "listed".into());
            relation = relation.and(More);
        }
        relation
    }

    fn tables(&mut self, old: (&[(String, i64)], i64), new: (&[(String, i64)], i64)) -> Relation {
        let value = |table: (&[(String, i64)], i64), text: &str| {
            let entry = table.0.iter().find(|(key, _)| key == text);
            entry.map_or(table.1, |(_, value)| *value)
        };
        let mut relation = Same;
        let mut keys: Vec<&String> = old.0.iter().chain(new.0).map(|(key, _)| key).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let (before, after) = (value(old, key), value(new, key));
            if before != after {
                self.differ(Some(key.clone()), shown(before), shown(after));
                relation = relation.and(Relation::of(&before, &after));
            }
        }
        if old.1 != new.1 {
            self.differ(Some("every other".into()), shown(old.1), shown(new.1));
            relation = relation.and(Relation::of(&old.1, &new.1));
        }
        relation
    }

    fn differ(&mut self, entry: Option<String>, old: String, new: String) {
        let difference = Difference { entry, old, new };
        if !self.differences.contains(&difference) {
            self.differences.push(difference);
        }
    }
}

/// Units of the SKUs that both plans are for: a merchant adds some, or takes some back.
fn stock(old: &CheckedPlan, new: &CheckedPlan) -> (Relation, Vec<Difference>) {
    let after = new.context().skus.iter().map(|sku| (&sku.id, sku.stock));
    let after: HashMap<&String, u64> = after.collect();
    let (mut relation, mut differences) = (Same, Vec::new());
    for sku in &old.context().skus {
        let Some(stock) = after.get(&sku.id).filter(|stock| **stock != sku.stock) else {
            continue;
        };
        relation = relation.and(Relation::of(&sku.stock, stock));
        differences.push(Difference {
            entry: Some(sku.id.clone()),
            old: sku.stock.to_string(),
            new: stock.to_string(),
        });
    }
    (relation, differences)
}
