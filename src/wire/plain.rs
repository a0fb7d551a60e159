//! What is wrong in a JSON body, in plain words: serde speaks to programmers, of structs, sequences and `u32`.

use serde_json::Value;

use super::echo;

/// How a moment is written.
const MOMENT: &str = "a moment like \"2026-11-21T10:00:00Z\"";
/// Characters of a text that are repeated.
const SHOWN: usize = 80;

/// What an error of serde_json says, without its place.
pub fn plain(error: &str) -> String {
    let text = error.rfind(" at line ").map_or(error, |at| error.split_at(at).0);
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    let told = match kind {
        "invalid" => wrong_kind(rest),
        "unknown" => unknown(rest),
        "missing" => named(rest).map(|name| format!("the member {name} is missing")),
        "duplicate" => named(rest).map(|name| format!("the member {name} stands there twice")),
        _ => None,
    };
    told.unwrap_or_else(|| text.to_owned())
}

/// The member that serde names alone in its text, being missing or there twice.
pub(super) fn member(error: &str) -> Option<&str> {
    let rest = error
        .strip_prefix("missing ")
        .or_else(|| error.strip_prefix("duplicate "))?;
    named(rest)
}

/// A word is expected, one of those that an error about another word names.
pub(super) fn word(error_of_another: Option<&str>, there: &Value) -> String {
    let there = value(there);
    let of_words = error_of_another.and_then(|error| error.strip_prefix("unknown variant "));
    match of_words.map(quoted).as_deref() {
        Some([_, words @ ..]) if !words.is_empty() => {
            format!("one of the words {} is expected, not {there}", words.join(", "))
        }
        _ => format!("a text is expected, one of the words that there are, not {there}"),
    }
}

/// A text is no moment.
pub fn moment(there: &Value) -> String {
    let is_written_well = there.as_str().is_some_and(|text| {
        jiff::fmt::temporal::Pieces::parse(text).is_ok_and(|pieces| pieces.offset().is_some())
    });
    match is_written_well {
        true => format!(
            "a moment up to {:.0} is expected, not {}",
            jiff::Timestamp::MAX,
            value(there)
        ),
        false => format!("{MOMENT} (RFC 3339) is expected, not {}", value(there)),
    }
}

/// Something of this type, as serde names it, is expected, and this text stands there.
pub fn expected(of_type: &str, there: &str) -> String {
    let there = match there {
        _ if there.is_empty() || there.starts_with(['~', '-', '[', '{', '&', '*', '!', '|', '>']) => {
            String::new()
        }
        there => format!(", not {}", echo(there)),
    };
    format!("{} is expected{there}", belongs(of_type))
}

/// `type: integer `7`, expected u32`.
fn wrong_kind(rest: &str) -> Option<String> {
    let (what, rest) = rest.split_once(' ')?;
    let (there, expected) = rest.rsplit_once(", expected ")?;
    let there = match what {
        // An array where the members of an object are taken by position.
        "length" => "an array".to_owned(),
        _ => stands(there),
    };
    Some(format!("{} is expected, not {there}", belongs(expected)))
}

/// `field `x`, expected one of `a`, `b``, or `variant …`.
fn unknown(rest: &str) -> Option<String> {
    let (what, rest) = rest.split_once(" `")?;
    let (name, known) = match rest.rsplit_once("`, expected ") {
        Some((name, known)) => (name, quoted(known)),
        None => (rest.rsplit_once("`, there are no ")?.0, Vec::new()),
    };
    Some(match what {
        "field" => no_member(name, &known),
        _ => no_such_word(name, &known),
    })
}

/// There is no such member, but these.
pub fn no_member(name: &str, known: &[&str]) -> String {
    let name = echo(name);
    match known {
        [] => format!("there is no member {name}, nor any other"),
        known => format!("there is no member {name}; there are {}", known.join(", ")),
    }
}

/// One of these words is expected, and this one stands there.
pub fn no_such_word(word: &str, known: &[&str]) -> String {
    let (word, known) = (echo(word), known.join(", "));
    format!("{word} is none of the words that may stand here: {known}")
}

/// `field `x``.
fn named(rest: &str) -> Option<&str> {
    let name = rest.strip_prefix("field `")?;
    name.split_once('`').map(|(name, _)| name)
}

/// What stands between backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// What serde expects.
fn belongs(expected: &str) -> &str {
    match expected {
        "a string" | "a borrowed string" | "str" => "a text",
        "a timestamp string" => MOMENT,
        "a boolean" | "boolean" => "true or false",
        "a map" => "an object",
        "a sequence" => "an array",
        "unit" => "null",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" | "floating point" => "a number",
        "variant identifier" => "one of the words that there are",
        _ if expected.starts_with("struct ") || expected.contains("tagged enum ") => "an object",
        _ if expected.starts_with("enum ") => "one of the words that there are",
        _ if expected.starts_with("tuple ") || expected.starts_with("a tuple ") => "an array",
        _ => expected,
    }
}

/// What serde met.
fn stands(there: &str) -> String {
    match there {
        "map" => "an object".to_owned(),
        "sequence" => "an array".to_owned(),
        "unit value" => "null".to_owned(),
        _ => match there.split_once(" `") {
            Some(("boolean", truth)) => truth.trim_end_matches('`').to_owned(),
            Some((_, number)) => format!("the number {}", number.trim_end_matches('`')),
            None => match there.strip_prefix("string ") {
                Some(text) => format!("the text {}", cut(text)),
                None => there.to_owned(),
            },
        },
    }
}

fn value(there: &Value) -> String {
    match there {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {}", echo(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// A text in quotes, so much of it as helps.
fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_word_of_rust_is_left() {
        for (error, told) in [
            (
                "invalid type: integer `7`, expected struct NewCampaign at line 1 column 1",
                "an object is expected, not the number 7",
            ),
            (
                "invalid type: map, expected a sequence at line 2 column 9",
                "an array is expected, not an object",
            ),
            (
                "invalid type: null, expected a string",
                "a text is expected, not null",
            ),
            (
                "invalid type: boolean `true`, expected a timestamp string",
                "a moment like \"2026-11-21T10:00:00Z\" is expected, not true",
            ),
            (
                "invalid type: floating point `1.5`, expected u32",
                "a whole number from 0 to 4294967295 is expected, not the number 1.5",
            ),
            (
                "invalid value: integer `-1`, expected usize",
                "a whole number from 0 is expected, not the number -1",
            ),
            (
                "invalid type: string \"a, expected b\", expected a boolean at line 1 column 9",
                "true or false is expected, not the text \"a, expected b\"",
            ),
            (
                "invalid length 1, expected struct RuleSpec with 3 elements",
                "an object is expected, not an array",
            ),
            (
                "unknown field `a`b`, expected `id` or `sku`",
                "there is no member \"a`b\"; there are id, sku",
            ),
            (
                "unknown field `id`, there are no fields",
                "there is no member \"id\", nor any other",
            ),
            (
                "unknown variant `all`, expected one of `stock+allowance`, `stock`, `none`",
                "\"all\" is none of the words that may stand here: stock+allowance, stock, none",
            ),
            (
                "missing field `id` at line 1 column 2",
                "the member id is missing",
            ),
            ("duplicate field `id`", "the member id stands there twice"),
            ("names no step at line 1 column 2", "names no step"),
            ("", ""),
        ] {
            assert_eq!(plain(error), told, "{error}");
        }
        let long = format!("invalid type: string \"{}\", expected u8", "x".repeat(9_000));
        assert!(plain(&long).len() < 200);
    }

    #[test]
    fn a_moment_after_the_last_one_is_not_said_to_be_written_wrong() {
        let told = moment(&json!("9999-12-31T23:59:59Z"));
        assert_eq!(
            told,
            "a moment up to 9999-12-30T22:00:00Z is expected, not the text \"9999-12-31T23:59:59Z\""
        );
        for wrong in [
            "2026-11-21",
            "2026-11-21T10:00:00",
            "soon",
            "2026-13-21T10:00:00Z",
        ] {
            let told = moment(&json!(wrong));
            assert!(told.starts_with("a moment like"), "{wrong}: {told}");
        }
    }

    #[test]
    fn words_are_named_where_they_are_known() {
        let error = "unknown variant ``, expected `pay` or `none`";
        assert_eq!(
            word(Some(error), &json!(5)),
            "one of the words pay, none is expected, not the number 5"
        );
        for other in [None, Some("missing field `a`")] {
            assert_eq!(
                word(other, &json!({})),
                "a text is expected, one of the words that there are, not an object"
            );
        }
    }
}
