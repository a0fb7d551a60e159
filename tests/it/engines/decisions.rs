//! Hand-written decisions: every answer of the ABI, sequences inside one batch, and the edges.

use rushgate::order::Attempt;
use rushgate::plan::decision::{Decision, Measured, Rejection, Wait};
use rushgate::plan::facts::Count;
use rushgate::plan::{Attribute, AudienceRef, EarlyAccess, Expr, Plan, ROLLING_ORDERS_MAX, Window};

use crate::engines::canon;
use crate::engines::plans::{DAY, OPENS_AT, add_limit, attempt, context, context_now, limit, push};
use crate::engines::sides::{Side, Time};
use crate::engines::world::World;

use Decision::{Admitted, Rejected};

pub fn one_per_user() -> Plan {
    limit(&[Attribute::User], Window::Campaign, Expr::Int(1), 1)
}

/// Until the moment, or for good.
pub fn until(retry_at: Option<i64>) -> Wait {
    retry_at.map_or(Wait::Forever, Wait::Until)
}

pub fn failed(index: u32, used: i64, limit: i64, retry_at: Option<i64>) -> Decision {
    Rejected(Rejection::Constraint {
        index,
        measure: Some(Measured { used, limit }),
        wait: until(retry_at),
    })
}

pub fn not_open(retry_at: i64) -> Decision {
    Rejected(Rejection::NotOpen {
        wait: Wait::Until(retry_at),
    })
}

fn is_existing(decision: &Decision, of: &Attempt) -> bool {
    matches!(decision, Decision::Existing(placed) if placed.user == of.user && placed.is_of(of))
}

#[test]
fn every_code_is_answered() {
    let mut world = World::open(one_per_user(), context(&[("mug", 3), ("cap", 1)]), Time::Frozen);
    let first = attempt("ann", 1, "mug", 1);
    let at =
        |world: &mut World, now, attempt: &Attempt| world.admit(now, std::slice::from_ref(attempt)).remove(0);

    assert_eq!(at(&mut world, OPENS_AT - 1, &first), not_open(OPENS_AT));
    assert_eq!(at(&mut world, OPENS_AT, &first), Admitted);
    assert!(is_existing(&at(&mut world, OPENS_AT, &first), &first));
    assert!(
        is_existing(&at(&mut world, OPENS_AT + DAY, &first), &first),
        "also after closing"
    );
    let unknown = attempt("bob", 1, "hat", 1);
    assert_eq!(
        at(&mut world, OPENS_AT - 1, &unknown),
        Rejected(Rejection::UnknownSku)
    );
    let large = attempt("bob", 1, "mug", 3);
    assert_eq!(
        at(&mut world, OPENS_AT, &large),
        Rejected(Rejection::SoldOut { remaining: 2 })
    );
    let second = attempt("ann", 2, "cap", 1);
    assert_eq!(at(&mut world, OPENS_AT, &second), failed(0, 1, 1, None));
    let last = attempt("bob", 1, "mug", 2);
    assert_eq!(at(&mut world, OPENS_AT + DAY - 1, &last), Admitted);
    let late = attempt("cid", 1, "mug", 1);
    assert_eq!(at(&mut world, OPENS_AT + DAY, &late), Rejected(Rejection::Closed));
    world.assert_same_state();
    assert_eq!(world.oracle.stock["mug"], 0);
}

#[test]
fn an_attempt_sees_what_the_ones_before_it_in_the_batch_changed() {
    let mut world = World::open(one_per_user(), context_now(&[("mug", 3)]), Time::Real);
    let ann = attempt("ann", 1, "mug", 1);
    let decisions = world.admit(
        0,
        &[
            ann.clone(),
            attempt("ann", 2, "mug", 1),
            ann.clone(),
            attempt("bob", 1, "mug", 3),
            attempt("bob", 2, "mug", 2),
            attempt("cid", 1, "mug", 1),
        ],
    );
    assert_eq!(decisions[0], Admitted);
    assert_eq!(decisions[1], failed(0, 1, 1, None));
    assert!(
        is_existing(&decisions[2], &ann),
        "twice in one batch: {:?}",
        decisions[2]
    );
    assert_eq!(decisions[3], Rejected(Rejection::SoldOut { remaining: 2 }));
    assert_eq!(decisions[4], Admitted);
    assert_eq!(decisions[5], Rejected(Rejection::SoldOut { remaining: 0 }));
    world.assert_same_state();
    let dump = world.redis.dump();
    assert_eq!(canon::outbox(&dump).0.len(), 2, "one entry carries both orders");
}

#[test]
fn a_rejected_batch_writes_nothing() {
    let mut world = World::open(one_per_user(), context_now(&[("mug", 1)]), Time::Real);
    let before = (world.redis.dump(), world.embedded.dump());
    world.admit(0, &[attempt("ann", 1, "mug", 2), attempt("ann", 2, "hat", 1)]);
    assert_eq!((world.redis.dump(), world.embedded.dump()), before);
}

#[test]
fn rolling_windows_roll_and_fill() {
    let plan = limit(
        &[Attribute::User],
        Window::Rolling { length_ms: 1000 },
        Expr::Int(1),
        2,
    );
    let mut world = World::open(plan, context(&[("mug", 5000)]), Time::Frozen);
    let order = |key| attempt("ann", key, "mug", 1);
    assert_eq!(world.admit(OPENS_AT, &[order(1)]), [Admitted]);
    let full = failed(0, 2, 2, Some(OPENS_AT + 1000));
    assert_eq!(
        world.admit(OPENS_AT + 400, &[order(2), order(3)]),
        [Admitted, full.clone()]
    );
    assert_eq!(world.admit(OPENS_AT + 999, &[order(3)]), [full]);
    assert_eq!(world.admit(OPENS_AT + 1000, &[order(3)]), [Admitted]);
    world.assert_same_state();

    let plan = limit(&[], Window::Rolling { length_ms: DAY }, Expr::Int(1), 1_000_000);
    let mut world = World::open(plan, context(&[("mug", 5000)]), Time::Frozen);
    for page in 0..2 {
        let batch: Vec<Attempt> = (0..500).map(|key| order(page * 500 + key)).collect();
        world.admit(OPENS_AT + i64::from(page), &batch);
    }
    assert_eq!(world.oracle.orders.len(), ROLLING_ORDERS_MAX);
    assert_eq!(
        world.admit(OPENS_AT + 2, &[order(5000)]),
        [Rejected(Rejection::WindowFull {
            counter: 0,
            wait: Wait::Forever
        })]
    );
    world.assert_same_state();
}

#[test]
fn a_clock_that_goes_back_loses_no_entry() {
    let plan = limit(
        &[Attribute::User],
        Window::Rolling { length_ms: 1000 },
        Expr::Int(1),
        2,
    );
    let mut world = World::open(plan, context(&[("mug", 10)]), Time::Frozen);
    let order = |key| attempt("ann", key, "mug", 1);
    world.admit(OPENS_AT + 500, &[order(1)]);
    assert_eq!(world.admit(OPENS_AT + 100, &[order(2)]), [Admitted]);
    assert!(matches!(world.admit(OPENS_AT + 101, &[order(3)])[0], Rejected(_)));
    world.assert_same_state();
}

#[test]
fn windows_start_anew_and_say_when() {
    let tumbling = Window::Tumbling {
        length_ms: 60_000,
        origin_ms: 7,
    };
    let mut plan = limit(&[Attribute::User], tumbling, Expr::Int(1), 1);
    let zone = "Asia/Kolkata".to_owned();
    let unit = rushgate::plan::CalendarUnit::Day;
    add_limit(
        &mut plan,
        "daily/orders",
        &[],
        Window::Calendar { unit, zone },
        Expr::Attribute(Attribute::Quantity),
        5,
    );
    let mut world = World::open(plan, context(&[("mug", 100)]), Time::Frozen);
    let order = |key| attempt("ann", key, "mug", 2);
    let window = OPENS_AT - (OPENS_AT - 7).rem_euclid(60_000);
    assert_eq!(
        world.admit(OPENS_AT, &[order(1), order(2)]),
        [Admitted, failed(0, 1, 1, Some(window + 60_000))]
    );
    assert_eq!(world.admit(window + 60_000, &[order(2)]), [Admitted]);
    // Midnight in India is 18:30 UTC.
    let midnight = OPENS_AT + 18 * 3_600_000 + 30 * 60_000;
    assert_eq!(
        world.admit(midnight - 1, &[order(3)]),
        [failed(1, 4, 5, Some(midnight))]
    );
    assert_eq!(world.admit(midnight, &[order(3)]), [Admitted]);
    let counters = world.inspect(&order(4)).counters;
    assert_eq!(
        counters.into_values().collect::<Vec<_>>(),
        [Count::Units(1), Count::Units(2)]
    );
    world.assert_same_state();
}

#[test]
fn early_access_lets_some_in() {
    let mut plan = one_per_user();
    let of = Attribute::User;
    let vip = push(
        &mut plan,
        Expr::Member {
            audience: "vip".into(),
            of,
        },
    );
    plan.early_access.push(EarlyAccess {
        lead_ms: 60_000,
        when: vip,
        sentence: "Members come first.".into(),
    });
    let mut context = context(&[("mug", 10)]);
    context.audiences.insert("vip".into(), AudienceRef::whole(3, 4));
    let lists = [("vip".to_owned(), ["ann".to_owned()].into())].into();
    let mut world = World::with_audiences(plan, context, Time::Frozen, &lists);
    let both = [attempt("ann", 1, "mug", 1), attempt("bob", 1, "mug", 1)];
    assert_eq!(
        world.admit(OPENS_AT - 60_001, &both),
        [not_open(OPENS_AT - 60_000), not_open(OPENS_AT)]
    );
    assert_eq!(
        world.admit(OPENS_AT - 60_000, &both),
        [Admitted, not_open(OPENS_AT)]
    );
    world.assert_same_state();
}
