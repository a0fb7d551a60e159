//! When campaigns are looked at, and when what is missing is looked for.

use super::super::super::compare::Place;
use super::*;
use crate::campaign::{Activation, Campaign, RETENTION_MS, RecordVersion, Schedule};
use crate::order::OrderId;

const T: i64 = 1_800_000_000_000;
const CLOSES: i64 = T + 3_600_000;

fn row(id: &str, uid: &str) -> CampaignRow {
    CampaignRow {
        campaign: Campaign {
            id: id.into(),
            title: id.into(),
            skus: Default::default(),
            uid: uid.into(),
            buckets: 1,
            shards: 1,
            partitions: None,
            record_version: RecordVersion::V1,
            created_at: T,
        },
        activation: Activation {
            revision: 1,
            epoch: 1,
        },
        schedule: Schedule {
            opens_at: T,
            closes_at: CLOSES,
            retention_ms: RETENTION_MS,
        },
        pause: Default::default(),
        restock: None,
        stock_change: 0,
        origins: None,
        merchant: "default".into(),
        issuer_changes: 0,
        four_eyes: Default::default(),
        tag: String::new(),
    }
}

fn looks() -> Looks {
    let mut looks = Looks::default();
    looks.keep(vec![row("spring", "u1")], T);
    looks
}

fn mark(left: i64) -> Option<Mark> {
    Some(Mark {
        left: [("mug".to_owned(), left)].into(),
        reopened: String::new(),
        admitted: String::new(),
    })
}

fn gap(units: i64) -> Gap {
    [("mug".to_owned(), units)].into()
}

/// Seconds after the start at which the campaign's next turn comes.
fn next(looks: &Looks) -> i64 {
    (looks.campaigns["spring"].due - T) / 1000
}

#[test]
fn busy_campaigns_are_looked_at_often_idle_and_closed_ones_seldom() {
    let mut looks = looks();
    assert_eq!(looks.due(T, 9).len(), 1, "its first turn is at once");
    looks.calm("spring", T, &Gap::new(), mark(9));
    assert_eq!(next(&looks), 10);
    assert!(looks.due(T + 9_999, 9).is_empty());
    looks.calm("spring", T + 10_000, &Gap::new(), mark(8));
    assert_eq!(next(&looks), 20);
    looks.calm("spring", T + 20_000, &Gap::new(), mark(8));
    assert_eq!(next(&looks), 110);
    // One that moves is not idle, whatever its sums say.
    looks.calm("spring", T + 30_000, &Gap::new(), None);
    looks.calm("spring", T + 40_000, &Gap::new(), None);
    assert_eq!(next(&looks), 50);
    looks.calm("spring", CLOSES + 60_001, &Gap::new(), mark(8));
    assert_eq!(next(&looks), 3600 + 60 + 600);
    // Somebody lets it go on: its turn comes with the next list.
    let mut longer = row("spring", "u1");
    longer.schedule.closes_at += 7_200_000;
    looks.keep(vec![longer], CLOSES + 70_000);
    assert_eq!(looks.due(CLOSES + 70_000, 9).len(), 1);
}

#[test]
fn units_have_to_be_missing_for_a_minute() {
    let mut looks = looks();
    looks.calm("spring", T, &Gap::new(), None);
    for at in [10, 20, 40, 69] {
        assert!(!looks.is_news("spring", T + at * 1000, &gap(2)), "{at}");
    }
    assert_eq!(next(&looks), 70, "no look is wasted");
    assert!(looks.is_news("spring", T + 70_000, &gap(2)));
    assert_eq!(looks.found.of("spring").expect("missing").units, 2);
    // What comes back in between was on its way.
    looks.calm("spring", T + 80_000, &Gap::new(), None);
    assert!(!looks.is_news("spring", T + 90_000, &gap(2)));
    assert!(looks.found.of("spring").is_some());
    looks.calm("spring", T + 95_000, &Gap::new(), None);
    assert!(looks.found.is_empty());
}

#[test]
fn an_idle_campaign_does_not_wait_longer_than_a_busy_one() {
    let mut looks = looks();
    for at in [0, 10_000] {
        looks.calm("spring", T + at, &Gap::new(), mark(9));
    }
    // Lost right after the look.
    assert_eq!(next(&looks), 100);
    assert!(!looks.is_news("spring", T + 100_000, &gap(1)));
    assert_eq!(next(&looks), 110);
    assert!(!looks.is_news("spring", T + 110_000, &gap(1)));
    assert_eq!(next(&looks), 115, "105 seconds after the loss");
    assert!(looks.is_news("spring", T + 115_000, &gap(1)));
}

#[test]
fn a_quiet_campaign_is_left_out_until_somebody_orders_from_it() {
    let mut looks = looks();
    for at in [0, 10_000] {
        looks.calm("spring", T + at, &Gap::new(), mark(9));
    }
    let mut turns = 0;
    for second in 10..=700 {
        let now = T + second * 1000;
        looks.rest(now, |_| true);
        turns += looks.due(now, 9).len();
        if !looks.due(now, 9).is_empty() {
            assert_eq!(second, 610, "ten minutes after the last look");
            looks.calm("spring", now, &Gap::new(), mark(9));
        }
    }
    assert_eq!(turns, 1);
    // Not quiet any more: its turn is at once, and its orders get their whole minute.
    looks.rest(T + 710_000, |_| true);
    looks.rest(T + 712_000, |_| false);
    assert_eq!(looks.due(T + 712_000, 9).len(), 1);
    assert!(!looks.is_news("spring", T + 712_000, &gap(1)));
    assert!(!looks.is_news("spring", T + 771_000, &gap(1)));
    assert!(looks.is_news("spring", T + 772_000, &gap(1)));
    // Where nobody knows whether it is quiet, it is looked at as before.
    looks.calm("spring", T + 780_000, &Gap::new(), mark(8));
    looks.calm("spring", T + 790_000, &Gap::new(), mark(8));
    looks.rest(T + 800_000, |_| false);
    assert_eq!(next(&looks), 790 + 90);
}

#[test]
fn a_gap_that_nothing_explains_is_looked_into_once_and_a_larger_one_again() {
    let mut looks = looks();
    looks.is_news("spring", T, &gap(2));
    assert!(looks.is_news("spring", T + 60_000, &gap(2)));
    looks.scanned("spring", T + 60_000, &gap(2), &[], None);
    for at in (70..600).step_by(10) {
        assert!(!looks.is_news("spring", T + at * 1000, &gap(2)));
    }
    assert!(!looks.is_news("spring", T + 600_000, &gap(3)));
    assert!(looks.is_news("spring", T + 660_000, &gap(3)));
    looks.scanned("spring", T + 660_000, &gap(3), &[], None);
    // Two of them were put right: the next two count.
    assert!(!looks.is_news("spring", T + 670_000, &gap(1)));
    assert!(!looks.is_news("spring", T + 680_000, &gap(3)));
    assert!(looks.is_news("spring", T + 740_000, &gap(3)));
    looks.scanned("spring", T + 740_000, &gap(3), &[], None);
    // After an hour it is asked again.
    assert!(!looks.is_news("spring", T + 740_000 + EXCUSED_MS, &gap(3)));
    assert!(looks.is_news("spring", T + 800_000 + EXCUSED_MS, &gap(3)));
}

#[test]
fn long_sums_are_made_seldom() {
    let mut looks = looks();
    looks.added_up("spring", T, Duration::from_millis(20));
    assert!(looks.may_add_up("spring", T + 10_000));
    looks.added_up("spring", T, Duration::from_secs(4));
    assert!(!looks.may_add_up("spring", T + 60_000));
    assert!(looks.may_add_up("spring", T + 80_000));
}

#[test]
fn another_campaign_of_the_name_begins_anew() {
    let mut looks = looks();
    looks.is_news("spring", T, &gap(2));
    looks.keep(vec![row("spring", "u2"), row("summer", "u3")], T + 60_000);
    assert!(!looks.is_news("spring", T + 60_000, &gap(2)));
    assert_eq!(
        looks.due(T + 60_000, 1)[0].campaign,
        "summer",
        "who waited longest"
    );
    looks.keep(Vec::new(), T + 70_000);
    assert!(looks.found.is_empty() && looks.due(T + 70_000, 9).is_empty());
    looks.forget();
    assert!(looks.is_old(T + 70_000));
}

fn sent(units: u32) -> Difference {
    Difference::sent_again(Place::Order {
        order: OrderId::keyed("spring", "ada", "1"),
        user: "ada".into(),
        sku: "mug".into(),
        quantity: units,
        placed_at: T,
    })
}

#[test]
fn a_surplus_is_looked_into_and_hides_nothing_afterwards() {
    let mut looks = looks();
    assert!(!looks.is_news("spring", T, &gap(-1)));
    assert!(looks.is_news("spring", T + 60_000, &gap(-1)));
    looks.scanned("spring", T + 60_000, &gap(-1), &[], mark(9));
    let figures = looks.found.of("spring").expect("a surplus");
    assert_eq!((figures.units, figures.surplus), (0, 1));
    assert!(looks.expects("spring", T + 70_000, &gap(-1)));
    looks.calm("spring", T + 70_000, &gap(-1), mark(9));
    // An order is lost: the sums are right, and were not before.
    let right = Gap::new();
    assert!(!looks.expects("spring", T + 80_000, &right));
    assert!(looks.is_news("spring", T + 80_000, &right), "at once");
    looks.scanned("spring", T + 80_000, &right, &[sent(1)], mark(8));
    assert_eq!(looks.metrics.sent_again.get(), 1);
    assert!(
        looks.expects("spring", T + 90_000, &gap(-1)),
        "the surplus is left"
    );
    // A larger one is asked about again, after a minute.
    assert!(!looks.is_news("spring", T + 100_000, &gap(-2)));
    assert!(looks.is_news("spring", T + 160_000, &gap(-2)));
}

#[test]
fn orders_are_read_once_where_the_sums_are_right_and_the_campaign_came_to_rest() {
    let mut looks = looks();
    let right = Gap::new();
    looks.calm("spring", T, &right, mark(9));
    assert_eq!(looks.to_read(T), None, "it may have orders");
    looks.calm("spring", T + 10_000, &right, mark(9));
    assert_eq!(looks.to_read(T + 10_000).as_deref(), Some("spring"));
    looks.read("spring", T + 10_000, &[]);
    looks.pause_reading("spring", T + 10_000, Duration::from_secs(1));
    looks.calm("spring", T + 100_000, &right, mark(9));
    assert_eq!(looks.to_read(T + 100_000), None, "nothing happened since");
    // One order, and its unit given back by hand.
    let after = mark(9).map(|mark| Mark {
        admitted: "1".into(),
        ..mark
    });
    looks.calm("spring", T + 190_000, &right, after.clone());
    assert_eq!(looks.to_read(T + 190_000), None);
    looks.calm("spring", T + 200_000, &right, after);
    assert_eq!(looks.to_read(T + 200_000).as_deref(), Some("spring"));
}

#[test]
fn orders_are_read_once_an_hour_while_they_flow_and_at_little_cost() {
    let mut looks = looks();
    let mut large = row("spring", "u1");
    large.campaign.buckets = 10_000;
    looks.keep(vec![large, row("summer", "u2")], T);
    let right = Gap::new();
    for minute in 0..60 {
        let now = T + minute * 60_000;
        looks.calm("spring", now, &right, None);
        assert_eq!(looks.to_read(now), None);
    }
    let now = T + 3_600_000;
    assert_eq!(looks.to_read(now).as_deref(), Some("spring"));
    looks.read("spring", now, &[]);
    looks.pause_reading("spring", now, Duration::from_secs(5));
    for at in [0, 10_000] {
        looks.calm("summer", now + at, &right, mark(1));
    }
    assert_eq!(
        looks.to_read(now + 499_000),
        None,
        "10,000 buckets are 5,000 calls"
    );
    assert_eq!(looks.to_read(now + 500_000).as_deref(), Some("summer"));
    // What could not be read is tried again after the pause.
    looks.pause_reading("summer", now + 500_000, Duration::from_millis(1));
    assert_eq!(looks.to_read(now + 509_000), None);
    assert_eq!(looks.to_read(now + 510_000).as_deref(), Some("summer"));
}
