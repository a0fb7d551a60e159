//! Times as both databases take and give them: text in UTC, `YYYY-MM-DD HH:MM:SS.mmm`.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sqlx::types::time::{OffsetDateTime, PrimitiveDateTime};

use crate::order::{TIME_MAX_MS, TIME_MIN_MS};
use crate::store::{StoreError, StoreResult};

/// `Refused` for a time that no database holds.
pub(super) fn check(ms: i64) -> StoreResult<()> {
    match (TIME_MIN_MS..=TIME_MAX_MS).contains(&ms) {
        true => Ok(()),
        false => Err(refused(ms)),
    }
}

fn refused(ms: i64) -> StoreError {
    StoreError::Refused(format!("{ms} ms since 1970 is no time the database can hold"))
}

/// As MySQL's protocol takes it: nothing is spelled out here, and nothing read there.
pub(super) fn to_native(ms: i64) -> StoreResult<PrimitiveDateTime> {
    check(ms)?;
    let nanoseconds = i128::from(ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).map_err(|_| refused(ms))?;
    Ok(PrimitiveDateTime::new(time.date(), time.time()))
}

pub(super) fn to_text(ms: i64) -> StoreResult<String> {
    check(ms)?;
    let time = jiff::Timestamp::from_millisecond(ms).map_err(|_| refused(ms))?;
    Ok(time.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string())
}

pub(super) fn from_text(text: &str) -> StoreResult<i64> {
    text.parse::<DateTime>()
        .and_then(|time| time.to_zoned(TimeZone::UTC))
        .map(|time| time.timestamp().as_millisecond())
        .map_err(|error| StoreError::Permanent(format!("stored time {text:?}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_round_trip() {
        for ms in [0, 1, 999, 1_795_229_721_007, TIME_MIN_MS, TIME_MAX_MS] {
            let text = to_text(ms).expect("in range");
            assert_eq!(from_text(&text).expect("readable"), ms, "{text}");
            let native = to_native(ms).expect("in range").assume_utc();
            assert_eq!(native.unix_timestamp_nanos(), i128::from(ms) * 1_000_000);
        }
        assert_eq!(to_text(1).expect("in range"), "1970-01-01 00:00:00.001");
        assert!(to_native(TIME_MAX_MS + 1).is_err());
        assert!(to_text(i64::MAX).is_err());
        assert!(from_text("soon").is_err());
    }
}
