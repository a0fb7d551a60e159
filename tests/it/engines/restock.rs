//! Changes of the stock in the shard, on both engines: each once, whoever asks and how often.

use rushgate::campaign::Restock;
use rushgate::lua::Family;
use rushgate::lua::activate::{activate_args, activate_reply};
use rushgate::lua::calls;
use rushgate::lua::fence::Fence;
use rushgate::lua::fixed;
use rushgate::lua::restock::{Restocked, Step, restock_args, restock_reply};
use rushgate::plan::decision::{Decision, Rejection};
use rushgate::plan::{Attribute, Expr, Window};

use crate::engines::plans::{attempt, context_now, limit};
use crate::engines::sides::{Side, Time, with};
use crate::engines::world::{EXPIRES_AT, REVISION, World};

/// A campaign with five mugs and a hat, and nobody limited.
fn world() -> World {
    let plan = limit(&[Attribute::User], Window::Campaign, Expr::Int(1), 1000);
    World::open(plan, context_now(&[("mug", 5), ("hat", 1)]), Time::Real)
}

/// The same on each engine.
fn on_each(world: &mut World, mut check: impl FnMut(&mut dyn Side, &Family, &Fence)) {
    let (family, fence) = (world.family.clone(), world.fence.clone());
    for side in world.sides() {
        check(side, &family, &fence);
    }
}

fn next(fence: &Fence) -> Fence {
    Fence {
        epoch: fence.epoch + 1,
        ..fence.clone()
    }
}

fn restock(side: &mut dyn Side, fence: &Fence, number: u64, sku: &str, step: Step) -> Restocked {
    let reply = side.run(&fixed::RESTOCK, restock_args(fence, number, sku, step));
    restock_reply(reply.expect("restock runs")).expect("a reply of the ABI")
}

/// Whether the fence is this one afterwards.
fn activate(side: &mut dyn Side, family: &Family, fence: &Fence, restock: Option<&Restock>) -> bool {
    let args = activate_args(fence, REVISION, &family.plan, restock);
    let reply = side.run(&fixed::ACTIVATE, with(&args, 4, EXPIRES_AT));
    let moved = activate_reply(reply.expect("activate runs")).expect("a reply of the ABI");
    moved.is_none()
}

fn status(side: &mut dyn Side) -> calls::ShardStatus {
    let reply = side.run(&fixed::WATCH, calls::watch_args(&Default::default()));
    calls::watch_reply(reply.expect("watch runs")).expect("a reply of the ABI")
}

fn done(taken: u64, left: i64) -> Restocked {
    Restocked::Done { taken, left }
}

/// Put in force under the epoch behind the change's number.
fn more(number: u64, sku: &str, units: u64) -> Restock {
    Restock {
        number,
        epoch: number + 1,
        sku: sku.to_owned(),
        units,
    }
}

#[test]
fn units_come_with_the_fence_and_once() {
    on_each(&mut world(), |side, family, fence| {
        let (first, ready) = (fence, Step::Ready { is_new: false });
        let before = status(side).reopened;
        assert_eq!(restock(side, first, 1, "mug", ready), done(0, 5));
        assert_eq!(
            restock(side, first, 1, "mug", ready),
            done(0, 5),
            "as often as one asks"
        );
        let (second, change) = (next(first), more(1, "mug", 500));
        for _ in 0..3 {
            assert!(activate(side, family, &second, Some(&change)));
            let status = status(side);
            assert_eq!((status.stock["mug"], status.reopened), (505, before + 1));
        }
        // An activation without a change, and one that still knows of the last.
        let third = next(&second);
        assert!(activate(side, family, &third, Some(&change)));
        assert!(!activate(side, family, &second, Some(&change)), "it is older");
        assert_eq!(status(side).stock["mug"], 505);
        assert_eq!(
            restock(side, &second, 2, "mug", ready),
            Restocked::Fenced(Some(third.clone()))
        );
        assert_eq!(
            restock(side, &third, 1, "mug", ready),
            Restocked::Late,
            "it has it"
        );
        assert_eq!(restock(side, &third, 2, "mug", ready), done(0, 505));
        assert!(activate(side, family, &next(&third), Some(&more(2, "mug", 5))));
        assert_eq!(status(side).stock["mug"], 510);
    });
}

#[test]
fn a_shard_that_is_not_ready_gets_no_units() {
    on_each(&mut world(), |side, family, fence| {
        // One that a release of before has rebuilt: the total, from which it took its units, has them.
        assert!(activate(side, family, &next(fence), Some(&more(3, "mug", 500))));
        assert_eq!(status(side).stock["mug"], 5);
        // And one that was ready before that, which it left as it was.
        let ready = restock(side, &next(fence), 1, "mug", Step::Ready { is_new: false });
        assert_eq!(ready, done(0, 5));
        let rebuilt = next(&next(fence));
        assert!(activate(side, family, &rebuilt, None));
        assert!(activate(
            side,
            family,
            &next(&rebuilt),
            Some(&more(1, "mug", 500))
        ));
        assert_eq!(status(side).stock["mug"], 5);
    });
}

#[test]
fn a_new_sku_begins_with_nothing_and_sells_under_the_next_fence() {
    on_each(&mut world(), |side, family, fence| {
        let (first, second) = (fence, next(fence));
        let step = |is_new| Step::Ready { is_new };
        assert_eq!(restock(side, first, 1, "cap", step(false)), Restocked::Lost);
        assert_eq!(restock(side, first, 1, "cap", step(true)), done(0, 0));
        assert_eq!(status(side).stock["cap"], 0);
        assert_eq!(restock(side, first, 1, "cap", step(true)), done(0, 0));
        assert!(activate(side, family, &second, Some(&more(1, "cap", 7))));
        assert_eq!(status(side).stock["cap"], 7);
        // A shard that has lost its stock is not made to look whole.
        side.remove("stock");
        assert_eq!(restock(side, &second, 2, "scarf", step(true)), Restocked::Lost);
        assert!(activate(side, family, &next(&second), Some(&more(2, "scarf", 7))));
        assert!(status(side).stock.is_empty());
    });
}

#[test]
fn a_removal_takes_what_is_left_and_answers_the_same_again() {
    on_each(&mut world(), |side, _, fence| {
        let before = status(side).reopened;
        let take = |units| Step::Take { units };
        assert_eq!(restock(side, fence, 1, "mug", take(3)), done(3, 2));
        for _ in 0..2 {
            assert_eq!(
                restock(side, fence, 1, "mug", take(3)),
                done(3, 2),
                "the same change"
            );
        }
        assert_eq!(
            restock(side, fence, 2, "mug", take(3)),
            done(2, 0),
            "no more are left"
        );
        assert_eq!(restock(side, fence, 3, "mug", take(3)), done(0, 0));
        assert_eq!(restock(side, fence, 2, "mug", take(3)), Restocked::Late);
        assert_eq!(restock(side, fence, 4, "scarf", take(1)), Restocked::Lost);
        let other = next(fence);
        assert_eq!(
            restock(side, &other, 4, "hat", take(1)),
            Restocked::Fenced(Some(fence.clone()))
        );
        let status = status(side);
        assert_eq!(
            (status.stock["mug"], status.stock["hat"], status.reopened),
            (0, 1, before + 3)
        );
    });
}

#[test]
fn what_orders_take_and_what_merchants_take_makes_the_stock() {
    let mut world = world();
    let orders: Vec<_> = (0..3).map(|key| attempt("ann", key, "mug", 1)).collect();
    assert_eq!(world.admit(0, &orders), vec![Decision::Admitted; 3]);
    let fence = world.fence.clone();
    for side in world.sides() {
        assert_eq!(
            restock(side, &fence, 1, "mug", Step::Take { units: 9 }),
            done(2, 0)
        );
    }
    world.oracle.stock.insert("mug".to_owned(), 0);
    let late = [attempt("bob", 9, "mug", 1)];
    let refused = world.admit(0, &late);
    assert!(
        matches!(
            refused[..],
            [Decision::Rejected(Rejection::SoldOut { remaining: 0 })]
        ),
        "{refused:?}"
    );
}
