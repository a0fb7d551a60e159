//! The edges: the largest numbers, plans and tables, and texts that look like code.

use rushgate::campaign::bucket_of;
use rushgate::lua::SCRIPT_BYTES_MAX;
use rushgate::lua::emit::emit;
use rushgate::lua::keys;
use rushgate::order::{Attempt, QUANTITY_MAX};
use rushgate::plan::decision::Decision::{Admitted, Existing, Rejected};
use rushgate::plan::{
    Attribute, Expr, INTEGER_MAX, PLAN_CONSTRAINTS_MAX, PLAN_COUNTERS_MAX, PLAN_NODES_MAX, Plan, Window,
    check,
};

use crate::engines::decisions::{failed, one_per_user};
use crate::engines::plans::{add_limit, attempt, context, context_now, limit, push, require, with};
use crate::engines::sides::Time;
use crate::engines::world::World;

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
    let key = keys::counts("n/units", false, bucket_of(b"", 4));
    let count = (INTEGER_MAX - used).to_string();
    world
        .oracle
        .counters
        .insert(("n/units".into(), 0, String::new()), INTEGER_MAX - used);
    world.set_field(&key, &keys::count_field("n/units", ""), &count);
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
fn skus_are_what_shops_write_and_no_two_share_anything() {
    let long = "ü".repeat(64);
    let skus = [
        "mug",
        "gid://shopify/ProductVariant/1",
        "T-SHIRT RED/M",
        "RED/M",
        "RED/M x",
        "x",
        "Äpfel",
        "A\u{308}pfel",
        "Apfel",
        "APFEL",
        "it's \\ \"q\" ]] --",
        "{spring.0}:stock",
        "1:a",
        "2+3/4 5",
        "茶碗 2つ",
        &long,
    ];
    let mut plan = limit(
        &[Attribute::User, Attribute::Sku],
        Window::Campaign,
        Expr::Int(1),
        1,
    );
    add_limit(
        &mut plan,
        "n/of-sku",
        &[Attribute::Sku],
        Window::Campaign,
        Expr::Attribute(Attribute::Quantity),
        6,
    );
    let sku = push(&mut plan, Expr::Attribute(Attribute::Sku));
    let sold: Vec<String> = skus.iter().map(|sku| (*sku).to_owned()).collect();
    let known = push(&mut plan, Expr::OneOf(sku, sold));
    require(&mut plan, None, known);
    let stock: Vec<(&str, u64)> = skus.iter().map(|sku| (*sku, 7)).collect();
    let mut world = World::open(plan, context_now(&stock), Time::Real);
    let mut placed = Vec::new();
    for (number, sku) in (0..).zip(skus) {
        // Behind a SKU that ends in ` x`, the last two would be the first two.
        for (key, user) in (number * 10..).zip(["ann", "x ann", "M x ann"]) {
            let order = attempt(user, key, sku, 2);
            assert_eq!(
                world.admit(0, std::slice::from_ref(&order)),
                [Admitted],
                "{sku:?} {user:?}"
            );
            let again = attempt(user, key + 5, sku, 1);
            assert!(
                matches!(world.admit(0, &[again])[0], Rejected(_)),
                "{sku:?} {user:?}"
            );
            let Existing(found) = world.admit(0, std::slice::from_ref(&order)).remove(0) else {
                panic!("a retry is the same order: {sku:?} {user:?}");
            };
            assert_eq!(
                (found.sku.as_str(), found.user.as_str(), found.quantity),
                (sku, user, 2)
            );
            world.inspect(&order);
            placed.push((order, found.placed_at));
        }
        assert!(matches!(
            world.admit(0, &[attempt("bob", number, sku, 2)])[0],
            Rejected(_)
        ));
    }
    world.assert_same_state();
    for (order, placed_at) in &placed {
        assert!(world.release(order, *placed_at), "{order:?}");
        assert!(!world.release(order, *placed_at), "once");
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

/// As many counters as a plan may have, each of another subject, every other one over a rolling window: more than Lua has
/// variables for.
#[test]
fn as_many_counters_as_there_may_be_are_counted_alike() {
    let parts = [
        Attribute::User,
        Attribute::Sku,
        Attribute::Ip,
        Attribute::Claim("tier".into()),
        Attribute::Client("device".into()),
        Attribute::Client("town".into()),
    ];
    let mut plan = Plan::default();
    for index in 0..PLAN_COUNTERS_MAX {
        let key = (0..).zip(&parts).filter(|(bit, _)| index >> bit & 1 == 1);
        let key: Vec<Attribute> = key.map(|(_, attribute)| attribute.clone()).collect();
        let window = match index % 2 {
            0 => Window::Campaign,
            _ => Window::Rolling { length_ms: 500 },
        };
        let limit = 2 + index as i64 % 5;
        let id = format!("wide/c{index}");
        add_limit(&mut plan, &id, &key, window, Expr::Int(1), limit);
    }
    let mut world = World::open(plan, context_now(&[("mug", 100), ("cup", 100)]), Time::Frozen);
    let now = world.family.plan.context().schedule.opens_at;
    let mut rejected = 0;
    for key in 0..60_u32 {
        let user = ["ann", "bob", "cid", "dan"][key as usize % 4];
        let mut one = attempt(user, key, ["mug", "cup"][key as usize / 3 % 2], 1);
        one.attributes = [
            ("ip", 7),
            ("claim:tier", 5),
            ("client:device", 9),
            ("client:town", 2),
        ]
        .into_iter()
        .map(|(name, of)| (name.to_owned(), (key % of).to_string()))
        .collect();
        let decisions = world.admit(now + 40 * i64::from(key), &[one]);
        rejected += usize::from(matches!(decisions[0], Rejected(_)));
    }
    world.assert_same_state();
    assert!((1..60).contains(&rejected), "{rejected} of 60");
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

/// More than a row of comparisons, of many lengths, and such that need quoting.
#[test]
fn beginnings_and_ends_of_many_lengths_are_found_alike() {
    let mut plan = Plan::default();
    let user = push(&mut plan, Expr::Attribute(Attribute::User));
    let device = push(&mut plan, Expr::Attribute(Attribute::Client("device".into())));
    let mut texts: Vec<String> = (1..=120).map(|length| "ab".repeat(length)).collect();
    texts.extend((0..300).map(|n| format!("user {n}")));
    texts.extend(["ü".into(), "]]\0'".into(), "\n".into()]);
    let begins = push(&mut plan, Expr::StartsWith(user, texts.clone()));
    let ends = push(&mut plan, Expr::EndsWith(device, texts));
    let few = push(&mut plan, Expr::EndsWith(user, vec!["]]\0'".into(), "9".into()]));
    let none = push(&mut plan, Expr::StartsWith(user, Vec::new()));
    let either = push(&mut plan, Expr::Or(few, none));
    let any = push(&mut plan, Expr::Or(begins, either));
    require(&mut plan, None, any);
    require(&mut plan, Some(begins), ends);
    let mut world = World::open(plan, context_now(&[("mug", 1000)]), Time::Frozen);
    let now = world.family.plan.context().schedule.opens_at;
    let words = [
        "ab", "a", "abab", "ba", "user 7", "user", "xuser 7", "user 7x", "ü1", "1ü", "]]\0'", "\n", "x\n",
        "9", "99x", "",
    ];
    let mut admitted = 0;
    for (key, (one, other)) in (0..).zip(words.iter().flat_map(|one| words.map(|other| (*one, other)))) {
        if one.is_empty() {
            continue;
        }
        let mut asked = attempt(one, key, "mug", 1);
        asked.attributes = [("client:device".to_owned(), other.to_owned())].into();
        let decisions = world.admit(now, &[asked]);
        admitted += usize::from(decisions[0] == Admitted);
    }
    world.assert_same_state();
    assert!((1..200).contains(&admitted), "{admitted}");
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
