//! What the configuration says, before anything is tried: names that nobody reads, secrets that everybody may.

use std::io::ErrorKind;

use super::leg::{Leg, Stopped};
use super::report::{Finding, LegReport};
use super::{Patient, certificates, files};
use crate::config::{ConfigError, unread};

pub(super) const NAME: &str = "configuration";
pub(super) const STEPS: &[&str] = &["sources", "environment", "secrets", "certificates"];

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
    let unknown: Vec<Finding> = unread(patient.variables.iter().cloned())
        .into_iter()
        .map(|unread| {
            let found = format!("nothing reads {}, and no role starts with it", unread.name);
            Finding::failed("environment", found, unread.todo())
        })
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
