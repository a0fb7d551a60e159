//! Windows as parameters: calendar days, weeks and months, windows of one length, and rolling windows.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::Deserialize;

use super::moment::Moment;
use super::schema::text_parameter;
use super::span::Span;
use crate::bindings::exports::rushgate::policy::types::Context;
use crate::counter_id;
use crate::plan::Window;
use crate::rule::Diagnostic;

/// The longest window the host allows.
pub const WINDOW_MAX: Span = Span::from_days(800);
/// The shortest tumbling window the host allows.
pub const TUMBLING_MIN: Span = Span::from_ms(1000);
/// The latest start of a tumbling window the host allows, milliseconds since 1970-01-01 UTC: in the year 2248.
const FROM_MAX_MS: u64 = 1 << 43;
/// Orders the host keeps for one subject of a rolling window.
pub const ROLLING_ORDERS_MAX: u32 = 1000;

/// A name of the IANA time zone database. Whether it exists is the host's question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(String);

impl core::str::FromStr for Zone {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'+' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.into()));
        }
        Err("a time zone is an IANA name such as Europe/Berlin")
    }
}

text_parameter!(
    Zone,
    pattern: "^[A-Za-z0-9/_+-]{1,64}$",
    examples: ["Asia/Shanghai", "Europe/Berlin", "UTC"]
);

/// The stretch of time a limit is for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum WindowParam {
    /// A calendar day in this IANA time zone, from midnight to midnight there.
    Day(Zone),
    /// A calendar week in this IANA time zone, from Monday.
    Week(Zone),
    /// A calendar month in this IANA time zone.
    Month(Zone),
    /// The last so much time before each order, to the millisecond.
    Rolling(Span),
    /// Windows of one length, one after the other.
    Tumbling(Tumbling),
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(deny_unknown_fields)]
pub struct Tumbling {
    /// How long each window is.
    length: Span,
    /// When one of them starts; the opening of the campaign where it is left out.
    from: Option<Moment>,
}

impl Tumbling {
    fn origin_ms(&self, context: &Context) -> u64 {
        self.from.as_ref().map_or(context.opens_at_ms, Moment::ms)
    }
}

impl WindowParam {
    pub fn window(&self, context: &Context) -> Window {
        match self {
            Self::Day(zone) => Window::Day { zone: zone.0.clone() },
            Self::Week(zone) => Window::Week { zone: zone.0.clone() },
            Self::Month(zone) => Window::Month { zone: zone.0.clone() },
            Self::Rolling(span) => Window::Rolling(span.duration()),
            Self::Tumbling(tumbling) => Window::Tumbling {
                length: tumbling.length.duration(),
                origin_ms: tumbling.origin_ms(context),
            },
        }
    }

    /// Its part of a counter's id. Windows that cut time in the same places have the same.
    pub fn slug(&self, context: &Context) -> String {
        let calendar = |unit: &str, zone: &Zone| {
            counter_id(&[unit, &zone.0.to_ascii_lowercase().replace(['_', '/'], "-")])
        };
        match self {
            Self::Day(zone) => calendar("day", zone),
            Self::Week(zone) => calendar("week", zone),
            Self::Month(zone) => calendar("month", zone),
            Self::Rolling(span) => format!("last-{}", span.short()),
            Self::Tumbling(tumbling) => {
                let length = tumbling.length;
                let offset = Span::from_ms(tumbling.origin_ms(context) % length.ms().max(1));
                match offset.ms() {
                    0 => format!("every-{}", length.short()),
                    _ => format!("every-{}-from-{}", length.short(), offset.short()),
                }
            }
        }
    }

    /// How a sentence about a limit ends: `per day in Asia/Shanghai`, `in any 24 hours`.
    pub fn words(&self) -> String {
        match self {
            Self::Day(zone) => format!("per day in {}", zone.0),
            Self::Week(zone) => format!("per week in {}", zone.0),
            Self::Month(zone) => format!("per month in {}", zone.0),
            Self::Rolling(span) => format!("in any {span}"),
            Self::Tumbling(tumbling) => format!("in each window of {}", tumbling.length),
        }
    }

    /// Refuses lengths and times the host would refuse, with the parameter's own pointer.
    pub fn check(&self, pointer: &str, problems: &mut Vec<Diagnostic>) {
        if let Self::Tumbling(Tumbling { from: Some(from), .. }) = self
            && from.ms() > FROM_MAX_MS
        {
            let at = format!("{pointer}/tumbling/from");
            let problem = Diagnostic::error(&at, "too-late", format!("{} is too far ahead", from.as_str()));
            problems.push(problem.hint("any start of a window will do, also one before the campaign"));
        }
        let (at, length, least) = match self {
            Self::Rolling(span) => (format!("{pointer}/rolling"), *span, Span::from_ms(1)),
            Self::Tumbling(tumbling) => (
                format!("{pointer}/tumbling/length"),
                tumbling.length,
                TUMBLING_MIN,
            ),
            Self::Day(_) | Self::Week(_) | Self::Month(_) => return,
        };
        if length < least {
            let problem = Diagnostic::error(&at, "too-short", format!("a window of {length} is too short"));
            problems.push(problem.hint(format!("it is at least {least} long")));
        }
        if length > WINDOW_MAX {
            let problem = Diagnostic::error(&at, "too-long", format!("a window of {length} is too long"));
            problems.push(problem.hint(format!("it is at most {WINDOW_MAX} long")));
        }
    }

    /// Refuses a limit that a rolling window can never reach, for it keeps so many orders of each subject and no more.
    pub fn check_limit(&self, pointer: &str, orders: u32, problems: &mut Vec<Diagnostic>) {
        if matches!(self, Self::Rolling(_)) && orders > ROLLING_ORDERS_MAX {
            let message = format!(
                "a rolling window counts at most {ROLLING_ORDERS_MAX} orders of each subject, {orders} are never reached"
            );
            let hint = "lower the limit, or use a tumbling window or a calendar day";
            problems.push(Diagnostic::error(pointer, "too-many", message).hint(hint));
        }
    }
}
