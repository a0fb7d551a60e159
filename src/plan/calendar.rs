//! Calendar windows as tables: the boundaries of days, weeks or months of a time zone over the life
//! of a campaign, so that neither Lua nor the interpreter needs to know about time zones.

use std::sync::LazyLock;

use jiff::civil::{Date, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp};

use super::CalendarUnit;

/// The database inside the binary, never the machine's: two gateways compute the same tables.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Sorted starts of consecutive periods, milliseconds since 1970-01-01 UTC. The first is at or
/// before the earliest moment the campaign can admit, the last some days after its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Periods {
    pub starts: Vec<i64>,
}

impl Periods {
    /// Start of the period `now` falls into; times before the first count to the first.
    pub fn start_of(&self, now: i64) -> i64 {
        let after = self.starts.partition_point(|start| *start <= now);
        let index = after.saturating_sub(1);
        self.starts.get(index).copied().unwrap_or(0)
    }

    /// Start of the next period; `None` in the last.
    pub fn end_of(&self, now: i64) -> Option<i64> {
        let after = self.starts.partition_point(|start| *start <= now);
        self.starts.get(after.max(1)).copied()
    }
}

/// The zone's name is not in the time zone database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone {0:?}; use an IANA name such as \"Europe/Berlin\"")]
pub struct ZoneError(pub String);

/// Boundaries from `from` to `to` (both milliseconds). A period begins with the first moment of its
/// first day: where the clocks skip midnight, that is the moment after the gap; a day that a zone
/// skipped altogether has no period.
pub fn periods(unit: CalendarUnit, zone: &str, from: i64, to: i64) -> Result<Periods, ZoneError> {
    let tz = zone_of(zone)?;
    let to = timestamp(to).as_millisecond();
    let mut date = first_date(unit, timestamp(from).to_zoned(tz.clone()).date());
    let mut starts = Vec::new();
    while let Some(start) = start_of_date(date, &tz) {
        if starts.last().is_none_or(|last| *last < start) {
            starts.push(start);
        }
        if start > to {
            break;
        }
        match date.checked_add(step(unit)) {
            Ok(next) => date = next,
            Err(_) => break,
        }
    }
    Ok(Periods { starts })
}

/// A moment as a person reads it, in a time zone or else in UTC: `00:00 Asia/Shanghai`, with seconds
/// where it is no full minute (rounded up, so that it is never too early), and with the date where it
/// is more than a day after `now`.
pub fn spoken(at: i64, now: i64, zone: Option<&str>) -> String {
    const DAY_MS: i64 = 86_400_000;
    let name = zone.unwrap_or("UTC");
    let tz = zone.and_then(|zone| zone_of(zone).ok()).unwrap_or(TimeZone::UTC);
    let whole = at.div_euclid(1000) + i64::from(at.rem_euclid(1000) > 0);
    let moment = timestamp(whole.saturating_mul(1000)).to_zoned(tz);
    let date = if at.saturating_sub(now) > DAY_MS {
        "%Y-%m-%d "
    } else {
        ""
    };
    let time = if moment.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    format!("{} {name}", moment.strftime(&format!("{date}{time}")))
}

fn zone_of(zone: &str) -> Result<TimeZone, ZoneError> {
    ZONES
        .get(zone)
        .map_err(|_| ZoneError(zone.chars().take(64).collect()))
}

/// Whether a zone of this name is in the database.
pub fn is_zone(zone: &str) -> bool {
    zone_of(zone).is_ok()
}

/// Zones that somebody may have meant who wrote `wrong`: those of that place, else those whose name differs in two letters at
/// most; the first few in order.
pub fn zones_like(wrong: &str) -> Vec<String> {
    const LIKE_MAX: usize = 3;
    let plain = |name: &str| name.to_ascii_lowercase().replace([' ', '-', '_'], "_");
    let wrong = plain(wrong);
    let names: Vec<String> = ZONES.available().map(|name| name.as_str().to_owned()).collect();
    let place = |name: &str| {
        let name = plain(name);
        name.split_once('/').is_some() && name.rsplit('/').next() == Some(wrong.as_str())
    };
    let mut like: Vec<String> = names.iter().filter(|name| place(name)).cloned().collect();
    if like.is_empty() {
        let near = |name: &String| !wrong.is_empty() && is_near(&wrong, &plain(name));
        like = names.iter().filter(|name| near(name)).cloned().collect();
    }
    like.sort();
    like.truncate(LIKE_MAX);
    like
}

/// Whether two names of some length differ in at most two letters, in their place or one of them left out.
fn is_near(one: &str, other: &str) -> bool {
    const DIFFERENT_MAX: usize = 2;
    const LETTERS_MIN: usize = 6;
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let before = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let behind = one[before..].iter().rev().zip(other[before..].iter().rev());
    let after = behind.take_while(|(a, b)| a == b).count();
    let longer = one.len().max(other.len());
    longer >= LETTERS_MIN && longer - before - after <= DIFFERENT_MAX
}

fn timestamp(ms: i64) -> Timestamp {
    let edge = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(ms).unwrap_or(edge)
}

fn first_date(unit: CalendarUnit, date: Date) -> Date {
    match unit {
        CalendarUnit::Day => date,
        CalendarUnit::Week => {
            let back = date.weekday().since(Weekday::Monday);
            date.saturating_sub(Span::new().days(back))
        }
        CalendarUnit::Month => date.first_of_month(),
    }
}

fn step(unit: CalendarUnit) -> Span {
    match unit {
        CalendarUnit::Day => Span::new().days(1),
        CalendarUnit::Week => Span::new().weeks(1),
        CalendarUnit::Month => Span::new().months(1),
    }
}

fn start_of_date(date: Date, tz: &TimeZone) -> Option<i64> {
    let start = tz
        .to_ambiguous_zoned(date.to_datetime(jiff::civil::Time::midnight()))
        .compatible()
        .ok()?;
    Some(start.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests;
