//! Tests of the checker: every refusal by its code.

use super::*;
use crate::campaign::{STOCK_MAX, Schedule, Sku};
use crate::order::{Attempt, OrderId};
use crate::plan::kind::Kind;
use crate::plan::slots::Slot;
use crate::plan::{
    Attribute, AudienceRef, CalendarUnit, Constraint, Counter, EarlyAccess, Expr, INTEGER_MAX, Measure, Node,
    Window,
};

const DAY: i64 = 86_400_000;

pub(super) fn context() -> CheckContext {
    CheckContext {
        campaign: "sale".into(),
        schedule: Schedule {
            opens_at: 1_774_699_200_000,
            closes_at: 1_774_699_200_000 + 4 * DAY,
            retention_ms: crate::campaign::RETENTION_MS,
        },
        skus: vec![Sku::new("shirt", 100)].into(),
        audiences: [("vip".to_owned(), AudienceRef::whole(3, 2))].into(),
        buckets: 4,
    }
}

/// Nodes 0 to 5: 1, quantity, a text, a boolean, the counter, the stock left.
fn plan() -> Plan {
    Plan {
        nodes: vec![
            Expr::Int(1),
            Expr::Attribute(Attribute::Quantity),
            Expr::Attribute(Attribute::Claim("tier".into())),
            Expr::Le(0, 1),
            Expr::Counter(0),
            Expr::Remaining,
        ],
        counters: vec![Counter {
            id: "rule/orders".into(),
            key: vec![Attribute::User, Attribute::Client("device".into())],
            window: Window::Campaign,
            cost: 1,
        }],
        constraints: vec![Constraint {
            when: Some(3),
            require: 3,
            reason: "limit-per-user".into(),
            rule: "rule".into(),
            retryable: false,
            sentence: "A sentence.".into(),
            measure: Some(Measure { counter: 0, limit: 0 }),
        }],
        early_access: vec![EarlyAccess {
            lead_ms: 1000,
            when: 3,
            sentence: "Some come first.".into(),
        }],
        required: Vec::new(),
    }
}

fn refused(change: impl FnOnce(&mut Plan)) -> (String, &'static str) {
    let mut plan = plan();
    change(&mut plan);
    let error = check(plan, context()).expect_err("refused");
    (error.at, error.code)
}

/// What becomes of one more node behind those of [`plan`].
fn node(expr: Expr) -> Result<Kind, &'static str> {
    nodes(vec![expr])
}

/// What becomes of the last of several more nodes, from 6.
fn nodes(more: Vec<Expr>) -> Result<Kind, &'static str> {
    let mut plan = plan();
    plan.nodes.extend(more);
    let last = plan.nodes.len() as Node - 1;
    match check(plan, context()) {
        Ok(checked) => Ok(checked.kind(last)),
        Err(error) => {
            assert_eq!(error.at, format!("nodes/{last}"), "{error}");
            Err(error.code)
        }
    }
}

fn int(low: i64, high: i64) -> Result<Kind, &'static str> {
    Ok(Kind::Int { low, high })
}

#[test]
fn bounds_follow_from_operands() {
    assert_eq!(node(Expr::Add(0, 1)), int(2, 1_000_001));
    assert_eq!(node(Expr::Sub(0, 1)), int(-999_999, 0));
    assert_eq!(node(Expr::Div(1, 7)), int(0, 142_857));
    assert_eq!(node(Expr::Mod(1, 7)), int(0, 6));
    assert_eq!(node(Expr::Mod(0, 7)), int(1, 1));
    assert_eq!(node(Expr::Min(0, 1)), int(1, 1));
    assert_eq!(node(Expr::Max(0, 1)), int(1, 1_000_000));
    assert_eq!(node(Expr::Select(3, 0, 1)), int(1, 1_000_000));
    assert_eq!(nodes(vec![Expr::Int(-3), Expr::Mul(1, 6)]), int(-3_000_000, -3));
    assert_eq!(nodes(vec![Expr::Int(-3), Expr::Mul(6, 6)]), int(9, 9));
    assert_eq!(nodes(vec![Expr::Int(-3), Expr::Div(6, 2)]), int(-2, -2));
    assert_eq!(nodes(vec![Expr::Int(-3), Expr::Mod(6, 2)]), int(0, 1));
    let table = |values: [i64; 2], default| Expr::Lookup {
        of: 2,
        entries: vec![("a".into(), values[0]), ("b".into(), values[1])],
        default,
    };
    assert_eq!(node(table([5, -5], 0)), int(-5, 5));
    assert_eq!(node(table([1, 2], 9)), int(1, 9));
    assert_eq!(node(Expr::OpensAt), int(1_774_699_200_000, 1_774_699_200_000));
    assert_eq!(node(Expr::Select(3, 2, 2)), Ok(Kind::Text));
    assert_eq!(node(Expr::Not(3)), Ok(Kind::Bool));
}

#[test]
fn numbers_stay_exact() {
    assert_eq!(node(Expr::Int(INTEGER_MAX)), int(INTEGER_MAX, INTEGER_MAX));
    assert_eq!(node(Expr::Int(-INTEGER_MAX)), int(-INTEGER_MAX, -INTEGER_MAX));
    for beyond in [INTEGER_MAX + 1, -INTEGER_MAX - 1, i64::MIN, i64::MAX] {
        assert_eq!(node(Expr::Int(beyond)), Err("number"));
        let table = Expr::Lookup {
            of: 2,
            entries: vec![("a".into(), beyond)],
            default: 0,
        };
        assert_eq!(node(table), Err("number"));
    }
    let with_most = |expr| nodes(vec![Expr::Int(INTEGER_MAX), expr]);
    assert_eq!(with_most(Expr::Add(6, 0)), Err("number"));
    assert_eq!(with_most(Expr::Mul(6, 1)), Err("number"));
    let with_least = |expr| nodes(vec![Expr::Int(-INTEGER_MAX), expr]);
    assert_eq!(with_least(Expr::Sub(6, 0)), Err("number"));
    // floor(a / m) * m lies below a.
    assert_eq!(with_least(Expr::Mod(6, 3)), Err("number"));
    assert_eq!(nodes(vec![Expr::Mul(4, 1)]), Err("number"));
}

#[test]
fn divisors_are_at_least_one() {
    for divisor in [0, -1, i64::MIN, i64::MAX] {
        assert_eq!(node(Expr::Div(1, divisor)), Err("bound"));
        assert_eq!(node(Expr::Mod(1, divisor)), Err("bound"));
    }
}

#[test]
fn operands_come_first() {
    for operand in [6, 7, u32::MAX] {
        assert_eq!(node(Expr::Not(operand)), Err("index"));
        assert_eq!(node(Expr::Add(0, operand)), Err("index"));
        assert_eq!(node(Expr::Select(3, 0, operand)), Err("index"));
    }
    assert_eq!(node(Expr::Counter(1)), Err("index"));
    assert_eq!(node(Expr::Counter(u32::MAX)), Err("index"));
}

/// A number that a text says, of these bounds.
fn said(of: Node, low: i64, high: i64) -> Expr {
    Expr::Number {
        of,
        low,
        high,
        missing: 2,
        unreadable: -3,
    }
}

#[test]
fn numbers_that_texts_say_are_bounded() {
    assert_eq!(node(said(2, 0, 10)), Ok(Kind::Int { low: -3, high: 10 }));
    assert_eq!(node(said(2, -5, 1)), Ok(Kind::Int { low: -5, high: 2 }));
    assert_eq!(node(said(2, 1, 0)), Err("bound"), "nothing is from 1 to 0");
    assert_eq!(node(said(2, 0, INTEGER_MAX + 1)), Err("number"));
    assert_eq!(node(said(2, -INTEGER_MAX - 1, 0)), Err("number"));
    // What an admitted order adds is never below nothing.
    let cost = |plan: &mut Plan| {
        plan.nodes.push(Expr::Attribute(Attribute::User));
        plan.nodes.push(said(plan.nodes.len() as Node - 1, 0, 5));
        plan.counters[0].cost = plan.nodes.len() as Node - 1;
    };
    assert_eq!(refused(cost), ("counters/0/cost".into(), "bound"));
}

#[test]
fn types_fit() {
    for wrong in [
        Expr::Add(0, 2),
        Expr::Add(3, 0),
        Expr::Div(2, 1),
        Expr::Lt(0, 3),
        Expr::Le(2, 2),
        Expr::Eq(0, 2),
        Expr::Eq(3, 3),
        Expr::And(3, 0),
        Expr::Or(2, 3),
        Expr::Not(0),
        Expr::Select(0, 0, 0),
        Expr::Select(3, 0, 2),
        Expr::OneOf(0, vec![]),
        Expr::StartsWith(0, vec![]),
        Expr::EndsWith(3, vec![]),
        said(0, 0, 1),
        Expr::Lookup {
            of: 1,
            entries: vec![],
            default: 0,
        },
        Expr::Member {
            audience: "vip".into(),
            of: Attribute::Quantity,
        },
    ] {
        assert_eq!(node(wrong.clone()), Err("type"), "{wrong:?}");
    }
}

#[test]
fn attributes_have_sound_names() {
    let long = "a".repeat(65);
    for name in ["", "a\nb", "\0", "\u{85}", long.as_str()] {
        assert_eq!(
            node(Expr::Attribute(Attribute::Client(name.into()))),
            Err("attribute")
        );
        let member = Expr::Member {
            audience: "vip".into(),
            of: Attribute::Claim(name.into()),
        };
        assert_eq!(node(member), Err("attribute"));
        let key = vec![Attribute::Claim(name.into())];
        assert_eq!(
            refused(|plan| plan.counters[0].key = key),
            ("counters/0/key".into(), "attribute")
        );
        let required = vec![Attribute::Client(name.into())];
        assert_eq!(
            refused(|plan| plan.required = required),
            ("required/0".into(), "attribute")
        );
    }
    let many = |kind: fn(String) -> Attribute, count| {
        move |plan: &mut Plan| {
            plan.required = (0..count).map(|index| kind(format!("name-{index}"))).collect();
        }
    };
    assert_eq!(refused(many(Attribute::Claim, 32)), ("nodes".into(), "attribute"));
    assert_eq!(
        refused(many(Attribute::Client, 16)),
        ("nodes".into(), "attribute")
    );
    assert_eq!(refused(many(Attribute::Client, 33)), ("required".into(), "bound"));
}

#[test]
fn texts_and_tables_are_bounded() {
    assert_eq!(node(Expr::Text("a".repeat(512))), Ok(Kind::Text));
    assert_eq!(node(Expr::Text("a".repeat(513))), Err("bound"));
    let keys = |count: usize| (0..count).map(|key| key.to_string()).collect::<Vec<_>>();
    assert_eq!(node(Expr::OneOf(2, keys(1024))), Ok(Kind::Bool));
    assert_eq!(node(Expr::OneOf(2, keys(1025))), Err("bound"));
    assert_eq!(nodes(vec![Expr::OneOf(2, keys(1024)); 9]), Err("bound"));
    assert_eq!(node(Expr::OneOf(2, vec!["a".into(), "a".into()])), Err("bound"));
    for affix in [Expr::StartsWith, Expr::EndsWith] {
        assert_eq!(node(affix(2, keys(1024))), Ok(Kind::Bool));
        assert_eq!(node(affix(2, keys(1025))), Err("bound"));
        assert_eq!(node(affix(2, vec!["a".into(), "a".into()])), Err("bound"));
        assert_eq!(node(affix(2, vec!["a".into(), String::new()])), Err("bound"));
    }
    let twice = Expr::Lookup {
        of: 2,
        entries: vec![("a".into(), 1), ("a".into(), 1)],
        default: 0,
    };
    assert_eq!(node(twice), Err("bound"));
    let large = |plan: &mut Plan| plan.nodes.resize(300, Expr::Text("a".repeat(500)));
    assert_eq!(refused(large), ("nodes".into(), "bound"));
}

#[test]
fn lists_are_known() {
    let member = |audience: &str| Expr::Member {
        audience: audience.into(),
        of: Attribute::User,
    };
    assert_eq!(node(member("vip")), Ok(Kind::Bool));
    assert_eq!(node(member("VIP")), Err("audience"));
}

#[test]
fn parts_are_counted() {
    let many = |change: fn(&mut Plan)| refused(change);
    let nodes = |plan: &mut Plan| plan.nodes.resize(4097, Expr::Int(0));
    assert_eq!(many(nodes), ("nodes".into(), "bound"));
    let counters = |plan: &mut Plan| plan.counters = vec![plan.counters[0].clone(); 65];
    assert_eq!(many(counters), ("counters".into(), "bound"));
    let constraints = |plan: &mut Plan| plan.constraints = vec![plan.constraints[0].clone(); 65];
    assert_eq!(many(constraints), ("constraints".into(), "bound"));
    let early = |plan: &mut Plan| plan.early_access = vec![plan.early_access[0].clone(); 17];
    assert_eq!(many(early), ("early_access".into(), "bound"));
}

#[test]
fn counters_are_sound() {
    for id in [
        "",
        "/",
        "a/",
        "/a",
        "a/b/c",
        "A",
        "-a",
        "a b",
        "a:b",
        "a}b",
        "a\n",
        &"a".repeat(65),
    ] {
        assert_eq!(
            refused(|plan| plan.counters[0].id = id.into()),
            ("counters/0/id".into(), "name"),
            "{id:?}"
        );
    }
    let twice = |plan: &mut Plan| plan.counters.push(plan.counters[0].clone());
    assert_eq!(refused(twice), ("counters/1/id".into(), "name"));
    let key = |key: Vec<Attribute>| refused(move |plan| plan.counters[0].key = key);
    let at = |code| ("counters/0/key".to_owned(), code);
    assert_eq!(key(vec![Attribute::User, Attribute::User]), at("attribute"));
    assert_eq!(key(vec![Attribute::Quantity]), at("attribute"));
    assert_eq!(
        key((0..9).map(|index| Attribute::Claim(index.to_string())).collect()),
        at("bound")
    );
}

#[test]
fn windows_are_bounded() {
    let window = |window: Window| refused(move |plan| plan.counters[0].window = window);
    let at = ("counters/0/window".to_owned(), "window");
    let tumbling = |length_ms, origin_ms| Window::Tumbling { length_ms, origin_ms };
    for wrong in [
        tumbling(999, 0),
        tumbling(i64::MIN, 0),
        tumbling(800 * DAY + 1, 0),
        tumbling(1000, -1),
        tumbling(1000, i64::MAX),
        Window::Rolling { length_ms: 0 },
        Window::Rolling { length_ms: i64::MAX },
        Window::Calendar {
            unit: CalendarUnit::Day,
            zone: "Europe/Atlantis".into(),
        },
        Window::Calendar {
            unit: CalendarUnit::Day,
            zone: "../../etc/passwd".into(),
        },
    ] {
        assert_eq!(window(wrong.clone()), at, "{wrong:?}");
    }
    let zones = [
        "UTC",
        "Europe/Berlin",
        "Asia/Tokyo",
        "Asia/Kolkata",
        "Asia/Shanghai",
    ];
    let calendars = zones.iter().flat_map(|zone| {
        [CalendarUnit::Day, CalendarUnit::Week].map(|unit| Window::Calendar {
            unit,
            zone: (*zone).to_owned(),
        })
    });
    let counters: Vec<Counter> = (0..)
        .zip(calendars)
        .map(|(index, window)| Counter {
            id: format!("c{index}"),
            window,
            ..plan().counters[0].clone()
        })
        .collect();
    assert_eq!(
        refused(|plan| plan.counters = counters),
        ("counters/8/window".into(), "window")
    );
}

#[test]
fn costs_can_be_computed_again() {
    let cost = |cost| refused(move |plan| plan.counters[0].cost = cost);
    let at = |code| ("counters/0/cost".to_owned(), code);
    assert_eq!(cost(6), at("index"));
    assert_eq!(cost(u32::MAX), at("index"));
    assert_eq!(cost(2), at("type"));
    let with = |more: Vec<Expr>| {
        refused(move |plan| {
            plan.nodes.extend(more);
            plan.counters[0].cost = plan.nodes.len() as Node - 1;
        })
    };
    assert_eq!(with(vec![Expr::Int(-1)]), at("bound"));
    assert_eq!(with(vec![Expr::Add(0, 1)]), at("bound"));
    for changing in [
        Expr::Counter(0),
        Expr::Remaining,
        Expr::Stock,
        Expr::Now,
        Expr::ClosesAt,
    ] {
        assert_eq!(with(vec![changing, Expr::Min(0, 6), Expr::Max(0, 7)]), at("type"));
    }
    let member = Expr::Member {
        audience: "vip".into(),
        of: Attribute::User,
    };
    assert_eq!(with(vec![member, Expr::Select(6, 0, 1)]), at("type"));
}

#[test]
fn constraints_are_sound() {
    type Change = fn(&mut Constraint);
    let cases: [(Change, &str, &str); 15] = [
        (|c| c.when = Some(0), "when", "type"),
        (|c| c.when = Some(u32::MAX), "when", "index"),
        (|c| c.require = 2, "require", "type"),
        (|c| c.require = 6, "require", "index"),
        (|c| c.reason = String::new(), "reason", "name"),
        (|c| c.reason = "Limit".into(), "reason", "name"),
        (|c| c.reason = "a--b".into(), "reason", "name"),
        (|c| c.reason = "a-".into(), "reason", "name"),
        (|c| c.reason = "sold-out".into(), "reason", "name"),
        (|c| c.rule = "a/b".into(), "rule", "name"),
        (|c| c.sentence = " ".into(), "sentence", "bound"),
        (
            |c| c.sentence = "a\nredis.call('FLUSHALL')".into(),
            "sentence",
            "bound",
        ),
        (|c| c.sentence = "a".repeat(513), "sentence", "bound"),
        (
            |c| c.measure = Some(Measure { counter: 1, limit: 0 }),
            "measure/counter",
            "index",
        ),
        (
            |c| c.measure = Some(Measure { counter: 0, limit: 3 }),
            "measure/limit",
            "type",
        ),
    ];
    for (change, part, code) in cases {
        let found = refused(|plan| change(&mut plan.constraints[0]));
        assert_eq!(found, (format!("constraints/0/{part}"), code));
    }
    let limit = refused(|plan| {
        plan.constraints[0].measure = Some(Measure {
            counter: 0,
            limit: 99,
        })
    });
    assert_eq!(limit, ("constraints/0/measure/limit".into(), "index"));
}

#[test]
fn early_access_is_sound() {
    let early = |lead_ms, when| {
        refused(move |plan| {
            plan.nodes.extend([Expr::Le(4, 0), Expr::Le(5, 0)]);
            plan.early_access[0].lead_ms = lead_ms;
            plan.early_access[0].when = when;
        })
    };
    for lead in [-1, 90 * DAY + 1, i64::MIN, i64::MAX] {
        assert_eq!(early(lead, 3), ("early_access/0/lead_ms".into(), "window"));
    }
    assert_eq!(early(0, 0), ("early_access/0/when".into(), "type"));
    assert_eq!(early(0, 8), ("early_access/0/when".into(), "index"));
    assert_eq!(early(0, 6), ("early_access/0/when".into(), "type"));
    assert_eq!(early(0, 7), ("early_access/0/when".into(), "type"));
    let sentence = refused(|plan| plan.early_access[0].sentence = "a\rb".into());
    assert_eq!(sentence, ("early_access/0/sentence".into(), "bound"));
}

#[test]
fn cost_is_within_budget() {
    let member = Expr::Member {
        audience: "vip".into(),
        of: Attribute::User,
    };
    let members = |count: usize| {
        let mut plan = plan();
        for _ in 0..count {
            let node = plan.nodes.len() as Node;
            plan.nodes
                .extend([member.clone(), Expr::And(plan.constraints[0].require, node)]);
            plan.constraints[0].require = node + 1;
        }
        check(plan, context())
    };
    // Order, stock and the one counter, each read and written.
    assert_eq!(members(0).expect("passes").cost().commands, 6);
    assert_eq!(members(154).expect("passes").cost().commands, PLAN_COMMANDS_MAX);
    let error = members(155).expect_err("refused");
    assert_eq!((error.at.as_str(), error.code), ("nodes", "cost"));
}

#[test]
fn the_campaign_is_sound() {
    type Change = fn(&mut CheckContext);
    let cases: [(Change, &str, &str); 13] = [
        (|c| c.campaign = "a}b".into(), "campaign", "name"),
        (
            |c| c.schedule.opens_at = c.schedule.closes_at,
            "schedule",
            "bound",
        ),
        (|c| c.schedule.opens_at = -1, "schedule", "bound"),
        (|c| c.schedule.opens_at = i64::MIN, "schedule", "bound"),
        (|c| c.schedule.closes_at = i64::MAX, "schedule", "bound"),
        (|c| c.schedule.closes_at += 800 * DAY, "schedule", "bound"),
        (|c| c.skus.clear(), "skus", "bound"),
        (|c| c.skus[0].stock = STOCK_MAX + 1, "skus", "bound"),
        (|c| c.skus[0].id = "a\n".into(), "skus/0/id", "name"),
        (|c| c.skus.extend_from_within(..1), "skus/1/id", "name"),
        (|c| c.buckets = 0, "buckets", "bound"),
        (
            |c| {
                c.audiences.insert("a:b".into(), AudienceRef::whole(1, 1));
            },
            "audiences/a:b",
            "audience",
        ),
        (
            |c| {
                c.audiences.insert("x".into(), AudienceRef::whole(1, 0));
            },
            "audiences/x",
            "audience",
        ),
    ];
    for (change, part, code) in cases {
        let mut context = context();
        change(&mut context);
        let error = check(plan(), context).expect_err(part);
        assert_eq!((error.at, error.code), (format!("context/{part}"), code));
    }
    let mut many = context();
    many.skus = vec![Sku::new("a", u64::MAX), Sku::new("b", u64::MAX)].into();
    assert_eq!(check(plan(), many).expect_err("refused").at, "context/skus");
}

#[test]
fn slots_are_what_the_script_reads() {
    let mut plan = plan();
    let user = plan.nodes.len() as Node;
    plan.nodes.extend([
        Expr::Attribute(Attribute::User),
        Expr::OneOf(user, vec!["ann".into()]),
        Expr::Member {
            audience: "vip".into(),
            of: Attribute::Sku,
        },
        Expr::And(user + 1, user + 2),
        // Reached by nothing: no slot, no attribute.
        Expr::Attribute(Attribute::Ip),
    ]);
    plan.constraints[0].when = Some(user + 3);
    plan.counters.push(Counter {
        id: "rule/all".into(),
        key: Vec::new(),
        ..plan.counters[0].clone()
    });
    plan.counters.push(Counter {
        id: "rule/again".into(),
        ..plan.counters[0].clone()
    });
    plan.required = vec![Attribute::Claim("region".into()), Attribute::User];
    let checked = check(plan, context()).expect("passes");
    let device = vec![Attribute::User, Attribute::Client("device".into())];
    assert_eq!(
        checked.slots(),
        [
            Slot::Attribute(Attribute::User),
            Slot::Subject(device.clone()),
            Slot::Bucket(device),
            Slot::Subject(Vec::new()),
            Slot::Bucket(Vec::new()),
            Slot::MemberBucket {
                audience: "vip".into(),
                of: Attribute::Sku
            },
        ]
    );
    assert_eq!(
        checked.attributes(),
        [
            Attribute::Claim("region".into()),
            Attribute::Client("device".into())
        ]
    );
}

#[test]
fn the_digest_follows_from_what_decides() {
    let digest = |plan, context| check(plan, context).expect("passes").digest().to_owned();
    let first = digest(plan(), context());
    assert_eq!(first.len(), 64);
    assert_eq!(first, digest(plan(), context()));
    let mut other = plan();
    other.nodes[0] = Expr::Int(2);
    assert_ne!(first, digest(other, context()));
    let mut later = context();
    later.schedule.closes_at += 1;
    assert_ne!(first, digest(plan(), later));
    let mut list = context();
    list.audiences.clear();
    assert_ne!(first, digest(plan(), list));
}

#[test]
fn an_empty_plan_passes() {
    let checked = check(Plan::default(), context()).expect("passes");
    assert!(checked.slots().is_empty() && checked.attributes().is_empty());
    assert_eq!(checked.cost().commands, 4);
}

#[test]
fn the_largest_chain_is_checked_and_run() {
    let mut plan = plan();
    plan.nodes.resize(6, Expr::Int(0));
    while plan.nodes.len() < PLAN_NODES_MAX - 1 {
        plan.nodes.push(Expr::Add(plan.nodes.len() as Node - 1, 0));
    }
    plan.nodes.push(Expr::Le(plan.nodes.len() as Node - 1, 0));
    plan.constraints[0].require = PLAN_NODES_MAX as Node - 1;
    let checked = check(plan, context()).expect("passes");
    let attempt = crate::order::Attempt {
        order: OrderId::keyed("sale", "ann", "1"),
        user: "ann".into(),
        sku: "shirt".into(),
        quantity: 1,
        attributes: Default::default(),
    };
    let mut state = crate::plan::state::State::default();
    state.stock.insert("shirt".into(), 100);
    let now = checked.context().schedule.opens_at;
    let decision = crate::plan::eval::decide(&checked, 1, &mut state, &attempt, now);
    assert!(matches!(decision, crate::plan::decision::Decision::Rejected(_)));
}

fn with_sku(attributes: &[(&str, &str)]) -> CheckContext {
    let mut context = context();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    context.skus[0].attributes = attributes.iter().map(owned).collect();
    context
}

#[test]
fn attributes_of_a_sku_are_within_bounds() {
    let refused = |attributes: &[(&str, &str)]| {
        let error = check(plan(), with_sku(attributes)).expect_err("refused");
        assert_eq!(error.at, "context/skus/0/attributes");
        error.message
    };
    let long = "x".repeat(257);
    for (name, value, why) in [
        ("", "red", "has 0 bytes"),
        (&long[..65], "red", "has 65 bytes"),
        ("col\nour", "red", "control character"),
        ("colour", "", "is empty"),
        ("colour", &long, "at most 256"),
        ("colour", "re\u{1f}d", "control character"),
        ("colour", "re\u{200b}d", "not seen"),
    ] {
        let said = refused(&[(name, value)]);
        assert!(said.contains(why), "{name:?} {value:?}: {said}");
    }
    let names: Vec<String> = (0..17).map(|n| format!("a{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    assert!(refused(&many).contains("at most 16"));
    check(plan(), with_sku(&many[..16])).expect("sixteen are allowed");
}

#[test]
fn a_sku_attribute_is_given_by_the_campaign_alone() {
    let mut plan = plan();
    let colour = Attribute::OfSku("colour".into());
    plan.counters[0].key = vec![Attribute::User, colour.clone()];
    let checked = check(plan, with_sku(&[("colour", "red")])).expect("passes");
    assert!(!checked.attributes().contains(&colour), "nobody brings it along");
    assert!(
        checked
            .slots()
            .contains(&Slot::Subject(vec![Attribute::User, colour.clone()]))
    );
    let mut attempt = Attempt {
        order: crate::order::OrderId::keyed("c", "ann", "1"),
        user: "ann".into(),
        sku: "shirt".into(),
        quantity: 1,
        attributes: [
            ("sku:colour", "blue"),
            ("client:colour", "blue"),
            ("claim:colour", "blue"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
    };
    assert_eq!(checked.text_of(&colour, &attempt), "red");
    assert_eq!(
        checked.subject(&[Attribute::User, colour.clone()], &attempt),
        "3:ann3:red"
    );
    attempt.sku = "another".into();
    assert_eq!(checked.text_of(&colour, &attempt), "");
}

#[test]
fn attributes_of_skus_count_among_those_a_plan_reads() {
    let reading = |count: usize| {
        let mut plan = plan();
        let key = |index| vec![Attribute::OfSku(format!("a{index}"))];
        let counter = plan.counters[0].clone();
        plan.counters.extend((0..count).map(|index| Counter {
            id: format!("rule/{index}"),
            key: key(index),
            ..counter.clone()
        }));
        check(plan, context())
    };
    let error = reading(PLAN_ATTRIBUTES_MAX).expect_err("too many");
    assert_eq!((error.at.as_str(), error.code), ("nodes", "attribute"));
    assert!(reading(PLAN_ATTRIBUTES_MAX / 2).is_ok());
}
