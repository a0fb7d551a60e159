//! Uploaded lists next to a shard: asked by the script, put piece by piece, and missed when lost.

use std::collections::{BTreeMap, BTreeSet};

use rushgate::audience::{AddressRange, ListKind, PrefixLengths, pack};
use rushgate::campaign::bucket_of;
use rushgate::engine::embedded::Held;
use rushgate::lua::audiences::{Put, Target, put_reply};
use rushgate::lua::codec::{self, AdmitReply};
use rushgate::lua::fence::Fence;
use rushgate::lua::restore::{Restore, restore_args};
use rushgate::lua::{Args, fixed};
use rushgate::plan::decision::Decision::{self, Admitted, Rejected};
use rushgate::plan::decision::{Rejection, Wait};
use rushgate::plan::{Attribute, AudienceRef, Expr, Plan};

use crate::engines::canon::carried;
use crate::engines::plans::{attempt, context, push, require, with};
use crate::engines::sides::{Side, Time};
use crate::engines::world::{EXPIRES_AT, World};

const BUCKETS: u32 = 4;

/// Members of `vip` may order.
fn members_only(of: Attribute) -> Plan {
    let mut plan = Plan::default();
    let member = push(
        &mut plan,
        Expr::Member {
            audience: "vip".into(),
            of,
        },
    );
    require(&mut plan, None, member);
    plan
}

fn open(of: Attribute, members: &[&str]) -> World {
    let mut context = context(&[("mug", 100)]);
    let list = AudienceRef::whole(3, BUCKETS);
    context.audiences.insert("vip".into(), list);
    let members: BTreeSet<String> = members.iter().map(|member| (*member).to_owned()).collect();
    World::with_audiences(
        members_only(of),
        context,
        Time::Frozen,
        &BTreeMap::from([("vip".to_owned(), members)]),
    )
}

fn not_a_member() -> Decision {
    Rejected(Rejection::Constraint {
        index: 0,
        measure: None,
        wait: Wait::Forever,
    })
}

#[test]
fn membership_is_exact_and_asked_per_value() {
    let mut world = open(Attribute::User, &["ann", "Bob", "c ", "zü\u{1F45F}"]);
    let now = world.now;
    // The same buyers several times in one batch: members and others keep their answers.
    let users = ["ann", "Ann", "Bob", "bob", "c", "c ", "zü\u{1F45F}", "ann", "Ann"];
    let batch: Vec<_> = users
        .iter()
        .zip(1..)
        .map(|(user, n)| attempt(user, n, "mug", 1))
        .collect();
    let not = not_a_member();
    let expected = [
        Admitted,
        not.clone(),
        Admitted,
        not.clone(),
        not.clone(),
        Admitted,
        Admitted,
        Admitted,
        not,
    ];
    assert_eq!(world.admit(now, &batch), expected);
    world.assert_same_state();
}

#[test]
fn any_text_attribute_can_be_looked_up_and_a_missing_one_is_no_member() {
    let mut world = open(Attribute::Client("device".into()), &["d-1"]);
    let now = world.now;
    let batch = [
        with(attempt("ann", 1, "mug", 1), "client:device", "d-1"),
        with(attempt("ann", 2, "mug", 1), "client:device", "d-2"),
        attempt("ann", 3, "mug", 1),
    ];
    assert_eq!(
        world.admit(now, &batch),
        [Admitted, not_a_member(), not_a_member()]
    );
}

/// Whoever is in a range of the list is on it, however the address is written; in the interpreter as in every engine.
#[test]
fn addresses_match_by_the_ranges_they_are_in() {
    let ranges = ["10.0.0.0/8", "203.0.113.7", "2001:db8::/32", "2001:db9::1"];
    let mut lengths = PrefixLengths::default();
    for range in ranges {
        lengths.insert(&AddressRange::parse(range).expect(range));
    }
    let mut context = context(&[("mug", 100)]);
    let list = AudienceRef {
        kind: ListKind::Addresses(lengths),
        ..AudienceRef::whole(3, BUCKETS)
    };
    context.audiences.insert("vip".into(), list);
    let members = ranges.map(str::to_owned).into();
    let mut world = World::with_audiences(
        members_only(Attribute::Ip),
        context,
        Time::Frozen,
        &BTreeMap::from([("vip".to_owned(), members)]),
    );
    let now = world.now;
    let asked = [
        ("10.200.3.4", true),
        ("::ffff:10.0.0.1", true),
        ("11.0.0.1", false),
        ("203.0.113.7", true),
        ("203.0.113.8", false),
        ("2001:db8:ffff::1", true),
        ("2001:DB8:0:0::1", true),
        ("2001:db9::1", true),
        ("2001:db9:0:0:0:0:0:1", true),
        ("2001:db9::2", false),
        ("10.0.0.0/8", false),
        ("somewhere", false),
        ("", false),
    ];
    let batch: Vec<_> = asked
        .iter()
        .zip(1..)
        .map(|((ip, _), n)| with(attempt(&format!("buyer {n}"), n, "mug", 1), "ip", ip))
        .collect();
    let expected: Vec<Decision> = asked
        .iter()
        .map(|(_, listed)| if *listed { Admitted } else { not_a_member() })
        .collect();
    assert_eq!(world.admit(now, &batch), expected);
    world.assert_same_state();
}

#[test]
fn a_lost_bucket_closes_the_gate() {
    let mut world = open(Attribute::User, &["ann", "bob"]);
    let user = "ann";
    let key = format!("audience:vip:3:{}", bucket_of(user.as_bytes(), BUCKETS));
    let (family, fence, now) = (world.family.clone(), world.fence.clone(), world.now);
    for side in world.sides() {
        side.remove(&key);
        let before = side.dump();
        let attempts = [attempt(user, 1, "mug", 1)];
        let args = codec::admit_args(&family, &fence, attempts.iter(), carried(&attempts).as_bytes());
        side.set_now(now);
        let reply = side.run(&family.admit, args).expect("admit runs");
        let reply = codec::admit_reply(&family, attempts.iter(), reply).expect("a reply of the ABI");
        assert_eq!(reply, AdmitReply::Fenced(None), "{}", side.name());
        assert_eq!(side.dump(), before, "{}", side.name());
    }
}

fn list(buckets: u32) -> AudienceRef {
    AudienceRef::whole(9, buckets)
}

fn target<'a>(fence: &'a Fence, list: &'a AudienceRef, expires_at: i64) -> Target<'a> {
    Target {
        uid: &fence.uid,
        token: "",
        audience: "many",
        list,
        changed: None,
        expires_at,
    }
}

fn put(side: &mut dyn Side, args: Args) -> Put {
    let reply = side.run(&fixed::AUDIENCE, args).expect("audience runs");
    put_reply(reply).expect("a reply of the ABI")
}

#[test]
fn a_list_is_complete_with_its_last_bucket_and_keeps_the_longest_expiry() {
    let mut world = open(Attribute::User, &[]);
    let (fence, list) = (world.fence.clone(), list(3));
    // One bucket larger than one command and one call takes, one that is empty.
    let ids: Vec<String> = (0..1001).map(|n| format!("buyer-{n}")).collect();
    let packed = [
        pack(ids.iter().map(|id| id.as_bytes())),
        Vec::new(),
        pack([&b"ann"[..]].into_iter()),
    ];
    let target = target(&fence, &list, EXPIRES_AT);
    let calls = target.put(0, &packed);
    assert_eq!(calls.len(), 2, "the large bucket goes alone");
    for side in world.sides() {
        let name = side.name();
        assert_eq!(put(side, target.ask()), Put::Incomplete, "{name}");
        assert_eq!(put(side, calls[0].clone()), Put::Incomplete, "{name}");
        assert_eq!(put(side, calls[1].clone()), Put::Complete, "{name}");
        assert_eq!(put(side, target.ask()), Put::Complete, "{name}");
        let before = side.dump();
        let sizes: Vec<usize> = (0..3)
            .map(|bucket| match &before[&format!("audience:many:9:{bucket}")] {
                (Held::Hash(fields), Some(EXPIRES_AT)) => fields.len() - 1,
                other => panic!("{name}: {other:?}"),
            })
            .collect();
        assert_eq!(sizes, [1001, 0, 1], "{name}");
        // Again, and for a campaign that ends earlier: nothing changes.
        let shorter = Target {
            expires_at: EXPIRES_AT - 1,
            ..target
        };
        assert_eq!(put(side, shorter.ask()), Put::Complete, "{name}");
        for call in calls.iter().cloned().chain(shorter.put(0, &packed)) {
            put(side, call);
        }
        assert_eq!(side.dump(), before, "{name}");
        let longer = Target {
            expires_at: EXPIRES_AT + 1,
            ..target
        };
        assert_eq!(put(side, longer.ask()), Put::Incomplete, "{name}");
    }
}

#[test]
fn a_list_goes_only_next_to_its_own_campaign() {
    let mut world = open(Attribute::User, &[]);
    let (fence, list) = (world.fence.clone(), list(1));
    let stranger = Fence {
        uid: "somebody-else".into(),
        ..fence.clone()
    };
    let ours = target(&fence, &list, EXPIRES_AT);
    let packed = [pack([&b"ann"[..]].into_iter())];
    let call = |target: &Target<'_>| target.put(0, &packed).remove(0);
    for side in world.sides() {
        let name = side.name();
        let foreign = target(&stranger, &list, EXPIRES_AT);
        assert_eq!(
            put(side, call(&foreign)),
            Put::Fenced(Some(fence.clone())),
            "{name}"
        );
        let begin = restore_args(
            "token",
            Restore::Begin {
                uid: &fence.uid,
                expires_at: EXPIRES_AT,
            },
        );
        side.run(&fixed::RESTORE, begin).expect("restore runs");
        let other = Target {
            token: "other",
            ..ours
        };
        assert_eq!(put(side, call(&ours)), Put::Fenced(None), "{name}");
        assert_eq!(put(side, call(&other)), Put::Fenced(None), "{name}");
        let rebuilder = Target {
            token: "token",
            ..ours
        };
        assert_eq!(put(side, call(&rebuilder)), Put::Complete, "{name}");
    }
}
