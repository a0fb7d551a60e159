//! How samples are written down: a plan node by node, and a story line by line.

use std::collections::BTreeMap;

use super::{Act, Expected, Sample, Step};
use crate::campaign::{Schedule, Sku};
use crate::order::{Attempt, OrderId};
use crate::plan::CheckContext;
use crate::plan::{
    Attribute, AudienceRef, Constraint, Counter, EarlyAccess, Expr, Folds, Measure, Node, Plan, Window,
};

pub(super) const SECOND: i64 = 1000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
/// 2026-03-28T12:00:00Z; the clocks of Europe/Berlin skip an hour at 2026-03-29T01:00:00Z.
pub(super) const SPRING: i64 = 1_774_699_200_000;
/// 2026-10-24T12:00:00Z; the clocks of Europe/Berlin repeat an hour at 2026-10-25T01:00:00Z.
pub(super) const AUTUMN: i64 = 1_792_843_200_000;

pub(super) fn client(name: &str) -> Attribute {
    Attribute::Client(name.to_owned())
}

pub(super) fn claim(name: &str) -> Attribute {
    Attribute::Claim(name.to_owned())
}

pub(super) fn sku_attribute(name: &str) -> Attribute {
    Attribute::OfSku(name.to_owned())
}

/// A plan in the making.
#[derive(Default)]
pub(super) struct Draft(Plan);

impl Draft {
    pub(super) fn fold(&mut self, folds: &Folds) {
        self.0 = folds.apply(std::mem::take(&mut self.0));
    }

    pub(super) fn push(&mut self, expr: Expr) -> Node {
        self.0.nodes.push(expr);
        self.0.nodes.len() as Node - 1
    }

    pub(super) fn counted(&mut self, key: &[Attribute], window: Window, cost: Expr) -> u32 {
        let cost = self.push(cost);
        let index = self.0.counters.len();
        self.0.counters.push(Counter {
            id: format!("sample/count-{index}"),
            key: key.to_vec(),
            window,
            cost,
        });
        index as u32
    }

    pub(super) fn orders(&mut self, key: &[Attribute], window: Window) -> u32 {
        self.counted(key, window, Expr::Int(1))
    }

    pub(super) fn units(&mut self, key: &[Attribute], window: Window) -> u32 {
        self.counted(key, window, Expr::Attribute(Attribute::Quantity))
    }

    pub(super) fn require(&mut self, require: Node, reason: &str, sentence: &str) {
        self.0.constraints.push(Constraint {
            when: None,
            require,
            reason: reason.to_owned(),
            rule: "sample".into(),
            retryable: false,
            sentence: sentence.to_owned(),
            measure: None,
        });
    }

    /// `counter + cost ≤ limit`, measured, with the reason `limit`.
    pub(super) fn at_most(&mut self, counter: u32, limit: Node, sentence: &str) {
        let used = self.push(Expr::Counter(counter));
        let cost = self.0.counters[counter as usize].cost;
        let then = self.push(Expr::Add(used, cost));
        let within = self.push(Expr::Le(then, limit));
        self.require(within, "limit", sentence);
        self.last().measure = Some(Measure { counter, limit });
    }

    /// The constraint added last.
    pub(super) fn last(&mut self) -> &mut Constraint {
        self.0.constraints.last_mut().expect("a constraint was added")
    }

    pub(super) fn early(&mut self, lead_ms: i64, when: Node, sentence: &str) {
        self.0.early_access.push(EarlyAccess {
            lead_ms,
            when,
            sentence: sentence.to_owned(),
        });
    }
}

/// A sample in the making: 100 shirts and 20 shoes for four days.
pub(super) struct Story(Sample);

impl Story {
    pub(super) fn new(name: &'static str, draft: Draft) -> Self {
        let sku = |id: &str, stock| Sku::new(id, stock);
        let context = CheckContext {
            campaign: "sample".into(),
            schedule: four_days(SPRING),
            skus: vec![sku("shirt", 100), sku("shoe", 20)].into(),
            audiences: BTreeMap::new(),
            buckets: 4,
        };
        Self(Sample {
            name,
            plan: draft.0,
            context,
            audiences: BTreeMap::new(),
            steps: Vec::new(),
        })
    }

    pub(super) fn opening(mut self, opens_at: i64) -> Self {
        self.0.context.schedule = four_days(opens_at);
        self
    }

    /// Gives an SKU, one more where there is none of this id, these attributes: `colour=red category=shirts`.
    pub(super) fn sku(mut self, id: &str, attributes: &str) -> Self {
        let skus = &mut self.0.context.skus;
        let at = skus.iter().position(|sku| sku.id == id).unwrap_or_else(|| {
            skus.push(Sku::new(id, 50));
            skus.len() - 1
        });
        skus[at].attributes = texts(attributes);
        self
    }

    pub(super) fn audience(mut self, audience: &str, members: &[&str]) -> Self {
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        self.0.audiences.insert(audience.to_owned(), members);
        let list = AudienceRef::whole(1, 2);
        self.0.context.audiences.insert(audience.to_owned(), list);
        self
    }

    pub(super) fn steps(mut self, rows: Vec<Row>) -> Sample {
        for Row { at_ms, act } in rows {
            let act = match act {
                RowAct::Order(mut attempt, expect) => {
                    // Every step is an order of its own.
                    let key = self.0.steps.len().to_string();
                    attempt.order = OrderId::keyed("sample", &attempt.user, &key);
                    Act::Attempt { attempt, expect }
                }
                RowAct::Again(step) => self.again(step),
                RowAct::Release(step) => Act::Release { step },
            };
            self.0.steps.push(Step { at_ms, act });
        }
        self.0
    }

    fn again(&self, step: usize) -> Act {
        let Act::Attempt { attempt, .. } = &self.0.steps[step].act else {
            panic!("step {step} is no attempt");
        };
        Act::Attempt {
            attempt: attempt.clone(),
            expect: Expected::Existing,
        }
    }
}

fn four_days(opens_at: i64) -> Schedule {
    Schedule {
        opens_at,
        closes_at: opens_at + 96 * HOUR,
        retention_ms: crate::campaign::RETENTION_MS,
    }
}

/// One line of a story.
pub(super) struct Row {
    at_ms: i64,
    act: RowAct,
}

enum RowAct {
    Order(Attempt, Expected),
    Again(usize),
    Release(usize),
}

/// An order; attributes as `client:device=d1 claim:tier=gold`; `expect` is `admitted` or a reason.
pub(super) fn order(at_ms: i64, user: &str, sku: &str, quantity: u32, attributes: &str, expect: &str) -> Row {
    let attempt = Attempt {
        order: OrderId::keyed("sample", user, ""),
        user: user.to_owned(),
        sku: sku.to_owned(),
        quantity,
        attributes: texts(attributes),
    };
    let expect = match expect {
        "admitted" => Expected::Admitted,
        reason => Expected::Rejected(reason.to_owned()),
    };
    let act = RowAct::Order(attempt, expect);
    Row { at_ms, act }
}

/// `one=a two=b` as texts by name.
fn texts(pairs: &str) -> BTreeMap<String, String> {
    let pairs = pairs.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The order of an earlier step once more: it is found.
pub(super) fn again(at_ms: i64, step: usize) -> Row {
    let act = RowAct::Again(step);
    Row { at_ms, act }
}

pub(super) fn release(at_ms: i64, step: usize) -> Row {
    let act = RowAct::Release(step);
    Row { at_ms, act }
}
