//! What each key is, and where that was said: for people who look for the source that won. Secrets are told as such, never shown.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::DeTable;
use toml::{Spanned, Table, Value};

use super::error::ConfigError;
use super::keys::{KEYS, Key};
use super::load::{self, Source};
use super::reread::get;
use super::secrets::{PAYMENT_TOKEN_VARIABLE, TOKEN_VARIABLE};
use crate::wire::secret::{is_secret_name, shown_path, shown_url};

/// Who said what a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingOrigin {
    BuiltIn,
    /// The line counts from 1.
    File {
        path: PathBuf,
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// As it is typed: `--redis-url`.
    Flag(&'static str),
}

impl SettingOrigin {
    /// One word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::File { .. } => "file",
            Self::Variable(_) => "environment",
            Self::Flag(_) => "flag",
        }
    }
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// What a key is, as far as it may be shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// It has no value.
    None,
    Hidden,
    Value(Value),
}

/// A key of the configuration that is in force, and the control plane's tokens, which are none.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    pub key: &'static str,
    pub value: Shown,
    pub origin: SettingOrigin,
}

/// Every key, in the order of the example file; fails where a role would not start with it.
pub fn settings(source: &Source<'_>) -> Result<Vec<Setting>, ConfigError> {
    let text = load::read(source)?;
    let config = load::resolve(source, &text)?;
    let said = Said {
        source,
        file: DeTable::parse(&text).ok(),
        text: &text,
    };
    let table = Table::try_from(&config).unwrap_or_default();
    let mut settings: Vec<Setting> = KEYS
        .iter()
        .map(|Key { name: key, .. }| Setting {
            key,
            value: match said.secret(key) {
                true => Shown::Hidden,
                false => get(&table, key).map_or(Shown::None, |value| shown(key, value)),
            },
            origin: said.origin(key),
        })
        .collect();
    let tokens = [
        (
            "admin_token",
            "admin_token_file",
            TOKEN_VARIABLE,
            &config.admin_token,
        ),
        (
            "payment_token",
            "payment_token_file",
            PAYMENT_TOKEN_VARIABLE,
            &config.payment_token,
        ),
    ];
    for (key, file, variable, token) in tokens {
        if token.is_none() {
            continue;
        }
        settings.push(Setting {
            key,
            value: Shown::Hidden,
            origin: match (source.env)(variable).filter(|token| !token.is_empty()) {
                Some(_) => SettingOrigin::Variable(variable.to_owned()),
                None => said.origin(file),
            },
        });
    }
    Ok(settings)
}

/// The sources, to be asked who said something last.
struct Said<'a> {
    source: &'a Source<'a>,
    file: Option<Spanned<DeTable<'a>>>,
    text: &'a str,
}

impl Said<'_> {
    /// A URL that was read from a file comes from where that file is named.
    fn origin(&self, key: &str) -> SettingOrigin {
        let beside = format!("{key}_file");
        match self.last(key) {
            SettingOrigin::BuiltIn if key.ends_with(".url") => self.last(&beside),
            origin => origin,
        }
    }

    fn last(&self, key: &str) -> SettingOrigin {
        let mut flags = self.source.flags.iter().rev();
        if let Some((flag, _)) = flags.find(|(flag, _)| flag.key == key) {
            return SettingOrigin::Flag(flag.name);
        }
        let variable = super::env_name(key);
        if (self.source.env)(&variable).is_some() {
            return SettingOrigin::Variable(variable);
        }
        match (self.source.file, self.line(key)) {
            (Some(path), Some(line)) => SettingOrigin::File {
                path: path.to_owned(),
                line,
            },
            _ => SettingOrigin::BuiltIn,
        }
    }

    /// Where the file names a key; lines count from 1.
    fn line(&self, key: &str) -> Option<usize> {
        let table = self.file.as_ref()?.get_ref();
        let start = match key.split_once('.') {
            None => table.get_key_value(key)?.0.span().start,
            Some((section, rest)) => {
                let section = table.get(section)?.get_ref().as_table()?;
                section.get_key_value(rest)?.0.span().start
            }
        };
        Some(self.text[..start.min(self.text.len())].matches('\n').count() + 1)
    }

    /// Whether a key is a secret that somebody gave: settling the configuration puts it where it is used.
    fn secret(&self, key: &str) -> bool {
        key.ends_with("password") && self.last(key) != SettingOrigin::BuiltIn
    }
}

fn shown(key: &str, value: &Value) -> Shown {
    Shown::Value(match value {
        Value::String(url) if key.ends_with("url") => shown_url(url).into(),
        Value::String(path) if key.ends_with("_file") => shown_path(Path::new(path)).into(),
        Value::String(keys) if key == "seal.keys" => seal_keys(keys).into(),
        Value::Table(options) => Value::Table(options.iter().map(option).collect()),
        value => value.clone(),
    })
}

fn seal_keys(keys: &str) -> String {
    let shown = keys.split(',').map(|key| match key.split_once(':') {
        Some((id, path)) => format!("{}:{}", id.trim(), shown_path(Path::new(path.trim()))),
        None => String::new(),
    });
    shown.collect::<Vec<_>>().join(",")
}

/// Of what an option of librdkafka says about how to connect, only what is known to be none is no secret.
fn option((name, value): (&String, &Value)) -> (String, Value) {
    let about_login = name.starts_with("sasl.") || name.starts_with("ssl.");
    let harmless = name.ends_with(".location") || name.starts_with("sasl.mechanism");
    let hidden = !harmless && (about_login || is_secret_name(name));
    let value = if hidden { HIDDEN.into() } else { value.clone() };
    (name.clone(), value)
}

/// Stands for a secret.
pub const HIDDEN: &str = "(hidden)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flag;

    const FILE: &str = "listen = \"127.0.0.1:1\"\nadmin_listen = \"127.0.0.1:2\"\n\n[redis]\nurl = \
                        \"redis://:s3cret@cache\"\n\n[landing]\nbatch = 7\n\n[kafka.options]\n\"security.protocol\" = \
                        \"SASL_SSL\"\n\"sasl.mechanisms\" = \"PLAIN\"\n\"sasl.username\" = \"u\"\n\"sasl.password\" = \
                        \"s3cret\"\n\"client.rack\" = \"a\"\n";

    fn found(env: &[(&str, &str)]) -> Vec<Setting> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rushgate.toml");
        std::fs::write(&path, FILE).expect("written");
        let env = |name: &str| {
            let found = env.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let listen = Flag {
            name: "--listen",
            key: "listen",
        };
        let mut settings = settings(&Source {
            file: Some(&path),
            env: &env,
            flags: vec![(listen, "127.0.0.1:9".to_owned())],
        })
        .expect("valid");
        for setting in &mut settings {
            if let SettingOrigin::File { path, .. } = &mut setting.origin {
                *path = "rushgate.toml".into();
            }
        }
        settings
    }

    #[test]
    fn each_value_says_where_it_was_said_last() {
        let settings = found(&[
            ("RUSHGATE_LISTEN", "127.0.0.1:8"),
            ("RUSHGATE_LANDING_CONSUMERS", "3"),
            ("RUSHGATE_DATABASE_PASSWORD", "s3cret"),
            ("RUSHGATE_ADMIN_TOKEN", "s3cret"),
        ]);
        let said = |key: &str| {
            let setting = settings.iter().find(|setting| setting.key == key).expect(key);
            let value = match &setting.value {
                Shown::None => "none".to_owned(),
                Shown::Hidden => HIDDEN.to_owned(),
                Shown::Value(value) => value.to_string(),
            };
            format!("{value} {}", setting.origin)
        };
        for (key, wanted) in [
            ("listen", "\"127.0.0.1:9\" --listen"),
            ("admin_listen", "\"127.0.0.1:2\" rushgate.toml:2"),
            ("redis.url", "\"redis://cache\" rushgate.toml:5"),
            ("landing.batch", "7 rushgate.toml:8"),
            ("landing.consumers", "3 RUSHGATE_LANDING_CONSUMERS"),
            ("kafka.prefix", "\"rushgate\" built-in"),
            ("database.password", "(hidden) RUSHGATE_DATABASE_PASSWORD"),
            ("redis.password", "none built-in"),
            ("admin_token", "(hidden) RUSHGATE_ADMIN_TOKEN"),
        ] {
            assert_eq!(said(key), wanted, "{key}");
        }
        let options = said("kafka.options");
        assert!(
            options.contains("\"client.rack\" = \"a\"") && options.ends_with(" rushgate.toml:10"),
            "{options}"
        );
        assert_eq!(settings.len(), KEYS.len() + 1);
        assert!(!format!("{settings:?}").contains("s3cret"), "{settings:?}");
    }

    #[test]
    fn a_url_from_a_file_comes_from_where_the_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = folder.path().join("url");
        std::fs::write(&url, "mysql://me:s3cret@db/sales\n").expect("written");
        let settings = found(&[("RUSHGATE_DATABASE_URL_FILE", url.to_str().expect("UTF-8"))]);
        let setting = settings
            .iter()
            .find(|setting| setting.key == "database.url")
            .expect("a key");
        assert_eq!(setting.value, Shown::Value("mysql://db/sales".into()));
        assert_eq!(setting.origin.to_string(), "RUSHGATE_DATABASE_URL_FILE");
        assert!(!format!("{settings:?}").contains("s3cret"));
    }
}
