//! Reads the sources of the configuration, one over the other, and says exactly where one is wrong.

use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::error::ConfigError;
use super::keys::{KEYS, Key};
use super::secrets::Given;
use super::{Config, seal, secrets};
use crate::bus::check_prefix;
use crate::campaign::RETENTION_DAYS_MAX;
use crate::wire::Unfit;

/// A flag that sets a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As it is typed: `--redis-url`.
    pub name: &'static str,
    pub key: &'static str,
}

/// Where values come from, besides the built-in ones.
pub struct Source<'a> {
    pub file: Option<&'a Path>,
    /// Reads an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// With the value that each was given.
    pub flags: Vec<(Flag, String)>,
}

/// Settles the configuration.
pub fn load(source: &Source<'_>) -> Result<Config, ConfigError> {
    resolve(source, &read(source)?)
}

/// The text of the file; empty where there is none.
pub(super) fn read(source: &Source<'_>) -> Result<String, ConfigError> {
    let Some(path) = source.file else {
        return Ok(String::new());
    };
    std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable {
        path: path.to_owned(),
        cause,
    })
}

/// `text` is the file's.
pub(super) fn resolve(source: &Source<'_>, text: &str) -> Result<Config, ConfigError> {
    let mut given = Given::default();
    let mut config = match source.file {
        None => Config::default(),
        Some(path) => {
            let config = parse(path, text)?;
            given.file(path, text);
            config
        }
    };
    for key in KEYS {
        let name = key.env_name();
        if let Some(value) = (source.env)(&name) {
            config = set(&config, key.name, &value).map_err(|message| ConfigError::Value {
                at: name.clone(),
                message,
            })?;
            given.put(key.name, name, &value);
        }
    }
    for (Flag { name, key }, value) in &source.flags {
        config = set(&config, key, value).map_err(|message| ConfigError::Value {
            at: (*name).to_owned(),
            message,
        })?;
        given.put(key, (*name).to_owned(), value);
    }
    secrets::resolve(&mut config, &given, source.env)?;
    config.kafka.rename_options()?;
    check(&config)?;
    config.keyring = seal::keyring(&config.seal, &mut config.warnings, &mut config.secret_files)?;
    Ok(config)
}

/// Reads a file's text; `path` is for messages.
pub(super) fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = &text[..start.min(text.len())];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text[line_start..].lines().next().unwrap_or_default();
        ConfigError::File {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: secrets::discreet(line, error.message()),
        }
    })
}

/// The configuration with one key set. Text from outside has no type: it is tried as a text, then as
/// a number or a boolean.
fn set(config: &Config, key: &str, text: &str) -> Result<Config, String> {
    let as_text = Value::String(text.to_owned());
    let as_scalar = match (text.parse::<i64>(), text.parse::<f64>(), text.parse::<bool>()) {
        (Ok(number), ..) => Some(Value::Integer(number)),
        (_, Ok(number), _) => Some(Value::Float(number)),
        (.., Ok(flag)) => Some(Value::Boolean(flag)),
        _ => None,
    };
    let with = |value: Value| {
        let mut table = Table::try_from(config).map_err(|error| error.to_string())?;
        put(&mut table, key, value);
        let mut set = Config::deserialize(table).map_err(|error| secrets::discreet(key, error.message()))?;
        set.admin_token = config.admin_token.clone();
        set.payment_token = config.payment_token.clone();
        Ok(set)
    };
    // Where neither fits, the message about the text is the one that names what was written.
    with(as_text).or_else(|error: String| match as_scalar {
        Some(scalar) => with(scalar).map_err(|_| error),
        None => Err(error),
    })
}

pub(super) fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table
                .entry(section.to_owned())
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

fn check(config: &Config) -> Result<(), ConfigError> {
    let table = Table::try_from(config).unwrap_or_default();
    let at = |key: &str| {
        let (section, rest) = key.split_once('.')?;
        table.get(section)?.get(rest)?.as_integer()
    };
    let zero = |key: &&Key| key.at_least_one && at(key.name) == Some(0);
    if let Some(Key { name: key, .. }) = KEYS.iter().find(zero) {
        return Err(ConfigError::Zero { key });
    }
    if config.listen == config.admin_listen && config.listen.port() != 0 {
        return Err(ConfigError::SameAddress(config.listen));
    }
    let days = config.campaigns.retention_days;
    if !(1..=RETENTION_DAYS_MAX).contains(&days) {
        let message = format!("{days} is not within 1 to {RETENTION_DAYS_MAX}");
        return Err(Unfit::new("campaigns.retention_days", message).into());
    }
    config.auth.check()?;
    config.gateway.check()?;
    config.cors.check()?;
    config.admin.check()?;
    config.redis.check()?;
    config.database.check()?;
    config.kafka.check_brokers()?;
    check_prefix(&config.kafka.prefix).map_err(|error| Unfit::new("kafka.prefix", error))?;
    config.landing.check()?;
    config.kafka.check_options()?;
    config.log.check()?;
    Ok(())
}
