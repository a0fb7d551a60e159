//! Moments, delays and rates as somebody types them.

/// A moment as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Milliseconds since 1970-01-01 UTC.
    At(i64),
    /// Milliseconds before now.
    Ago(i64),
}

impl Moment {
    pub(in crate::cli) fn resolve(self, now: i64) -> i64 {
        match self {
            Self::At(at) => at,
            Self::Ago(ms) => now.saturating_sub(ms),
        }
    }
}

/// Reads `2026-11-20T12:00:00Z` or `2h`.
pub fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Moment::At(at.as_millisecond()));
    }
    length(text).map(Moment::Ago).ok_or_else(|| {
        "write RFC 3339 with its offset (2026-11-20T12:00:00Z), or how long ago (90s, 30m, 2h, 7d)".to_owned()
    })
}

/// Reads `2026-11-20T12:00:00Z`, of what may lie ahead as well.
pub fn timestamp(text: &str) -> Result<jiff::Timestamp, String> {
    let read = text.parse();
    read.map_err(|_: jiff::Error| {
        "write RFC 3339 with its offset: 2026-11-20T12:00:00Z, or 2026-11-20T20:00:00+08:00".to_owned()
    })
}

/// Reads `2026-11-20T12:00:00Z` or `2h`.
pub fn past(text: &str) -> Result<jiff::Timestamp, String> {
    let now = jiff::Timestamp::now().as_millisecond();
    let at = moment(text)?.resolve(now);
    jiff::Timestamp::from_millisecond(at).map_err(|_| format!("{text} ago is no moment of any calendar"))
}

/// Longest delay of a replay: a month, the time that dead letters stay in their topic.
const DELAY_MAX_MS: i64 = 30 * 86_400_000;

/// Reads `10m` as milliseconds.
pub fn delay(text: &str) -> Result<i64, String> {
    let ms = length(text).filter(|ms| *ms <= DELAY_MAX_MS);
    ms.ok_or_else(|| "write how long, at most 30 days: 90s, 10m, 2h, 1d".to_owned())
}

/// A number and `s`, `m`, `h` or `d`, in milliseconds.
fn length(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let number = number.parse::<i64>().ok().filter(|n| *n >= 0)?;
    number.checked_mul(unit_ms)
}

/// Reads `100` or `100/s`.
pub fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse();
    let number: Option<u32> = number.ok().filter(|n| *n > 0);
    number.ok_or_else(|| "write records per second, at least 1: 100 or 100/s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_are_read_as_people_write_them() {
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(Moment::At(1000)));
        assert_eq!(moment("2h"), Ok(Moment::Ago(7_200_000)));
        assert_eq!(Moment::Ago(1).resolve(10), 9);
        for wrong in ["", "h", "2", "yesterday", "-1h", "2w", "99999999999999999d", "2½"] {
            assert!(moment(wrong).expect_err(wrong).contains("RFC 3339"), "{wrong}");
        }
        assert!(timestamp("2026-11-20T20:00:00+08:00").is_ok() && past("2h").is_ok());
        for wrong in ["yesterday", "2026-11-20T12:00:00", "2h"] {
            assert!(
                timestamp(wrong)
                    .expect_err(wrong)
                    .contains("2026-11-20T12:00:00Z")
            );
        }
        assert!(past("yesterday").expect_err("no moment").contains("how long ago"));
        assert_eq!((rate("7"), rate("100/s")), (Ok(7), Ok(100)));
        assert!(rate("0").is_err() && rate("fast").is_err());
        assert_eq!(
            (delay("10m"), delay("0s"), delay("30d")),
            (Ok(600_000), Ok(0), Ok(2_592_000_000))
        );
        for wrong in ["", "10", "-1m", "31d", "soon", "1w"] {
            assert!(
                delay(wrong).expect_err(wrong).contains("at most 30 days"),
                "{wrong}"
            );
        }
    }
}
