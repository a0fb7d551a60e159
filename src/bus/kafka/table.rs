//! Options of librdkafka, as a configuration or the environment writes them.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

/// Options of librdkafka have dots in their names, which TOML reads as tables in tables unless they
/// are quoted: both are taken. Numbers and booleans become the text librdkafka wants.
pub(super) fn options<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, String>, D::Error> {
    let mut options = BTreeMap::new();
    match Value::deserialize(d)? {
        Value::Table(table) => flatten("", table, &mut options).map_err(D::Error::custom)?,
        Value::String(text) => {
            let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
            for (at, pair) in pairs.enumerate() {
                // What it says is not shown: it may be what follows a comma in a password.
                let (name, value) = pair.split_once('=').ok_or_else(|| {
                    D::Error::custom(format!(
                        "entry {} is not of the form name=value,name=value; a value that holds a comma has its place in \
                         the file",
                        at + 1
                    ))
                })?;
                options.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
        _ => {
            return Err(D::Error::custom(
                "a table, or text name=value,name=value, is expected",
            ));
        }
    }
    Ok(options)
}

fn flatten(prefix: &str, table: Table, options: &mut BTreeMap<String, String>) -> Result<(), String> {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        let text = match value {
            Value::String(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Boolean(flag) => flag.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Table(inner) => {
                flatten(&format!("{name}."), inner, options)?;
                continue;
            }
            Value::Array(_) | Value::Datetime(_) => {
                return Err(format!(
                    "option {name}: a text, a number or a boolean is expected"
                ));
            }
        };
        options.insert(name, text);
    }
    Ok(())
}
