//! Points in time: an RFC 3339 text, or a distance from the opening or the closing of the campaign.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::Deserialize;

use super::schema::text_parameter;
use super::span::Span;
use crate::bindings::exports::rushgate::policy::types::Context;
use crate::expr::{Int, closes_at, int, opens_at};

const DAY_MS: i64 = 86_400_000;

/// A moment. As JSON an RFC 3339 text with its offset from UTC: `"2026-03-01T12:00:00Z"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    ms: u64,
    text: String,
}

impl Moment {
    /// Milliseconds since 1970-01-01 UTC.
    pub fn ms(&self) -> u64 {
        self.ms
    }

    /// As the merchant wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl core::str::FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ms = read(text).and_then(|ms| u64::try_from(ms).ok());
        let ms =
            ms.ok_or("a time is written as 2026-03-01T12:00:00Z or 2026-03-01T13:00:00+01:00, from 1970 on")?;
        Ok(Self {
            ms,
            text: text.to_owned(),
        })
    }
}

text_parameter!(
    Moment,
    pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,3})?(Z|[+-][0-9]{2}:[0-9]{2})$",
    examples: ["2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00"]
);

/// Milliseconds since 1970-01-01 UTC.
fn read(text: &str) -> Option<i64> {
    let year = number(text, 0..=3, 1970..=9999)?;
    let month = number(text, 5..=6, 1..=12)?;
    let day = number(text, 8..=9, 1..=days_of(year, month))?;
    let hour = number(text, 11..=12, 0..=23)?;
    let minute = number(text, 14..=15, 0..=59)?;
    let second = number(text, 17..=18, 0..=59)?;
    for (at, mark) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        (text.as_bytes()[at] == mark).then_some(())?;
    }
    let (fraction, offset) = match text.get(19..)?.strip_prefix('.') {
        None => (0, text.get(19..)?),
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let value: i64 = rest
                .get(..digits)
                .filter(|_| (1..=3).contains(&digits))?
                .parse()
                .ok()?;
            (value * [100, 10, 1][digits - 1], rest.get(digits..)?)
        }
    };
    let local =
        days_since_1970(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + fraction;
    Some(local - offset_ms(offset)?)
}

fn offset_ms(text: &str) -> Option<i64> {
    let sign = match text.as_bytes() {
        b"Z" => return Some(0),
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    Some(sign * (number(text, 1..=2, 0..=23)? * 60 + number(text, 4..=5, 0..=59)?) * 60_000)
}

fn number(text: &str, at: RangeInclusive<usize>, within: RangeInclusive<i64>) -> Option<i64> {
    let digits = text.get(at)?;
    let all = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|value| all && within.contains(value))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leap_days = before / 4 - before / 100 + before / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    let months: i64 = (1..month).map(|month| days_of(year, month)).sum();
    (year - 1970) * 365 + leap_days + months + day - 1
}

/// When something happens: at a time, or so long after the opening or before the closing of the campaign.
/// The last two move along when the campaign is moved.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MomentParam {
    /// A time with its offset from UTC.
    At(Moment),
    /// So long after the opening of the campaign.
    AfterOpening(Span),
    /// So long before the closing of the campaign.
    BeforeClosing(Span),
}

impl MomentParam {
    pub fn expr(&self) -> Int {
        let ms = |span: &Span| i64::try_from(span.ms()).unwrap_or(i64::MAX);
        match self {
            Self::At(moment) => int(i64::try_from(moment.ms()).unwrap_or(i64::MAX)).live(),
            Self::AfterOpening(span) => opens_at() + ms(span),
            Self::BeforeClosing(span) => closes_at() - ms(span),
        }
    }

    /// Whether it lies while the campaign is open, the opening itself excluded.
    pub fn is_within(&self, context: &Context) -> bool {
        let (from, to) = (context.opens_at_ms, context.closes_at_ms);
        let ms = match self {
            Self::At(moment) => moment.ms(),
            Self::AfterOpening(span) => from.saturating_add(span.ms()),
            Self::BeforeClosing(span) => to.saturating_sub(span.ms()),
        };
        from < ms && ms < to
    }

    /// `2 hours after the opening`.
    pub fn words(&self) -> String {
        match self {
            Self::At(moment) => format!("at {}", moment.as_str()),
            Self::AfterOpening(span) => format!("{span} after the opening"),
            Self::BeforeClosing(span) => format!("{span} before the closing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_millisecond() {
        let read = |text: &str| text.parse::<Moment>().map(|moment| moment.ms());
        assert_eq!(read("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(read("2026-01-01T00:00:00Z"), Ok(1_767_225_600_000));
        assert_eq!(read("2000-02-29T23:59:59.5Z"), Ok(951_868_799_500));
        assert_eq!(read("2026-03-29T03:00:00.001+02:00"), Ok(1_774_746_000_001));
        assert_eq!(read("2026-01-01T00:00:00-00:30"), Ok(1_767_227_400_000));
        for wrong in [
            "",
            "2026-01-01",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01 00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:00.1234Z",
            "2026-1-01T00:00:00Z",
            "+026-01-01T00:00:00Z",
            "2026-01-01T00:00:00é",
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
