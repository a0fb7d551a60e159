//! One attempt run through a checked plan: values of nodes and of counters at one moment.

use std::borrow::Cow;

use super::decision::Measured;
use super::facts::{Count, Facts, Needs};
use super::integer::integer;
use super::state::State;
use super::window::{is_live, window_start};
use super::{Attribute, CheckedPlan, Expr, Measure, Node, Window};
use crate::order::Attempt;
use crate::order::array::elements;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value<'a> {
    Int(i64),
    Bool(bool),
    Text(Cow<'a, str>),
}

/// Where counters, stock and lists come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// Nothing but the attempt is read.
    Nothing,
    State(&'a State),
    /// As they were at the moment of the facts; later, only windows have moved on.
    Facts(&'a Facts),
}

/// One attempt at one moment. Nodes are computed when asked for, each once.
pub(super) struct Run<'a> {
    plan: &'a CheckedPlan,
    source: Source<'a>,
    attempt: &'a Attempt,
    now: i64,
    values: Vec<Option<Value<'a>>>,
}

impl<'a> Run<'a> {
    pub(super) fn new(plan: &'a CheckedPlan, source: Source<'a>, attempt: &'a Attempt, now: i64) -> Self {
        Self {
            plan,
            source,
            attempt,
            now,
            values: Vec::new(),
        }
    }

    /// Whether the sale has opened for the buyer, be it early; whether it has closed is not asked.
    pub(super) fn is_open(&mut self) -> bool {
        let plan = self.plan;
        let opens_at = plan.context().schedule.opens_at;
        let early = &plan.plan().early_access;
        let now = self.now;
        let mut is_early = |lead_ms: i64, when| now >= opens_at - lead_ms && self.bool(when);
        now >= opens_at || early.iter().any(|early| is_early(early.lead_ms, early.when))
    }

    pub(super) fn holds(&mut self, constraint: u32) -> bool {
        let constraint = &self.plan.plan().constraints[constraint as usize];
        let applies = constraint.when.is_none_or(|when| self.bool(when));
        !applies || self.bool(constraint.require)
    }

    pub(super) fn measured(&mut self, measure: Measure) -> Measured {
        Measured {
            used: self.used(measure.counter),
            limit: self.int(measure.limit),
        }
    }

    /// The least that the ceilings of a counter allow it before the order is counted.
    pub(super) fn ceiling(&mut self, counter: u32) -> Option<i64> {
        let ceilings = self
            .plan
            .ceilings
            .iter()
            .filter(|ceiling| ceiling.counter == counter);
        ceilings
            .filter_map(|ceiling| {
                let applies = ceiling.when.is_none_or(|when| self.bool(when));
                applies.then(|| {
                    let terms = ceiling.terms.iter();
                    let sum = terms.fold(0_i64, |sum, (sign, node)| {
                        sum.saturating_add(sign.saturating_mul(self.int(*node)))
                    });
                    sum - i64::from(ceiling.strict)
                })
            })
            .min()
    }

    /// What the needs name, at this moment.
    pub(super) fn facts(&self, needs: &Needs) -> Facts {
        let count = |counter: &u32| match self.plan.plan().counters[*counter as usize].window {
            Window::Rolling { .. } => Count::Rolling(self.live(*counter)),
            _ => Count::Units(self.used(*counter)),
        };
        let is_member = |(audience, of): &&(String, Attribute)| self.is_member(audience, of);
        Facts {
            taken_at: self.now,
            remaining: if needs.remaining { self.remaining() } else { 0 },
            paused: None,
            counters: needs.counters.iter().map(|each| (*each, count(each))).collect(),
            members: needs.members.iter().filter(is_member).cloned().collect(),
        }
    }

    pub(super) fn used(&self, index: u32) -> i64 {
        let counter = &self.plan.plan().counters[index as usize];
        if matches!(counter.window, Window::Rolling { .. }) {
            let live = self.live(index);
            return live.iter().fold(0, |used, (_, cost)| used.saturating_add(*cost));
        }
        let window = window_start(self.plan, index, self.now);
        match self.source {
            Source::Nothing => 0,
            Source::State(state) => {
                let subject = self.plan.subject(&counter.key, self.attempt);
                let key = (counter.id.clone(), window, subject);
                state.counters.get(&key).copied().unwrap_or(0)
            }
            Source::Facts(facts) => match facts.counters.get(&index) {
                Some(Count::Units(units)) if window == window_start(self.plan, index, facts.taken_at) => {
                    *units
                }
                _ => 0,
            },
        }
    }

    /// Orders a rolling counter still counts; none for every other window.
    pub(super) fn live(&self, index: u32) -> Vec<(i64, i64)> {
        let counter = &self.plan.plan().counters[index as usize];
        let Window::Rolling { length_ms } = counter.window else {
            return Vec::new();
        };
        let entries = match self.source {
            Source::Nothing => None,
            Source::State(state) => {
                let key = (counter.id.clone(), self.plan.subject(&counter.key, self.attempt));
                state.rolling.get(&key)
            }
            Source::Facts(facts) => match facts.counters.get(&index) {
                Some(Count::Rolling(entries)) => Some(entries),
                _ => None,
            },
        };
        entries
            .into_iter()
            .flatten()
            .filter(|(moment, _)| is_live(*moment, self.now, length_ms))
            .copied()
            .collect()
    }

    fn remaining(&self) -> i64 {
        match self.source {
            Source::Nothing => 0,
            Source::State(state) => state.stock.get(&self.attempt.sku).copied().unwrap_or(0),
            Source::Facts(facts) => facts.remaining,
        }
    }

    fn is_member(&self, audience: &str, of: &Attribute) -> bool {
        match self.source {
            Source::Nothing => false,
            Source::State(state) => {
                let text = self.plan.text_of(of, self.attempt);
                let kind = self.plan.context().kind_of(audience);
                let members = state.audiences.get(audience);
                let is_there = |each: &str| {
                    let kept = kind.members_for(each);
                    members.is_some_and(|members| kept.iter().any(|one| members.contains(one)))
                };
                elements(&text).any(is_there)
            }
            Source::Facts(facts) => {
                let mut members = facts.members.iter();
                members.any(|(id, attribute)| id == audience && attribute == of)
            }
        }
    }

    // The checker knows every type, so the other arms below are never taken.

    pub(super) fn int(&mut self, node: Node) -> i64 {
        match self.value(node) {
            Value::Int(value) => value,
            _ => 0,
        }
    }

    pub(super) fn bool(&mut self, node: Node) -> bool {
        self.value(node) == Value::Bool(true)
    }

    fn text(&mut self, node: Node) -> Cow<'a, str> {
        match self.value(node) {
            Value::Text(text) => text,
            _ => Cow::Borrowed(""),
        }
    }

    /// Computes what a node needs, operands first, without recursion: an arena can be one chain.
    fn value(&mut self, root: Node) -> Value<'a> {
        let plan = self.plan;
        let nodes = &plan.plan().nodes;
        let root = root as usize;
        if nodes[root].operands().next().is_none() {
            return self.leaf(&nodes[root]);
        }
        if let Some(Some(value)) = self.values.get(root) {
            return value.clone();
        }
        self.values.resize(nodes.len(), None);
        let mut needed = vec![false; root + 1];
        needed[root] = true;
        for index in (0..=root).rev() {
            if needed[index] && self.values[index].is_none() {
                for operand in nodes[index].operands() {
                    needed[operand as usize] = true;
                }
            }
        }
        for (index, expr) in nodes.iter().enumerate().take(root) {
            let inner = expr.operands().next().is_some();
            if inner && needed[index] && self.values[index].is_none() {
                self.values[index] = Some(self.compute(expr));
            }
        }
        let value = self.compute(&nodes[root]);
        self.values[root] = Some(value.clone());
        value
    }

    /// Computes one node whose operands are computed.
    pub(super) fn evaluate(&mut self, node: Node) {
        let nodes = &self.plan.plan().nodes;
        let expr = &nodes[node as usize];
        if expr.operands().next().is_none() {
            return;
        }
        self.values.resize(nodes.len(), None);
        if self.values[node as usize].is_none() {
            self.values[node as usize] = Some(self.compute(expr));
        }
    }

    fn leaf(&self, expr: &'a Expr) -> Value<'a> {
        let schedule = self.plan.context().schedule;
        match expr {
            Expr::Int(value) => Value::Int(*value),
            Expr::Text(text) => Value::Text(Cow::Borrowed(text)),
            Expr::Attribute(Attribute::Quantity) => Value::Int(i64::from(self.attempt.quantity)),
            Expr::Attribute(attribute) => Value::Text(self.plan.text_of(attribute, self.attempt)),
            Expr::Counter(index) => Value::Int(self.used(*index)),
            Expr::Remaining => Value::Int(self.remaining()),
            Expr::Stock => Value::Int(self.initial_stock()),
            Expr::Now => Value::Int(self.now),
            Expr::OpensAt => Value::Int(schedule.opens_at),
            Expr::ClosesAt => Value::Int(schedule.closes_at),
            Expr::Member { audience, of } => Value::Bool(self.is_member(audience, of)),
            _ => Value::Bool(false),
        }
    }

    fn initial_stock(&self) -> i64 {
        let skus = &self.plan.context().skus;
        let sku = skus.iter().find(|sku| sku.id == self.attempt.sku);
        sku.map_or(0, |sku| i64::try_from(sku.stock).unwrap_or(i64::MAX))
    }

    fn compute(&mut self, expr: &'a Expr) -> Value<'a> {
        match expr {
            Expr::Add(a, b) => Value::Int(self.int(*a).saturating_add(self.int(*b))),
            Expr::Sub(a, b) => Value::Int(self.int(*a).saturating_sub(self.int(*b))),
            Expr::Mul(a, b) => Value::Int(self.int(*a).saturating_mul(self.int(*b))),
            Expr::Div(a, divisor) => Value::Int(self.int(*a).div_euclid(*divisor)),
            Expr::Mod(a, divisor) => Value::Int(self.int(*a).rem_euclid(*divisor)),
            Expr::Min(a, b) => Value::Int(self.int(*a).min(self.int(*b))),
            Expr::Max(a, b) => Value::Int(self.int(*a).max(self.int(*b))),
            Expr::Lt(a, b) => Value::Bool(self.int(*a) < self.int(*b)),
            Expr::Le(a, b) => Value::Bool(self.int(*a) <= self.int(*b)),
            Expr::Eq(a, b) => Value::Bool(self.value(*a) == self.value(*b)),
            Expr::And(a, b) => Value::Bool(self.bool(*a) && self.bool(*b)),
            Expr::Or(a, b) => Value::Bool(self.bool(*a) || self.bool(*b)),
            Expr::Not(a) => Value::Bool(!self.bool(*a)),
            Expr::Select(condition, a, b) => {
                let chosen = if self.bool(*condition) { *a } else { *b };
                self.value(chosen)
            }
            Expr::OneOf(of, texts) => {
                let value = self.text(*of);
                let has = |element: &str| texts.iter().any(|text| text == element);
                Value::Bool(match self.plan.may_be_array(*of) {
                    true => elements(&value).any(has),
                    false => has(&value),
                })
            }
            Expr::Lookup { of, entries, default } => {
                let of = self.text(*of);
                let entry = entries.iter().find(|(key, _)| *key == of);
                Value::Int(entry.map_or(*default, |(_, value)| *value))
            }
            Expr::Number {
                of,
                low,
                high,
                missing,
                unreadable,
            } => {
                let text = self.text(*of);
                let read = integer(&text).filter(|value| (*low..=*high).contains(value));
                Value::Int(match text.is_empty() {
                    true => *missing,
                    false => read.unwrap_or(*unreadable),
                })
            }
            Expr::StartsWith(of, texts) => {
                let of = self.text(*of);
                Value::Bool(texts.iter().any(|text| of.starts_with(text.as_str())))
            }
            Expr::EndsWith(of, texts) => {
                let of = self.text(*of);
                Value::Bool(texts.iter().any(|text| of.ends_with(text.as_str())))
            }
            leaf => self.leaf(leaf),
        }
    }
}
