//! What is wrong in the file of a sale, in plain words and with its place: the YAML library speaks to programmers.

use serde_saphyr::Error;

use crate::wire::plain;

/// What is wrong, to stand behind the file's name: `:7:12: a whole number from 0 is expected`.
pub(super) fn unread(text: &str, error: &Error) -> String {
    let error = error.without_snippet();
    let at = error.location();
    let place = at.map_or(String::new(), |at| format!(":{}:{}", at.line(), at.column()));
    let there = at.map_or("", |at| scalar(text, at.line() as usize, at.column() as usize));
    format!("{place}: {}", what(error, there))
}

/// `there`: the text at that place.
fn what(error: &Error, there: &str) -> String {
    match error {
        Error::InvalidScalar { ty, .. } => plain::expected(ty, there),
        Error::Unexpected { expected, .. } => plain::expected(kind(expected), there),
        Error::SerdeUnknownField { field, expected, .. } => plain::no_member(field, expected),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => plain::no_such_word(variant, expected),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the member {key} stands there twice"),
        _ => {
            let message = without_place(&error.to_string());
            let is_of_time = |wrong: jiff::Error| message.starts_with(&wrong.to_string());
            match there.parse::<jiff::Timestamp>().err().is_some_and(is_of_time) {
                true => plain::moment(&there.into()),
                false => plain::plain(&message),
            }
        }
    }
}

/// What a part of YAML is in the words of the API.
fn kind(expected: &str) -> &str {
    match expected {
        _ if expected.contains("mapping") => "a map",
        _ if expected.contains("sequence") => "a sequence",
        _ if expected.contains("scalar") => "a string",
        _ => expected,
    }
}

/// What stands at a place of the text, up to the end of its value. Line and column begin at 1.
fn scalar(text: &str, line: usize, column: usize) -> &str {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or("");
    let start = line.char_indices().nth(column.saturating_sub(1));
    let rest = start.map_or("", |(at, _)| &line[at..]);
    let rest = rest.trim_start();
    let quoted = |quote| rest.strip_prefix(quote).and_then(|rest| rest.split(quote).next());
    let bare = || {
        let rest = rest.split(" #").next().unwrap_or("");
        rest.split([',', '}', ']']).next().unwrap_or("").trim_end()
    };
    quoted('"').or_else(|| quoted('\'')).unwrap_or_else(bare)
}

/// What is wrong, without the place that is said before.
fn without_place(message: &str) -> String {
    let message = message.trim();
    let ends = [" at line ", ", line "];
    let cut = ends.iter().filter_map(|end| message.find(end)).min();
    cut.map_or(message, |at| &message[..at]).to_owned()
}
