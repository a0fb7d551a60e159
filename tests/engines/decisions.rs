//! Hand-written decisions: every answer of the ABI, sequences inside one batch, and the edges.

use rushgate::campaign::bucket_of;
use rushgate::lua::SCRIPT_BYTES_MAX;
use rushgate::lua::emit::emit;
use rushgate::lua::keys;
use rushgate::order::{Attempt, QUANTITY_MAX};
use rushgate::plan::eval::{Decision, Measured, Rejection};
use rushgate::plan::{
    Attribute, AudienceRef, EarlyAccess, Expr, INTEGER_MAX, PLAN_CONSTRAINTS_MAX, PLAN_NODES_MAX, Plan,
    ROLLING_ORDERS_MAX, Window, check,
};

use crate::canon;
use crate::plans::{DAY, OPENS_AT, add_limit, attempt, context, context_now, limit, push, require, with};
use crate::world::{Side, Time, World};

use Decision::{Admitted, Rejected};

fn one_per_user() -> Plan {
    limit(&[Attribute::User], Window::Campaign, Expr::Int(1), 1)
}

fn failed(index: u32, used: i64, limit: i64, retry_at: Option<i64>) -> Decision {
    let measure = Some(Measured {
        used,
        limit,
        retry_at,
    });
    Rejected(Rejection::Constraint { index, measure })
}

fn is_existing(decision: &Decision, of: &Attempt) -> bool {
    matches!(decision, Decision::Existing(placed) if placed.user == of.user && placed.fingerprint == of.fingerprint())
}

#[test]
fn every_code_is_answered() {
    let mut world = World::open(one_per_user(), context(&[("mug", 3), ("cap", 1)]), Time::Frozen);
    let first = attempt("ann", 1, "mug", 1);
    let at =
        |world: &mut World, now, attempt: &Attempt| world.admit(now, std::slice::from_ref(attempt)).remove(0);

    assert_eq!(at(&mut world, OPENS_AT - 1, &first), Rejected(Rejection::NotOpen));
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
        [Rejected(Rejection::WindowFull { counter: 0 })]
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
    assert_eq!(world.inspect(&order(4)), [1, 2]);
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
    context.audiences.insert(
        "vip".into(),
        AudienceRef {
            version: 3,
            buckets: 4,
        },
    );
    let lists = [("vip".to_owned(), ["ann".to_owned()].into())].into();
    let mut world = World::with_lists(plan, context, Time::Frozen, &lists);
    let both = [attempt("ann", 1, "mug", 1), attempt("bob", 1, "mug", 1)];
    let not_open = Rejected(Rejection::NotOpen);
    assert_eq!(
        world.admit(OPENS_AT - 60_001, &both),
        [not_open.clone(), not_open.clone()]
    );
    assert_eq!(world.admit(OPENS_AT - 60_000, &both), [Admitted, not_open]);
    world.assert_same_state();
}

#[test]
fn numbers_are_exact_to_the_last_integer() {
    let mut plan = Plan::default();
    let [most, user] = [Expr::Int(INTEGER_MAX), Expr::Attribute(Attribute::User)].map(|e| push(&mut plan, e));
    // Quotients and remainders next to the last integer, where doubles have no room left.
    for (n, divisor) in [
        (INTEGER_MAX, 7),
        (INTEGER_MAX, INTEGER_MAX - 1),
        (INTEGER_MAX - 1, 2),
        (-INTEGER_MAX + 7, 7),
        (-INTEGER_MAX + 2, 2),
        (-1, INTEGER_MAX - 1),
        (-(1 << 52), (1 << 52) - 1),
    ] {
        let of = push(&mut plan, Expr::Int(n));
        for (expr, wanted) in [
            (Expr::Div(of, divisor), n.div_euclid(divisor)),
            (Expr::Mod(of, divisor), n.rem_euclid(divisor)),
        ] {
            let [got, wanted] = [expr, Expr::Int(wanted)].map(|expr| push(&mut plan, expr));
            let same = push(&mut plan, Expr::Eq(got, wanted));
            require(&mut plan, None, same);
        }
    }
    let tier = push(
        &mut plan,
        Expr::Lookup {
            of: user,
            entries: vec![("ann".into(), 1)],
            default: INTEGER_MAX,
        },
    );
    let below = push(&mut plan, Expr::Lt(tier, most));
    add_limit(
        &mut plan,
        "n/units",
        &[],
        Window::Campaign,
        Expr::Attribute(Attribute::Quantity),
        INTEGER_MAX,
    );
    require(&mut plan, None, below);
    let limit = plan.constraints[14].measure.expect("a measure").limit;
    plan.constraints.last_mut().expect("just added").measure =
        Some(rushgate::plan::Measure { counter: 0, limit });
    let mut world = World::open(plan, context_now(&[("mug", 1_000_000_000)]), Time::Real);
    assert_eq!(
        world.admit(0, &[attempt("ann", 1, "mug", QUANTITY_MAX)]),
        [Admitted]
    );
    let used = i64::from(QUANTITY_MAX);
    assert_eq!(
        world.admit(0, &[attempt("bob", 1, "mug", 1)]),
        [failed(15, used, INTEGER_MAX, None)]
    );

    // A count close to the last integer, as after very many orders.
    let key = keys::counter("n/units", 0, bucket_of(b"", 4));
    let count = (INTEGER_MAX - used).to_string();
    world
        .oracle
        .counters
        .insert(("n/units".into(), 0, String::new()), INTEGER_MAX - used);
    world.set_field(&key, "", &count);
    let last = attempt("ann", 2, "mug", QUANTITY_MAX);
    let over = attempt("ann", 3, "mug", 1);
    assert_eq!(
        world.admit(0, &[last, over]),
        [Admitted, failed(14, INTEGER_MAX, INTEGER_MAX, None)]
    );
    world.assert_same_state();
}

#[test]
fn odd_ids_are_different_ids() {
    let device = Attribute::Client("the \"device\"".into());
    let plan = limit(
        &[Attribute::User, device.clone()],
        Window::Campaign,
        Expr::Int(1),
        1,
    );
    let mut world = World::open(plan, context_now(&[("mug", 100)]), Time::Real);
    let users = [
        "ann", "Ann", "ann ", "a'n\"n", "a\nn", "{ann}", "ann]]", "\\", "1:a", "", "ü", "--", "\0",
    ];
    for (key, user) in (0..).zip(users) {
        for value in ["", "1:a", "d\r\n"] {
            let order = with(attempt(user, key * 10, "mug", 1), &device.to_string(), value);
            let again = Attempt {
                order: attempt(user, key * 10 + 1, "mug", 1).order,
                ..order.clone()
            };
            let order = Attempt {
                order: attempt(&(user.to_owned() + value), key, "mug", 1).order,
                ..order
            };
            assert_eq!(world.admit(0, &[order]), [Admitted], "{user:?} {value:?}");
            assert!(
                matches!(world.admit(0, &[again])[0], Rejected(_)),
                "{user:?} {value:?}"
            );
        }
    }
    world.assert_same_state();
}

#[test]
fn text_of_a_module_stays_text() {
    let nasty = "x' .. redis.call('FLUSHALL') .. '\n]] os.exit() --[[ \\' \0 \u{2028}";
    let mut plan = one_per_user();
    let user = push(&mut plan, Expr::Attribute(Attribute::User));
    let text = push(&mut plan, Expr::Text(nasty.into()));
    let same = push(&mut plan, Expr::Eq(user, text));
    let listed = push(&mut plan, Expr::OneOf(user, vec![nasty.into(), "b".into()]));
    let both = push(&mut plan, Expr::And(same, listed));
    require(&mut plan, None, both);
    plan.constraints[0].sentence = "]] os.exit() --[[ \\' \u{2028}return {'ok', '0', ''} --]]".into();
    let mut world = World::open(plan, context_now(&[("mug", 10)]), Time::Real);
    assert_eq!(world.admit(0, &[attempt(nasty, 1, "mug", 1)]), [Admitted]);
    assert!(matches!(
        world.admit(0, &[attempt("b", 1, "mug", 1)])[0],
        Rejected(_)
    ));
    world.assert_same_state();
}

#[test]
fn the_largest_plans_compile_and_run() {
    // One chain through every node, each used twice: nothing can be written inline.
    let mut deep = one_per_user();
    let mut last = push(&mut deep, Expr::Attribute(Attribute::Quantity));
    while deep.nodes.len() < PLAN_NODES_MAX - 2 {
        last = match deep.nodes.len() % 2 {
            0 => push(&mut deep, Expr::Max(last, last)),
            _ => push(&mut deep, Expr::Min(last, last)),
        };
    }
    let zero = push(&mut deep, Expr::Int(0));
    let above = push(&mut deep, Expr::Lt(zero, last));
    require(&mut deep, None, above);

    // One chain of single uses: as deep as nodes allow.
    let mut long = one_per_user();
    let mut last = push(&mut long, Expr::Attribute(Attribute::Quantity));
    let one = push(&mut long, Expr::Int(1));
    while long.nodes.len() < PLAN_NODES_MAX - 1 {
        last = push(&mut long, Expr::Add(one, last));
    }
    let above = push(&mut long, Expr::Lt(one, last));
    require(&mut long, None, above);

    // Every constraint with a `when`, many counters.
    let mut wide = Plan::default();
    let windows = [
        Window::Campaign,
        Window::Tumbling {
            length_ms: 1000,
            origin_ms: 0,
        },
        Window::Rolling { length_ms: 500 },
    ];
    for index in 0..32 {
        let window = windows[index % 3].clone();
        add_limit(
            &mut wide,
            &format!("wide/c{index}"),
            &[Attribute::User],
            window,
            Expr::Int(1),
            2,
        );
    }
    while wide.constraints.len() < PLAN_CONSTRAINTS_MAX {
        let counter = wide.constraints.len() as u32 % 32;
        let used = push(&mut wide, Expr::Counter(counter));
        let two = push(&mut wide, Expr::Int(2));
        let below = push(&mut wide, Expr::Le(used, two));
        let quantity = push(&mut wide, Expr::Attribute(Attribute::Quantity));
        let many = push(&mut wide, Expr::Lt(two, quantity));
        require(&mut wide, Some(many), below);
    }
    let mut nodes = 0;
    for plan in [deep, long, wide] {
        nodes += plan.nodes.len();
        let mut world = World::open(plan, context_now(&[("mug", 100)]), Time::Real);
        assert!(world.family.admit.text.len() < SCRIPT_BYTES_MAX);
        let batch: Vec<Attempt> = (0..4)
            .map(|key| attempt("ann", key, "mug", key % 3 + 1))
            .collect();
        world.admit(0, &batch);
        world.assert_same_state();
        assert!(!world.oracle.orders.is_empty());
    }
    println!("3 plans of {nodes} nodes together");
}

#[test]
fn large_tables_are_looked_up_alike() {
    let mut plan = Plan::default();
    let user = push(&mut plan, Expr::Attribute(Attribute::User));
    let entries = (0..1000).map(|n| (format!("user {n}"), n)).collect();
    let tier = push(
        &mut plan,
        Expr::Lookup {
            of: user,
            entries,
            default: -1,
        },
    );
    let names = (0..100).map(|n| format!("user {n}")).collect();
    let listed = push(&mut plan, Expr::OneOf(user, names));
    let fifty = push(&mut plan, Expr::Int(50));
    let low = push(&mut plan, Expr::Lt(tier, fifty));
    let stock = push(&mut plan, Expr::Stock);
    let remaining = push(&mut plan, Expr::Remaining);
    let left = push(&mut plan, Expr::Le(remaining, stock));
    let both = push(&mut plan, Expr::And(listed, left));
    let chosen = push(&mut plan, Expr::Select(both, low, left));
    require(&mut plan, None, chosen);
    let skus: Vec<(String, u64)> = (0..20).map(|n| (format!("sku-{n}"), n + 1)).collect();
    let skus: Vec<(&str, u64)> = skus.iter().map(|(id, stock)| (id.as_str(), *stock)).collect();
    let mut world = World::open(plan, context_now(&skus), Time::Real);
    for (key, user) in (0..).zip(["user 0", "user 49", "user 50", "user 99", "user 999", "nobody"]) {
        world.admit(
            0,
            &[
                attempt(user, key, "sku-7", 1),
                attempt(user, key + 100, "sku-19", 2),
            ],
        );
    }
    world.assert_same_state();
}

#[test]
fn scripts_too_large_are_refused_when_they_are_written() {
    let mut plan = Plan::default();
    let user = push(&mut plan, Expr::Attribute(Attribute::User));
    // 96 KiB of text that a literal makes four times as long.
    let names = |part: usize| {
        (0..250)
            .map(|n| format!("{part}-{n:03}-").to_owned() + &"\u{1}".repeat(36))
            .collect()
    };
    for part in 0..8 {
        let listed = push(&mut plan, Expr::OneOf(user, names(part)));
        require(&mut plan, None, listed);
    }
    match check(plan, context(&[("mug", 1)])) {
        Err(error) => assert_eq!(error.code, "bound", "{error}"),
        Ok(checked) => {
            let family = emit(checked.into(), 1);
            assert!(family.is_ok_and(|family| family.admit.text.len() <= SCRIPT_BYTES_MAX));
        }
    }
}
