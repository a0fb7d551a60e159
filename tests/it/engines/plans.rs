//! Small plans for the hand-written cases.

use std::collections::BTreeMap;

use rushgate::campaign::{Schedule, Sku};
use rushgate::order::{Attempt, OrderId};
use rushgate::plan::{Attribute, CheckContext, Constraint, Counter, Expr, Measure, Node, Plan, Window};

/// 2030-01-01T00:00:00Z.
pub const OPENS_AT: i64 = 1_893_456_000_000;
pub const DAY: i64 = 86_400_000;

/// A campaign of one day with two SKUs.
pub fn context(skus: &[(&str, u64)]) -> CheckContext {
    CheckContext {
        campaign: "spring-sale".into(),
        schedule: Schedule {
            opens_at: OPENS_AT,
            closes_at: OPENS_AT + DAY,
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        skus: skus.iter().map(|(id, stock)| Sku::new(*id, *stock)).collect(),
        audiences: BTreeMap::new(),
        buckets: 4,
    }
}

/// The same campaign around a moment: open for the hour before and the day after.
pub fn context_now(skus: &[(&str, u64)]) -> CheckContext {
    let now = jiff::Timestamp::now().as_millisecond();
    let schedule = Schedule {
        opens_at: now - 3_600_000,
        closes_at: now + DAY,
        retention_ms: rushgate::campaign::RETENTION_MS,
    };
    CheckContext {
        schedule,
        ..context(skus)
    }
}

/// At most `limit` of `cost` per subject and window.
pub fn limit(key: &[Attribute], window: Window, cost: Expr, limit: i64) -> Plan {
    let mut plan = Plan::default();
    add_limit(&mut plan, "n-per-user/orders", key, window, cost, limit);
    plan
}

pub fn add_limit(plan: &mut Plan, id: &str, key: &[Attribute], window: Window, cost: Expr, limit: i64) {
    let counter = plan.counters.len() as u32;
    let cost = push(plan, cost);
    let used = push(plan, Expr::Counter(counter));
    let then = push(plan, Expr::Add(used, cost));
    let limit = push(plan, Expr::Int(limit));
    let require = push(plan, Expr::Le(then, limit));
    plan.counters.push(Counter {
        id: id.into(),
        key: key.to_vec(),
        window,
        cost,
    });
    let (rule, reason) = id.split_once('/').unwrap_or((id, "limit"));
    plan.constraints.push(Constraint {
        when: None,
        require,
        reason: reason.into(),
        rule: rule.into(),
        retryable: false,
        sentence: format!("At most so many per {}.", key.len()),
        measure: Some(Measure { counter, limit }),
    });
}

/// A constraint without numbers.
pub fn require(plan: &mut Plan, when: Option<Node>, require: Node) {
    plan.constraints.push(Constraint {
        when,
        require,
        reason: "required".into(),
        rule: "extra".into(),
        retryable: false,
        sentence: "What is required.".into(),
        measure: None,
    });
}

pub fn push(plan: &mut Plan, expr: Expr) -> Node {
    plan.nodes.push(expr);
    plan.nodes.len() as Node - 1
}

pub fn attempt(user: &str, key: u32, sku: &str, quantity: u32) -> Attempt {
    Attempt {
        order: OrderId::keyed("spring-sale", user, &key.to_string()),
        user: user.into(),
        sku: sku.into(),
        quantity,
        attributes: BTreeMap::new(),
    }
}

pub fn with(mut attempt: Attempt, name: &str, value: &str) -> Attempt {
    attempt.attributes.insert(name.into(), value.into());
    attempt
}
