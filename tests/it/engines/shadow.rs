//! Rules in shadow: they decide every attempt a second time, and change nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use rushgate::lua::Args;
use rushgate::lua::{calls, fixed, keys};
use rushgate::plan::decision::Decision::{self, Admitted};
use rushgate::plan::{Attribute, AudienceRef, EarlyAccess, Expr, Plan, Window, check};

use crate::engines::canon::{Dump, carried};
use crate::engines::decisions::{failed, not_open, one_per_user};
use crate::engines::plans::{DAY, OPENS_AT, attempt, context, limit, push, require, with};
use crate::engines::random::{batches, play};
use crate::engines::sides::Time;
use crate::engines::world::{Lists, REVISION, World};
use crate::strategies;

fn two_per_user() -> Plan {
    limit(&[Attribute::User], Window::Campaign, Expr::Int(1), 2)
}

fn open(plan: Plan, shadow: Plan) -> World {
    let context = context(&[("mug", 10), ("cap", 2)]);
    World::with_shadow(plan, Some(shadow), context, Time::Frozen, &Lists::new())
}

/// (outcome of the rules, outcome of the shadow, attempts), as the script counted them.
fn figures(world: &mut World) -> Vec<(String, String, u64)> {
    world.assert_same_state();
    let figures = world.sides().map(|side| {
        let reply = side.run(&fixed::WATCH, Args::default()).expect("watch runs");
        let status = calls::watch_reply(reply).expect("a status");
        assert!(status.rejected.is_empty(), "a pair is no reason");
        assert!(status.shadow.keys().all(|pair| pair.revision == REVISION));
        let pairs = status.shadow.into_iter();
        pairs
            .map(|(pair, n)| (pair.live, pair.shadow, n))
            .collect::<Vec<_>>()
    });
    let [redis, embedded] = figures;
    assert_eq!(redis, embedded);
    redis
}

fn pairs(of: &[(&str, &str, u64)]) -> Vec<(String, String, u64)> {
    of.iter()
        .map(|(live, other, n)| ((*live).to_owned(), (*other).to_owned(), *n))
        .collect()
}

#[test]
fn a_looser_and_a_tighter_shadow_say_where_they_differ() {
    let limited = "n-per-user/orders";
    let order = |key| attempt("ann", key, "mug", 1);
    let mut looser = open(one_per_user(), two_per_user());
    let batch = [
        order(1),
        order(2),
        order(1),
        order(3),
        order(4),
        attempt("bob", 1, "hat", 1),
    ];
    let decisions = looser.admit(OPENS_AT, &batch);
    assert_eq!(decisions[1], failed(0, 1, 1, None));
    // Of the shadow's two orders the second is one that the rules rejected: it counts for the shadow.
    assert_eq!(
        figures(&mut looser),
        pairs(&[
            ("admitted", "admitted", 1),
            (limited, "admitted", 1),
            (limited, limited, 2)
        ])
    );
    looser.admit(
        OPENS_AT + 1,
        &[attempt("bob", 1, "mug", 11), attempt("bob", 2, "mug", 1)],
    );
    assert!(figures(&mut looser).contains(&("sold-out".into(), "sold-out".into(), 1)));

    let mut tighter = open(two_per_user(), one_per_user());
    assert_eq!(
        tighter.admit(OPENS_AT, &[order(1), order(2)]),
        [Admitted, Admitted]
    );
    assert_eq!(
        figures(&mut tighter),
        pairs(&[("admitted", "admitted", 1), ("admitted", limited, 1)])
    );
}

#[test]
fn a_shadow_opens_by_its_own_early_access_and_needs_its_own_attributes() {
    let mut shadow = Plan::default();
    let tier = push(&mut shadow, Expr::Attribute(Attribute::Claim("tier".into())));
    let gold = push(&mut shadow, Expr::OneOf(tier, vec!["gold".into()]));
    shadow.early_access.push(EarlyAccess {
        lead_ms: 60_000,
        when: gold,
        sentence: "Gold first.".into(),
    });
    shadow.required.push(Attribute::Client("device".into()));
    let mut world = open(one_per_user(), shadow);
    let order = |user: &str, tier| {
        let order = with(attempt(user, 1, "mug", 1), "claim:tier", tier);
        with(order, "client:device", "d1")
    };
    let batch = [
        order("ann", "gold"),
        order("bob", "tin"),
        attempt("cid", 1, "mug", 1),
    ];
    assert_eq!(
        world.admit(OPENS_AT - 60_000, &batch),
        [not_open(OPENS_AT), not_open(OPENS_AT), not_open(OPENS_AT)]
    );
    world.admit(OPENS_AT + DAY, &batch[..1]);
    assert_eq!(
        figures(&mut world),
        pairs(&[
            ("closed", "closed", 1),
            ("not-open", "admitted", 1),
            ("not-open", "attribute-missing", 1),
            ("not-open", "not-open", 1),
        ])
    );
}

#[test]
fn a_shadow_says_of_a_claim_that_it_cannot_read() {
    let mut shadow = Plan::default();
    let tier = push(&mut shadow, Expr::Attribute(Attribute::Claim("tier".into())));
    let gold = push(&mut shadow, Expr::Text("gold".into()));
    let is_gold = push(&mut shadow, Expr::Eq(tier, gold));
    let groups = push(&mut shadow, Expr::Attribute(Attribute::Claim("groups".into())));
    let staff = push(&mut shadow, Expr::OneOf(groups, vec!["staff".into()]));
    let either = push(&mut shadow, Expr::Or(is_gold, staff));
    require(&mut shadow, None, either);
    shadow.required.push(Attribute::Claim("tier".into()));
    let mut world = open(two_per_user(), shadow);
    let order = |key, attributes: &[(&str, &str)]| {
        let order = attempt("ann", key, "mug", 1);
        attributes
            .iter()
            .fold(order, |order, (name, value)| with(order, name, value))
    };
    let several = "\u{1f}a\u{1f}staff";
    let batch = [
        order(1, &[("claim:tier", "tin"), ("claim:groups", several)]),
        order(2, &[("claim:tier", "\u{1f}gold\u{1f}tin")]),
        order(3, &[("claim:tier", "\u{1f}")]),
        order(
            4,
            &[
                ("claim:tier", "gold"),
                ("unreadable:claim:groups", "is an object"),
            ],
        ),
        order(5, &[("claim:groups", "staff")]),
        order(6, &[("claim:tier", "tin"), ("claim:groups", "a")]),
    ];
    world.admit(OPENS_AT, &batch);
    let name = world.family.plan.plan().constraints[0].name();
    let shadowed = world.family.shadow.as_ref().expect("a shadow").plan().constraints[0].name();
    assert_eq!(
        figures(&mut world),
        pairs(&[
            ("admitted", "admitted", 1),
            ("admitted", "claim-not-single", 1),
            (&name, "attribute-missing", 1),
            (&name, "attribute-unreadable", 1),
            (&name, "claim-not-single", 1),
            (&name, &shadowed, 1),
        ])
    );
}

/// The rules count by buyer, whose two values no script reads; only the shadow knows what the SKU says.
#[test]
fn a_shadow_reads_attributes_of_skus_that_the_rules_do_not() {
    let category = [Attribute::OfSku("category".into())];
    let shadow = limit(&category, Window::Campaign, Expr::Int(1), 1);
    let mut context = context(&[("mug", 10), ("hat", 10)]);
    let mut skus = context.skus.to_vec();
    for (sku, category) in skus.iter_mut().zip(["kitchen", "wear"]) {
        sku.attributes.insert("category".into(), category.into());
    }
    context.skus = skus.into();
    let mut world = World::with_shadow(two_per_user(), Some(shadow), context, Time::Frozen, &Lists::new());
    let batch = [
        attempt("ann", 1, "mug", 1),
        attempt("bob", 1, "hat", 1),
        attempt("bob", 2, "mug", 1),
    ];
    assert_eq!(world.admit(OPENS_AT, &batch), [Admitted, Admitted, Admitted]);
    assert_eq!(
        figures(&mut world),
        pairs(&[("admitted", "admitted", 2), ("admitted", "n-per-user/orders", 1)])
    );
}

/// Everything but what the shadow keeps.
fn live(mut dump: Dump) -> Dump {
    dump.retain(|key, _| !key.contains("shadow/") && key != keys::FIGURES);
    dump
}

#[test]
fn a_fault_of_the_shadow_stays_its_own() {
    let mut shadow = one_per_user();
    let of = Attribute::User;
    let vip = push(
        &mut shadow,
        Expr::Member {
            audience: "vip".into(),
            of,
        },
    );
    require(&mut shadow, None, vip);
    let mut context = context(&[("mug", 10)]);
    let list = AudienceRef::whole(1, 1);
    context.audiences.insert("vip".into(), list);
    let lists = Lists::from([("vip".to_owned(), ["ann".to_owned()].into())]);
    let mut world = World::with_shadow(two_per_user(), Some(shadow), context, Time::Frozen, &lists);
    let mut plain = World::open(
        two_per_user(),
        crate::engines::plans::context(&[("mug", 10)]),
        Time::Frozen,
    );
    let order = |user: &str, key| attempt(user, key, "mug", 1);
    // The list the shadow asks is lost.
    for side in world.sides() {
        side.remove("audience:vip:1:0");
    }
    let first = [order("ann", 1)];
    let args = |world: &World, orders: &[rushgate::order::Attempt]| {
        rushgate::lua::codec::admit_args(
            &world.family,
            &world.fence,
            orders.iter(),
            carried(orders).as_bytes(),
        )
    };
    let decide = |world: &mut World, orders: &[rushgate::order::Attempt]| -> Vec<Vec<Decision>> {
        let (family, args) = (world.family.clone(), args(world, orders));
        let decided = world.sides().map(|side| {
            side.set_now(OPENS_AT);
            let reply = side.run(&family.admit, args.clone()).expect("admit runs");
            match rushgate::lua::codec::admit_reply(&family, orders.iter(), reply) {
                Ok(rushgate::lua::codec::AdmitReply::Decided { decisions, .. }) => decisions,
                other => panic!("{}: {other:?}", side.name()),
            }
        });
        decided.into()
    };
    assert_eq!(decide(&mut world, &first), [[Admitted], [Admitted]]);
    assert_eq!(decide(&mut plain, &first), [[Admitted], [Admitted]]);
    // Something else lies where the shadow counts.
    let bucket = rushgate::campaign::bucket_of(b"bob", 4);
    let counter = keys::counts(&keys::shadow_id(REVISION, "n-per-user/orders"), true, bucket);
    for side in world.sides() {
        side.remove(&counter);
        let text = "return redis.call('SET', string.sub(KEYS[1], 1, -6) .. ARGV[1], 'x').ok";
        let script = rushgate::lua::Script::new("set", text.into());
        side.run(&script, Args::from([counter.clone().into_bytes()]))
            .expect("a plain write");
    }
    let second = [order("bob", 1), order("bob", 2), order("bob", 3)];
    let expected = [Admitted, Admitted, failed(0, 2, 2, None)];
    assert_eq!(decide(&mut world, &second), [expected.clone(), expected.clone()]);
    assert_eq!(decide(&mut plain, &second), [expected.clone(), expected]);
    let dumps = |world: &mut World| {
        world.sides().map(|side| {
            let dump = crate::engines::canon::without_stream_ids(live(side.dump()));
            dump.into_iter()
                .filter(|(key, _)| key != "state")
                .collect::<Dump>()
        })
    };
    assert_eq!(dumps(&mut world), dumps(&mut plain));
    for side in world.sides() {
        let reply = side.run(&fixed::WATCH, Args::default()).expect("watch runs");
        let status = calls::watch_reply(reply).expect("a status");
        let faults: u64 = status
            .shadow
            .iter()
            .filter(|(pair, _)| pair.shadow == "fault")
            .map(|(_, n)| n)
            .sum();
        assert_eq!(
            (status.admitted, faults),
            (3, 4),
            "{}: {:?}",
            side.name(),
            status.shadow
        );
    }
}

/// Whatever is in shadow, the answers and what they leave are those of the rules alone; and figures and
/// counts of the shadow are the interpreter's.
#[test]
fn random_shadows_change_nothing() {
    static ATTEMPTS: AtomicUsize = AtomicUsize::new(0);
    static DIFFER: AtomicUsize = AtomicUsize::new(0);
    let cases = 48;
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let strategy = (
        strategies::valid_plan(),
        strategies::valid_plan(),
        strategies::attempts(),
        strategies::pauses(),
    );
    proptest!(config, |(((plan, context), (shadow, _), attempts, pauses) in strategy)| {
        prop_assume!(check(shadow.clone(), context.clone()).is_ok());
        let opens_at = context.schedule.opens_at;
        let lists = strategies::audiences();
        let mut plain = World::with_audiences(plan.clone(), context.clone(), Time::Frozen, &lists);
        let mut world = World::with_shadow(plan, Some(shadow), context, Time::Frozen, &lists);
        let batches = batches(attempts);
        for (at, batch) in &batches {
            prop_assert_eq!(world.admit(opens_at + at, batch), plain.admit(opens_at + at, batch));
        }
        world.assert_same_state();
        let alone = rushgate::plan::state::State { shadow: Default::default(), ..world.oracle.clone() };
        prop_assert_eq!(alone, plain.oracle.clone());
        play(&mut world, opens_at, &batches, &pauses);
        ATTEMPTS.fetch_add(world.decided, Ordering::Relaxed);
        let differ = world.oracle.shadow.figures.iter().filter(|((live, other), _)| live != other);
        DIFFER.fetch_add(differ.map(|(_, n)| *n as usize).sum(), Ordering::Relaxed);
    });
    let (attempts, differ) = (ATTEMPTS.load(Ordering::Relaxed), DIFFER.load(Ordering::Relaxed));
    println!("{cases} random plans with a random shadow, {attempts} attempts, {differ} decided otherwise");
    assert!(differ > 0);
}
