//! The checker over any plan whatsoever: it answers, and does not panic.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::tests::context;
use super::*;
use crate::campaign::Schedule;
use crate::plan::fold::Step;
use crate::plan::{
    Attribute, CalendarUnit, Constraint, Counter, EarlyAccess, Expr, Fold, INTEGER_MAX, Measure, Node, Window,
};

fn wild_node() -> impl Strategy<Value = Node> {
    prop_oneof![6 => 0..12u32, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

fn wild_int() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => -3..10i64,
        1 => any::<i64>(),
        1 => prop::sample::select(vec![i64::MIN, i64::MAX, INTEGER_MAX, -INTEGER_MAX, INTEGER_MAX + 1]),
    ]
}

fn wild_attribute() -> impl Strategy<Value = Attribute> {
    let plain = prop_oneof![
        Just(Attribute::User),
        Just(Attribute::Sku),
        Just(Attribute::Quantity),
        Just(Attribute::Ip),
        ".{0,3}".prop_map(Attribute::Claim),
        ".{0,3}".prop_map(Attribute::Client),
        ".{0,3}".prop_map(Attribute::OfSku),
    ];
    (plain, prop::option::weighted(0.2, wild_fold())).prop_map(|(attribute, fold)| match fold {
        Some(fold) => attribute.folded(fold),
        None => attribute,
    })
}

fn wild_fold() -> impl Strategy<Value = Fold> {
    let steps = prop::sample::subsequence(Step::ALL.to_vec(), 1..=Step::ALL.len());
    steps.prop_map(|steps| Fold::try_from(BTreeSet::from_iter(steps)).expect("at least one"))
}

fn wild_expr() -> impl Strategy<Value = Expr> {
    let two = || (wild_node(), wild_node());
    let texts = || prop::collection::vec(".{0,2}", 0..3);
    prop_oneof![
        3 => wild_int().prop_map(Expr::Int),
        1 => ".{0,4}".prop_map(Expr::Text),
        3 => wild_attribute().prop_map(Expr::Attribute),
        1 => wild_node().prop_map(Expr::Counter),
        1 => prop::sample::select(vec![Expr::Remaining, Expr::Stock, Expr::Now, Expr::OpensAt, Expr::ClosesAt]),
        1 => two().prop_map(|(a, b)| Expr::Add(a, b)),
        1 => two().prop_map(|(a, b)| Expr::Sub(a, b)),
        1 => two().prop_map(|(a, b)| Expr::Mul(a, b)),
        1 => (wild_node(), wild_int()).prop_map(|(a, by)| Expr::Div(a, by)),
        1 => (wild_node(), wild_int()).prop_map(|(a, by)| Expr::Mod(a, by)),
        1 => two().prop_map(|(a, b)| Expr::Min(a, b)),
        1 => two().prop_map(|(a, b)| Expr::Lt(a, b)),
        1 => two().prop_map(|(a, b)| Expr::Eq(a, b)),
        1 => two().prop_map(|(a, b)| Expr::And(a, b)),
        1 => wild_node().prop_map(Expr::Not),
        1 => (wild_node(), wild_node(), wild_node()).prop_map(|(a, b, c)| Expr::Select(a, b, c)),
        1 => (wild_node(), texts()).prop_map(|(of, texts)| Expr::OneOf(of, texts)),
        1 => (wild_node(), texts(), wild_int()).prop_map(|(of, keys, default)| Expr::Lookup {
            of,
            entries: keys.into_iter().map(|key| (key, default)).collect(),
            default,
        }),
        1 => (wild_node(), texts()).prop_map(|(of, texts)| Expr::StartsWith(of, texts)),
        1 => (wild_node(), texts()).prop_map(|(of, texts)| Expr::EndsWith(of, texts)),
        1 => (wild_node(), [wild_int(), wild_int(), wild_int(), wild_int()]).prop_map(|(of, numbers)| {
            let [low, high, missing, unreadable] = numbers;
            Expr::Number { of, low, high, missing, unreadable }
        }),
        1 => wild_attribute().prop_map(|of| Expr::Member { audience: "vip".into(), of }),
    ]
}

fn wild_plan() -> impl Strategy<Value = Plan> {
    let window = prop_oneof![
        Just(Window::Campaign),
        (wild_int(), wild_int()).prop_map(|(length_ms, origin_ms)| Window::Tumbling { length_ms, origin_ms }),
        "(UTC|Asia/Tokyo|.{0,9})".prop_map(|zone| Window::Calendar {
            unit: CalendarUnit::Month,
            zone
        }),
        wild_int().prop_map(|length_ms| Window::Rolling { length_ms }),
    ];
    let key = prop::collection::vec(wild_attribute(), 0..3);
    let counter = ("[a-c]/[a-c]", key, window, wild_node()).prop_map(|(id, key, window, cost)| Counter {
        id,
        key,
        window,
        cost,
    });
    let measure = prop::option::of((wild_node(), wild_node()));
    let constraint = (
        prop::option::of(wild_node()),
        wild_node(),
        "(a-b|.{0,3})",
        measure,
    )
        .prop_map(|(when, require, text, measure)| Constraint {
            when,
            require,
            reason: text.clone(),
            rule: String::new(),
            retryable: false,
            sentence: text,
            measure: measure.map(|(counter, limit)| Measure { counter, limit }),
        });
    let early = (wild_int(), wild_node(), ".{1,3}").prop_map(|(lead_ms, when, sentence)| EarlyAccess {
        lead_ms,
        when,
        sentence,
    });
    (
        prop::collection::vec(wild_expr(), 0..14),
        prop::collection::vec(counter, 0..3),
        prop::collection::vec(constraint, 0..3),
        prop::collection::vec(early, 0..2),
        prop::collection::vec(wild_attribute(), 0..2),
    )
        .prop_map(|(nodes, counters, constraints, early_access, required)| Plan {
            nodes,
            counters,
            constraints,
            early_access,
            required,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a module answers, the checker answers, and what it lets pass can be explained.
    #[test]
    fn no_plan_upsets_the_checker(plan in wild_plan(), opens in wild_int(), closes in wild_int()) {
        let mut odd = context();
        odd.schedule = Schedule { opens_at: opens, closes_at: closes, retention_ms: crate::campaign::RETENTION_MS };
        let _ = check(plan.clone(), odd);
        if let Ok(checked) = check(plan, context()) {
            prop_assert!(!crate::plan::explain::explain(&checked).is_empty());
        }
    }
}
