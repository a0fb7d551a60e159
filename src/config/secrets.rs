//! Secrets: each may stand in a file of its own, none is given twice, and none is ever shown.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use toml::Table;

use super::Config;
use super::error::ConfigError;
use super::keys::{KEYS, Key, env_name};
use crate::bus::kafka;
use crate::wire::secret::{exposed, is_secret_name, shown_path};

pub(super) const TOKEN_VARIABLE: &str = "RUSHGATE_ADMIN_TOKEN";
pub(super) const PAYMENT_TOKEN_VARIABLE: &str = "RUSHGATE_PAYMENT_TOKEN";
/// Bytes of the file of a secret.
const BYTES_MAX: u64 = 64 * 1024;
/// librdkafka's option.
const SASL_PASSWORD: &str = "sasl.password";
/// An option of librdkafka with this ending names a file that holds the option's value.
const FILE: &str = "_file";
/// Where each key was found last: in the file, the environment, or a flag.
#[derive(Default)]
pub(super) struct Given(BTreeMap<String, String>);

impl Given {
    /// The empty text is as good as none, where a secret is meant.
    pub(super) fn put(&mut self, key: &str, at: String, value: &str) {
        match value.is_empty() {
            true => self.0.remove(key),
            false => self.0.insert(key.to_owned(), at),
        };
    }

    pub(super) fn file(&mut self, path: &Path, text: &str) {
        let table: Table = text.parse().unwrap_or_default();
        for Key { name: key, .. } in KEYS {
            let found = match key.split_once('.') {
                None => table.get(*key),
                Some((section, rest)) => table.get(section).and_then(|inner| inner.get(rest)),
            };
            if let Some(value) = found {
                let value = value.as_str().map_or("set", |text| text);
                self.put(key, format!("{key} ({})", path.display()), value);
            }
        }
    }

    fn at(&self, key: &str) -> Option<&String> {
        self.0.get(key)
    }
}

/// Puts every secret where it is used: from its file, or from beside a URL.
pub(super) fn resolve(
    config: &mut Config,
    given: &Given,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ConfigError> {
    let mut files = Files {
        given,
        warnings: &mut config.warnings,
        read: &mut config.secret_files,
    };
    let (at, token) = of_environment(TOKEN_VARIABLE, env);
    config.admin_token = files.one("admin_token_file", &config.admin_token_file, at, token)?;
    let (at, token) = of_environment(PAYMENT_TOKEN_VARIABLE, env);
    config.payment_token = files.one("payment_token_file", &config.payment_token_file, at, token)?;
    check_payment_token(config.admin_token.as_deref(), config.payment_token.as_deref())?;

    let (redis, database) = (&mut config.redis, &mut config.database);
    for (section, url, url_file, password, password_file) in [
        (
            "redis",
            &mut redis.url,
            &redis.url_file,
            &mut redis.password,
            &redis.password_file,
        ),
        (
            "database",
            &mut database.url,
            &database.url_file,
            &mut database.password,
            &database.password_file,
        ),
    ] {
        let [url_key, password_key] = ["url", "password"].map(|name| format!("{section}.{name}"));
        let url_at = given.at(&url_key).cloned();
        if let Some(read) = files.one(&format!("{url_key}{FILE}"), url_file, url_at, None)? {
            *url = read;
        }
        check_url(&url_key, url)?;
        let (at, plain) = (given.at(&password_key).cloned(), filled(password.take()));
        let file_key = format!("{password_key}{FILE}");
        if let Some(secret) = files.one(&file_key, password_file, at, plain)? {
            let at = given
                .at(&password_key)
                .or(given.at(&file_key))
                .unwrap_or(&password_key);
            *url = with_password(&url_key, at, url, &secret)?;
        }
    }

    resolve_kafka(&mut config.kafka, &mut files)
}

/// A secret that no key of the file holds, and where it was found.
fn of_environment(variable: &str, env: &dyn Fn(&str) -> Option<String>) -> (Option<String>, Option<String>) {
    let secret = filled(env(variable));
    (secret.as_ref().map(|_| variable.to_owned()), secret)
}

/// A payment system may do less than whoever has the control plane's token: so there has to be that one, and another.
fn check_payment_token(admin: Option<&str>, payment: Option<&str>) -> Result<(), ConfigError> {
    let message = match (admin, payment) {
        (_, None) => return Ok(()),
        (None, Some(_)) => {
            "without RUSHGATE_ADMIN_TOKEN every program of this machine may do everything: set that, too"
        }
        (Some(admin), Some(payment)) if admin == payment => {
            "is the token of the control plane, with which everything is allowed: make another one"
        }
        _ => return Ok(()),
    };
    Err(ConfigError::Value {
        at: PAYMENT_TOKEN_VARIABLE.to_owned(),
        message: message.to_owned(),
    })
}

fn resolve_kafka(kafka: &mut kafka::Config, files: &mut Files<'_>) -> Result<(), ConfigError> {
    let given = files.given;
    for (at, options) in [
        ("kafka.options", &mut kafka.options),
        ("kafka.producer", &mut kafka.producer),
        ("kafka.consumer", &mut kafka.consumer),
    ] {
        files.options(at, options)?;
    }
    let (at, plain) = (
        given.at("kafka.sasl_password").cloned(),
        filled(kafka.sasl_password.take()),
    );
    if let Some(secret) = files.one("kafka.sasl_password_file", &kafka.sasl_password_file, at, plain)? {
        let tables = [&kafka.options, &kafka.producer, &kafka.consumer];
        if tables.iter().any(|options| options.contains_key(SASL_PASSWORD)) {
            let key = ["kafka.sasl_password", "kafka.sasl_password_file"];
            return Err(ConfigError::Both {
                one: key
                    .iter()
                    .find_map(|key| given.at(key))
                    .map_or(key[0], String::as_str)
                    .to_owned(),
                other: format!("the option {SASL_PASSWORD:?} of Kafka"),
            });
        }
        kafka.options.insert(SASL_PASSWORD.to_owned(), secret);
    }
    Ok(())
}

/// The control plane's token as the environment alone gives it: for commands that read no configuration.
pub fn admin_token(env: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, ConfigError> {
    let (key, mut given) = ("admin_token_file", Given::default());
    let path = env(&env_name(key));
    if let Some(path) = &path {
        given.put(key, env_name(key), path);
    }
    let mut files = Files {
        given: &given,
        // Whoever runs the command does not keep the file.
        warnings: &mut Vec::new(),
        read: &mut Vec::new(),
    };
    let (at, token) = of_environment(TOKEN_VARIABLE, env);
    files.one(key, &path.map(PathBuf::from), at, token)
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

struct Files<'a> {
    given: &'a Given,
    warnings: &'a mut Vec<String>,
    read: &'a mut Vec<(String, PathBuf)>,
}

impl Files<'_> {
    /// The secret itself (`plain`, found `at`), or what its file holds; `file_key` names the latter.
    fn one(
        &mut self,
        file_key: &str,
        path: &Option<PathBuf>,
        at: Option<String>,
        plain: Option<String>,
    ) -> Result<Option<String>, ConfigError> {
        let Some(path) = path.as_ref().filter(|path| !path.as_os_str().is_empty()) else {
            return Ok(plain);
        };
        let file_at = self
            .given
            .at(file_key)
            .map_or(file_key, String::as_str)
            .to_owned();
        match at {
            Some(one) => Err(ConfigError::Both { one, other: file_at }),
            None => self.read(file_at, path).map(Some),
        }
    }

    /// Options of librdkafka that name files of secrets.
    fn options(&mut self, at: &str, options: &mut BTreeMap<String, String>) -> Result<(), ConfigError> {
        let names: Vec<String> = options
            .keys()
            .filter(|name| name.ends_with(FILE))
            .cloned()
            .collect();
        for name in names {
            let path = options.remove(&name).unwrap_or_default();
            let option = name.trim_end_matches(FILE).to_owned();
            if options.contains_key(&option) {
                return Err(ConfigError::Both {
                    one: format!("{at}: {option}"),
                    other: format!("{at}: {name}"),
                });
            }
            let secret = self.read(format!("{at}: {name}"), Path::new(&path))?;
            options.insert(option, secret);
        }
        Ok(())
    }

    /// Everything in the file but the line feed at its end.
    fn read(&mut self, at: String, path: &Path) -> Result<String, ConfigError> {
        let unreadable = |cause| ConfigError::UnreadableSecret {
            at: at.clone(),
            path: shown_path(path),
            cause,
        };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(BYTES_MAX + 1)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        let secret = text.trim_end_matches(['\n', '\r']);
        let wrong = |message: &str| {
            Err(ConfigError::Value {
                at: at.clone(),
                message: format!("{} {message}", shown_path(path)),
            })
        };
        if secret.is_empty() {
            return wrong("is empty");
        }
        if text.len() as u64 > BYTES_MAX {
            return wrong("is larger than any secret");
        }
        if secret.contains(['\n', '\r', '\0']) {
            return wrong("holds more than one line");
        }
        self.warnings.extend(exposed(&at, path));
        self.read.push((at, path.to_owned()));
        Ok(secret.to_owned())
    }
}

/// Whether a URL of a server can be taken apart without showing a part of its password as something else.
fn check_url(key: &str, url: &str) -> Result<(), ConfigError> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Ok(());
    };
    if scheme.contains("unix") || scheme == "sqlite" {
        return Ok(());
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match rest.contains('@') && !authority.contains('@') {
        true => Err(ConfigError::Value {
            at: key.to_owned(),
            message:
                "its user or password holds /, ? or #; write %2F, %3F or %23, or give the password by itself"
                    .to_owned(),
        }),
        false => Ok(()),
    }
}

/// The URL with the password that was given `at`.
fn with_password(key: &str, at: &str, url: &str, password: &str) -> Result<String, ConfigError> {
    let both = || ConfigError::Both {
        one: format!("a password in {key}"),
        other: at.to_owned(),
    };
    let wrong = |message: &str| ConfigError::Value {
        at: at.to_owned(),
        message: message.to_owned(),
    };
    let encoded = utf8_percent_encode(password, NON_ALPHANUMERIC);
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| *scheme != "sqlite") else {
        return Err(wrong(&format!("what {key} names takes no password")));
    };
    if scheme.contains("unix") {
        let (_, query) = rest.split_once('?').unwrap_or((rest, ""));
        if query.split('&').any(|pair| pair.starts_with("pass=")) {
            return Err(both());
        }
        let joint = if rest.contains('?') { '&' } else { '?' };
        return Ok(format!("{url}{joint}pass={encoded}"));
    }
    let (user, host) = rest.split_once('@').unwrap_or(("", rest));
    match user.contains(':') {
        true => Err(both()),
        false => Ok(format!("{scheme}://{user}:{encoded}@{host}")),
    }
}

/// A message about a line, without the value that it may quote: nobody knows what was mistyped there.
pub(super) fn discreet(line: &str, message: &str) -> String {
    let quotes = message.starts_with("invalid type:") || message.starts_with("invalid value:");
    let about = line.split('=').next().unwrap_or_default();
    let hidden = is_secret_name(line) || about.contains("url") || about.contains("options");
    match message.split_once(", expected ") {
        Some((_, expected)) if quotes && hidden => format!("the value is not {expected} (it is not shown)"),
        None if quotes && hidden => "the value does not fit (it is not shown)".to_owned(),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
