//! The files that a configuration names: those with secrets and who else may read them, and those with certificates.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use super::certificates::Use;
use super::leg::url_key;
use super::report::Finding;
use super::{Patient, Role};
use crate::config::Config;
use crate::pem;

/// A warning where others of this machine may read a file that holds a secret.
pub(super) fn open_to_others(step: &'static str, at: &str, path: &Path) -> Option<Finding> {
    let known = std::fs::metadata(path).ok()?;
    let (mode, group) = access(&known)?;
    let shown = path.display();
    let warning = |who: String, todo: String| {
        let found = format!("{at}: {shown} holds a secret, and {who} may read it (mode {mode:o})");
        Some(Finding::warning(step, found, todo))
    };
    match mode {
        _ if mode & 0o007 != 0 => warning("everybody".to_owned(), format!("chmod o= {shown}")),
        _ if mode & 0o070 != 0 => warning(
            format!("group {group}"),
            format!("chmod g= {shown}, unless nobody but rushgate is in that group"),
        ),
        _ => None,
    }
}

#[cfg(unix)]
fn access(known: &Metadata) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    Some((known.mode() & 0o777, known.gid()))
}

#[cfg(not(unix))]
fn access(_: &Metadata) -> Option<(u32, u32)> {
    None
}

/// Every file that holds a secret, with where it is named. Keys of tokens have a leg of their own.
pub(super) fn secrets(patient: &Patient<'_>) -> Vec<(String, PathBuf)> {
    let config = patient.config;
    let mut secrets = config.secret_files.clone();
    if let Some(file) = patient.file.as_ref().filter(|file| is_secret(file)) {
        secrets.push(("the configuration".to_owned(), file.clone()));
    }
    let mut add = |at: &str, path: Option<PathBuf>| {
        secrets.extend(
            path.filter(|path| !path.as_os_str().is_empty())
                .map(|path| (at.to_owned(), path)),
        );
    };
    if patient.role != Some(Role::Land) {
        add("redis.key_file", config.redis.key_file.clone());
        add("gateway.tls_key_file", config.gateway.tls_key_file.clone());
    }
    for option in ["ssl.key.location", "ssl.keystore.location"] {
        let path = config.kafka.options.get(option).map(PathBuf::from);
        add(&format!("\"{option}\" in [kafka.options]"), path);
    }
    let url = url_key("database", &config.database.url_file);
    add(
        &format!("ssl-key in {url}"),
        parameter(&config.database.url, "ssl-key"),
    );
    add("admin.tls_key_file", config.admin.tls_key_file.clone());
    secrets
}

/// Every file with certificates that is read beside those of the listeners.
pub(super) fn certificates(patient: &Patient<'_>) -> Vec<(String, PathBuf, Use)> {
    let config = patient.config;
    let mut certificates = Vec::new();
    let mut add = |at: &str, path: Option<PathBuf>, of: Use| {
        let path = path.filter(|path| !path.as_os_str().is_empty());
        certificates.extend(path.map(|path| (at.to_owned(), path, of)));
    };
    if patient.role != Some(Role::Land) {
        add("redis.ca_file", config.redis.ca_file.clone(), Use::Authorities);
        add(
            "redis.certificate_file",
            config.redis.certificate_file.clone(),
            Use::Own,
        );
        add(
            "auth.jwks_ca_file",
            config.auth.jwks_ca_file.clone(),
            Use::Authorities,
        );
    }
    for (option, of) in [
        ("ssl.ca.location", Use::Authorities),
        ("ssl.certificate.location", Use::Own),
    ] {
        let path = config.kafka.options.get(option).map(PathBuf::from);
        add(&format!("\"{option}\" in [kafka.options]"), path, of);
    }
    let url = url_key("database", &config.database.url_file);
    for (name, of) in [("ssl-ca", Use::Authorities), ("ssl-cert", Use::Own)] {
        let path = parameter(&config.database.url, name);
        add(&format!("{name} in {url}"), path, of);
    }
    let clients = config.admin.tls_client_ca_file.clone();
    add("admin.tls_client_ca_file", clients, Use::Authorities);
    certificates
}

/// A file that a parameter of a URL names, under either of the names it may have; none where it is the text itself.
fn parameter(url: &str, name: &str) -> Option<PathBuf> {
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(found, _)| found.replace('-', "") == name.replace('-', ""))?;
    let value = value.replace('+', " ");
    let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
    (!value.trim_start().starts_with("-----BEGIN")).then(|| value.into())
}

/// Whether a password stands in the configuration's file itself, whatever else one comes from.
fn is_secret(file: &Path) -> bool {
    let text = pem::read_file(file)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| toml::from_str(&text).ok())
        .is_some_and(|written| holds_password(&written))
}

fn holds_password(config: &Config) -> bool {
    let in_url = |url: &str| {
        let login = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
        login.is_some_and(|(login, _)| login.contains(':'))
    };
    let kafka = [
        &config.kafka.options,
        &config.kafka.producer,
        &config.kafka.consumer,
    ];
    let mut options = kafka.iter().flat_map(|options| options.keys());
    let passwords = [
        &config.redis.password,
        &config.database.password,
        &config.kafka.sasl_password,
    ];
    passwords.iter().any(|password| password.is_some())
        || in_url(&config.redis.url)
        || in_url(&config.database.url)
        || options.any(|option| option.contains("password") && !option.ends_with("_file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_password_is_a_secret() {
        let mut config = Config::default();
        assert!(!holds_password(&config));
        config.database.url = "mysql://me:secret@db/shop".into();
        assert!(holds_password(&config));
        config.database.url = "mysql://me@db/shop".into();
        config.kafka.options.insert("sasl.password".into(), "x".into());
        assert!(holds_password(&config));
    }

    #[test]
    fn files_are_read_from_the_parameters_of_a_url() {
        let url = "mysql://me@db/shop?sslca=%2Fetc%2Fca.pem&ssl-cert=/c.pem&ssl-key=-----BEGIN+PRIVATE";
        assert_eq!(parameter(url, "ssl-ca"), Some("/etc/ca.pem".into()));
        assert_eq!(parameter(url, "ssl-cert"), Some("/c.pem".into()));
        assert_eq!(parameter(url, "ssl-key"), None);
        assert_eq!(parameter("mysql://me@db/shop", "ssl-ca"), None);
    }
}
