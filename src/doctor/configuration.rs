//! What the configuration says, before anything is tried: names that nobody reads, secrets that everybody may.

use std::io::ErrorKind;

use super::leg::{Leg, Stopped};
use super::report::{Finding, LegReport};
use super::{Patient, certificates, files};
use crate::config::{ConfigError, KEYS, Key};

pub(super) const NAME: &str = "configuration";
pub(super) const STEPS: &[&str] = &["sources", "environment", "secrets", "certificates"];
const PREFIX: &str = "RUSHGATE_";
/// Variables that are no keys.
const OTHERS: &[&str] = &[
    "RUSHGATE_CONFIG",
    "RUSHGATE_ADMIN_TOKEN",
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

/// The only leg there is, where no configuration can be read.
pub(super) fn unreadable(error: &ConfigError) -> LegReport {
    LegReport {
        leg: NAME,
        findings: vec![Finding::failed("sources", error.to_string(), mend(error))],
        not_tried: STEPS[1..].to_vec(),
    }
}

fn mend(error: &ConfigError) -> String {
    match error {
        ConfigError::Unreadable { .. } => {
            "give --config a file that the user that rushgate runs as may read".to_owned()
        }
        ConfigError::UnreadableSecret { at, cause, .. } => match cause.kind() {
            ErrorKind::NotFound => write_secret(at),
            ErrorKind::PermissionDenied => format!(
                "let the user that rushgate runs as read the file (chown, chmod 600), or mend the path in {at}"
            ),
            _ => format!("mend the path in {at}: it has to lead to a file that holds the secret as text"),
        },
        ConfigError::Value { at, message } if message.ends_with("is empty") => write_secret(at),
        ConfigError::Both { one, other } => format!("take {one} or {other} away"),
        ConfigError::Value { at, .. } => format!("mend {at}; rushgate.example.toml documents every key"),
        _ => "mend it; rushgate.example.toml documents every key".to_owned(),
    }
}

fn write_secret(at: &str) -> String {
    format!("write the secret into that file, or mend the path in {at}")
}

pub(super) async fn examine(patient: &Patient<'_>, leg: &mut Leg) -> Result<(), Stopped> {
    leg.ok(
        "sources",
        match &patient.file {
            Some(file) => format!("{}, environment and flags", file.display()),
            None => "environment and flags; no file".to_owned(),
        },
    );
    let unknown: Vec<Finding> = patient
        .variables
        .iter()
        .filter_map(|name| unknown(name))
        .collect();
    match unknown.is_empty() {
        true => leg.ok("environment", "every variable is a key"),
        false => leg.note(unknown)?,
    }
    let secrets = files::secrets(patient);
    let open: Vec<Finding> = secrets
        .iter()
        .filter_map(|(at, path)| files::open_to_others("secrets", at, path))
        .collect();
    match open.is_empty() {
        true => leg.ok("secrets", "no file that holds one is open to others"),
        false => leg.note(open)?,
    }
    let certificates = files::certificates(patient);
    let now = (patient.clock)();
    let wrong: Vec<Finding> = certificates
        .iter()
        .filter_map(|(at, path, of)| certificates::terms("certificates", at, path, *of, now))
        .collect();
    match wrong.is_empty() {
        true if certificates.is_empty() => {}
        true => leg.ok("certificates", "those that can be read are good for a while"),
        false => leg.note(wrong)?,
    }
    Ok(())
}

/// A variable that looks like a key and is none. Its value may be a secret: only the name is told.
fn unknown(name: &str) -> Option<Finding> {
    let ours = name.starts_with(PREFIX)
        && !OTHERS.contains(&name)
        && !OTHER_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if !ours {
        return None;
    }
    let keys: Vec<String> = KEYS.iter().map(Key::env_name).collect();
    // A secret that stands in a file of its own.
    let known = name.strip_suffix("_FILE").unwrap_or(name);
    if keys.iter().any(|key| key == name || key == known) {
        return None;
    }
    let nearest = keys.iter().map(|key| (slips(name, key), key)).min();
    let todo = match nearest {
        Some((far, key)) if far <= SLIPS_MAX => format!("did you mean {key}?"),
        _ => "rushgate.example.toml names every key".to_owned(),
    };
    Some(Finding::warning(
        "environment",
        format!("nothing reads {name}"),
        todo,
    ))
}

/// How many letters have to be changed, added or taken away to make one of the other.
fn slips(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = corner + usize::from(a != *b);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_nobody_reads_is_told_without_its_value() {
        for name in [
            "RUSHGATE_REDIS_URL",
            "RUSHGATE_REDIS_URL_FILE",
            "RUSHGATE_CONFIG",
            "RUSHGATE_STACK_DIR",
            "PATH",
        ] {
            assert_eq!(unknown(name), None, "{name}");
        }
        let typo = unknown("RUSHGATE_DATABSE_URL").expect("a slip");
        assert_eq!(typo.found, "nothing reads RUSHGATE_DATABSE_URL");
        assert_eq!(typo.todo.as_deref(), Some("did you mean RUSHGATE_DATABASE_URL?"));
        let other = unknown("RUSHGATE_SOMETHING_ELSE").expect("unknown");
        assert_eq!(
            other.todo.as_deref(),
            Some("rushgate.example.toml names every key")
        );
    }

    #[test]
    fn slips_are_counted() {
        assert_eq!(slips("kitten", "sitting"), 3);
        assert_eq!(slips("same", "same"), 0);
        assert_eq!(slips("", "abc"), 3);
    }
}
