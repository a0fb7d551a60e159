//! The hand-written scripts, and the fence, on both engines.

use std::collections::BTreeMap;

use rushgate::campaign::{RecordVersion, bucket_of};
use rushgate::engine::embedded::Held;
use rushgate::lua::Args;
use rushgate::lua::activate::{activate_args, activate_reply};
use rushgate::lua::calls::{self, Found, Packed, Returned};
use rushgate::lua::codec::{self, AdmitReply};
use rushgate::lua::fence::Fence;
use rushgate::lua::keys::lasting_keys;
use rushgate::lua::prolong::{Prolong, Prolonged, prolong_reply};
use rushgate::lua::record::Record;
use rushgate::lua::reply::Reply;
use rushgate::lua::restore::{Restore, restore_args, restore_reply};
use rushgate::lua::{Family, Script, fixed, keys, repair};
use rushgate::order::{Attempt, Charge};
use rushgate::plan::decision::Decision;
use rushgate::plan::eval;
use rushgate::plan::{Attribute, Expr, Plan, Window};

use crate::engines::canon::{self, carried};
use crate::engines::plans::{add_limit, attempt, context_now, limit};
use crate::engines::sides::{Side, Time, with};
use crate::engines::world::{EXPIRES_AT, REVISION, World};

fn per_user(most: i64) -> Plan {
    limit(&[Attribute::User], Window::Campaign, Expr::Int(1), most)
}

/// A campaign on both engines, one order of two admitted.
fn one_order() -> (World, Attempt) {
    let mut world = World::open(per_user(2), context_now(&[("mug", 5)]), Time::Real);
    let order = attempt("ann lee", 1, "mug", 2);
    assert_eq!(world.admit(0, std::slice::from_ref(&order)), [Decision::Admitted]);
    (world, order)
}

/// The same on each engine, with what it needs of the world.
fn on_each(world: &mut World, mut check: impl FnMut(&mut dyn Side, &Family, &Fence)) {
    let (family, fence) = (world.family.clone(), world.fence.clone());
    for side in world.sides() {
        check(side, &family, &fence);
    }
}

fn admit(side: &mut dyn Side, family: &Family, fence: &Fence, attempts: &[Attempt]) -> AdmitReply {
    let reply = side.run(
        &family.admit,
        codec::admit_args(family, fence, attempts.iter(), carried(attempts).as_bytes()),
    );
    codec::admit_reply(family, attempts.iter(), reply.expect("admit runs")).expect("a reply of the ABI")
}

fn watch(side: &mut dyn Side, rejected: &[(&str, u64)]) -> calls::ShardStatus {
    let rejected = rejected
        .iter()
        .map(|(reason, n)| ((*reason).to_owned(), *n))
        .collect();
    let reply = side
        .run(&fixed::WATCH, calls::watch_args(&rejected))
        .expect("watch runs");
    calls::watch_reply(reply).expect("a reply of the ABI")
}

fn outbox(side: &mut dyn Side, owner: &str, age_ms: u64, after: &str) -> Option<Vec<calls::RawEntry>> {
    let args = calls::outbox_args(owner, 60_000, age_ms, after, 100);
    calls::outbox_reply(side.run(&fixed::OUTBOX, args).expect("outbox runs")).expect("a reply of the ABI")
}

fn lookup(side: &mut dyn Side, order: &Attempt, buckets: u32) -> Option<Found> {
    let reply = side.run(
        &fixed::LOOKUP,
        calls::lookup_args([(order.order, order.user.as_str())], buckets),
    );
    let mut found = calls::lookup_reply(reply.expect("lookup runs")).expect("a reply of the ABI");
    assert_eq!(found.orders.len(), 1);
    found.orders.remove(0)
}

#[test]
fn an_entry_that_is_none_of_ours_holds_up_no_other() {
    let (mut world, order) = one_order();
    let add = "local outbox = string.sub(KEYS[1], 1, -#'state' - 1) .. 'outbox'\n\
               return redis.call('XADD', outbox, '*', unpack(ARGV))";
    let add = Script::new("odd-entry", add.to_owned());
    on_each(&mut world, |side, _, _| {
        for fields in [
            "foo bar",
            "rev 1 at 99999999999999999999 n 1 o {}",
            "rev x at 1 n 1 o {}",
            "rev -1 at 1 n 1 o {}",
            "rev 99999999999 at 1 n 1 o {}",
            "rev 1 at 1.5 n 1 o {}",
            "rev 1 at 1 n x o {}",
            "rev 1 at 1 n 2 o {}",
            "rev 1 at 1 n 0 o {}",
            "rev 1 at 1 n 1_1_1 o {}",
            "rev 1 at 1 n 1_1_1_x o {}",
            "rev 1 at 1 n 1_1_1_1_1 o {}",
            "rev 1 at 1 n 2_1_1_1 o {}",
            "rev 1 at 1 n 1_1_99999999999_1 o {}",
            "rev 1 at 1 n 1 all x",
            "rev 1 at 1 n 1_1_1_1 all \u{80}",
            "rev 1 at 1 n 2_1_1_1 all \u{1}{",
            "rev 1 at 1 n 1_1_1_1 all \u{1}{}",
            "rev 1 at 1 n 1_1_1_1 all \u{1}{ o {}",
            "rev 1 at 1 n 99999999999999999999_1_1_1 all \u{1}{",
        ] {
            let fields = fields.split(' ');
            let fields = fields.map(|field| field.replace('_', " ").into_bytes()).collect();
            side.run(&add, fields).expect("it is added");
        }
        let reply = side.run(&fixed::LEDGER, repair::ledger_args(1000));
        let ledger = repair::ledger_reply(reply.expect("ledger runs")).expect("a reply of the ABI");
        let swept = outbox(side, "one", 0, "-").expect("the lease is free");
        for entries in [ledger.outbox.expect("they are few"), swept] {
            let (ours, odd): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.revision > 0);
            assert_eq!(odd.len(), 20);
            assert!(odd.iter().all(|entry| entry.payloads.is_empty()), "{odd:?}");
            let [entry] = ours.as_slice() else {
                panic!("{ours:?}")
            };
            let payload: Attempt = serde_json::from_slice(&entry.payloads[0]).expect("an attempt");
            assert_eq!(payload, order);
        }
    });
}

#[test]
fn the_fence_says_how_orders_travel_and_its_version_only_rises() {
    let (mut world, order) = one_order();
    on_each(&mut world, |side, family, fence| {
        let first = outbox(side, "one", 0, "-").expect("the lease is free").remove(0);
        let packed = |first| Packed {
            epoch: fence.epoch,
            evaluator: eval::VERSION,
            first,
        };
        assert_eq!(first.packed, Some(packed(1)));
        let more = [
            attempt("cy", 1, "mug", 1),
            order.clone(),
            attempt("dan", 1, "mug", 1),
        ];
        match admit(side, family, fence, &more) {
            AdmitReply::Decided { entry, .. } => assert_eq!(entry.and_then(|entry| entry.first), Some(2)),
            other => panic!("{other:?}"),
        }
        let next = Fence {
            epoch: fence.epoch + 1,
            ..fence.clone()
        };
        let older = Fence {
            version: RecordVersion::V1,
            ..next.clone()
        };
        let activate = |side: &mut dyn Side, fence: &Fence| {
            let args = activate_args(fence, REVISION, &family.plan, None);
            activate_reply(side.run(&fixed::ACTIVATE, args).expect("activate runs")).expect("a reply")
        };
        assert_eq!(activate(side, &older), Some(Some(fence.clone())));
        assert_eq!(activate(side, &next), None);
        match admit(side, family, &next, &[attempt("eve", 1, "mug", 1)]) {
            AdmitReply::Decided { entry, .. } => assert_eq!(entry.and_then(|entry| entry.first), Some(4)),
            other => panic!("{other:?}"),
        }
        // A build that does not know of versions takes the shard for another campaign's.
        let lone = Fence {
            version: RecordVersion::V1,
            ..fence.clone()
        };
        assert_eq!(
            admit(side, family, &lone, &[attempt("fay", 1, "mug", 1)]),
            AdmitReply::Fenced(Some(next))
        );
    });
}

#[test]
fn an_order_is_pending_until_it_is_settled_once() {
    let (mut world, order) = one_order();
    let now = world.now;
    on_each(&mut world, |side, family, _| {
        let found = lookup(side, &order, 4).expect("it was admitted");
        assert!(found.waiting, "{found:?}");
        assert_eq!(
            (found.placed.sku.as_str(), found.placed.user.as_str()),
            ("mug", "ann lee")
        );
        assert_eq!(lookup(side, &attempt("bob", 1, "mug", 1), 4), None);

        let entries = outbox(side, "one", 0, "-").expect("the lease is free");
        let [entry] = entries.as_slice() else {
            panic!("{entries:?}")
        };
        assert_eq!((entry.revision, entry.placed_at), (REVISION, now));
        let payload: Attempt = serde_json::from_slice(&entry.payloads[0]).expect("an attempt");
        assert_eq!(payload, order);
        assert_eq!(found.entry, entry.id);
        // What the record and the entry say is enough to compute what the order consumed.
        assert_eq!(eval::charges(&family.plan, &payload, entry.placed_at).len(), 1);
        assert_eq!(
            outbox(side, "one", 0, &entry.id),
            Some(Vec::new()),
            "exclusive start"
        );
        assert_eq!(outbox(side, "one", 3_600_000, "-"), Some(Vec::new()), "too young");
        assert_eq!(outbox(side, "two", 0, "-"), None, "the lease is held");

        assert_eq!(watch(side, &[]).settled, 0);
        for expected in [1, 0] {
            let entries = [(entry.id.clone(), 1), ("5-5".into(), 9)];
            let reply = side
                .run(&fixed::SETTLE, calls::settle_args(&entries))
                .expect("settle runs");
            assert_eq!(
                reply,
                Reply::Array(vec![Reply::Bulk(b"ok".to_vec()), Reply::Int(expected)])
            );
        }
        let status = watch(side, &[]);
        assert_eq!((status.admitted, status.settled, status.outbox), (1, 1, 0));
        let settled = Found {
            waiting: false,
            ..found
        };
        assert_eq!(lookup(side, &order, 4), Some(settled));
    });
}

#[test]
fn a_lookup_says_when_what_it_did_not_find_may_have_been_lost() {
    let (mut world, order) = one_order();
    let bucket = bucket_of(order.user.as_bytes(), 4);
    let ask = |side: &mut dyn Side| {
        let reply = side.run(
            &fixed::LOOKUP,
            calls::lookup_args([(order.order, order.user.as_str())], 4),
        );
        calls::lookup_reply(reply.expect("lookup runs")).expect("a reply of the ABI")
    };
    on_each(&mut world, |side, _, fence| {
        let found = ask(side);
        assert_eq!(found.fence.as_ref(), Some(fence));
        assert!(found.orders[0].is_some());
        side.remove(&keys::buyers(bucket));
        let (fence, orders) = (None, vec![None]);
        assert_eq!(ask(side), calls::Lookup { fence, orders }, "its bucket is gone");
        side.remove("state");
        assert_eq!(ask(side).fence, None);
        let nothing = side.run(&fixed::LOOKUP, Args::default()).expect("lookup runs");
        assert_eq!(calls::lookup_reply(nothing).expect("a reply").fence, None);
    });
}

#[test]
fn releasing_gives_back_what_the_order_took_and_reopens() {
    let mut plan = per_user(2);
    let hour = Window::Tumbling {
        length_ms: 3_600_000,
        origin_ms: 0,
    };
    add_limit(
        &mut plan,
        "hourly/units",
        &[],
        hour,
        Expr::Attribute(Attribute::Quantity),
        5,
    );
    let rolling = Window::Rolling { length_ms: 3_600_000 };
    add_limit(
        &mut plan,
        "rolling/units",
        &[Attribute::Sku],
        rolling,
        Expr::Attribute(Attribute::Quantity),
        5,
    );
    let mut world = World::open(plan, context_now(&[("mug", 5)]), Time::Real);
    let orders = [attempt("ann", 1, "mug", 2), attempt("ann", 2, "mug", 2)];
    world.admit(0, &orders);
    let placed_at = world.now;
    let before = world.oracle.clone();
    assert!(matches!(
        world.admit(0, &[attempt("bob", 1, "mug", 1)])[0],
        Decision::Admitted
    ));
    assert!(world.release(&orders[0], placed_at));
    assert!(!world.release(&orders[0], placed_at), "released before");
    assert!(
        !world.release(&attempt("never", 1, "mug", 1), placed_at),
        "never admitted"
    );
    assert_ne!(world.oracle, before);
    world.assert_same_state();
    assert_eq!(world.oracle.stock["mug"], 2);
    on_each(&mut world, |side, _, _| {
        assert_eq!(watch(side, &[]).reopened, 2, "once by restore, once here")
    });
    // The released order keeps its answer; the subject may order again.
    assert!(matches!(&world.admit(0, &orders[..1])[0], Decision::Existing(placed) if placed.released));
    assert_eq!(
        world.admit(0, &[attempt("ann", 3, "mug", 2)]),
        [Decision::Admitted]
    );
    world.assert_same_state();
}

#[test]
fn a_charge_whose_key_has_gone_stays_gone() {
    let plan = limit(&[Attribute::Sku], Window::Campaign, Expr::Int(1), 2);
    let mut world = World::open(plan, context_now(&[("mug", 5)]), Time::Real);
    let order = attempt("ann lee", 1, "mug", 2);
    world.admit(0, std::slice::from_ref(&order));
    let placed_at = world.now;
    let key = keys::counts("n-per-user/orders", false, bucket_of(b"mug", 4));
    world.sides().into_iter().for_each(|side| side.remove(&key));
    world.oracle.counters.clear();
    assert!(world.release(&order, placed_at));
    world.assert_same_state();
}

#[test]
fn an_older_fence_decides_nothing() {
    let (mut world, order) = one_order();
    on_each(&mut world, |side, family, fence| {
        let newer = Fence {
            epoch: 2,
            ..fence.clone()
        };
        let activate = |side: &mut dyn Side, fence: &Fence| {
            let args = with(&activate_args(fence, 8, &family.plan, None), 4, EXPIRES_AT);
            activate_reply(side.run(&fixed::ACTIVATE, args).expect("activate runs")).expect("a reply")
        };
        assert_eq!(activate(side, &newer), None);
        assert_eq!(activate(side, &newer), None, "again is fine");
        assert_eq!(activate(side, fence), Some(Some(newer.clone())), "older");
        let foreign = Fence {
            uid: "other".into(),
            version: RecordVersion::V2,
            epoch: 9,
        };
        assert_eq!(activate(side, &foreign), Some(Some(newer.clone())), "foreign");

        let before = side.dump();
        assert_eq!(
            admit(side, family, fence, &[attempt("bob", 1, "mug", 1)]),
            AdmitReply::Fenced(Some(newer.clone()))
        );
        let release = calls::release_args(fence, &[two_mugs(&order)], &family.plan);
        let reply = side.run(&fixed::RELEASE, release).expect("release runs");
        let fenced = [b"fence".to_vec(), newer.to_string().into_bytes()].map(Reply::Bulk);
        assert_eq!(reply, Reply::Array(fenced.to_vec()));
        assert_eq!(side.dump(), before, "nothing was done");
        assert!(matches!(
            admit(side, family, &newer, &[attempt("bob", 1, "mug", 1)]),
            AdmitReply::Decided { .. }
        ));
        assert_eq!(canon::field(&side.dump(), "state", "revision"), Some("8".into()));
    });
}

fn prolong(side: &mut dyn Side, prolong: &Prolong, fence: &str, buckets: Option<u32>) -> Prolonged {
    let args = prolong.args(fence, buckets.map(|bucket| bucket..=bucket));
    prolong_reply(side.run(&fixed::PROLONG, args).expect("prolong runs")).expect("a reply")
}

#[test]
fn buckets_are_made_to_last_longer_a_few_at_a_time() {
    let (mut world, order) = one_order();
    on_each(&mut world, |side, family, fence| {
        let later = |expires_at| Prolong {
            uid: &fence.uid,
            family: keys::BUYERS,
            buckets: 4,
            expires_at,
        };
        assert_eq!(prolong(side, &later(EXPIRES_AT), "", None), Prolonged::Complete);
        assert_eq!(
            prolong(side, &later(EXPIRES_AT - 9), "", None),
            Prolonged::Complete
        );
        let (longer, there) = (later(EXPIRES_AT + 5), fence.to_string());
        let incomplete = Prolonged::Incomplete { fence: there.clone() };
        assert_eq!(prolong(side, &longer, "", None), incomplete);
        for bucket in 0..3 {
            assert_eq!(prolong(side, &longer, &there, Some(bucket)), incomplete);
        }
        // A rebuild or an activation came in between: what was done may have been undone.
        let fenced = Prolonged::Fenced(there.clone());
        assert_eq!(prolong(side, &longer, "uid:77", Some(3)), fenced);
        let foreign = Prolong {
            uid: "other",
            ..longer
        };
        assert_eq!(prolong(side, &foreign, "", Some(3)), fenced);
        assert_eq!(prolong(side, &longer, "", None), incomplete, "nothing was done");
        assert_eq!(prolong(side, &longer, &there, Some(3)), Prolonged::Complete);
        assert_eq!(prolong(side, &longer, "", None), Prolonged::Complete);
        let dump = side.dump();
        for (key, (_, expiry)) in &dump {
            let expected = EXPIRES_AT + if key.starts_with("buyers:") { 5 } else { 0 };
            assert_eq!(*expiry, Some(expected), "{key}");
        }
        let again = admit(side, family, fence, std::slice::from_ref(&order));
        assert!(matches!(again, AdmitReply::Decided { .. }), "all is as it was");
    });
}

#[test]
fn a_bucket_that_is_to_last_longer_and_is_not_there_was_lost() {
    let (mut world, _) = one_order();
    on_each(&mut world, |side, _, fence| {
        let longer = Prolong {
            uid: &fence.uid,
            family: keys::COUNTS,
            buckets: 4,
            expires_at: EXPIRES_AT + 5,
        };
        side.remove("counts:2");
        assert_eq!(
            prolong(side, &longer, "", Some(2)),
            Prolonged::Lost("counts:2".into())
        );
        assert!(!side.dump().contains_key("counts:2"), "it is not made anew");
        side.remove("state");
        assert_eq!(
            prolong(side, &longer, "", Some(3)),
            Prolonged::Fenced(String::new())
        );
    });
}

#[test]
fn activation_makes_no_buckets_at_once_and_moves_what_is_few() {
    let (mut world, _) = one_order();
    let mut plan = per_user(2);
    add_limit(
        &mut plan,
        "new/one",
        &[],
        Window::Rolling { length_ms: 1000 },
        Expr::Int(1),
        1,
    );
    let next = World::open(plan, context_now(&[("mug", 5)]), Time::Real);
    on_each(&mut world, |side, _, fence| {
        let newer = Fence {
            epoch: 2,
            ..fence.clone()
        };
        let expiry = EXPIRES_AT + 5;
        let args = with(&activate_args(&newer, 2, &next.family.plan, None), 4, expiry);
        side.run(&fixed::ACTIVATE, args).expect("activate runs");
        let dump = side.dump();
        assert!(dump.contains_key("counts:3"));
        for (key, (_, at)) in &dump {
            let bucket = key.starts_with("buyers:") || key.starts_with("counts:");
            assert_eq!(*at, Some(if bucket { EXPIRES_AT } else { expiry }), "{key}");
        }
        let order = [attempt("cid", 1, "mug", 1)];
        assert!(matches!(
            admit(side, &next.family, &newer, &order),
            AdmitReply::Decided { .. }
        ));
    });
}

#[test]
fn missing_state_closes_the_gate() {
    for lost in ["state", "stock", "buyers:*", "counts:*"] {
        let mut plan = per_user(2);
        add_limit(&mut plan, "all/orders", &[], Window::Campaign, Expr::Int(1), 9);
        let mut world = World::open(plan, context_now(&[("mug", 5)]), Time::Real);
        let order = attempt("ann lee", 1, "mug", 2);
        world.admit(0, std::slice::from_ref(&order));
        on_each(&mut world, |side, family, fence| {
            let gone = |key: &String| match lost.strip_suffix('*') {
                Some(start) => key.starts_with(start),
                None => key == lost,
            };
            let names: Vec<String> = side.dump().into_keys().filter(gone).collect();
            assert!(!names.is_empty());
            names.iter().for_each(|key| side.remove(key));
            let before = side.dump();
            let again = admit(side, family, fence, &[attempt("new", 1, "mug", 1), order.clone()]);
            assert_eq!(again, AdmitReply::Fenced(None), "without {lost}, {}", side.name());
            assert_eq!(side.dump(), before);
        });
    }
}

#[test]
fn watch_adds_figures_and_reads_everything() {
    let (mut world, _) = one_order();
    let now = world.now;
    on_each(&mut world, |side, _, fence| {
        watch(side, &[("sold-out", 3), ("n-per-user/orders", 1)]);
        let status = watch(side, &[("sold-out", 9_007_199_254_740_000)]);
        assert_eq!(status.fence.as_ref(), Some(fence));
        assert_eq!(status.stock, BTreeMap::from([("mug".to_owned(), 3)]));
        assert_eq!(status.rejected["sold-out"], 9_007_199_254_740_003);
        assert_eq!((status.admitted, status.outbox, status.rejected.len()), (1, 1, 2));
        assert!(status.now >= now);
        assert_eq!(side.dump()["figures"].1, Some(EXPIRES_AT));
        side.remove("state");
        assert_eq!(watch(side, &[]).fence, None);
    });
}

/// Does a step of a restore whose keys go at [`EXPIRES_AT`].
fn restore(side: &mut dyn Side, token: &str, step: Restore<'_>) -> bool {
    let mut args = restore_args(token, step);
    if args[0] == *b"finish" {
        args = with(&args, 6, EXPIRES_AT);
    }
    restore_reply(side.run(&fixed::RESTORE, args).expect("restore runs")).expect("a reply")
}

#[test]
fn a_rebuild_brings_back_orders_charges_and_stock() {
    let mut plan = per_user(2);
    let hour = Window::Tumbling {
        length_ms: 3_600_000,
        origin_ms: 0,
    };
    add_limit(
        &mut plan,
        "hourly/units",
        &[],
        hour,
        Expr::Attribute(Attribute::Quantity),
        50,
    );
    let rolling = Window::Rolling { length_ms: 3_600_000 };
    add_limit(
        &mut plan,
        "rolling/units",
        &[Attribute::Sku],
        rolling,
        Expr::Attribute(Attribute::Quantity),
        50,
    );
    let mut world = World::open(plan, context_now(&[("mug", 20)]), Time::Real);
    let orders: Vec<Attempt> = (0..3).map(|key| attempt("ann", key, "mug", key + 1)).collect();
    world.admit(0, &orders);
    let (oracle, now) = (world.oracle.clone(), world.now);
    on_each(&mut world, |side, family, fence| {
        let plan = &family.plan;
        side.dump()
            .keys()
            .filter(|key| *key != "state")
            .for_each(|key| side.remove(key));
        let mut step = |token: &str, step: Restore<'_>| restore(side, token, step);
        assert!(
            !step(
                "t",
                Restore::Begin {
                    uid: "foreign",
                    expires_at: EXPIRES_AT
                }
            ),
            "the state is another campaign's"
        );
        assert!(
            !step(
                "t",
                Restore::Drop {
                    keys: vec!["state".into()]
                }
            ),
            "nobody began"
        );
        assert!(step(
            "slow",
            Restore::Begin {
                uid: &fence.uid,
                expires_at: EXPIRES_AT
            }
        ));
        assert!(
            step(
                "t",
                Restore::Begin {
                    uid: &fence.uid,
                    expires_at: EXPIRES_AT
                }
            ),
            "takes over"
        );
        assert!(
            !step(
                "slow",
                Restore::Drop {
                    keys: vec!["buyers:0".into()]
                }
            ),
            "another took over"
        );
        assert!(step(
            "t",
            Restore::Drop {
                keys: lasting_keys(plan)
            }
        ));
        let records = oracle.orders.iter().map(|(order, placed)| {
            let record = Record {
                placed: placed.clone(),
                entry: String::new(),
                attributes: None,
            };
            let record = record.encode();
            (
                bucket_of(placed.user.as_bytes(), 4),
                order.parse().expect("an id"),
                record,
            )
        });
        assert!(step(
            "t",
            Restore::Orders {
                records: records.collect()
            }
        ));
        let admitted = orders
            .iter()
            .filter(|order| oracle.orders.contains_key(&order.order.to_string()));
        let charges: Vec<Charge> = admitted
            .flat_map(|order| eval::charges(plan, order, now))
            .collect();
        assert_eq!(charges.len(), 6);
        let all = charges.iter().map(|charge| (Some("ann"), charge)).collect();
        assert!(step("t", Restore::Charges { charges: all, plan }));
        assert!(
            side.dump().values().all(|(_, expiry)| expiry.is_some()),
            "nor where nobody finishes"
        );
        let mut step = |token: &str, step: Restore<'_>| restore(side, token, step);
        let finish = || Restore::Finish {
            fence,
            run: "run",
            pause: oracle.pause,
            revision: REVISION,
            plan,
            stock: &oracle.stock,
            change: (0, 0),
            made: false,
        };
        assert!(!step("slow", finish()));
        assert!(step("t", finish()));
        assert!(!step("t", finish()), "the gate is open");
        let dump = side.dump();
        assert_eq!(
            canon::as_state(plan, None, &dump, now),
            canon::live_only(plan, None, oracle.clone(), now),
            "{}",
            side.name()
        );
        assert!(
            dump.values().all(|(_, expiry)| expiry.is_some()),
            "nothing stays for ever"
        );
        assert_eq!(dump["outbox"].0, Held::Stream(Vec::new()));
    });
    // And goes on where it stopped: two of ann's orders were admitted before.
    assert!(matches!(world.admit(0, &orders)[0], Decision::Existing(_)));
}

#[test]
fn every_attempt_of_the_largest_batch_is_decided_and_no_larger_one_runs() {
    let mut world = World::open(per_user(1), context_now(&[("mug", 5000)]), Time::Real);
    let batch: Vec<Attempt> = (0..codec::BATCH_MAX as u32)
        .map(|key| attempt(&format!("user {key}"), 1, "mug", 1))
        .collect();
    assert!(
        world
            .admit(0, &batch)
            .iter()
            .all(|decision| *decision == Decision::Admitted)
    );
    world.assert_same_state();
    let larger: Vec<Attempt> = [&batch[..], &batch[..1]].concat();
    on_each(&mut world, |side, family, fence| {
        let error = side
            .run(
                &family.admit,
                codec::admit_args(family, fence, larger.iter(), carried(&larger).as_bytes()),
            )
            .unwrap_err();
        assert!(error.to_string().contains("more than 1000 attempts"), "{error}");
    });
}

#[test]
fn a_bucket_of_which_much_is_asked_is_read_and_written_in_pieces() {
    let batch = |user: fn(u32) -> String| -> Vec<Attempt> {
        (0..codec::BATCH_MAX as u32)
            .map(|key| attempt(&user(key), key, ["mug", "hat"][key as usize % 2], 1 + key % 300))
            .collect()
    };
    let one_or_many: [fn(u32) -> String; 2] = [|_| "ann".into(), |key| format!("user {key}")];
    for (user, most) in one_or_many.into_iter().zip([990, 1]) {
        let mut plan = per_user(most);
        for n in 0..24 {
            let id = format!("more/{n}");
            add_limit(
                &mut plan,
                &id,
                &[Attribute::User],
                Window::Campaign,
                Expr::Int(1),
                2000,
            );
        }
        let context = context_now(&[("mug", 100_000), ("hat", 100_000)]);
        let mut world = World::open(plan, context, Time::Real);
        let decisions = world.admit(0, &batch(user));
        let admitted = decisions.iter().filter(|each| **each == Decision::Admitted);
        assert_eq!(admitted.count(), if most == 1 { 1000 } else { 990 });
        world.assert_same_state();
    }
}

#[test]
fn bad_arguments_change_nothing() {
    let (mut world, order) = one_order();
    on_each(&mut world, |side, family, fence| {
        let before = side.dump();
        let mut release = calls::release_args(fence, &[two_mugs(&order)], &family.plan);
        release.push("counter");
        side.run(&fixed::RELEASE, release).expect_err("half a charge");
        let unknown = Args::from(["explode", "t"]);
        side.run(&fixed::RESTORE, unknown).expect_err("no such step");
        side.run(&fixed::ACTIVATE, Args::from(["nofence"; 5]))
            .expect_err("no fence");
        assert_eq!(side.dump(), before);
    });
}

#[test]
fn a_state_of_an_older_layout_is_none() {
    for older in ["{uid}:1", "{uid}/2:1"] {
        let (mut world, order) = one_order();
        let older = older.replace("{uid}", &world.fence.uid);
        world.set_field("state", "fence", &older);
        on_each(&mut world, |side, family, fence| {
            let before = side.dump();
            let newer = Fence {
                epoch: 9,
                ..fence.clone()
            };
            for fence in [fence, &newer] {
                let again = admit(side, family, fence, std::slice::from_ref(&order));
                assert_eq!(again, AdmitReply::Fenced(None));
            }
            let args = activate_args(&newer, 2, &family.plan, None);
            let activated = side.run(&fixed::ACTIVATE, args).expect("activate runs");
            assert_eq!(activate_reply(activated), Ok(Some(None)));
            let longer = Prolong {
                uid: &fence.uid,
                family: keys::BUYERS,
                buckets: 4,
                expires_at: EXPIRES_AT + 5,
            };
            let fenced = Prolonged::Fenced(older.clone());
            assert_eq!(prolong(side, &longer, "", Some(3)), fenced);
            assert_eq!(watch(side, &[]).fence, None);
            assert_eq!(side.dump(), before, "nothing was done");
            let begin = |uid| Restore::Begin {
                uid,
                expires_at: EXPIRES_AT,
            };
            assert!(!restore(side, "t", begin("foreign")));
            assert!(restore(side, "t", begin(&fence.uid)), "it is made anew");
        });
    }
}

#[test]
fn a_state_of_a_later_layout_is_another_campaigns() {
    let (mut world, order) = one_order();
    let later = format!("{}/2.4:1", world.fence.uid);
    world.set_field("state", "fence", &later);
    on_each(&mut world, |side, family, fence| {
        let AdmitReply::Fenced(Some(there)) = admit(side, family, fence, std::slice::from_ref(&order)) else {
            panic!("it decided");
        };
        assert_ne!(there.uid, fence.uid);
        let uid = &fence.uid;
        assert!(!restore(
            side,
            "t",
            Restore::Begin {
                uid,
                expires_at: EXPIRES_AT
            }
        ));
    });
}

fn two_mugs(order: &Attempt) -> Returned<'_> {
    Returned {
        order: order.order,
        user: &order.user,
        sku: "mug",
        units: 2,
        charges: Vec::new(),
    }
}
