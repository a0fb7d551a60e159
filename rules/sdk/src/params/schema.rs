//! Texts of a given form: what they share as JSON Schema and as serde values, and the id of an uploaded list.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::rule::Diagnostic;

/// Implements `JsonSchema` and `Deserialize` for a type that is a text of a certain form in JSON. The type has
/// `FromStr`, whose error is a sentence.
macro_rules! text_parameter {
    ($name:ident, pattern: $pattern:literal, examples: [$($example:literal),+]) => {
        impl schemars::JsonSchema for $name {
            // Written where it is used, so that a form shows pattern and examples beside the field.
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> alloc::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": $pattern, "examples": [$($example),+]})
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = alloc::string::String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(super) use text_parameter;

/// The id of an uploaded list. Whether the list exists is the host's question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListId(String);

impl ListId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::str::FromStr for ListId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let starts = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        if starts && text.len() <= 64 && text.bytes().all(inner) {
            return Ok(Self(text.into()));
        }
        Err("a list's id is 1 to 64 letters, digits, '.', '_' and '-', and starts with a letter or digit")
    }
}

text_parameter!(ListId, pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", examples: ["vip", "members-2026"]);

/// Refuses the value of an attribute, as a merchant wrote it, that no order can have or that was meant otherwise.
/// `pointer` is that of the list or table it stands in.
pub fn check_value(pointer: &str, value: &str, problems: &mut Vec<Diagnostic>) {
    const VALUE_BYTES_MAX: usize = 256;
    let (code, message, hint) = if value.is_empty() {
        let hint = "leave it out: orders without the attribute are among the others";
        ("empty", "a value is empty".into(), hint)
    } else if value.trim() != value {
        (
            "spaces",
            format!("{value:?} has spaces at an end"),
            "write the value exactly as the token has it",
        )
    } else if value.chars().any(char::is_control) {
        (
            "control-character",
            format!("{value:?} contains a control character"),
            "write the value on one line",
        )
    } else if value.len() > VALUE_BYTES_MAX {
        let message = format!("a value has {} bytes", value.len());
        ("too-long", message, "no order has a value of more than 256 bytes")
    } else {
        return;
    };
    problems.push(Diagnostic::error(pointer, code, message).hint(hint));
}
