//! One attempt run through a checked plan: values of nodes and of counters at one moment.

use std::borrow::Cow;

use super::eval::{Measured, State, compose_subject, is_live, window_start};
use super::{Attribute, CheckedPlan, Counter, Expr, Measure, Node, Window};
use crate::order::Attempt;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value<'a> {
    Int(i64),
    Bool(bool),
    Text(Cow<'a, str>),
}

/// One attempt at one moment. Nodes are computed when asked for, each once.
pub(super) struct Run<'a> {
    plan: &'a CheckedPlan,
    /// `None` where nothing but the attempt is read.
    state: Option<&'a State>,
    attempt: &'a Attempt,
    now: i64,
    values: Vec<Option<Value<'a>>>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        plan: &'a CheckedPlan,
        state: Option<&'a State>,
        attempt: &'a Attempt,
        now: i64,
    ) -> Self {
        Self {
            plan,
            state,
            attempt,
            now,
            values: Vec::new(),
        }
    }

    pub(super) fn is_early(&mut self) -> bool {
        let plan = self.plan;
        let opens_at = plan.context().schedule.opens_at;
        plan.plan()
            .early_access
            .iter()
            .any(|early| self.now >= opens_at - early.lead_ms && self.bool(early.when))
    }

    pub(super) fn measured(&mut self, measure: Measure) -> Measured {
        Measured {
            used: self.used(measure.counter),
            limit: self.int(measure.limit),
            retry_at: self.retry_at(measure.counter),
        }
    }

    /// When the passing of time next lowers a counter.
    fn retry_at(&self, index: u32) -> Option<i64> {
        let counter = &self.plan.plan().counters[index as usize];
        match counter.window {
            Window::Campaign => None,
            Window::Tumbling { length_ms, .. } => {
                Some(window_start(self.plan, index, self.now).saturating_add(length_ms))
            }
            Window::Calendar { .. } => self.plan.periods(index)?.end_of(self.now),
            Window::Rolling { length_ms } => {
                let oldest = self.live(counter).into_iter().map(|(moment, _)| moment).min()?;
                Some(oldest.saturating_add(length_ms))
            }
        }
    }

    pub(super) fn used(&self, index: u32) -> i64 {
        let counter = &self.plan.plan().counters[index as usize];
        if matches!(counter.window, Window::Rolling { .. }) {
            let live = self.live(counter);
            return live.iter().fold(0, |used, (_, cost)| used.saturating_add(*cost));
        }
        let window = window_start(self.plan, index, self.now);
        let key = (
            counter.id.clone(),
            window,
            compose_subject(&counter.key, self.attempt),
        );
        self.state
            .and_then(|state| state.counters.get(&key))
            .copied()
            .unwrap_or(0)
    }

    /// Orders a rolling counter still counts; none for every other window.
    pub(super) fn live(&self, counter: &Counter) -> Vec<(i64, i64)> {
        let Window::Rolling { length_ms } = counter.window else {
            return Vec::new();
        };
        let key = (counter.id.clone(), compose_subject(&counter.key, self.attempt));
        let entries = self.state.and_then(|state| state.rolling.get(&key));
        entries
            .into_iter()
            .flatten()
            .filter(|(moment, _)| is_live(*moment, self.now, length_ms))
            .copied()
            .collect()
    }

    // The checker has settled every type, so the other arms below are never taken.

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

    fn leaf(&self, expr: &'a Expr) -> Value<'a> {
        let schedule = self.plan.context().schedule;
        match expr {
            Expr::Int(value) => Value::Int(*value),
            Expr::Text(text) => Value::Text(Cow::Borrowed(text)),
            Expr::Attribute(Attribute::Quantity) => Value::Int(i64::from(self.attempt.quantity)),
            Expr::Attribute(attribute) => Value::Text(self.attempt.text(attribute)),
            Expr::Counter(index) => Value::Int(self.used(*index)),
            Expr::Remaining => {
                let stock = self.state.and_then(|state| state.stock.get(&self.attempt.sku));
                Value::Int(stock.copied().unwrap_or(0))
            }
            Expr::Stock => Value::Int(self.initial_stock()),
            Expr::Now => Value::Int(self.now),
            Expr::OpensAt => Value::Int(schedule.opens_at),
            Expr::ClosesAt => Value::Int(schedule.closes_at),
            Expr::Member { audience, of } => {
                let members = self.state.and_then(|state| state.audiences.get(audience));
                Value::Bool(members.is_some_and(|members| members.contains(&*self.attempt.text(of))))
            }
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
                let of = self.text(*of);
                Value::Bool(texts.iter().any(|text| *text == of))
            }
            Expr::Lookup { of, entries, default } => {
                let of = self.text(*of);
                let entry = entries.iter().find(|(key, _)| *key == of);
                Value::Int(entry.map_or(*default, |(_, value)| *value))
            }
            leaf => self.leaf(leaf),
        }
    }
}
