//! Reads the sources of the configuration, one over the other, and says exactly where one is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

use super::keys::{KEYS, env_name};
use super::secrets::Given;
use super::{Config, seal, secrets, tokens};
use crate::bus::check_prefix;
use crate::bus::kafka::{Side, check_connection, check_options};
use crate::campaign::RETENTION_DAYS_MAX;

/// Longest `landing.busy_wait_ms`.
const BUSY_WAIT_MAX_MS: u64 = 1000;

/// Keys that a setting of 0 would stop dead.
const AT_LEAST_ONE: &[&str] = &[
    "kafka.partitions",
    "kafka.replication",
    "database.connections",
    "auth.jwks_every_ms",
    "auth.keys_keep_ms",
    "gateway.connections",
    "gateway.in_vain",
    "gateway.memory_mb",
    "gateway.header_timeout_ms",
    "gateway.body_timeout_ms",
    "gateway.write_timeout_ms",
    "gateway.database_wait_ms",
    "admin.connections",
    "admission.queue",
    "admission.batch",
    "admission.deadline_ms",
    "admission.watch_ms",
    "relay.every_ms",
    "relay.lease_ms",
    "relay.in_flight",
    "reconcile.lease_ms",
    "reconcile.patience_ms",
    "landing.consumers",
    "landing.batch",
    "landing.poison_window",
    "flow.backlog_max",
    "flow.every_ms",
    "ready.outbox_max",
    "sample.attempts_per_second",
];

/// What is wrong with the configuration, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {cause}", path = path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    /// Line and column count from 1.
    #[error("{path}:{line}:{column}: {message}", path = path.display())]
    File {
        path: PathBuf,
        line: usize,
        column: usize,
        message: String,
    },
    /// `at` is an environment variable or a flag.
    #[error("{at}: {message}")]
    Value { at: String, message: String },
    /// `at` names the option; `path` is as it may be shown.
    #[error("{at}: cannot read {path}: {cause}")]
    UnreadableSecret {
        at: String,
        path: String,
        cause: std::io::Error,
    },
    /// Where both were found.
    #[error("{one} and {other} are both given; leave one of them out")]
    Both { one: String, other: String },
    #[error("{key} must be at least 1")]
    Zero { key: &'static str },
    #[error(
        "listen and admin_listen are both {0}: the control plane needs an address of its own (--admin-listen)"
    )]
    SameAddress(std::net::SocketAddr),
}

/// Where values come from, besides the built-in ones.
pub struct Source<'a> {
    pub file: Option<&'a Path>,
    /// Reads an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// (flag as typed, key, value).
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// Settles the configuration.
pub fn load(source: &Source<'_>) -> Result<Config, ConfigError> {
    let mut given = Given::default();
    let mut config = match source.file {
        None => Config::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable {
                path: path.to_owned(),
                cause,
            })?;
            let config = parse(path, &text)?;
            given.file(path, &text);
            config
        }
    };
    for key in KEYS {
        let name = env_name(key);
        if let Some(value) = (source.env)(&name) {
            config = set(&config, key, &value).map_err(|message| ConfigError::Value {
                at: name.clone(),
                message,
            })?;
            given.put(key, name, &value);
        }
    }
    for (flag, key, value) in &source.flags {
        config = set(&config, key, value).map_err(|message| ConfigError::Value {
            at: (*flag).to_owned(),
            message,
        })?;
        given.put(key, (*flag).to_owned(), value);
    }
    secrets::settle(&mut config, &given, source.env)?;
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
    if let Some(key) = AT_LEAST_ONE.iter().find(|key| at(key) == Some(0)) {
        return Err(ConfigError::Zero { key });
    }
    if config.listen == config.admin_listen && config.listen.port() != 0 {
        return Err(ConfigError::SameAddress(config.listen));
    }
    let days = config.campaigns.retention_days;
    if !(1..=RETENTION_DAYS_MAX).contains(&days) {
        return Err(ConfigError::Value {
            at: "campaigns.retention_days".to_owned(),
            message: format!("{days} is not within 1 to {RETENTION_DAYS_MAX}"),
        });
    }
    tokens::check(config)?;
    check_listeners(config)?;
    check_landing(config)
}

fn check_listeners(config: &Config) -> Result<(), ConfigError> {
    let wrong = |at: &str, message: &str| {
        let (at, message) = (at.to_owned(), message.to_owned());
        Err(ConfigError::Value { at, message })
    };
    let (gateway, admin) = (&config.gateway, &config.admin);
    if !gateway.proxies.is_empty() && gateway.trusted_proxies > 0 {
        return wrong(
            "gateway.trusted_proxies",
            "gateway.proxies names the proxies, so they need not be counted: leave this at 0",
        );
    }
    for (section, cert, key) in [
        ("gateway", &gateway.tls_cert_file, &gateway.tls_key_file),
        ("admin", &admin.tls_cert_file, &admin.tls_key_file),
    ] {
        match (cert, key) {
            (Some(_), None) => {
                return wrong(
                    &format!("{section}.tls_key_file"),
                    "the certificate needs its key",
                );
            }
            (None, Some(_)) => {
                return wrong(
                    &format!("{section}.tls_cert_file"),
                    "the key needs its certificate",
                );
            }
            _ => {}
        }
    }
    match (&admin.tls_client_ca_file, &admin.tls_cert_file) {
        (Some(_), None) => wrong(
            "admin.tls_cert_file",
            "certificates of clients (admin.tls_client_ca_file) need TLS: name the listener's own certificate and key",
        ),
        _ => Ok(()),
    }
}

fn check_landing(config: &Config) -> Result<(), ConfigError> {
    let wrong = |at: &str, message: String| {
        let at = at.to_owned();
        Err(ConfigError::Value { at, message })
    };
    if let Err(error) = check_prefix(&config.kafka.prefix) {
        return wrong("kafka.prefix", error.to_string());
    }
    if let Err(error) = config.topics() {
        return wrong("landing.retry_delays", error.to_string());
    }
    let busy = config.landing.busy_wait_ms;
    if busy > BUSY_WAIT_MAX_MS {
        let message = format!("{busy} is more than {BUSY_WAIT_MAX_MS}: orders would be late, and no cheaper");
        return wrong("landing.busy_wait_ms", message);
    }
    let share = config.landing.poison_share;
    if !(0.0..=1.0).contains(&share) {
        return wrong("landing.poison_share", format!("{share} is not within 0 to 1"));
    }
    for (at, side, options) in [
        ("kafka.options", Side::Both, &config.kafka.options),
        ("kafka.producer", Side::Producer, &config.kafka.producer),
        ("kafka.consumer", Side::Consumer, &config.kafka.consumer),
    ] {
        if let Err(error) = check_options(side, options) {
            return wrong(at, error.to_string());
        }
    }
    if let Err(error) = check_connection(&config.kafka.options) {
        return wrong("kafka.options", error.to_string());
    }
    Ok(())
}

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
