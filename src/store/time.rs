//! Times as both databases take and give them: text in UTC, `YYYY-MM-DD HH:MM:SS.mmm`.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{StoreError, StoreResult};

/// First and last moment a `DATETIME` column holds: 1000-01-01 and 9999-12-30, in milliseconds.
pub(super) const TIME_MIN_MS: i64 = -30_610_224_000_000;
pub(super) const TIME_MAX_MS: i64 = 253_402_128_000_000;

pub(super) fn to_text(ms: i64) -> StoreResult<String> {
    let refused = || StoreError::Refused(format!("{ms} ms since 1970 is no time the database can hold"));
    if !(TIME_MIN_MS..=TIME_MAX_MS).contains(&ms) {
        return Err(refused());
    }
    let time = jiff::Timestamp::from_millisecond(ms).map_err(|_| refused())?;
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
        }
        assert_eq!(to_text(1).expect("in range"), "1970-01-01 00:00:00.001");
        assert!(to_text(i64::MAX).is_err());
        assert!(from_text("soon").is_err());
    }
}
