//! The claims of a verified token as rules read them: texts, arrays of texts, and which of them cannot be read.
//!
//! A claim that is there and cannot be read is never left out: a rule that reads it would take the buyer for one
//! without it, and a list that turns somebody away would let them pass. Values are read from the token's own text, so
//! that a number keeps its digits: as a float, two accounts from 2^53 on would be one.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::order::array::{self, ELEMENTS_MAX};
use crate::order::unreadable;
use crate::plan::TOKEN_CLAIMS;
use crate::wire::{VALUE_BYTES_MAX, check_text};

/// From here on, releases before this one read no number that is no integer.
const FLOAT_EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The payload of a token.
#[derive(Debug, Default)]
pub(super) struct Claims {
    values: BTreeMap<String, Box<RawValue>>,
    /// Names that stand in it more than once.
    doubled: Vec<String>,
}

/// A value of JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form<'a> {
    Null,
    Boolean(&'a str),
    /// As it stands in the token.
    Number(&'a str),
    Text(&'a str),
    Array(&'a str),
    Object,
}

impl<'a> Form<'a> {
    /// Of JSON that was read before.
    fn of(json: &'a str) -> Self {
        match json.as_bytes().first() {
            Some(b'n') | None => Self::Null,
            Some(b't' | b'f') => Self::Boolean(json),
            Some(b'"') => Self::Text(json),
            Some(b'[') => Self::Array(json),
            Some(b'{') => Self::Object,
            Some(_) => Self::Number(json),
        }
    }

    /// What it is, in words.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a truth value",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Array(_) => "an array",
            Self::Object => "an object",
        }
    }

    /// A text or a number as text. `None` of every other value, an error of a text that is none.
    pub(super) fn text(&self) -> Option<Result<String, &'static str>> {
        match self {
            Self::Number(digits) => Some(Ok(number(digits))),
            // What was read before may still have half a character, written as an escape.
            Self::Text(json) => Some(serde_json::from_str(json).map_err(|_| "has half a character")),
            _ => None,
        }
    }
}

/// Fractions and powers are written as releases before wrote them, which read floats and counted by them (`1.50` as `1.5`),
/// as long as no digit is lost so.
fn number(digits: &str) -> String {
    let is_plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'-') && digits != "-0";
    let float = digits
        .parse()
        .ok()
        .filter(|float: &f64| float.abs() < FLOAT_EXACT_MAX);
    let written = float.filter(|_| !is_plain).and_then(serde_json::Number::from_f64);
    let written = written.map(|number| number.to_string());
    let same = written.filter(|written| decimal(written).is_some_and(|value| decimal(digits) == Some(value)));
    same.unwrap_or_else(|| digits.to_owned())
}

/// Sign, digits from the first to the last that is not 0, and the power of ten of the last.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_end_matches('0');
    let power = power.parse::<i64>().ok()?.checked_sub(fraction.len() as i64)?;
    let power = power.checked_add((all.len() - significant.len()) as i64)?;
    let significant = significant.trim_start_matches('0').to_owned();
    let is_zero = significant.is_empty();
    Some((is_negative, significant, if is_zero { 0 } else { power }))
}

impl Claims {
    /// `None` where the token does not have it.
    pub(super) fn get(&self, name: &str) -> Option<Form<'_>> {
        self.values.get(name).map(|value| Form::of(value.get()))
    }

    pub(super) fn is_doubled(&self, name: &str) -> bool {
        self.doubled.iter().any(|doubled| doubled == name)
    }

    /// What rules may read, by the text form of the attribute; what they cannot under [`unreadable`], with why. Claims
    /// about the token itself are left out, and `null` is none.
    pub(super) fn attributes(&self) -> Vec<(String, String)> {
        let claims = self
            .values
            .iter()
            .filter(|(name, _)| !TOKEN_CLAIMS.contains(&name.as_str()));
        claims
            .filter_map(|(name, value)| {
                let read = match self.is_doubled(name) {
                    true => Err("stands in the token more than once".to_owned()),
                    false => value_of(value.get())?,
                };
                let name = format!("claim:{name}");
                Some(match read {
                    Ok(text) => (name, text),
                    Err(why) => (unreadable(&name), why),
                })
            })
            .collect()
    }
}

/// A claim as a rule reads it; `None` where there is nothing to read, an error that says why it cannot be read.
fn value_of(json: &str) -> Option<Result<String, String>> {
    match Form::of(json) {
        Form::Null => None,
        Form::Array(json) => Some(array_of(json)),
        form => Some(scalar(&form).map_err(str::to_owned)),
    }
}

fn scalar(form: &Form<'_>) -> Result<String, &'static str> {
    let text = match form {
        Form::Boolean(text) => Ok((*text).to_owned()),
        other => other.text().unwrap_or(Err(match other {
            Form::Null => "is null",
            Form::Array(_) => "is an array",
            _ => "is an object",
        })),
    }?;
    match check_text(&text) {
        Ok(()) => Ok(text),
        Err(_) if text.len() > VALUE_BYTES_MAX => Err("is longer than 256 bytes"),
        Err(_) => Err("has a control character"),
    }
}

/// Each element is read as a claim of its own would be, but for what is nothing: a rule cannot tell what it stands for.
fn array_of(json: &str) -> Result<String, String> {
    let elements: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| "cannot be read".to_owned())?;
    if elements.len() > ELEMENTS_MAX {
        return Err(format!("has more than {ELEMENTS_MAX} elements"));
    }
    let read = |element: &&RawValue| scalar(&Form::of(element.get()));
    let texts: Result<Vec<String>, _> = elements.iter().map(read).collect();
    Ok(array::of(
        texts.map_err(|why| format!("has an element that {why}"))?,
    ))
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ClaimsVisitor;
        impl<'de> Visitor<'de> for ClaimsVisitor {
            type Value = Claims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of claims")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
                let mut claims = Claims::default();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if claims.values.insert(name.clone(), value).is_some() {
                        claims.doubled.push(name);
                    }
                }
                Ok(claims)
            }
        }
        deserializer.deserialize_map(ClaimsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(value: &str) -> Vec<(String, String)> {
        let claims: Claims = serde_json::from_str(&format!(r#"{{"c": {value} }}"#)).expect(value);
        claims.attributes()
    }

    #[test]
    fn every_claim_is_read_or_named_with_why_not() {
        let long = format!("\"{}\"", "x".repeat(257));
        let longest = format!("\"{}\"", "x".repeat(256));
        let digits = "9".repeat(257);
        let text = "x".repeat(256);
        for (value, expected) in [
            (r#""evilcorp""#, Some(Ok("evilcorp"))),
            (r#""ü \u202e""#, Some(Ok("ü \u{202e}"))),
            (r#""""#, Some(Ok(""))),
            ("true", Some(Ok("true"))),
            (&longest, Some(Ok(text.as_str()))),
            ("null", None),
            (r#"{"id":"evilcorp"}"#, Some(Err("is an object"))),
            (&long, Some(Err("is longer than 256 bytes"))),
            (&digits, Some(Err("is longer than 256 bytes"))),
            (r#""evil\ncorp""#, Some(Err("has a control character"))),
            (r#""evilcorp\u0000""#, Some(Err("has a control character"))),
            (r#""\u001fevilcorp""#, Some(Err("has a control character"))),
            (r#""evil\ud800""#, Some(Err("has half a character"))),
        ] {
            let expected: Vec<(String, String)> = expected
                .into_iter()
                .map(|read| match read {
                    Ok(text) => ("claim:c".to_owned(), text.to_owned()),
                    Err(why) => ("unreadable:claim:c".to_owned(), why.to_owned()),
                })
                .collect();
            assert_eq!(attributes(value), expected, "{value}");
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        for (digits, written) in [
            ("1.50", "1.5"),
            ("1e2", "100.0"),
            ("100.0", "100.0"),
            ("0.00", "0.0"),
            ("-0", "-0.0"),
            ("1E-7", "1e-7"),
            ("0.1", "0.1"),
        ] {
            let expected = [("claim:c".to_owned(), written.to_owned())];
            assert_eq!(attributes(digits), expected, "{digits}");
            let before = serde_json::from_str::<serde_json::Number>(digits).expect("a number");
            assert_eq!(before.to_string(), written, "as releases before wrote it");
        }
        for digits in [
            "7",
            "-1.5",
            "0",
            "-7",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551616",
            "123456789012345678901234567890",
            "0.12345678901234567890123",
            "0.1000000000000000000001",
            "9007199254740992.5",
            "1e300",
            "1e400",
            "1e99999999999999999999",
        ] {
            let expected = [("claim:c".to_owned(), digits.to_owned())];
            assert_eq!(attributes(digits), expected);
            assert_eq!(attributes(&format!("[{digits}]")), expected, "[{digits}]");
        }
    }

    #[test]
    fn an_array_is_its_elements_and_one_that_cannot_be_read_spoils_it() {
        let many = format!("[{}]", vec!["\"a\""; 33].join(","));
        let most: Vec<String> = (0..32).map(|n| n.to_string()).collect();
        let all = array::of(most.clone());
        let most = format!("[{}]", most.join(", "));
        let two = array::of(["gold".to_owned(), "7".to_owned()]);
        for (value, expected) in [
            (r#"["evilcorp"]"#, Ok("evilcorp")),
            (r#"[ "gold" , 7 ]"#, Ok(&two)),
            (r#"["gold",7,"gold"]"#, Ok(&two)),
            (&most, Ok(all.as_str())),
            ("[true]", Ok("true")),
            ("[]", Ok("\u{1f}")),
            (&many, Err("has more than 32 elements")),
            ("[null]", Err("has an element that is null")),
            (r#"["gold",["x"]]"#, Err("has an element that is an array")),
            (r#"[{"id":"gold"}]"#, Err("has an element that is an object")),
            (r#"["a\n"]"#, Err("has an element that has a control character")),
        ] {
            let (name, text) = match expected {
                Ok(text) => ("claim:c", text),
                Err(why) => ("unreadable:claim:c", why),
            };
            assert_eq!(attributes(value), [(name.to_owned(), text.to_owned())], "{value}");
        }
    }

    #[test]
    fn a_claim_that_is_there_twice_is_not_one_of_the_two() {
        let claims: Claims =
            serde_json::from_str(r#"{"tier":"gold","sub":"a","tier":"gold","exp":1,"exp":2}"#).expect("JSON");
        let expected = [(
            "unreadable:claim:tier".to_owned(),
            "stands in the token more than once".to_owned(),
        )];
        assert_eq!(claims.attributes(), expected);
        assert!(claims.is_doubled("exp") && !claims.is_doubled("sub"));
    }
}
