//! When the same order would fit, on all sides.

use rushgate::plan::decision::Decision::{self, Admitted, Rejected};
use rushgate::plan::decision::{Rejection, Wait};
use rushgate::plan::{Attribute, EarlyAccess, Expr, Node, Plan, Window};

use crate::engines::decisions::{failed, not_open, until};
use crate::engines::plans::{DAY, OPENS_AT, add_limit, attempt, context, limit, push, require, with};
use crate::engines::sides::Time;
use crate::engines::world::World;

const HOUR: i64 = 3_600_000;

/// A rejection by a constraint without numbers.
fn required(index: u32, retry_at: Option<i64>) -> Decision {
    Rejected(Rejection::Constraint {
        index,
        measure: None,
        wait: until(retry_at),
    })
}

/// `opens-at + ms ≤ now`.
fn after(plan: &mut Plan, ms: i64) -> Node {
    let [opens_at, ms, now] = [Expr::OpensAt, Expr::Int(ms), Expr::Now].map(|expr| push(plan, expr));
    let from = push(plan, Expr::Add(opens_at, ms));
    push(plan, Expr::Le(from, now))
}

fn one(world: &mut World, at: i64, user: &str, key: u32, quantity: u32) -> Decision {
    let order = attempt(user, key, "mug", quantity);
    world.admit(OPENS_AT + at, &[order]).remove(0)
}

#[test]
fn a_rolling_window_says_when_as_many_have_left_as_the_order_needs() {
    let units = Expr::Attribute(Attribute::Quantity);
    let plan = limit(&[Attribute::User], Window::Rolling { length_ms: 1000 }, units, 6);
    let mut world = World::open(plan, context(&[("mug", 5000)]), Time::Frozen);
    for (key, at, quantity) in [(1, 0, 1), (2, 10, 2), (3, 10, 1), (4, 500, 2)] {
        assert_eq!(one(&mut world, at, "ann", key, quantity), Admitted);
    }
    for (quantity, leaves) in [(1, 0), (2, 10), (4, 10), (5, 500), (6, 500)] {
        let fits = failed(0, 6, 6, Some(OPENS_AT + leaves + 1000));
        assert_eq!(one(&mut world, 600, "ann", 9, quantity), fits, "{quantity} units");
    }
    assert_eq!(
        one(&mut world, 600, "ann", 9, 7),
        failed(0, 6, 6, None),
        "never fits"
    );
    assert_eq!(
        one(&mut world, 1009, "ann", 9, 2),
        failed(0, 5, 6, Some(OPENS_AT + 1010))
    );
    assert_eq!(one(&mut world, 1010, "ann", 9, 2), Admitted);
    world.assert_same_state();
}

#[test]
fn nothing_is_promised_for_after_the_closing() {
    let plan = limit(&[], Window::Rolling { length_ms: HOUR }, Expr::Int(1), 1);
    let mut world = World::open(plan, context(&[("mug", 9)]), Time::Frozen);
    assert_eq!(one(&mut world, DAY - HOUR - 1, "ann", 1, 1), Admitted);
    let last = failed(0, 1, 1, Some(OPENS_AT + DAY - 1));
    assert_eq!(one(&mut world, DAY - HOUR, "bob", 2, 1), last);
    let mut world = World::open(
        world.family.plan.plan().clone(),
        context(&[("mug", 9)]),
        Time::Frozen,
    );
    assert_eq!(one(&mut world, DAY - HOUR, "ann", 1, 1), Admitted);
    assert_eq!(one(&mut world, DAY - HOUR, "bob", 2, 1), failed(0, 1, 1, None));
}

/// Three units for each region until two hours after the opening, then for everybody.
#[test]
fn a_share_released_at_a_given_time_says_so() {
    let region = Attribute::Claim("region".into());
    let units = Expr::Attribute(Attribute::Quantity);
    let mut plan = limit(std::slice::from_ref(&region), Window::Campaign, units, 3);
    let within = plan.constraints[0].require;
    let released = after(&mut plan, 2 * HOUR);
    let either = push(&mut plan, Expr::Or(within, released));
    plan.constraints[0].require = either;
    let mut world = World::open(plan, context(&[("mug", 100)]), Time::Frozen);
    let order = |user: &str, quantity| with(attempt(user, 1, "mug", quantity), "claim:region", "eu");
    assert_eq!(world.admit(OPENS_AT, &[order("ann", 3)]), [Admitted]);
    assert_eq!(
        world.admit(OPENS_AT + 7, &[order("bob", 1)]),
        [failed(0, 3, 3, Some(OPENS_AT + 2 * HOUR))]
    );
    assert_eq!(world.admit(OPENS_AT + 2 * HOUR, &[order("bob", 1)]), [Admitted]);
    world.assert_same_state();
}

/// Ten minutes of every hour, and only for what `when` says.
#[test]
fn happy_hours_say_when_the_next_one_begins() {
    let mut plan = Plan::default();
    let [opens_at, now, ten] = [Expr::OpensAt, Expr::Now, Expr::Int(600_000)].map(|e| push(&mut plan, e));
    let since = push(&mut plan, Expr::Sub(now, opens_at));
    let into = push(&mut plan, Expr::Mod(since, HOUR));
    let happy = push(&mut plan, Expr::Lt(into, ten));
    let late = after(&mut plan, 5 * HOUR + 1234);
    let early = push(&mut plan, Expr::Not(late));
    require(&mut plan, Some(early), happy);
    let mut world = World::open(plan, context(&[("mug", 100)]), Time::Frozen);
    assert_eq!(one(&mut world, 599_999, "ann", 1, 1), Admitted);
    assert_eq!(
        one(&mut world, 600_000, "bob", 1, 1),
        required(0, Some(OPENS_AT + HOUR))
    );
    assert_eq!(one(&mut world, HOUR, "bob", 1, 1), Admitted);
    // The constraint ends before the next happy hour begins.
    let [fourth, fifth] = [4 * HOUR + 700_000, 5 * HOUR + 600_000];
    assert_eq!(
        one(&mut world, fourth, "cid", 1, 1),
        required(0, Some(OPENS_AT + 5 * HOUR))
    );
    assert_eq!(one(&mut world, fifth, "dan", 1, 1), Admitted);
}

/// A slope that is no straight line, steps of a quotient, the smaller of two, and a turning point.
#[test]
fn other_curves_are_followed_exactly() {
    let at = |build: fn(&mut Plan, Node) -> Node| {
        let mut plan = Plan::default();
        let [opens_at, now] = [Expr::OpensAt, Expr::Now].map(|expr| push(&mut plan, expr));
        let since = push(&mut plan, Expr::Sub(now, opens_at));
        let holds = build(&mut plan, since);
        require(&mut plan, None, holds);
        let mut world = World::open(plan, context(&[("mug", 100)]), Time::Frozen);
        match one(&mut world, 1, "ann", 1, 1) {
            Rejected(Rejection::Constraint { wait, .. }) => wait.until().map(|at| at - OPENS_AT),
            other => panic!("{other:?}"),
        }
    };
    let square = |plan: &mut Plan, since| {
        let [low, high] = [Expr::Int(0), Expr::Int(1000)].map(|expr| push(plan, expr));
        let since = push(plan, Expr::Max(since, low));
        let since = push(plan, Expr::Min(since, high));
        let square = push(plan, Expr::Mul(since, since));
        let most = push(plan, Expr::Int(1000));
        push(plan, Expr::Lt(most, square))
    };
    assert_eq!(at(square), Some(32), "32² is the first square above 1000");
    let quotient = |plan: &mut Plan, since| {
        let quotient = push(plan, Expr::Div(since, 700));
        let three = push(plan, Expr::Int(3));
        push(plan, Expr::Eq(quotient, three))
    };
    assert_eq!(at(quotient), Some(2100));
    // min(t, 5000 − 2t) < −1: falls from t = 1667 on.
    let falling = |plan: &mut Plan, since| {
        let [two, most, below] = [2, 5000, -1].map(|n| push(plan, Expr::Int(n)));
        let twice = push(plan, Expr::Mul(two, since));
        let down = push(plan, Expr::Sub(most, twice));
        let least = push(plan, Expr::Min(since, down));
        push(plan, Expr::Lt(least, below))
    };
    assert_eq!(at(falling), Some(2501));
    let never = |plan: &mut Plan, since| {
        let zero = push(plan, Expr::Int(0));
        push(plan, Expr::Lt(since, zero))
    };
    assert_eq!(at(never), None);
}

#[test]
fn early_access_is_what_a_buyer_comes_back_for() {
    let mut plan = Plan::default();
    let tier = push(&mut plan, Expr::Attribute(Attribute::Claim("tier".into())));
    let gold = push(&mut plan, Expr::OneOf(tier, vec!["gold".into()]));
    let anybody = after(&mut plan, -30_000);
    for (lead_ms, when) in [(HOUR, gold), (60_000, anybody)] {
        plan.early_access.push(EarlyAccess {
            lead_ms,
            when,
            sentence: "Some come first.".into(),
        });
    }
    let mut world = World::open(plan, context(&[("mug", 100)]), Time::Frozen);
    let order = |user: &str, tier| with(attempt(user, 1, "mug", 1), "claim:tier", tier);
    let both = [order("ann", "gold"), order("bob", "tin")];
    assert_eq!(
        world.admit(OPENS_AT - DAY, &both),
        [not_open(OPENS_AT - HOUR), not_open(OPENS_AT - 30_000)]
    );
    assert_eq!(
        world.admit(OPENS_AT - 40_000, &both),
        [Admitted, not_open(OPENS_AT - 30_000)]
    );
    assert_eq!(world.admit(OPENS_AT - 30_000, &both[1..]), [Admitted]);
}

/// Limits of orders, each asked in the order given: its window and how many.
fn limits(windows: &[(Window, i64)]) -> Plan {
    let mut plan = Plan::default();
    for (number, (window, most)) in windows.iter().enumerate() {
        let id = format!("rule-{number}/limit");
        add_limit(
            &mut plan,
            &id,
            &[Attribute::User],
            window.clone(),
            Expr::Int(1),
            *most,
        );
    }
    plan
}

#[test]
fn a_retry_waits_for_all_that_refuse_whichever_is_asked_first() {
    let cooldown = (Window::Rolling { length_ms: 3000 }, 1);
    let hourly = (
        Window::Tumbling {
            length_ms: HOUR,
            origin_ms: OPENS_AT,
        },
        2,
    );
    let once = (Window::Campaign, 1);
    let twice = (Window::Campaign, 2);
    for (windows, orders, last, retry) in [
        // What refuses for good is behind what time alone would mend, and before it.
        (vec![cooldown.clone(), once.clone()], vec![0], 500, None),
        (vec![once.clone(), cooldown.clone()], vec![0], 500, None),
        (
            vec![cooldown.clone(), hourly.clone(), twice.clone()],
            vec![0, 3000],
            3500,
            None,
        ),
        // Both let go, the one long after the other.
        (
            vec![cooldown.clone(), hourly.clone()],
            vec![0, 3000],
            3500,
            Some(HOUR),
        ),
        (
            vec![hourly.clone(), cooldown.clone()],
            vec![0, 3000],
            3500,
            Some(HOUR),
        ),
        // The others hold.
        (
            vec![cooldown.clone(), hourly.clone(), twice.clone()],
            vec![0],
            500,
            Some(3000),
        ),
        (vec![twice, hourly, cooldown], vec![0], 500, Some(3000)),
    ] {
        let mut world = World::open(limits(&windows), context(&[("mug", 100)]), Time::Frozen);
        for (key, at) in (0..).zip(&orders) {
            assert_eq!(one(&mut world, *at, "ann", key, 1), Admitted, "{windows:?}");
        }
        let refused = one(&mut world, last, "ann", 99, 1);
        let Rejected(Rejection::Constraint { wait, .. }) = refused else {
            panic!("{windows:?}: {refused:?}");
        };
        assert_eq!(wait, until(retry.map(|at| OPENS_AT + at)), "{windows:?}");
        if let Some(at) = retry {
            assert_eq!(one(&mut world, at, "ann", 99, 1), Admitted, "{windows:?}");
        }
        world.assert_same_state();
    }
}

/// An order every three seconds, and only in the first two seconds of every five.
#[test]
fn a_retry_is_not_told_of_a_moment_at_which_another_rule_refuses() {
    for cooldown_first in [true, false] {
        let mut plan = Plan::default();
        let cooldown = Window::Rolling { length_ms: 3000 };
        if cooldown_first {
            add_limit(
                &mut plan,
                "a/limit",
                &[Attribute::User],
                cooldown.clone(),
                Expr::Int(1),
                1,
            );
        }
        let [opens_at, now, two] =
            [Expr::OpensAt, Expr::Now, Expr::Int(2000)].map(|expr| push(&mut plan, expr));
        let since = push(&mut plan, Expr::Sub(now, opens_at));
        let within = push(&mut plan, Expr::Mod(since, 5000));
        let open = push(&mut plan, Expr::Lt(within, two));
        require(&mut plan, None, open);
        if !cooldown_first {
            add_limit(
                &mut plan,
                "a/limit",
                &[Attribute::User],
                cooldown,
                Expr::Int(1),
                1,
            );
        }
        let mut world = World::open(plan, context(&[("mug", 100)]), Time::Frozen);
        assert_eq!(one(&mut world, 0, "ann", 1, 1), Admitted);
        let index = u32::from(!cooldown_first);
        assert_eq!(
            one(&mut world, 500, "ann", 2, 1),
            failed(index, 1, 1, Some(OPENS_AT + 5000))
        );
        assert_eq!(one(&mut world, 5000, "ann", 2, 1), Admitted);
        world.assert_same_state();
    }
}

/// What something else than time may mend is retryable, without a moment.
#[test]
fn a_reason_that_its_module_calls_retryable_leaves_the_moment_open() {
    for order in [[0, 1], [1, 0]] {
        let both = [(Window::Rolling { length_ms: 3000 }, 1), (Window::Campaign, 1)];
        let mut plan = limits(&order.map(|which: usize| both[which].clone()));
        let untimed = order.iter().position(|which| *which == 1).expect("there");
        plan.constraints[untimed].retryable = true;
        let mut world = World::open(plan, context(&[("mug", 100)]), Time::Frozen);
        assert_eq!(one(&mut world, 0, "ann", 1, 1), Admitted);
        let refused = one(&mut world, 500, "ann", 2, 1);
        let Rejected(Rejection::Constraint { index: 0, wait, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(wait, Wait::Unknown, "{order:?}");
        // Once the window has let go, only the other refuses.
        let later = one(&mut world, 3500, "ann", 2, 1);
        let Rejected(Rejection::Constraint {
            index,
            wait: Wait::Unknown,
            ..
        }) = later
        else {
            panic!("{later:?}");
        };
        assert_eq!(index as usize, untimed);
        world.assert_same_state();
    }
}

/// Before the opening, what will refuse the order then.
#[test]
fn whoever_comes_early_is_told_when_the_order_fits() {
    let mut plan = Plan::default();
    let late = after(&mut plan, HOUR);
    require(&mut plan, None, late);
    let mut world = World::open(plan, context(&[("mug", 100)]), Time::Frozen);
    assert_eq!(one(&mut world, -1000, "ann", 1, 1), not_open(OPENS_AT + HOUR));
    assert_eq!(one(&mut world, HOUR, "ann", 1, 1), Admitted);

    let mut plan = Plan::default();
    let tier = push(&mut plan, Expr::Attribute(Attribute::Claim("tier".into())));
    let gold = push(&mut plan, Expr::OneOf(tier, vec!["gold".into()]));
    require(&mut plan, None, gold);
    let mut world = World::open(plan, context(&[("mug", 100)]), Time::Frozen);
    let never = Rejected(Rejection::NotOpen { wait: Wait::Forever });
    let order = |user: &str, tier| with(attempt(user, 1, "mug", 1), "claim:tier", tier);
    let both = [order("ann", "gold"), order("bob", "tin")];
    assert_eq!(world.admit(OPENS_AT - 1000, &both), [not_open(OPENS_AT), never]);
    world.assert_same_state();
}
