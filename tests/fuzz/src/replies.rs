//! Replies of an engine, of any shape: read or refused.

use std::sync::{Arc, LazyLock};

use rushgate::campaign::{Schedule, Sku};
use rushgate::lua::activate::activate_reply;
use rushgate::lua::codec;
use rushgate::lua::fence::Fence;
use rushgate::lua::record::Record;
use rushgate::lua::reply::Reply;
use rushgate::lua::restore::restore_reply;
use rushgate::lua::{Family, calls, emit::emit};
use rushgate::order::{Attempt, OrderId};
use rushgate::plan::{Attribute, CheckContext, Constraint, Counter, Expr, Measure, Plan, Window, check};

use super::input::Input;

/// Two counters and a constraint: what replies are read against.
static FAMILY: LazyLock<Family> = LazyLock::new(|| {
    let counter = |id: &str, window| Counter {
        id: id.into(),
        key: vec![Attribute::User],
        window,
        cost: 0,
    };
    let plan = Plan {
        nodes: vec![Expr::Int(1), Expr::Counter(0), Expr::Le(1, 0)],
        counters: vec![
            counter("r/a", Window::Campaign),
            counter("r/b", Window::Rolling { length_ms: 1000 }),
        ],
        constraints: vec![Constraint {
            when: None,
            require: 2,
            reason: "no".into(),
            rule: "r".into(),
            retryable: false,
            sentence: "Not so many.".into(),
            measure: Some(Measure { counter: 0, limit: 0 }),
        }],
        ..Plan::default()
    };
    let context = CheckContext {
        campaign: "fuzz".into(),
        schedule: Schedule {
            opens_at: 0,
            closes_at: 1_000_000,
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        skus: vec![Sku::new("mug", 5)].into(),
        audiences: Default::default(),
        buckets: 1,
    };
    emit(Arc::new(check(plan, context).expect("a plan in order")), 1).expect("it fits")
});

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let attempts: Vec<Attempt> = (0..input.below(3)).map(attempt).collect();
    let reply = reply(&mut input, 0);
    let _ = codec::admit_reply(&FAMILY, attempts.iter(), reply.clone());
    let _ = codec::inspect_reply(&FAMILY, reply.clone());
    let _ = activate_reply(reply.clone());
    let _ = restore_reply(reply.clone());
    let _ = calls::release_reply(reply.clone());
    let _ = calls::watch_reply(reply.clone());
    let _ = calls::outbox_reply(reply.clone());
    let _ = calls::lookup_reply(reply);
    if let Ok(record) = Record::decode(data) {
        let read = Record::decode(record.encode().as_bytes()).expect("what was written can be read");
        assert_eq!((read.placed, read.attributes), (record.placed, record.attributes));
    }
    if let Some(fence) = Fence::parse(data) {
        assert_eq!(Fence::parse(fence.to_string().as_bytes()), Some(fence));
    }
}

fn attempt(turn: usize) -> Attempt {
    Attempt {
        order: OrderId::keyed("fuzz", "ann", &turn.to_string()),
        user: "ann".into(),
        sku: "mug".into(),
        quantity: 1,
        attributes: Default::default(),
    }
}

const WORDS: &[&str] = &[
    "ok",
    "fence",
    "held",
    "lost",
    "",
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "1e15",
    "u1:1",
    "u1:-1",
    "no 1 2",
    "1 2 0",
    "1 2 3",
    "a 0-0 1 2 3 0123456789abcdef mug ann",
    "a 1-1 x",
    "nan",
];

fn reply(input: &mut Input<'_>, depth: usize) -> Reply {
    match input.below(if depth < 2 { 6 } else { 4 }) {
        0 => Reply::Nil,
        1 => Reply::Int(input.number()),
        2 => Reply::Bulk(WORDS[input.below(WORDS.len())].into()),
        3 => Reply::Bulk(input.text().into_bytes()),
        _ => {
            let head = if input.flag() { "ok" } else { "fence" };
            let mut parts = vec![Reply::Bulk(head.into())];
            parts.extend(input.list(16, |input| reply(input, depth + 1)));
            Reply::Array(parts)
        }
    }
}
