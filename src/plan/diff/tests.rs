//! Changes in a table: from one plan to another, what is said.

mod counters;

use super::*;
use crate::campaign::{Schedule, Sku};
use crate::plan::{
    Attribute, AudienceRef, CalendarUnit, CheckContext, Constraint, Counter, EarlyAccess, Expr, Measure,
    Plan, Window, check,
};

const HOUR: i64 = 3_600_000;
/// 2026-03-04T12:00:00Z, a Wednesday.
const OPENS_AT: i64 = 1_772_625_600_000;
const NOW: i64 = OPENS_AT + 90 * 60_000;

fn context() -> CheckContext {
    let list = AudienceRef::whole(1, 1);
    CheckContext {
        campaign: "spring".into(),
        schedule: Schedule {
            opens_at: OPENS_AT,
            closes_at: OPENS_AT + 96 * HOUR,
            retention_ms: crate::campaign::RETENTION_MS,
        },
        skus: vec![Sku::new("mug", 100)].into(),
        audiences: [("vip".to_owned(), list)].into(),
        buckets: 1,
    }
}

/// `count + cost ≤ limit`, the limit being the last of `limit`, whose nodes start at 3.
fn limited(key: &[Attribute], window: Window, cost: Expr, limit: Vec<Expr>) -> Plan {
    let last = 2 + limit.len() as u32;
    let mut nodes = vec![cost, Expr::Counter(0), Expr::Add(1, 0)];
    nodes.extend(limit);
    nodes.push(Expr::Le(2, last));
    Plan {
        nodes,
        counters: vec![Counter {
            id: "n/orders".into(),
            key: key.to_vec(),
            window,
            cost: 0,
        }],
        constraints: vec![Constraint {
            when: None,
            require: last + 1,
            reason: "limit".into(),
            rule: "n".into(),
            retryable: false,
            sentence: "So many per user.".into(),
            measure: Some(Measure {
                counter: 0,
                limit: last,
            }),
        }],
        ..Plan::default()
    }
}

fn per_user(limit: i64) -> Plan {
    limited(
        &[Attribute::User],
        Window::Campaign,
        Expr::Int(1),
        vec![Expr::Int(limit)],
    )
}

fn keyed(key: &[Attribute]) -> Plan {
    limited(key, Window::Campaign, Expr::Int(1), vec![Expr::Int(2)])
}

fn windowed(window: Window) -> Plan {
    limited(&[Attribute::User], window, Expr::Int(1), vec![Expr::Int(2)])
}

fn tumbling(hours: i64) -> Plan {
    windowed(Window::Tumbling {
        length_ms: hours * HOUR,
        origin_ms: OPENS_AT,
    })
}

fn rolling(hours: i64) -> Plan {
    windowed(Window::Rolling {
        length_ms: hours * HOUR,
    })
}

fn calendar(unit: CalendarUnit, zone: &str) -> Plan {
    windowed(Window::Calendar {
        unit,
        zone: zone.into(),
    })
}

fn tiers(entries: &[(&str, i64)], default: i64) -> Plan {
    let lookup = Expr::Lookup {
        of: 3,
        entries: entries.iter().map(|(tier, n)| ((*tier).to_owned(), *n)).collect(),
        default,
    };
    let tier = Expr::Attribute(Attribute::Claim("tier".into()));
    limited(
        &[Attribute::User],
        Window::Campaign,
        Expr::Int(1),
        vec![tier, lookup],
    )
}

fn changes(old: Plan, new: Plan) -> Vec<Change> {
    let [old, new] = [old, new].map(|plan| check(plan, context()).expect("a valid plan"));
    diff(&old, &new, &[], NOW)
}

/// Classes of all changes, and the sentence of the one about this part.
fn said(old: Plan, new: Plan, part: Part) -> (Class, String) {
    let changes = changes(old, new);
    let change = changes.into_iter().find(|change| change.part == part);
    let change = change.unwrap_or_else(|| panic!("nothing about {part:?}"));
    (change.class, change.sentence)
}

#[test]
fn limits_are_tighter_or_looser_by_their_numbers() {
    for (old, new, class, sentence) in [
        (
            per_user(3),
            per_user(2),
            Class::Tighter,
            "n/limit: tighter, 3 → 2; counts are kept; 1 more is refused for every user who has 2",
        ),
        (
            per_user(2),
            per_user(5),
            Class::Looser,
            "n/limit: looser, 2 → 5; counts are kept; 3 more is admitted for every user who has 2",
        ),
        (per_user(2), per_user(2), Class::Unchanged, "n/limit: unchanged"),
        (
            tiers(&[("gold", 5), ("silver", 3)], 1),
            tiers(&[("gold", 4)], 1),
            Class::Tighter,
            "n/limit: tighter, gold: 5 → 4, silver: 3 → 1; counts are kept",
        ),
        (
            tiers(&[("gold", 5)], 1),
            tiers(&[("gold", 4)], 2),
            Class::Changed,
            "n/limit: changed, gold: 5 → 4, every other: 1 → 2; counts are kept",
        ),
        // A table against a number: never above it.
        (
            per_user(5),
            tiers(&[("gold", 5)], 2),
            Class::Tighter,
            "n/limit: tighter; counts are kept",
        ),
        (
            per_user(3),
            tiers(&[("gold", 5)], 2),
            Class::Changed,
            "n/limit: changed; counts are kept",
        ),
    ] {
        assert_eq!(said(old, new, Part::Constraint), (class, sentence.to_owned()));
    }
}

#[test]
fn what_texts_say_is_compared() {
    let said = |high: i64, missing: i64, unreadable: i64| {
        let number = Expr::Number {
            of: 3,
            low: 0,
            high,
            missing,
            unreadable,
        };
        let claim = Expr::Attribute(Attribute::Claim("most".into()));
        limited(
            &[Attribute::User],
            Window::Campaign,
            Expr::Int(1),
            vec![claim, number],
        )
    };
    let only = |affix: fn(u32, Vec<String>) -> Expr, texts: &[&str]| {
        let mut plan = per_user(2);
        let claim = plan.nodes.len() as u32;
        plan.nodes.push(Expr::Attribute(Attribute::Claim("email".into())));
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        plan.nodes.push(affix(claim, texts));
        plan.constraints[0].require = claim + 1;
        plan.constraints[0].measure = None;
        plan
    };
    for (old, new, class, sentence) in [
        (
            said(9, 2, 0),
            said(9, 2, 0),
            Class::Unchanged,
            "n/limit: unchanged",
        ),
        (
            said(9, 2, 0),
            said(9, 1, 0),
            Class::Tighter,
            "n/limit: tighter, where missing: 2 → 1; counts are kept",
        ),
        (
            said(9, 2, 0),
            said(9, 3, 1),
            Class::Looser,
            "n/limit: looser, where missing: 2 → 3, where no such integer: 0 → 1; counts are kept",
        ),
        (
            said(9, 2, 0),
            said(5, 2, 0),
            Class::Changed,
            "n/limit: changed, to: 9 → 5; counts are kept",
        ),
        (
            only(Expr::StartsWith, &["a", "b"]),
            only(Expr::StartsWith, &["b", "a"]),
            Class::Unchanged,
            "n/limit: unchanged",
        ),
        (
            only(Expr::StartsWith, &["a", "b"]),
            only(Expr::StartsWith, &["a"]),
            Class::Tighter,
            "n/limit: tighter, b: listed → not listed",
        ),
        (
            only(Expr::EndsWith, &["a"]),
            only(Expr::EndsWith, &["a", "b"]),
            Class::Looser,
            "n/limit: looser, b: not listed → listed",
        ),
        (
            only(Expr::StartsWith, &["a"]),
            only(Expr::EndsWith, &["a"]),
            Class::Changed,
            "n/limit: changed",
        ),
    ] {
        assert_eq!(said_of(old, new), (class, sentence.to_owned()));
    }
}

fn said_of(old: Plan, new: Plan) -> (Class, String) {
    said(old, new, Part::Constraint)
}

#[test]
fn where_a_constraint_applies_counts_too() {
    let gold_only = |of: &[&str]| {
        let mut plan = per_user(2);
        let tier = plan.nodes.len() as u32;
        plan.nodes.push(Expr::Attribute(Attribute::Claim("tier".into())));
        plan.nodes.push(Expr::OneOf(
            tier,
            of.iter().map(|text| (*text).to_owned()).collect(),
        ));
        plan.constraints[0].when = Some(tier + 1);
        plan
    };
    for (old, new, class, sentence) in [
        (
            per_user(2),
            gold_only(&["gold"]),
            Class::Looser,
            "n/limit: looser; applies to fewer orders; counts are kept",
        ),
        (
            gold_only(&["gold"]),
            gold_only(&["gold", "silver"]),
            Class::Tighter,
            "n/limit: tighter, silver: not listed → listed; applies to more orders; counts are kept",
        ),
    ] {
        assert_eq!(said(old, new, Part::Constraint), (class, sentence.to_owned()));
    }
}

#[test]
fn times_and_early_access_are_changes_too() {
    let early = |minutes: i64| {
        let mut plan = per_user(2);
        let vip = plan.nodes.len() as u32;
        plan.nodes.push(Expr::Member {
            audience: "vip".into(),
            of: Attribute::User,
        });
        plan.early_access.push(EarlyAccess {
            lead_ms: minutes * 60_000,
            when: vip,
            sentence: "Members come first.".into(),
        });
        plan
    };
    for (old, new, class, sentence) in [
        (
            early(10),
            early(30),
            Class::Looser,
            "Early access: looser, 10 minutes → 30 minutes before the opening: Members come first.",
        ),
        (
            per_user(2),
            early(10),
            Class::New,
            "Early access of 10 minutes: new: Members come first.",
        ),
        (
            early(10),
            per_user(2),
            Class::Dropped,
            "Early access of 10 minutes: dropped: Members come first.",
        ),
    ] {
        assert_eq!(said(old, new, Part::EarlyAccess), (class, sentence.to_owned()));
    }
    let mut later = context();
    later.schedule.opens_at += HOUR;
    later.schedule.closes_at += HOUR;
    let [old, new] = [(per_user(2), context()), (per_user(2), later)]
        .map(|(plan, context)| check(plan, context).expect("valid"));
    let said: Vec<(Class, String)> = diff(&old, &new, &[], NOW)
        .into_iter()
        .filter(|change| change.part == Part::Schedule)
        .map(|change| (change.class, change.sentence))
        .collect();
    assert_eq!(
        said,
        [
            (
                Class::Tighter,
                "The sale opens later: 2026-03-04T13:00:00.000Z instead of 2026-03-04T12:00:00.000Z."
                    .to_owned()
            ),
            (
                Class::Looser,
                "The sale closes later: 2026-03-08T13:00:00.000Z instead of 2026-03-08T12:00:00.000Z."
                    .to_owned()
            ),
        ]
    );
}

/// An arena that is one chain of thousands of nodes is compared without recursing through it.
#[test]
fn long_chains_are_compared() {
    let chain = |length: usize, first: i64| {
        let mut limit = vec![Expr::Int(first)];
        for at in 0..length as u32 {
            limit.push(Expr::Max(3 + at, 0));
        }
        limited(&[Attribute::User], Window::Campaign, Expr::Int(1), limit)
    };
    assert_eq!(
        said(chain(3000, 2), chain(3000, 2), Part::Constraint).0,
        Class::Unchanged
    );
    assert_eq!(
        said(chain(20, 3), chain(20, 2), Part::Constraint).0,
        Class::Tighter
    );
    // Too deep to be followed; the bounds of the values tell.
    assert_eq!(
        said(chain(3000, 3), chain(3000, 2), Part::Constraint).0,
        Class::Tighter
    );
}
