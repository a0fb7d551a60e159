//! Orders as somebody would forge them who knows the campaign and its plan, with a seal and without.

use super::tests::{admitted, book, clock, named, placed, reading};
use super::*;
use crate::order::{Attempt, Charge, fingerprint};
use crate::plan::samples::Sample;
use crate::plan::{self, Attribute, Expr, eval};

/// What the answer has to say, the sample and which of its admitted orders is changed, and how.
type Attack = (&'static str, &'static str, usize, fn(&Sample, &mut OrderEvent));

/// Charges it as the plan would, had it been admitted as it is now.
fn recharge(sample: &Sample, event: &mut OrderEvent) {
    let plan = plan::check(sample.plan.clone(), sample.context.clone()).expect("a plan");
    let attempt = Attempt {
        order: event.order,
        user: event.user.clone(),
        sku: event.sku.clone(),
        quantity: event.quantity,
        attributes: event.attributes.clone(),
    };
    event.charges = eval::charges(&plan, &attempt, event.placed_at);
}

fn take_units(event: &mut OrderEvent, quantity: u32) {
    event.quantity = quantity;
    event.fingerprint = fingerprint(&event.sku, quantity);
}

/// Another charge, on a counter of this name, under a limit that would switch its guard off.
fn charge_also(event: &mut OrderEvent, counter: &str) {
    event.charges.push(Charge {
        counter: counter.to_owned(),
        window: 0,
        rolling_ms: 0,
        subject: event.user.clone(),
        cost: 1,
        limit: Some(1 << 62),
    });
}

fn refused(book: &Book, event: &OrderEvent, what: &str) {
    for sealed in [true, false] {
        let mut event = event.clone();
        let now = event.placed_at;
        match book.weigh(&mut event, sealed, None, clock(now)) {
            Weight::Implausible(why) => assert!(why.contains(what), "{what}: {why}"),
            other => panic!("{what}, sealed {sealed}: {other:?}"),
        }
    }
}

const CHARGES: &[Attack] = &[
    ("\"other/count-0\", which", "units per user", 0, |_, event| {
        charge_also(event, "other/count-0");
    }),
    ("\"made/up\", which", "orders per user", 0, |_, event| {
        charge_also(event, "made/up");
    }),
    (
        "\"made/up\", which",
        "no rules: only stock and schedule",
        0,
        |_, event| {
            charge_also(event, "made/up");
        },
    ),
    ("\"sample/count-1\", which", "rolling window", 0, |_, event| {
        event.charges[0].counter = "sample/count-1".into();
    }),
    ("charged twice", "several subjects at once", 0, |_, event| {
        event.charges[1] = event.charges[0].clone();
    }),
    ("charged twice", "units per user", 0, |_, event| {
        event.charges.extend(event.charges.clone());
    }),
    ("another cost", "units per user", 0, |_, event| {
        event.charges[0].cost = 1
    }),
    ("another subject", "per user and SKU", 0, |_, event| {
        event.charges[0].subject = "3:eve5:shirt".into();
    }),
    ("another subject", "several subjects at once", 0, |_, event| {
        // The same texts, put together in another way.
        event.charges[2].subject = "2:ab1:c".into();
    }),
    ("another window", "tumbling window", 2, |_, event| {
        event.charges[0].window -= 3_600_000
    }),
    (
        "another window",
        "per day across the clock change in spring",
        1,
        |_, event| {
            event.charges[0].window -= 23 * 3_600_000;
        },
    ),
    ("another window", "cooldown", 0, |_, event| {
        event.charges[0].window -= 1
    }),
    ("length of the rolling", "cooldown", 0, |_, event| {
        event.charges[0].rolling_ms = 1
    }),
    ("length of the rolling", "units per user", 0, |_, event| {
        event.charges[0].rolling_ms = 1
    }),
];

const ATTRIBUTES: &[Attack] = &[
    // The attributes are left out, and the charges that read them too.
    ("count-0 is not charged", "region quota", 0, |_, event| {
        take_units(event, 900);
        event.attributes.clear();
        event.charges.clear();
    }),
    (
        "count-1 is not charged",
        "several subjects at once",
        0,
        |_, event| {
            event.attributes.clear();
            event.charges.truncate(1);
        },
    ),
    ("count-0 is not charged", "cooldown", 0, |_, event| {
        event.attributes.clear();
        event.charges.clear();
    }),
    // Left out, and charged to whom nobody can tell.
    ("another subject", "several subjects at once", 0, |_, event| {
        event.attributes.clear();
        event.charges[1].subject = "a device of its own".into();
    }),
    ("another subject", "region quota", 0, |_, event| {
        event.attributes.clear()
    }),
    // Left out, and charged as the plan would.
    ("may hold 0", "region quota", 0, |sample, event| {
        event.attributes.clear();
        recharge(sample, event);
    }),
    // Some are left out, others are made up.
    ("another subject", "several subjects at once", 0, |_, event| {
        event.attributes = [("client:colour".to_owned(), "red".to_owned())].into();
    }),
    ("early access", "early access", 0, |_, event| {
        event.attributes.clear()
    }),
    ("early access", "early access", 0, |_, event| {
        event.attributes = [("claim:tier".to_owned(), "silver".to_owned())].into();
    }),
];

const LIMITS: &[Attack] = &[
    ("may hold 3", "units per user", 0, |sample, event| {
        take_units(event, 90);
        recharge(sample, event);
    }),
    ("may hold 5", "rolling window", 0, |sample, event| {
        take_units(event, 6);
        recharge(sample, event);
        event.charges[0].limit = Some(1 << 62);
    }),
    (
        "sample/too-many of revision 1 refuses",
        "cap per order and packs",
        0,
        |_, event| {
            take_units(event, 90);
        },
    ),
    (
        "sample/not-a-pack of revision 1 refuses",
        "cap per order and packs",
        1,
        |_, event| {
            take_units(event, 5);
        },
    ),
];

#[test]
fn charges_are_the_plans_limits_hold_for_one_order_and_attributes_cannot_be_left_out() {
    for (what, name, order, change) in [CHARGES, ATTRIBUTES, LIMITS].concat() {
        let sample = named(name);
        let mut event = admitted(&sample).swap_remove(order);
        change(&sample, &mut event);
        refused(&book(&sample), &event, what);
    }
}

#[test]
fn a_counter_takes_nothing_from_whom_the_plan_spares() {
    let mut sample = named("orders per user");
    let nodes = &mut sample.plan.nodes;
    nodes.push(Expr::Attribute(Attribute::Claim("tier".to_owned())));
    nodes.push(Expr::Lookup {
        of: nodes.len() as u32 - 1,
        entries: vec![("staff".to_owned(), 0)],
        default: 1,
    });
    sample.plan.counters[0].cost = sample.plan.nodes.len() as u32 - 1;
    let book = book(&sample);
    let mut event = admitted(&sample).remove(0);
    let now = event.placed_at;
    assert_eq!(book.weigh(&mut event, false, None, clock(now)), Weight::Plausible);
    event.attributes = [("claim:tier".to_owned(), "staff".to_owned())].into();
    refused(&book, &event, "takes nothing there");
    event.charges.clear();
    assert_eq!(book.weigh(&mut event, false, None, clock(now)), Weight::Plausible);
    // Who leaves the claim out pays like everybody else.
    event.attributes.clear();
    refused(&book, &event, "not charged");
}

#[test]
fn who_leaves_an_attribute_out_has_the_limit_of_nobody_in_particular() {
    let sample = named("tier to limit");
    let book = book(&sample);
    for (tier, limit) in [(Some("gold"), 3), (Some("silver"), 2), (None, 1)] {
        let mut event = admitted(&sample).remove(0);
        let of = |tier: &str| ("claim:tier".to_owned(), tier.to_owned());
        event.attributes = tier.map(of).into_iter().collect();
        event.charges[0].limit = Some(1 << 62);
        let (before, now) = (event.clone(), event.placed_at);
        assert_eq!(book.weigh(&mut event, false, None, clock(now)), Weight::Plausible);
        assert_eq!(event.charges[0].limit, Some(limit), "{tier:?}");
        event.charges[0].limit = before.charges[0].limit;
        assert_eq!(event, before, "nothing else is changed");
    }
    let mut banned = admitted(&sample).remove(0);
    banned.attributes = [("claim:tier".to_owned(), "banned".to_owned())].into();
    refused(&book, &banned, "may hold 0");
}

/// The campaign says what its SKUs are, whatever a record says.
#[test]
fn what_an_order_says_of_its_sku_does_not_count() {
    let sample = named("attributes of the SKU");
    let book = book(&sample);
    let mut event = admitted(&sample).remove(0);
    let now = event.placed_at;
    assert_eq!(event.charges[0].subject, "3:ann4:mugs");
    event
        .attributes
        .insert("sku:category".to_owned(), "shirts".to_owned());
    recharge(&sample, &mut event);
    assert_eq!(book.weigh(&mut event, false, None, clock(now)), Weight::Plausible);
    assert_eq!(event.charges[0].subject, "3:ann4:mugs");
    event.charges[0].subject = "3:ann6:shirts".to_owned();
    refused(&book, &event, "another subject");
}

#[test]
fn an_array_is_weighed_as_it_was_decided() {
    let sample = named("claims of several texts");
    let book = book(&sample);
    let with = |name: &str, value: &str| {
        let mut event = admitted(&sample).remove(0);
        event.attributes.insert(name.to_owned(), value.to_owned());
        recharge(&sample, &mut event);
        event
    };
    // Who was on a list at the time is not asked again.
    let mut event = with("claim:company", "\u{1f}good\u{1f}evilcorp");
    let now = event.placed_at;
    assert_eq!(book.weigh(&mut event, false, None, clock(now)), Weight::Plausible);
    let press = with("claim:groups", "\u{1f}team-7\u{1f}press");
    refused(&book, &press, "sample/staff of revision");
    // What needs one value cannot have been admitted with several.
    let sample = named("tier to limit");
    let book = super::tests::book(&sample);
    let mut several = admitted(&sample).remove(0);
    several.attributes = [("claim:tier".to_owned(), "\u{1f}gold\u{1f}tin".to_owned())].into();
    recharge(&sample, &mut several);
    refused(&book, &several, "reads one value of claim:tier");
}

#[test]
fn an_order_without_what_its_plan_requires_is_implausible() {
    let mut sample = named("cooldown");
    sample.plan.required = vec![Attribute::Client("device".to_owned())];
    let orders = admitted(&sample);
    let (with, without): (Vec<_>, Vec<_>) =
        orders.into_iter().partition(|event| !event.attributes.is_empty());
    let book = book(&sample);
    for mut event in with {
        let now = event.placed_at;
        assert_eq!(book.weigh(&mut event, false, None, clock(now)), Weight::Plausible);
    }
    assert!(!without.is_empty());
    for event in without {
        refused(&book, &event, "lacks client:device");
    }
}

#[test]
fn without_a_seal_an_order_is_not_of_later() {
    let sample = named("orders per user");
    let (book, mut event) = (book(&sample), admitted(&sample).remove(0));
    let at = event.placed_at;
    for (now, plausible) in [
        (at + 86_400_000, true),
        (at, true),
        (at - CLOCKS_MS, true),
        (at - CLOCKS_MS - 1, false),
        (at - 6 * 3_600_000, false),
        (i64::MIN, false),
    ] {
        let weight = book.weigh(&mut event, false, None, clock(now));
        match plausible {
            true => assert_eq!(weight, Weight::Plausible, "{now}"),
            false => {
                assert!(
                    matches!(weight, Weight::Implausible(why) if why.contains("ahead of this lander's clock"))
                );
            }
        }
        assert_eq!(book.weigh(&mut event, true, None, clock(now)), Weight::Plausible);
    }
}

#[test]
fn without_a_seal_no_order_is_older_than_its_revision() {
    let sample = named("orders per user");
    let mut event = admitted(&sample).remove(0);
    let at = event.placed_at;
    for (created_at, plausible) in [
        (0, true),
        (at + CLOCKS_MS, true),
        (at + CLOCKS_MS + 1, false),
        (i64::MAX, false),
    ] {
        let (row, mut revision) = super::tests::stored(&sample);
        revision.created_at = created_at;
        let mut book = Book::default();
        book.put(&reading(row), 1, Some(revision));
        let weight = book.weigh(&mut event, false, None, clock(at));
        match plausible {
            true => assert_eq!(weight, Weight::Plausible, "{created_at}"),
            false => assert!(matches!(weight, Weight::Implausible(why) if why.contains("was created"))),
        }
        assert_eq!(book.weigh(&mut event, true, None, clock(at)), Weight::Plausible);
    }
}

#[test]
fn a_plan_that_cannot_be_read_is_believed_of_our_own_records_alone() {
    let mut sample = named("orders per user");
    let mut event = admitted(&sample).remove(0);
    sample.plan.counters[0].id = "A name of a build to come".to_owned();
    let (book, now) = (book(&sample), event.placed_at);
    assert_eq!(book.weigh(&mut event, true, None, clock(now)), Weight::Plausible);
    let weight = book.weigh(&mut event, false, None, clock(now));
    assert!(matches!(weight, Weight::Implausible(why) if why.contains("cannot read the plan of revision 1")));
}

#[test]
fn every_revision_has_its_own_counters_and_its_own_limits() {
    let old = named("orders per user");
    let mut new = old.clone();
    new.plan.counters[0].id = "renamed/count-0".to_owned();
    let checked = |sample: &Sample| plan::check(sample.plan.clone(), sample.context.clone()).expect("a plan");
    let mut book = book(&old);
    let (row, mut revision) = super::tests::stored(&new);
    revision.number = 2;
    book.put(&reading(row), 2, Some(revision));
    let attempt = Attempt {
        order: admitted(&old)[0].order,
        user: "ann".to_owned(),
        sku: "shirt".to_owned(),
        quantity: 1,
        attributes: [].into(),
    };
    // Orders of both are on their way while the newer one is activated.
    for (sample, other, number) in [(&old, &new, 1), (&new, &old, 2)] {
        let mut event = placed(sample, &checked(sample), &attempt, 5);
        event.revision = number;
        let now = event.placed_at;
        assert_eq!(book.weigh(&mut event, false, None, clock(now)), Weight::Plausible);
        event.charges = placed(other, &checked(other), &attempt, 5).charges;
        refused(&book, &event, &format!("which revision {number} does not have"));
    }
}

#[test]
fn a_campaign_with_more_skus_is_read_anew_with_every_revision() {
    let sample = named("smaller orders as stock runs out");
    let mut book = book(&sample);
    let (row, revision) = super::tests::stored(&sample);
    // As it was read again from the database: another list that says the same.
    let mut again = row.clone();
    again.campaign.skus = row.campaign.skus.to_vec().into();
    book.put(&reading(again), 2, Some(revision.clone()));
    let mut event = admitted(&sample).remove(0);
    event.revision = 2;
    let now = event.placed_at;
    assert_eq!(
        book.weigh(&mut event.clone(), true, None, clock(now)),
        Weight::Plausible
    );
    let known = &book.campaigns[&row.campaign.id];
    let facts = known.revisions.values();
    let lists = facts.filter_map(|facts| facts.skus()).collect::<Vec<_>>();
    assert_eq!(lists.len(), 2);
    assert!(
        lists.iter().all(|skus| skus.is_shared_with(&known.skus)),
        "kept once"
    );
    let mut grown = row;
    grown.campaign.skus.push(crate::campaign::Sku::new("sock", 7));
    book.put(&reading(grown), 1, Some(revision));
    assert!(matches!(
        book.weigh(&mut event, true, None, clock(now)),
        Weight::Unknown(_)
    ));
}
