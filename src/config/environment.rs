//! The variables of the environment that are rushgate's by their name, and those among them that nobody reads.

use std::collections::BTreeSet;
use std::ffi::OsString;

use strsim::levenshtein;

use super::error::ConfigError;
use super::keys::{KEYS, Key};
use super::secrets::{PAYMENT_TOKEN_VARIABLE, TOKEN_VARIABLE};

const PREFIX: &str = "RUSHGATE_";
/// Variables that are read and are no keys; the last arms a failpoint.
const OTHERS: &[&str] = &[
    "RUSHGATE_CONFIG",
    TOKEN_VARIABLE,
    PAYMENT_TOKEN_VARIABLE,
    "RUSHGATE_ADMIN_URL",
    "RUSHGATE_ADMIN_CA_FILE",
    "RUSHGATE_ADMIN_CLIENT_CERTIFICATE_FILE",
    "RUSHGATE_ADMIN_CLIENT_KEY_FILE",
    crate::failpoint::VARIABLE,
];
/// What `./x stack` and the tests use.
const OTHER_PREFIXES: &[&str] = &["RUSHGATE_STACK_", "RUSHGATE_TEST_"];
/// Differences between two names above which neither is a slip of the other.
const SLIPS_MAX: usize = 3;
/// Names that are offered for one that is none.
const OFFERED_MAX: usize = 3;

/// A variable that looks like a setting, and is read by nobody. Its value may be a secret: only the name is told.
#[derive(Debug, PartialEq, Eq)]
pub struct Unread {
    pub name: String,
    /// Names that may have been meant, the likeliest first; none where nothing comes near.
    pub meant: Vec<String>,
}

impl Unread {
    /// What to do about it.
    pub fn todo(&self) -> String {
        match self.meant.as_slice() {
            [] => "rushgate.example.toml names every key".to_owned(),
            meant => format!("did you mean {}?", meant.join(" or ")),
        }
    }
}

/// The variables among these that look like settings and are read by nobody.
pub fn unread(names: impl IntoIterator<Item = String>) -> Vec<Unread> {
    let names: BTreeSet<String> = names.into_iter().collect();
    let keys: Vec<String> = KEYS.iter().map(Key::env_name).collect();
    let mut unread = Vec::new();
    for name in &names {
        let ours = name.to_ascii_uppercase().starts_with(PREFIX);
        let known = OTHERS.contains(&name.as_str()) || keys.contains(name);
        let of_others = OTHER_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if ours && !known && !of_others && !is_of_a_service(name, &names) {
            unread.push(Unread {
                name: name.clone(),
                meant: meant(name, &keys),
            });
        }
    }
    unread
}

/// Refuses what nobody would read: variables that are no settings, and values that are no text.
pub fn check_environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<(), ConfigError> {
    let mut names = Vec::new();
    for (name, value) in variables {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with(PREFIX) && value.to_str().is_none() {
            return Err(ConfigError::Value {
                at: name,
                message: "the value is not UTF-8 (it is not shown)".to_owned(),
            });
        }
        names.push(name);
    }
    match unread(names).into_iter().next() {
        None => Ok(()),
        Some(unread) => Err(ConfigError::Value {
            message: format!(
                "there is no such option (its value is not shown); {}",
                unread.todo()
            ),
            at: unread.name,
        }),
    }
}

/// Kubernetes names what a service `S` is reached by `S_SERVICE_HOST`, `S_SERVICE_PORT`, `S_SERVICE_PORT_HTTP`, `S_PORT`,
/// `S_PORT_80_TCP`, `S_PORT_80_TCP_ADDR`; the first two are always there.
fn is_of_a_service(name: &str, names: &BTreeSet<String>) -> bool {
    let is_one = |service: &str| {
        let has = |end: &str| names.contains(&format!("{service}{end}"));
        has("_SERVICE_HOST") && has("_SERVICE_PORT")
    };
    let before = |end: &str| name.find(end).is_some_and(|at| is_one(&name[..at]));
    let numbered = |(service, rest): (&str, &str)| {
        let mut parts = rest.split('_');
        let number = parts.next().unwrap_or_default();
        let protocol = parts.next().unwrap_or_default();
        !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit())
            && ["TCP", "UDP", "SCTP"].contains(&protocol)
            && matches!(parts.next(), None | Some("PROTO" | "PORT" | "ADDR"))
            && is_one(service)
    };
    before("_SERVICE_HOST")
        || before("_SERVICE_PORT")
        || name.strip_suffix("_PORT").is_some_and(is_one)
        || name.split_once("_PORT_").is_some_and(numbered)
}

/// The known names that somebody who wrote `name` may have meant: the one it is a slip of, or those with the same words and more,
/// or fewer.
fn meant(name: &str, keys: &[String]) -> Vec<String> {
    let name = name.to_ascii_uppercase();
    let others = OTHERS
        .iter()
        .filter(|other| **other != crate::failpoint::VARIABLE);
    let known: Vec<&str> = keys.iter().map(String::as_str).chain(others.copied()).collect();
    let nearest = known.iter().map(|key| (levenshtein(&name, key), *key)).min();
    if let Some((_, key)) = nearest.filter(|(far, _)| *far <= SLIPS_MAX) {
        return vec![key.to_owned()];
    }
    let words = |text: &str| -> BTreeSet<String> {
        let rest = text.strip_prefix(PREFIX).unwrap_or(text);
        rest.split(['_', '.', '-']).map(str::to_owned).collect()
    };
    let wanted = words(&name);
    let mut alike: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|key| {
            let has = words(key);
            let alike = wanted.is_subset(&has) || has.is_subset(&wanted);
            alike.then(|| (wanted.symmetric_difference(&has).count(), key))
        })
        .collect();
    alike.sort_unstable();
    alike.truncate(OFFERED_MAX);
    alike.into_iter().map(|(_, key)| key.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn check(names: &[&str]) -> Result<(), String> {
        let variables = names.iter().map(|name| (name.into(), "s3cret".into()));
        check_environment(variables).map_err(|error| error.to_string())
    }

    #[test]
    fn a_variable_that_nobody_reads_is_refused_with_the_nearest_name() {
        for (name, todo) in [
            ("RUSHGATE_LISTENN", "did you mean RUSHGATE_LISTEN?"),
            ("RUSHGATE_LOGLEVEL", "did you mean RUSHGATE_LOG_LEVEL?"),
            ("rushgate_log_level", "did you mean RUSHGATE_LOG_LEVEL?"),
            ("RUSHGATE_LOG__LEVEL", "did you mean RUSHGATE_LOG_LEVEL?"),
            ("RUSHGATE_REDIS.URL", "did you mean RUSHGATE_REDIS_URL?"),
            ("RUSHGATE_DATABSE_URL", "did you mean RUSHGATE_DATABASE_URL?"),
            ("RUSHGATE_REDIS_PASWORD", "did you mean RUSHGATE_REDIS_PASSWORD?"),
            ("RUSHGATE_ADMINTOKEN", "did you mean RUSHGATE_ADMIN_TOKEN?"),
            (
                "RUSHGATE_KAFKA_SASL_PASSWORD_FLIE",
                "did you mean RUSHGATE_KAFKA_SASL_PASSWORD_FILE?",
            ),
            ("RUSHGATE_REDIS_URLFILE", "did you mean RUSHGATE_REDIS_URL_FILE?"),
            (
                "RUSHGATE_BATCH",
                "did you mean RUSHGATE_ADMISSION_BATCH or RUSHGATE_LANDING_BATCH?",
            ),
            (
                "RUSHGATE_REDIS_TLS_CA_FILE",
                "did you mean RUSHGATE_REDIS_CA_FILE?",
            ),
            ("RUSHGATE_CONFIG_FILE", "did you mean RUSHGATE_CONFIG?"),
            ("RUSHGATE_LISTEN_FILE", "did you mean RUSHGATE_LISTEN?"),
            ("RUSHGATE_LISTEN_PORT", "did you mean RUSHGATE_LISTEN?"),
            ("RUSHGATE_MYSQL_URL", "rushgate.example.toml names every key"),
            ("RUSHGATE_", "rushgate.example.toml names every key"),
        ] {
            let error = check(&["PATH", name]).expect_err(name);
            assert_eq!(
                error,
                format!("{name}: there is no such option (its value is not shown); {todo}")
            );
        }
    }

    #[test]
    fn what_is_read_or_belongs_to_others_is_none_of_them() {
        for key in KEYS {
            assert_eq!(check(&[&key.env_name()]), Ok(()));
        }
        for name in OTHERS {
            assert_eq!(check(&[name]), Ok(()));
        }
        for name in [
            "RUSHGATE_STACK_DIR",
            "RUSHGATE_TEST_CLOCK",
            "MYSQL_PASSWORD",
            "RUSHGATE",
        ] {
            assert_eq!(check(&[name]), Ok(()), "{name}");
        }
    }

    #[test]
    fn services_of_kubernetes_are_told_from_settings() {
        let service = ["RUSHGATE_KEYS_SERVICE_HOST", "RUSHGATE_KEYS_SERVICE_PORT"];
        for name in [
            "RUSHGATE_KEYS_SERVICE_PORT_HTTP",
            "RUSHGATE_KEYS_PORT",
            "RUSHGATE_KEYS_PORT_8080_TCP",
            "RUSHGATE_KEYS_PORT_8080_TCP_ADDR",
        ] {
            assert_eq!(check(&[service[0], service[1], name]), Ok(()), "{name}");
            assert!(check(&[name]).is_err(), "{name} without its service");
        }
        for name in [
            "RUSHGATE_KEYS_PORT_MAX",
            "RUSHGATE_KEYS_PORT_8080_HTTP",
            "RUSHGATE_OTHER_PORT",
        ] {
            assert!(check(&[service[0], service[1], name]).is_err(), "{name}");
        }
    }

    #[test]
    fn a_value_that_is_no_text_is_refused() {
        let value = OsString::from_vec(vec![b's', 0xff]);
        let error = check_environment([("RUSHGATE_LISTEN".into(), value)].into_iter()).expect_err("no text");
        assert_eq!(
            error.to_string(),
            "RUSHGATE_LISTEN: the value is not UTF-8 (it is not shown)"
        );
    }

    #[test]
    fn slips_are_counted() {
        assert_eq!(levenshtein("kitten", "sitting"), 3);
        assert_eq!(levenshtein("same", "same"), 0);
        assert_eq!(levenshtein("", "abc"), 3);
    }
}
