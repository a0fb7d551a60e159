//! When campaigns are looked at, and when what is missing is looked for.

use super::*;
use crate::campaign::{Activation, Campaign, RETENTION_MS, Schedule};

const T: i64 = 1_800_000_000_000;
const CLOSES: i64 = T + 3_600_000;

fn row(id: &str, uid: &str) -> CampaignRow {
    CampaignRow {
        campaign: Campaign {
            id: id.into(),
            title: id.into(),
            skus: Vec::new(),
            uid: uid.into(),
            buckets: 1,
            shards: 1,
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
    looks.clear("spring", T, mark(9));
    assert_eq!(next(&looks), 10);
    assert!(looks.due(T + 9_999, 9).is_empty());
    looks.clear("spring", T + 10_000, mark(8));
    assert_eq!(next(&looks), 20);
    looks.clear("spring", T + 20_000, mark(8));
    assert_eq!(next(&looks), 110);
    // One that moves is not idle, whatever its sums say.
    looks.clear("spring", T + 30_000, None);
    looks.clear("spring", T + 40_000, None);
    assert_eq!(next(&looks), 50);
    looks.clear("spring", CLOSES + 60_001, mark(8));
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
    looks.clear("spring", T, None);
    for at in [10, 20, 40, 69] {
        assert!(!looks.is_missing("spring", T + at * 1000, &gap(2)), "{at}");
    }
    assert_eq!(next(&looks), 70, "no look is wasted");
    assert!(looks.is_missing("spring", T + 70_000, &gap(2)));
    assert_eq!(looks.figures.campaigns["spring"].units, 2);
    // What comes back in between was on its way.
    looks.clear("spring", T + 80_000, None);
    assert!(!looks.is_missing("spring", T + 90_000, &gap(2)));
    assert!(looks.figures.campaigns.contains_key("spring"));
    looks.clear("spring", T + 95_000, None);
    assert!(looks.figures.campaigns.is_empty());
}

#[test]
fn an_idle_campaign_does_not_wait_longer_than_a_busy_one() {
    let mut looks = looks();
    for at in [0, 10_000] {
        looks.clear("spring", T + at, mark(9));
    }
    // Lost right after the look.
    assert_eq!(next(&looks), 100);
    assert!(!looks.is_missing("spring", T + 100_000, &gap(1)));
    assert_eq!(next(&looks), 110);
    assert!(!looks.is_missing("spring", T + 110_000, &gap(1)));
    assert_eq!(next(&looks), 115, "105 seconds after the loss");
    assert!(looks.is_missing("spring", T + 115_000, &gap(1)));
}

#[test]
fn a_quiet_campaign_is_left_out_until_somebody_orders_from_it() {
    let mut looks = looks();
    for at in [0, 10_000] {
        looks.clear("spring", T + at, mark(9));
    }
    let mut turns = 0;
    for second in 10..=700 {
        let now = T + second * 1000;
        looks.rest(now, |_| true);
        turns += looks.due(now, 9).len();
        if !looks.due(now, 9).is_empty() {
            assert_eq!(second, 610, "ten minutes after the last look");
            looks.clear("spring", now, mark(9));
        }
    }
    assert_eq!(turns, 1);
    // Not quiet any more: its turn is at once, and its orders get their whole minute.
    looks.rest(T + 710_000, |_| true);
    looks.rest(T + 712_000, |_| false);
    assert_eq!(looks.due(T + 712_000, 9).len(), 1);
    assert!(!looks.is_missing("spring", T + 712_000, &gap(1)));
    assert!(!looks.is_missing("spring", T + 771_000, &gap(1)));
    assert!(looks.is_missing("spring", T + 772_000, &gap(1)));
    // Where nobody knows whether it is quiet, it is looked at as before.
    looks.clear("spring", T + 780_000, mark(8));
    looks.clear("spring", T + 790_000, mark(8));
    looks.rest(T + 800_000, |_| false);
    assert_eq!(next(&looks), 790 + 90);
}

#[test]
fn a_gap_that_nothing_explains_is_looked_into_once_and_a_larger_one_again() {
    let mut looks = looks();
    looks.is_missing("spring", T, &gap(2));
    assert!(looks.is_missing("spring", T + 60_000, &gap(2)));
    looks.scanned("spring", T + 60_000, &gap(2), &[]);
    for at in (70..600).step_by(10) {
        assert!(!looks.is_missing("spring", T + at * 1000, &gap(2)));
    }
    assert!(!looks.is_missing("spring", T + 600_000, &gap(3)));
    assert!(looks.is_missing("spring", T + 660_000, &gap(3)));
    looks.scanned("spring", T + 660_000, &gap(3), &[]);
    // Two of them were put right: the next two count.
    assert!(!looks.is_missing("spring", T + 670_000, &gap(1)));
    assert!(!looks.is_missing("spring", T + 680_000, &gap(3)));
    assert!(looks.is_missing("spring", T + 740_000, &gap(3)));
    looks.scanned("spring", T + 740_000, &gap(3), &[]);
    // After an hour it is asked again.
    assert!(!looks.is_missing("spring", T + 740_000 + EXCUSED_MS, &gap(3)));
    assert!(looks.is_missing("spring", T + 800_000 + EXCUSED_MS, &gap(3)));
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
    looks.is_missing("spring", T, &gap(2));
    looks.keep(vec![row("spring", "u2"), row("summer", "u3")], T + 60_000);
    assert!(!looks.is_missing("spring", T + 60_000, &gap(2)));
    assert_eq!(
        looks.due(T + 60_000, 1)[0].campaign,
        "summer",
        "who waited longest"
    );
    looks.keep(Vec::new(), T + 70_000);
    assert!(looks.figures.campaigns.is_empty() && looks.due(T + 70_000, 9).is_empty());
    looks.forget();
    assert!(looks.is_old(T + 70_000));
}
