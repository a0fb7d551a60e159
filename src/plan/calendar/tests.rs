//! Tests of calendar windows against clock changes that happened.

use super::*;

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().expect("a timestamp").as_millisecond()
}

fn starts(unit: CalendarUnit, zone: &str, from: &str, to: &str) -> Vec<String> {
    let periods = periods(unit, zone, ms(from), ms(to)).expect("a known zone");
    let text = |start: i64| Timestamp::from_millisecond(start).expect("in range").to_string();
    periods.starts.into_iter().map(text).collect()
}

#[test]
fn days_follow_the_clock_changes_of_berlin() {
    let spring = starts(
        CalendarUnit::Day,
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        "2026-03-30T12:00:00Z",
    );
    assert_eq!(
        spring,
        [
            "2026-03-27T23:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
            "2026-03-30T22:00:00Z"
        ]
    );
    let autumn = starts(
        CalendarUnit::Day,
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        "2026-10-25T23:30:00Z",
    );
    assert_eq!(
        autumn,
        [
            "2026-10-23T22:00:00Z",
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
            "2026-10-26T23:00:00Z"
        ]
    );
}

#[test]
fn zones_without_whole_hours_and_without_changes() {
    assert_eq!(
        starts(
            CalendarUnit::Day,
            "Asia/Kolkata",
            "2026-01-01T00:00:00Z",
            "2026-01-01T01:00:00Z"
        ),
        ["2025-12-31T18:30:00Z", "2026-01-01T18:30:00Z"]
    );
    assert_eq!(
        starts(
            CalendarUnit::Month,
            "Asia/Shanghai",
            "2026-01-31T15:59:59.999Z",
            "2026-02-28T16:00:00Z"
        ),
        [
            "2025-12-31T16:00:00Z",
            "2026-01-31T16:00:00Z",
            "2026-02-28T16:00:00Z",
            "2026-03-31T16:00:00Z"
        ]
    );
}

#[test]
fn weeks_start_on_monday() {
    // 2026-03-29 is a Sunday, 2026-03-30 a Monday.
    assert_eq!(
        starts(
            CalendarUnit::Week,
            "UTC",
            "2026-03-29T23:59:59.999Z",
            "2026-03-30T00:00:00Z"
        ),
        [
            "2026-03-23T00:00:00Z",
            "2026-03-30T00:00:00Z",
            "2026-04-06T00:00:00Z"
        ]
    );
    assert_eq!(
        starts(
            CalendarUnit::Week,
            "Europe/Berlin",
            "2026-03-29T22:00:00Z",
            "2026-03-29T22:00:00Z"
        ),
        ["2026-03-29T22:00:00Z", "2026-04-05T22:00:00Z"]
    );
}

/// Midnight of 4 November 2018 did not exist in São Paulo: the clocks went from 00:00 to 01:00.
#[test]
fn a_skipped_midnight_starts_the_day_after_the_gap() {
    let days = starts(
        CalendarUnit::Day,
        "America/Sao_Paulo",
        "2018-11-03T12:00:00Z",
        "2018-11-04T12:00:00Z",
    );
    assert_eq!(
        days,
        [
            "2018-11-03T03:00:00Z",
            "2018-11-04T03:00:00Z",
            "2018-11-05T02:00:00Z"
        ]
    );
}

/// Samoa crossed the date line: 29 December 2011 was followed by the 31st.
#[test]
fn a_skipped_day_has_no_period() {
    let days = starts(
        CalendarUnit::Day,
        "Pacific/Apia",
        "2011-12-29T20:00:00Z",
        "2011-12-30T20:00:00Z",
    );
    assert_eq!(
        days,
        [
            "2011-12-29T10:00:00Z",
            "2011-12-30T10:00:00Z",
            "2011-12-31T10:00:00Z"
        ]
    );
}

#[test]
fn every_moment_belongs_to_one_period() {
    let days = Periods {
        starts: vec![100, 200, 300],
    };
    assert_eq!(
        [99, 100, 199, 200, 300, 999].map(|now| days.start_of(now)),
        [100, 100, 100, 200, 300, 300]
    );
    assert_eq!(
        [99, 100, 199, 200, 300, 999].map(|now| days.end_of(now)),
        [Some(200), Some(200), Some(200), Some(300), None, None]
    );
    let none = Periods { starts: Vec::new() };
    assert_eq!((none.start_of(5), none.end_of(5)), (0, None));
}

#[test]
fn the_table_covers_what_was_asked() {
    let (from, to) = (ms("2026-01-01T00:00:00Z"), ms("2028-03-11T00:00:00Z"));
    for zone in [
        "UTC",
        "Europe/Berlin",
        "Asia/Kolkata",
        "Pacific/Apia",
        "America/Sao_Paulo",
        "Asia/Beirut",
    ] {
        for unit in [CalendarUnit::Day, CalendarUnit::Week, CalendarUnit::Month] {
            let starts = periods(unit, zone, from, to).expect("a known zone").starts;
            assert!(
                starts[0] <= from && starts[starts.len() - 1] > to,
                "{unit:?} {zone}"
            );
            assert!(starts.is_sorted_by(|a, b| a < b), "{unit:?} {zone}");
        }
    }
}

#[test]
fn unknown_zones_and_wild_times_are_answered() {
    for zone in [
        "",
        "Europe/Atlantis",
        "../etc/passwd",
        "a\0b",
        &"a".repeat(10_000),
    ] {
        assert!(periods(CalendarUnit::Day, zone, 0, 1).is_err(), "{zone:?}");
    }
    for (from, to) in [(i64::MAX, i64::MAX), (i64::MIN, i64::MIN), (i64::MAX, i64::MIN)] {
        assert!(periods(CalendarUnit::Month, "Asia/Tokyo", from, to).is_ok());
    }
}
