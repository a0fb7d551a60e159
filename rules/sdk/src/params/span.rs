//! Lengths of time as merchants write them: `30s`, `15m`, `1h30m`, `7d`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::schema::text_parameter;

/// Longest first; milliseconds, as written, as read.
const UNITS: [(u64, &str, &str); 5] = [
    (86_400_000, "d", "day"),
    (3_600_000, "h", "hour"),
    (60_000, "m", "minute"),
    (1000, "s", "second"),
    (1, "ms", "millisecond"),
];

/// A length of time, to the millisecond. A day is 24 hours. As JSON: `"30s"`, `"1h30m"`. It is shown in
/// words: `1 hour 30 minutes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

impl Span {
    pub const fn from_days(days: u64) -> Self {
        Self(days * 86_400_000)
    }

    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    pub fn ms(self) -> u64 {
        self.0
    }

    pub fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// The shortest way to write it: the same for `90m` and `1h30m`, so it can be part of a counter's id.
    pub fn short(self) -> String {
        self.parts()
            .into_iter()
            .map(|(count, unit, _)| format!("{count}{unit}"))
            .collect()
    }

    fn parts(self) -> Vec<(u64, &'static str, &'static str)> {
        let mut rest = self.0;
        let mut parts = Vec::new();
        for (length, unit, word) in UNITS {
            if rest >= length {
                parts.push((rest / length, unit, word));
                rest %= length;
            }
        }
        if parts.is_empty() {
            parts.push((0, "s", "second"));
        }
        parts
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (count, _, word)) in self.parts().into_iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            let plural = if count == 1 { "" } else { "s" };
            f.write_str(&(gap.to_string() + &count.to_string() + " " + word + plural))?;
        }
        Ok(())
    }
}

impl core::str::FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a length of time is numbers with d, h, m, s or ms behind them: 30s, 1h30m, 7d";
        let mut rest = text;
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let count: u64 = rest[..digits].parse().map_err(|_| FORM)?;
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(|byte| !byte.is_ascii_digit()).count();
            let unit = rest.get(..letters).ok_or(FORM)?;
            let (length, ..) = UNITS.iter().find(|(_, name, _)| *name == unit).ok_or(FORM)?;
            total = total.saturating_add(count.saturating_mul(*length));
            rest = &rest[letters..];
        }
        if text.is_empty() {
            Err(FORM)
        } else {
            Ok(Self(total))
        }
    }
}

text_parameter!(Span, pattern: "^([0-9]{1,9}(d|h|m|s|ms))+$", examples: ["30s", "15m", "1h30m", "7d"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_shown() {
        let read = |text: &str| text.parse::<Span>();
        assert_eq!(read("30s"), Ok(Span(30_000)));
        assert_eq!(read("1h30m"), read("90m"));
        assert_eq!(read("90m").map(Span::short), Ok("1h30m".into()));
        assert_eq!(read("24h").map(Span::short), Ok("1d".into()));
        assert_eq!(
            read("1d1ms").map(|span| span.to_string()),
            Ok("1 day 1 millisecond".into())
        );
        assert_eq!(read("0m").map(|span| span.to_string()), Ok("0 seconds".into()));
        for wrong in [
            "",
            "5",
            "h",
            "1 h",
            "1w",
            "-1h",
            "1.5h",
            "99999999999999999999d",
            "1µ",
            "1hé",
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
