//! Attempts as lines of JSON, the form in which a file of them is replayed:
//!
//! ```text
//! {"at":"2026-11-21T10:00:00.000Z","user":"ada","sku":"mug","quantity":1,"attributes":{"client:device":"d1"}}
//! ```
//!
//! A claim of several texts is an array of them, one that no rule could read `"unreadable:claim:<name>":"<why>"`. `order`,
//! `revision` and `outcome` may follow. Lines stand in the order of `at`.
//! What is recorded is kept as such lines too; there `place` says where in its write an attempt stood.

use serde::{Deserialize, Serialize};

use super::{Attributes, DecidedAttempt};
use crate::order::{Attempt, OrderId, QUANTITY_MAX, UNREADABLE, array};
use crate::wire::json::plainly;
use crate::wire::{Moment, check_text};

/// Bytes of one line.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// What is wrong with a line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct LineError {
    pub line: u64,
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at: jiff::Timestamp,
    user: String,
    sku: String,
    quantity: u32,
    #[serde(default, with = "array::as_json")]
    attributes: Attributes,
    #[serde(default)]
    order: Option<OrderId>,
    #[serde(default)]
    revision: Option<u32>,
    #[serde(default)]
    outcome: Option<String>,
    #[serde(default)]
    place: u64,
}

/// A line as it is recorded: `at` comes first, so that lines are sorted by it as text.
#[derive(Serialize)]
struct Kept<'a> {
    at: Moment,
    user: &'a str,
    sku: &'a str,
    quantity: u32,
    #[serde(
        skip_serializing_if = "Attributes::is_empty",
        serialize_with = "array::as_json::serialize"
    )]
    attributes: &'a Attributes,
    order: OrderId,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
    place: u64,
}

/// Adds the line of an attempt, with its line feed.
pub(super) fn write(recorded: &DecidedAttempt, place: u64, text: &mut Vec<u8>) {
    let DecidedAttempt {
        at,
        attempt,
        revision,
        outcome,
    } = recorded;
    let line = Kept {
        at: Moment(*at),
        user: &attempt.user,
        sku: &attempt.sku,
        quantity: attempt.quantity,
        attributes: &attempt.attributes,
        order: attempt.order,
        revision: *revision,
        outcome: outcome.as_deref(),
        place,
    };
    serde_json::to_writer(&mut *text, &line).expect("texts and numbers are JSON");
    text.push(b'\n');
}

/// An attempt that was [`write`]n, and its place. What a gateway let in is not checked anew.
pub(super) fn read(line: &[u8]) -> Result<(u64, DecidedAttempt), String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let order = line.order.ok_or("an attempt has no order")?;
    Ok((line.place, line.recorded(order)))
}

impl Line {
    fn recorded(self, order: OrderId) -> DecidedAttempt {
        DecidedAttempt {
            at: self.at.as_millisecond(),
            attempt: Attempt {
                order,
                user: self.user,
                sku: self.sku,
                quantity: self.quantity,
                attributes: self.attributes,
            },
            revision: self.revision,
            outcome: self.outcome,
        }
    }
}

/// Takes lines apart, whatever pieces they arrive in.
#[derive(Debug)]
pub struct Lines {
    /// The line that has not ended yet.
    open: Vec<u8>,
    /// Lines that have ended.
    ended: u64,
    /// Moment of the last attempt.
    last: i64,
}

impl Lines {
    /// `ended`: lines that somebody else has read before.
    pub fn after(ended: u64) -> Self {
        Self {
            open: Vec::new(),
            ended,
            last: i64::MIN,
        }
    }

    /// The attempts of the lines that end in this piece.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<DecidedAttempt>, LineError> {
        let mut attempts = Vec::new();
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.open.extend_from_slice(&rest[..end]);
            attempts.extend(self.end_line()?);
            rest = &rest[end + 1..];
        }
        self.open.extend_from_slice(rest);
        self.check_length()?;
        Ok(attempts)
    }

    /// The last line need not end with a line feed.
    pub fn end(&mut self) -> Result<Option<DecidedAttempt>, LineError> {
        self.end_line()
    }

    fn end_line(&mut self) -> Result<Option<DecidedAttempt>, LineError> {
        self.check_length()?;
        self.ended += 1;
        let line = std::mem::take(&mut self.open);
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let wrong = |what: String| LineError {
            line: self.ended,
            what,
        };
        // serde would take the members of an object from an array, by position.
        if !line.trim_ascii_start().starts_with(b"{") {
            return Err(wrong("an object is expected".into()));
        }
        let line: Line = serde_json::from_slice(&line).map_err(|error| wrong(plainly(&error)))?;
        check(&line).map_err(wrong)?;
        let at = line.at.as_millisecond();
        if at < self.last {
            return Err(wrong(
                "is earlier than the line before; sort the lines by \"at\"".into(),
            ));
        }
        self.last = at;
        // Without an order id, an attempt is an order of its own.
        let mut number = [0; 10];
        number[2..].copy_from_slice(&self.ended.to_be_bytes());
        let order = line.order.unwrap_or_else(|| OrderId::fresh(at, number));
        Ok(Some(line.recorded(order)))
    }

    fn check_length(&self) -> Result<(), LineError> {
        match self.open.len() > LINE_BYTES_MAX {
            false => Ok(()),
            true => Err(LineError {
                line: self.ended + 1,
                what: format!("is longer than {LINE_BYTES_MAX} bytes"),
            }),
        }
    }
}

fn check(line: &Line) -> Result<(), String> {
    if line.user.is_empty() {
        return Err("the user is empty".into());
    }
    if !(1..=QUANTITY_MAX).contains(&line.quantity) {
        return Err(format!("the quantity is not within 1 to {QUANTITY_MAX}"));
    }
    let wrong_in = |what: &str, wrong: String| format!("the value of {what:?} {wrong}");
    for (what, text) in [("user", &line.user), ("sku", &line.sku)] {
        check_text(text).map_err(|wrong| wrong_in(what, wrong))?;
    }
    for (name, value) in &line.attributes {
        array::check_of(name, value).map_err(|wrong| wrong_in(name, wrong))?;
    }
    let known = |name: &&String| {
        let name = name.strip_prefix(UNREADABLE).unwrap_or(name);
        let has_source = ["claim:", "client:"]
            .iter()
            .any(|source| name.strip_prefix(source).is_some_and(|rest| !rest.is_empty()));
        has_source || name == "ip"
    };
    match line.attributes.keys().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => Err(format!(
            "the attribute {name:?} has no source; write \"ip\", \"claim:<name>\" or \"client:<name>\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"at":"2026-11-21T10:00:00.000Z","user":"ada","sku":"mug","quantity":1}
{"at":"2026-11-21T10:00:00.000Z","user":"ada","sku":"mug","quantity":2,"attributes":{"client:device":"d1","ip":"::1"},"order":"00000000000000000000000000000001","revision":3,"outcome":"sold-out"}

{"at":"2026-11-21T11:00:00+01:00","user":"bob","sku":"cup","quantity":3}"#;

    fn read(text: &str, piece: usize) -> Result<Vec<DecidedAttempt>, LineError> {
        let mut lines = Lines::after(1);
        let mut all = Vec::new();
        for piece in text.as_bytes().chunks(piece) {
            all.extend(lines.push(piece)?);
        }
        all.extend(lines.end()?);
        Ok(all)
    }

    #[test]
    fn pieces_do_not_matter() {
        let whole = read(GOOD, GOOD.len()).expect("good");
        assert_eq!(whole.len(), 3);
        assert_eq!(whole[1].revision, Some(3));
        assert_eq!(whole[1].outcome.as_deref(), Some("sold-out"));
        assert_eq!(whole[2].at, 1_795_255_200_000);
        assert_ne!(whole[0].attempt.order, whole[2].attempt.order);
        for piece in [1, 2, 7, 100] {
            assert_eq!(read(GOOD, piece).as_ref(), Ok(&whole));
        }
        assert_eq!(read("", 1), Ok(vec![]));
    }

    #[test]
    fn arrays_are_written_and_read_as_arrays() {
        let line = |groups: &str| {
            format!(
                r#"{{"at":"2026-11-21T10:00:00.000Z","user":"ada","sku":"mug","quantity":1,"attributes":{{"claim:groups":{groups}}}}}"#
            )
        };
        for (groups, value) in [
            (r#"["staff","gold"]"#, "\u{1f}staff\u{1f}gold"),
            ("[]", "\u{1f}"),
            (r#""staff""#, "staff"),
        ] {
            let all = read(&line(groups), 9).expect(groups);
            assert_eq!(all[0].attempt.attributes["claim:groups"], value);
            let mut text = Vec::new();
            write(&all[0], 0, &mut text);
            let text = String::from_utf8(text).expect("UTF-8");
            assert!(text.contains(&format!("{{\"claim:groups\":{groups}}}")), "{text}");
        }
        let one = read(&line(r#"["staff"]"#), 9).expect("an array of one");
        assert_eq!(one[0].attempt.attributes["claim:groups"], "staff");
    }

    #[test]
    fn wrong_lines_are_named() {
        let line = |more: &str| format!(r#"{{"at":"2026-11-21T10:00:00Z","user":"ada","sku":"mug"{more}}}"#);
        for (bad, what) in [
            ("{", "cut off"),
            ("{}", "is missing"),
            ("[]", "an object is expected"),
            (&line(""), "the member quantity is missing"),
            (&line(r#","quantity":0"#), "not within 1 to"),
            (&line(r#","quantity":1,"sold":2"#), "no member \"sold\""),
            (
                &line(r#","quantity":1,"attributes":{"device":"d"}"#),
                "has no source",
            ),
            (
                &line(r#","quantity":1,"attributes":{"claim:":"d"}"#),
                "has no source",
            ),
            (
                &line(r#","quantity":1,"attributes":{"client:d":"a\u0000"}"#),
                "control character",
            ),
            (
                &line(r#","quantity":1,"attributes":{"claim:g":"\u001fa\u001fb"}"#),
                "the value of \"claim:g\" contains the control character '\\u{1f}'",
            ),
            (
                &line(r#","quantity":1,"attributes":{"client:g":"\u001f"}"#),
                "contains the control character '\\u{1f}'",
            ),
            (
                &line(r#","quantity":1,"attributes":{"claim:g":["a\u001fb","c"]}"#),
                "contains the control character '\\u{1f}'",
            ),
            (
                &line(r#","quantity":1,"attributes":{"claim:g":["a\u0000","b"]}"#),
                "has an element that contains the control character",
            ),
            (
                &line(r#","quantity":1,"attributes":{"claim:g":[1]}"#),
                "a text or an array of texts",
            ),
            (
                &line(r#","quantity":1,"attributes":{"client:g":["a","b"]}"#),
                "only that of a claim",
            ),
            (&line(r#","quantity":1,"order":"7""#), "32 lower-case hex digits"),
            (
                &GOOD.lines().next().expect("a line").replace("10:00", "09:59"),
                "earlier",
            ),
            (&GOOD.lines().next().expect("a line").replace("ada", ""), "empty"),
            (&"x".repeat(LINE_BYTES_MAX + 1), "longer than"),
        ] {
            let error = read(&format!("{GOOD}\n{bad}"), 64).expect_err(bad);
            assert_eq!(error.line, 6, "{error}");
            assert!(error.what.contains(what), "{error}");
        }
    }
}
