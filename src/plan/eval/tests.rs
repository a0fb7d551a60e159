//! Tests of the interpreter beyond the samples: the numbers of a rejection, the bounds of rolling
//! windows, charges and releases.

use std::collections::BTreeMap;

use super::*;
use crate::order::OrderId;
use crate::plan::Attribute;
use crate::plan::decision::Wait;
use crate::plan::facts::Count;
use crate::plan::samples::samples;
use crate::plan::slots::compose_subject;
use crate::plan::{ROLLING_ORDERS_MAX, SkuTexts, check};

fn plan(name: &str) -> (CheckedPlan, State) {
    let sample = samples()
        .into_iter()
        .find(|sample| sample.name == name)
        .expect(name);
    let stock = sample.context.skus.iter().map(|sku| (sku.id.clone(), 1_000_000));
    let state = State {
        stock: stock.collect(),
        audiences: sample.audiences,
        ..State::default()
    };
    (check(sample.plan, sample.context).expect("passes"), state)
}

fn attempt(key: u32, quantity: u32) -> Attempt {
    Attempt {
        order: OrderId::keyed("sample", "ann", &key.to_string()),
        user: "ann".into(),
        sku: "shirt".into(),
        quantity,
        attributes: BTreeMap::new(),
    }
}

/// Admits `first` units at the moments, then asks for too many at the last.
fn rejection_after(name: &str, orders: &[(i64, u32)], last: (i64, u32)) -> (i64, i64, Option<i64>) {
    let (plan, mut state) = plan(name);
    let opens_at = plan.context().schedule.opens_at;
    for (key, (at, quantity)) in (0..).zip(orders) {
        let decision = decide(&plan, 1, &mut state, &attempt(key, *quantity), opens_at + at);
        assert_eq!(decision, Decision::Admitted);
    }
    let decision = decide(&plan, 1, &mut state, &attempt(999, last.1), opens_at + last.0);
    let Decision::Rejected(Rejection::Constraint {
        measure: Some(Measured { used, limit }),
        wait,
        ..
    }) = decision
    else {
        panic!("no measured rejection: {decision:?}")
    };
    (used, limit, wait.until().map(|moment| moment - opens_at))
}

#[test]
fn rejections_say_how_much_and_when() {
    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    assert_eq!(
        rejection_after("orders per user", &[(0, 5), (0, 1)], (7, 1)),
        (2, 2, None)
    );
    assert_eq!(rejection_after("units per user", &[(0, 2)], (7, 2)), (2, 3, None));
    assert_eq!(
        rejection_after("tumbling window", &[(0, 1), (1, 1)], (7, 1)),
        (2, 2, Some(10 * MINUTE))
    );
    assert_eq!(
        rejection_after(
            "per day across the clock change in spring",
            &[(12 * HOUR, 1)],
            (12 * HOUR, 1)
        ),
        (1, 1, Some(34 * HOUR))
    );
    // The oldest order that still counts leaves first; a larger order waits for as many as it needs.
    assert_eq!(
        rejection_after("rolling window", &[(0, 1), (1000, 4)], (59_999, 1)),
        (5, 5, Some(MINUTE))
    );
    assert_eq!(
        rejection_after("rolling window", &[(0, 1), (1000, 4)], (59_999, 2)),
        (5, 5, Some(MINUTE + 1000))
    );
    assert_eq!(
        rejection_after("rolling window", &[(0, 1), (1000, 4)], (MINUTE, 2)),
        (4, 5, Some(MINUTE + 1000))
    );
    // Nothing is used: time alone does not help.
    assert_eq!(rejection_after("rolling window", &[], (0, 6)), (0, 5, None));
}

#[test]
fn a_rolling_window_holds_so_many_orders_and_no_more() {
    let (plan, mut state) = plan("rolling window");
    let opens_at = plan.context().schedule.opens_at;
    let key = ("sample/count-0".to_owned(), "ann".to_owned());
    state
        .rolling
        .insert(key.clone(), vec![(opens_at, 0); ROLLING_ORDERS_MAX]);
    let before = state.clone();
    let full = Decision::Rejected(Rejection::WindowFull {
        counter: 0,
        wait: Wait::Until(opens_at + 60_000),
    });
    assert_eq!(
        decide(&plan, 1, &mut state, &attempt(0, 1), opens_at + 59_999),
        full
    );
    assert_eq!(state, before);
    assert_eq!(
        decide(&plan, 1, &mut state, &attempt(0, 1), opens_at + 60_000),
        Decision::Admitted
    );
    assert_eq!(state.rolling[&key], [(opens_at + 60_000, 1)]);
}

#[test]
fn charges_follow_from_plan_attempt_and_moment() {
    let charge = |name: &str, at: i64| {
        let (plan, _) = plan(name);
        let now = plan.context().schedule.opens_at + at;
        let mut charges = charges(&plan, &attempt(0, 3), now);
        assert_eq!(charges.len(), 1, "{name}");
        let Charge {
            window,
            rolling_ms,
            subject,
            cost,
            ..
        } = charges.remove(0);
        (window - now, rolling_ms, subject, cost)
    };
    let ann = || "ann".to_owned();
    let (plan, _) = plan("units per user");
    let opens_at = plan.context().schedule.opens_at;
    assert_eq!(charge("units per user", 7), (-opens_at - 7, 0, ann(), 3));
    assert_eq!(charge("tumbling window", 7), (-3_000_007, 0, ann(), 1));
    assert_eq!(charge("tumbling window", 600_007), (-7, 0, ann(), 1));
    assert_eq!(
        charge("per day across the clock change in spring", 7),
        (-13 * 3_600_000 - 7, 0, ann(), 1)
    );
    assert_eq!(charge("rolling window", 7), (0, 60_000, ann(), 3));
    let (nothing, _) = self::plan("no rules: only stock and schedule");
    assert!(charges(&nothing, &attempt(0, 1), opens_at).is_empty());
}

#[test]
fn a_charge_says_what_its_counter_may_hold() {
    let limit = |name: &str, quantity: u32| {
        let (plan, _) = plan(name);
        let opens_at = plan.context().schedule.opens_at;
        let charges = charges(&plan, &attempt(0, quantity), opens_at);
        charges.iter().map(|charge| charge.limit).collect::<Vec<_>>()
    };
    assert_eq!(limit("orders per user", 3), [Some(2)]);
    assert_eq!(limit("units per user", 2), [Some(3)]);
    assert_eq!(limit("rolling window", 4), [Some(5)]);
    assert_eq!(limit("cooldown", 1), [Some(1)]);
}

#[test]
fn a_release_gives_back_once() {
    let (plan, mut state) = plan("rolling window");
    let opens_at = plan.context().schedule.opens_at;
    let order = attempt(0, 2).order.to_string();
    let charges = charges(&plan, &attempt(0, 2), opens_at);
    assert!(!state.release(&order, &charges), "an order nobody placed");
    let fresh = state.clone();
    for key in 0..2 {
        assert_eq!(
            decide(&plan, 1, &mut state, &attempt(key, 2), opens_at),
            Decision::Admitted
        );
    }
    assert!(state.release(&order, &charges));
    assert!(!state.release(&order, &charges));
    let facts = inspect(&plan, &state, &attempt(2, 1), opens_at);
    assert_eq!(facts.counters[&0], Count::Rolling(vec![(opens_at, 2)]));
    assert_eq!(state.stock["shirt"], 999_998);
    assert!(state.release(&attempt(1, 2).order.to_string(), &charges));
    assert_eq!((state.stock, state.rolling), (fresh.stock, fresh.rolling));
}

#[test]
fn a_release_never_leaves_less_than_nothing() {
    let (plan, mut state) = plan("units per user");
    let opens_at = plan.context().schedule.opens_at;
    decide(&plan, 1, &mut state, &attempt(0, 3), opens_at);
    let charges = charges(&plan, &attempt(0, 3), opens_at);
    state.counters.values_mut().for_each(|used| *used = 2);
    assert!(state.release(&attempt(0, 3).order.to_string(), &charges));
    assert!(state.counters.is_empty());
}

#[test]
fn subjects_of_several_attributes_never_meet() {
    let with = |street: &str, town: &str| {
        let mut attempt = attempt(0, 1);
        attempt.attributes.insert("client:street".into(), street.into());
        attempt.attributes.insert("client:town".into(), town.into());
        attempt
    };
    let key = [
        Attribute::Client("street".into()),
        Attribute::Client("town".into()),
    ];
    let subject_of =
        |key: &[Attribute], attempt: &Attempt| compose_subject(key, attempt, &SkuTexts::default());
    assert_eq!(subject_of(&key, &with("ü", "b")), "2:ü1:b");
    assert_ne!(
        subject_of(&key, &with("ab", "c")),
        subject_of(&key, &with("a", "bc"))
    );
    assert_ne!(
        subject_of(&key, &with("1:a", "")),
        subject_of(&key, &with("", "1:a"))
    );
    assert_eq!(subject_of(&key[..1], &with("1:a", "b")), "1:a");
    assert_eq!(subject_of(&key, &attempt(0, 1)), "0:0:");
    assert_eq!(subject_of(&[], &attempt(0, 1)), "");
}

/// What a claim says is known from the order alone: the database can hold landed orders against it.
#[test]
fn a_charge_carries_the_limit_that_a_claim_says() {
    let (plan, _) = plan("a limit and a cost that claims say");
    let now = plan.context().schedule.opens_at;
    for (most, weight, expected) in [
        (Some("5"), Some("3"), (3, Some(5))),
        (None, None, (1, Some(2))),
        (Some("many"), Some("heavy"), (9, Some(0))),
        (Some("100"), Some("9"), (9, Some(100))),
    ] {
        let mut attempt = attempt(1, 1);
        let named = [("claim:most", most), ("claim:weight", weight)];
        let given = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
        attempt.attributes = given.map(|(name, value)| (name.into(), value.into())).collect();
        let charges = charges(&plan, &attempt, now);
        assert_eq!(
            (charges[0].cost, charges[0].limit),
            expected,
            "{most:?} {weight:?}"
        );
    }
    let mut free = attempt(1, 1);
    free.attributes.insert("claim:weight".into(), "0".into());
    assert_eq!(charges(&plan, &free, now), [], "nothing to count");
}
