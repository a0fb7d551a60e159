//! A paused sale on all sides: which question comes first, how it ends, and what leaves it alone.

use rushgate::campaign::{Pause, Paused};
use rushgate::lua::activate::activate_args;
use rushgate::lua::fence::Fence;
use rushgate::lua::pause::{Put, pause_args, pause_reply};
use rushgate::lua::{Args, calls, fixed};
use rushgate::plan::decision::{Decision, Rejection};
use rushgate::plan::{EarlyAccess, Expr, Plan};

use crate::engines::decisions::{failed, not_open, one_per_user};
use crate::engines::plans::{DAY, OPENS_AT, attempt, context, push};
use crate::engines::sides::{Side, Time, with};
use crate::engines::world::{EXPIRES_AT, Lists, REVISION, World};

use Decision::{Admitted, Rejected};

fn on(number: u64, resume_at: Option<i64>) -> Pause {
    Pause {
        number,
        paused: Some(Paused { resume_at }),
    }
}

fn off(number: u64) -> Pause {
    Pause { number, paused: None }
}

fn paused(resume_at: Option<i64>) -> Decision {
    Rejected(Rejection::Paused(Paused { resume_at }))
}

/// The members of this list come an hour early.
fn early_for_gold() -> Plan {
    let mut plan = one_per_user();
    let quantity = push(&mut plan, Expr::Attribute(rushgate::plan::Attribute::Quantity));
    let two = push(&mut plan, Expr::Int(2));
    let when = push(&mut plan, Expr::Eq(quantity, two));
    plan.early_access.push(EarlyAccess {
        when,
        lead_ms: 3_600_000,
        sentence: "Who orders two comes an hour early.".into(),
    });
    plan
}

fn world(plan: Plan) -> World {
    World::open(plan, context(&[("mug", 5), ("cap", 1)]), Time::Frozen)
}

fn status(side: &mut dyn Side) -> calls::ShardStatus {
    let reply = side.run(&fixed::WATCH, Args::default()).expect("watch runs");
    calls::watch_reply(reply).expect("a status")
}

#[test]
fn a_pause_is_asked_after_schedule_and_sku_and_before_stock_and_rules() {
    let mut world = world(early_for_gold());
    let first = attempt("ann", 1, "mug", 1);
    assert_eq!(world.admit(OPENS_AT, std::slice::from_ref(&first)), [Admitted]);
    world.pause(on(1, None));
    let decided = world.admit(
        OPENS_AT,
        &[
            first.clone(),
            attempt("ann", 2, "mug", 1),
            attempt("bob", 1, "hat", 1),
            attempt("bob", 2, "mug", 99),
            attempt("bob", 3, "cap", 1),
        ],
    );
    assert!(
        matches!(&decided[0], Decision::Existing(placed) if placed.is_of(&first)),
        "{decided:?}"
    );
    assert_eq!(decided[1], paused(None), "before the rules");
    assert_eq!(decided[2], Rejected(Rejection::UnknownSku));
    assert_eq!(decided[3], paused(None), "before the stock");
    assert_eq!(decided[4], paused(None));
    let early = [attempt("cid", 1, "mug", 1), attempt("dan", 1, "mug", 2)];
    assert_eq!(
        world.admit(OPENS_AT - 60_000, &early),
        [not_open(OPENS_AT), paused(None)],
        "open is who comes early"
    );
    let late = attempt("cid", 1, "mug", 1);
    assert_eq!(
        world.admit(OPENS_AT + DAY, &[late]),
        [Rejected(Rejection::Closed)]
    );
    world.assert_same_state();
}

#[test]
fn a_pause_ends_at_its_moment_by_the_clock_of_the_engine() {
    let mut world = world(one_per_user());
    let resume_at = OPENS_AT + 10_000;
    world.pause(on(1, Some(resume_at)));
    let ann = [attempt("ann", 1, "mug", 1)];
    assert_eq!(world.admit(resume_at - 1, &ann), [paused(Some(resume_at))]);
    assert_eq!(
        world.inspect(&ann[0]).paused,
        Some(Paused {
            resume_at: Some(resume_at)
        })
    );
    assert_eq!(world.admit(resume_at, &ann), [Admitted]);
    assert_eq!(world.inspect(&ann[0]).paused, None);
    world.assert_same_state();
}

#[test]
fn of_two_pauses_the_later_counts_in_whatever_order_they_arrive() {
    let mut world = world(one_per_user());
    world.pause(on(1, None));
    world.pause(off(2));
    world.pause(on(1, None));
    assert_eq!(world.admit(OPENS_AT, &[attempt("ann", 1, "mug", 1)]), [Admitted]);
    world.pause(on(4, None));
    world.pause(off(3));
    assert_eq!(
        world.admit(OPENS_AT, &[attempt("bob", 1, "mug", 1)]),
        [paused(None)]
    );
    world.pause(off(4));
    assert_eq!(
        world.admit(OPENS_AT, &[attempt("bob", 1, "mug", 1)]),
        [paused(None)],
        "the same number is the same pause"
    );
    world.pause(off(10));
    world.pause(on(9, None));
    assert_eq!(world.admit(OPENS_AT, &[attempt("bob", 1, "mug", 1)]), [Admitted]);
    let again = attempt("bob", 2, "mug", 1);
    assert_eq!(world.admit(OPENS_AT, &[again]), [failed(0, 1, 1, None)]);
    world.assert_same_state();
}

#[test]
fn an_activation_leaves_a_pause_alone() {
    let mut world = world(one_per_user());
    world.pause(on(3, None));
    let next = Fence {
        epoch: 2,
        ..world.fence.clone()
    };
    let plan = world.family.plan.clone();
    for side in world.sides() {
        let args = with(&activate_args(&next, REVISION, &plan, None), 4, EXPIRES_AT);
        side.run(&fixed::ACTIVATE, args).expect("activate runs");
        assert_eq!(status(side).pause, on(3, None), "{}", side.name());
    }
    world.fence = next;
    assert_eq!(
        world.admit(OPENS_AT, &[attempt("ann", 1, "mug", 1)]),
        [paused(None)]
    );
}

#[test]
fn a_pause_of_another_campaign_or_of_a_closed_gate_changes_nothing() {
    let mut world = world(one_per_user());
    let (fence, sides) = (world.fence.clone(), world.sides());
    for side in sides {
        let mut put = |uid: &str| {
            let reply = side.run(&fixed::PAUSE, pause_args(uid, on(1, None)));
            pause_reply(reply.expect("pause runs")).expect("a reply of the ABI")
        };
        assert_eq!(put("another"), Put::Fenced(Some(fence.clone())));
        for odd in ["", "1", "1 on", "1 off 7", "x on 0", "1 on 0 0"] {
            let args = Args::from([fence.uid.as_str(), odd]);
            assert!(side.run(&fixed::PAUSE, args).is_err(), "{odd:?}");
        }
        assert_eq!(status(side).pause, Pause::default());
        side.remove("state");
        let reply = side.run(&fixed::PAUSE, pause_args(&fence.uid, on(1, None)));
        assert_eq!(pause_reply(reply.expect("pause runs")), Ok(Put::Fenced(None)));
        assert!(!side.dump().contains_key("state"), "nothing is made of nothing");
    }
}

#[test]
fn a_shadow_is_not_asked_about_a_paused_attempt() {
    let context = context(&[("mug", 5)]);
    let shadow = Some(one_per_user());
    let mut world = World::with_shadow(one_per_user(), shadow, context, Time::Frozen, &Lists::new());
    world.pause(on(1, None));
    assert_eq!(
        world.admit(OPENS_AT, &[attempt("ann", 1, "mug", 1)]),
        [paused(None)]
    );
    for side in world.sides() {
        assert!(status(side).shadow.is_empty(), "{}", side.name());
    }
    world.pause(off(2));
    assert_eq!(world.admit(OPENS_AT, &[attempt("ann", 1, "mug", 1)]), [Admitted]);
    for side in world.sides() {
        assert_eq!(status(side).shadow.len(), 1, "{}", side.name());
    }
    world.assert_same_state();
}

/// A pause is no rule: what a shadow would make of an attempt that the rules refuse before it is asked is as ever.
#[test]
fn a_shadow_does_not_ask_whether_the_sale_is_paused() {
    let mut shadow = Plan::default();
    let low = push(&mut shadow, Expr::Int(0));
    let always = push(&mut shadow, Expr::Le(low, low));
    shadow.early_access.push(EarlyAccess {
        lead_ms: 60_000,
        when: always,
        sentence: "Everybody a minute before.".into(),
    });
    let context = context(&[("mug", 10)]);
    let mut world = World::with_shadow(one_per_user(), Some(shadow), context, Time::Frozen, &Lists::new());
    world.pause(on(1, None));
    world.admit(OPENS_AT - 1, &[attempt("ann", 1, "mug", 1)]);
    let pair = ("not-open".to_owned(), "admitted".to_owned());
    assert_eq!(world.oracle.shadow.figures, [(pair, 1)].into());
    world.assert_same_state();
}
