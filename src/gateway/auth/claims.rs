//! The claims of a verified token as rules read them: texts, and which of them cannot be read.
//!
//! A claim that is there and cannot be read is never left out: a rule that reads it would take the buyer for one
//! without it, and a list that turns somebody away would let them pass.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::order::unreadable;
use crate::plan::TOKEN_CLAIMS;
use crate::wire::check_text;

/// Integers above it have no exact text any more once they were read as a float.
const FLOAT_EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The payload of a token.
#[derive(Debug, Default)]
pub(super) struct Claims {
    values: BTreeMap<String, Value>,
    /// Names that stand in it more than once.
    doubled: Vec<String>,
}

impl Claims {
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
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
                    true => Err("stands in the token more than once"),
                    false => scalar(value)?,
                };
                let name = format!("claim:{name}");
                Some(match read {
                    Ok(text) => (name, text),
                    Err(why) => (unreadable(&name), why.to_owned()),
                })
            })
            .collect()
    }
}

/// A claim as a rule reads it; `None` where there is nothing to read, an error that says why it cannot be read.
fn scalar(value: &Value) -> Option<Result<String, &'static str>> {
    let text = match value {
        Value::Null => return None,
        Value::Array(_) => return Some(Err("is an array")),
        Value::Object(_) => return Some(Err("is an object")),
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.abs() >= FLOAT_EXACT_MAX => {
                return Some(Err("is a number too large to be exact"));
            }
            _ => number.to_string(),
        },
    };
    Some(match check_text(&text) {
        Ok(()) => Ok(text),
        Err(_) if text.len() > crate::order::VALUE_BYTES_MAX => Err("is longer than 256 bytes"),
        Err(_) => Err("has a control character"),
    })
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
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
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

    #[test]
    fn every_claim_is_read_or_named_with_why_not() {
        let long = format!("\"{}\"", "x".repeat(257));
        let longest = format!("\"{}\"", "x".repeat(256));
        let text = "x".repeat(256);
        for (value, expected) in [
            (r#""evilcorp""#, Some(Ok("evilcorp"))),
            (r#""ü \u202e""#, Some(Ok("ü \u{202e}"))),
            (r#""""#, Some(Ok(""))),
            ("true", Some(Ok("true"))),
            ("7", Some(Ok("7"))),
            ("-1.5", Some(Ok("-1.5"))),
            ("18446744073709551615", Some(Ok("18446744073709551615"))),
            (&longest, Some(Ok(text.as_str()))),
            ("null", None),
            ("[]", Some(Err("is an array"))),
            (r#"["evilcorp"]"#, Some(Err("is an array"))),
            (r#"{"id":"evilcorp"}"#, Some(Err("is an object"))),
            (&long, Some(Err("is longer than 256 bytes"))),
            (r#""evil\ncorp""#, Some(Err("has a control character"))),
            (r#""evilcorp\u0000""#, Some(Err("has a control character"))),
            (
                "18446744073709551616",
                Some(Err("is a number too large to be exact")),
            ),
            ("1e300", Some(Err("is a number too large to be exact"))),
        ] {
            let claims: Claims = serde_json::from_str(&format!(r#"{{"c":{value}}}"#)).expect(value);
            let expected: Vec<(String, String)> = expected
                .into_iter()
                .map(|read| match read {
                    Ok(text) => ("claim:c".to_owned(), text.to_owned()),
                    Err(why) => ("unreadable:claim:c".to_owned(), why.to_owned()),
                })
                .collect();
            assert_eq!(claims.attributes(), expected, "{value}");
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
