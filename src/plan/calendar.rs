//! Calendar windows as tables: the boundaries of days, weeks or months of a time zone over the life
//! of a campaign, so that neither Lua nor the interpreter needs to know about time zones.

use super::CalendarUnit;

/// Sorted starts of consecutive periods, milliseconds since 1970-01-01 UTC. The first is at or
/// before the earliest moment the campaign can admit, the last after the end of its retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Periods {
    pub starts: Vec<i64>,
}

impl Periods {
    /// Start of the period `now` falls into; times before the first count to the first.
    pub fn start_of(&self, _now: i64) -> i64 {
        todo!("plan::calendar")
    }

    /// Start of the next period.
    pub fn end_of(&self, _now: i64) -> Option<i64> {
        todo!("plan::calendar")
    }
}

/// The zone's name is not in the time zone database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone {0:?}; use an IANA name such as \"Europe/Berlin\"")]
pub struct ZoneError(pub String);

/// Boundaries from `from` to `to` (both milliseconds).
pub fn periods(_unit: CalendarUnit, _zone: &str, _from: i64, _to: i64) -> Result<Periods, ZoneError> {
    todo!("plan::calendar")
}
