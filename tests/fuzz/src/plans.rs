//! Any plan goes through the checker; one that passes is explained, written as a script, and decided by both.

use std::sync::Arc;

use rushgate::campaign::{Schedule, Sku};
use rushgate::control::proof::{Scripted, compact};
use rushgate::lua::emit::emit;
use rushgate::order::{Attempt, OrderId};
use rushgate::plan::eval::decide;
use rushgate::plan::state::State;
use rushgate::plan::{
    Attribute, CalendarUnit, CheckContext, Constraint, Counter, EarlyAccess, Expr, Measure, Plan, Window,
    check, explain,
};

use super::input::Input;

const OPENS_AT: i64 = 1_774_738_800_000;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let context = context(&mut input);
    let plan = plan(&mut input);
    let Ok(checked) = check(plan, context) else { return };
    assert!(explain::explain(&checked).iter().all(|line| !line.is_empty()));
    // Fewer buckets, so that an engine is filled quickly.
    let Ok(checked) = compact(&checked) else { return };
    let Ok(family) = emit(Arc::new(checked.clone()), 1) else {
        return;
    };
    let mut oracle = State {
        stock: [("mug".to_owned(), 5)].into(),
        ..State::default()
    };
    let scripted = Scripted::open(family, &oracle).expect("a script that was written can be opened");
    let mut now = OPENS_AT - 1000;
    for turn in 0..1 + input.below(6) {
        now += input.number().clamp(0, 90_000_000);
        let attempt = attempt(&mut input, turn);
        let expected = decide(&checked, 1, &mut oracle, &attempt, now);
        let found = scripted
            .admit(now, std::slice::from_ref(&attempt))
            .expect("the script runs");
        assert_eq!(
            found,
            [expected],
            "interpreter and script part at {attempt:?}, {now}"
        );
    }
}

fn context(input: &mut Input<'_>) -> CheckContext {
    CheckContext {
        campaign: "fuzz".into(),
        schedule: Schedule {
            opens_at: OPENS_AT,
            closes_at: OPENS_AT + 86_400_000 * (1 + input.below(60) as i64),
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        skus: vec![Sku::new("mug", 5)].into(),
        audiences: Default::default(),
        buckets: 1 + input.below(4) as u32,
    }
}

fn plan(input: &mut Input<'_>) -> Plan {
    let counters = input.list(3, counter);
    let count = input.below(32);
    let nodes = (0..count)
        .map(|index| node(input, index, counters.len()))
        .collect();
    let constraints = input.list(3, |input| constraint(input, count));
    let early_access = input.list(2, |input| EarlyAccess {
        lead_ms: input.number(),
        when: input.index(count),
        sentence: input.text(),
    });
    // A cost can only be chosen once the nodes are there.
    let counters = counters.into_iter().map(|counter| Counter {
        cost: input.index(count),
        ..counter
    });
    Plan {
        counters: counters.collect(),
        nodes,
        constraints,
        early_access,
        required: input.list(1, attribute),
    }
}

fn attribute(input: &mut Input<'_>) -> Attribute {
    match input.below(9) {
        0 | 1 => Attribute::User,
        2 => Attribute::Sku,
        3 => Attribute::Quantity,
        4 => Attribute::Ip,
        5 => Attribute::Claim(input.text()),
        6 => Attribute::OfSku(input.text()),
        _ => Attribute::Client(input.text()),
    }
}

fn counter(input: &mut Input<'_>) -> Counter {
    let window = match input.below(5) {
        0 | 1 => Window::Campaign,
        2 => Window::Tumbling {
            length_ms: input.number(),
            origin_ms: input.number(),
        },
        3 => Window::Calendar {
            unit: [CalendarUnit::Day, CalendarUnit::Week, CalendarUnit::Month][input.below(3)],
            zone: input.text(),
        },
        _ => Window::Rolling {
            length_ms: input.number(),
        },
    };
    Counter {
        id: format!("rule/{}", input.text()),
        key: input.list(2, attribute),
        window,
        cost: 0,
    }
}

fn constraint(input: &mut Input<'_>, nodes: usize) -> Constraint {
    Constraint {
        when: input.flag().then(|| input.index(nodes)),
        require: input.index(nodes),
        reason: if input.flag() { "no".into() } else { input.text() },
        rule: "rule".into(),
        retryable: false,
        sentence: if input.flag() {
            "Not so many.".into()
        } else {
            input.text()
        },
        measure: input.flag().then(|| Measure {
            counter: input.index(3),
            limit: input.index(nodes),
        }),
    }
}

fn node(input: &mut Input<'_>, index: usize, counters: usize) -> Expr {
    let kind = input.byte() % 29;
    let operand = |input: &mut Input<'_>| input.index(index);
    match kind {
        0 => Expr::Int(input.number()),
        1 => Expr::Text(input.text()),
        2 => Expr::Attribute(attribute(input)),
        3 => Expr::Counter(input.index(counters)),
        4 => Expr::Remaining,
        5 => Expr::Stock,
        6 => Expr::Now,
        7 => Expr::OpensAt,
        8 => Expr::ClosesAt,
        9 => Expr::Add(operand(input), operand(input)),
        10 => Expr::Sub(operand(input), operand(input)),
        11 => Expr::Mul(operand(input), operand(input)),
        12 => Expr::Div(operand(input), input.number()),
        13 => Expr::Mod(operand(input), input.number()),
        14 => Expr::Min(operand(input), operand(input)),
        15 => Expr::Max(operand(input), operand(input)),
        16 => Expr::Lt(operand(input), operand(input)),
        17 => Expr::Le(operand(input), operand(input)),
        18 => Expr::Eq(operand(input), operand(input)),
        19 => Expr::And(operand(input), operand(input)),
        20 => Expr::Or(operand(input), operand(input)),
        21 => Expr::Not(operand(input)),
        22 => Expr::Select(operand(input), operand(input), operand(input)),
        23 => Expr::OneOf(operand(input), input.list(3, Input::text)),
        24 => Expr::Lookup {
            of: operand(input),
            entries: input.list(3, |input| (input.text(), input.number())),
            default: input.number(),
        },
        25 => Expr::Number {
            of: operand(input),
            low: input.number(),
            high: input.number(),
            missing: input.number(),
            unreadable: input.number(),
        },
        26 => Expr::StartsWith(operand(input), input.list(3, Input::text)),
        27 => Expr::EndsWith(operand(input), input.list(3, Input::text)),
        _ => Expr::Member {
            audience: input.text(),
            of: attribute(input),
        },
    }
}

fn attempt(input: &mut Input<'_>, turn: usize) -> Attempt {
    let user = ["ann", "bob", "]]"][input.below(3)];
    let attributes = input.list(3, |input| (attribute(input).to_string(), input.text()));
    Attempt {
        order: OrderId::keyed("fuzz", user, &turn.to_string()),
        user: user.into(),
        sku: if input.below(8) == 7 {
            "pen".into()
        } else {
            "mug".into()
        },
        quantity: 1 + input.below(4) as u32,
        attributes: attributes
            .into_iter()
            .filter(|(name, _)| name.contains(':') || name == "ip")
            .collect(),
    }
}
