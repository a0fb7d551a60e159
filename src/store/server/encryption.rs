//! How a connection to MySQL or MariaDB is encrypted: parameters of the URL, checked before anybody connects, because sqlx
//! passes over a parameter that it does not know and over files that a mode does not look at.

use std::collections::BTreeMap;
use std::path::Path;

use crate::pem;
use crate::store::{StoreError, StoreResult};

/// What a URL may ask for, each under every name that sqlx knows.
const PARAMETERS: &[&[&str]] = &[
    &[MODE, "sslmode"],
    &[CA, "sslca"],
    &[CERTIFICATE, "sslcert"],
    &[KEY, "sslkey"],
    &["charset"],
    &["collation"],
    &[SOCKET],
    &["statement-cache-capacity"],
    &["time-zone", "timezone"],
];
const MODE: &str = "ssl-mode";
const CA: &str = "ssl-ca";
const CERTIFICATE: &str = "ssl-cert";
const KEY: &str = "ssl-key";
const SOCKET: &str = "socket";
/// Modes that look at the server's certificate.
const VERIFYING: [&str; 2] = ["verify_ca", "verify_identity"];
const MODES: [&str; 5] = ["disabled", "preferred", "required", VERIFYING[0], VERIFYING[1]];

/// The URL as sqlx is to see it. Files without a mode ask for `verify_identity`: whoever names an authority wants the server
/// held against it.
pub(in crate::store) fn normalized(url: &str) -> StoreResult<String> {
    let found = parameters(url).map_err(wrong)?;
    check_files(&found)?;
    let mode = mode_of(&found);
    if found.get(SOCKET).is_some_and(|path| !path.is_empty()) {
        return over_a_socket(url, mode.as_deref());
    }
    let has_files = [CA, CERTIFICATE].iter().any(|name| found.contains_key(name));
    Ok(match mode {
        None if has_files => with_mode(url, VERIFYING[1]),
        _ => url.to_owned(),
    })
}

/// The parameters of a URL, which fit together, or what is wrong with one; no file is read.
pub(in crate::store) fn parameters(url: &str) -> Result<BTreeMap<&'static str, String>, String> {
    let mut found = BTreeMap::new();
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let known = PARAMETERS.iter().find(|names| names.contains(&name));
        let Some(known) = known else {
            return Err(format!(
                "it has no parameter {name:?}. Those of encryption are {MODE} ({}), {CA}, {CERTIFICATE} and {KEY}",
                MODES.join(", ")
            ));
        };
        let value = percent_encoding::percent_decode_str(&value.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned();
        if found.insert(known[0], value).is_some() {
            return Err(format!("{} stands in it twice", known[0]));
        }
    }
    let mode = mode_of(&found);
    if let Some(mode) = mode.as_deref().filter(|mode| !MODES.contains(mode)) {
        return Err(format!("{MODE}={mode} is none of {}", MODES.join(", ")));
    }
    check_together(&found, mode.as_deref())?;
    Ok(found)
}

fn mode_of(found: &BTreeMap<&str, String>) -> Option<String> {
    found.get(MODE).map(|mode| mode.to_ascii_lowercase())
}

/// sqlx and MariaDB do not agree about encryption over a socket of this machine, where nobody listens in anyway.
fn over_a_socket(url: &str, mode: Option<&str>) -> StoreResult<String> {
    match mode {
        Some("disabled") => Ok(url.to_owned()),
        None | Some("preferred") => Ok(with_mode(url, "disabled")),
        Some(mode) => Err(wrong(format!(
            "{MODE}={mode} with {SOCKET}: what goes over a socket of this machine is not encrypted; name a host and a port"
        ))),
    }
}

fn with_mode(url: &str, mode: &str) -> String {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let query = query.split('#').next().unwrap_or_default().split('&');
    let kept =
        query.filter(|pair| !pair.is_empty() && !pair.starts_with(MODE) && !pair.starts_with("sslmode"));
    let pairs: Vec<String> = kept
        .map(str::to_owned)
        .chain([format!("{MODE}={mode}")])
        .collect();
    format!("{before}?{}", pairs.join("&"))
}

fn check_together(found: &BTreeMap<&str, String>, mode: Option<&str>) -> Result<(), String> {
    let is_given = |name: &str| found.get(name).is_some_and(|value| !value.is_empty());
    if is_given(CERTIFICATE) != is_given(KEY) {
        return Err(format!("{CERTIFICATE} and {KEY} go together"));
    }
    match mode {
        Some(mode) if is_given(CA) && !VERIFYING.contains(&mode) => Err(format!(
            "{MODE}={mode} looks at no certificate, so {CA} would do nothing: {MODE}={}, or {} where the certificate \
             names another host",
            VERIFYING[1], VERIFYING[0]
        )),
        Some(mode @ ("disabled" | "preferred")) if is_given(CERTIFICATE) => Err(format!(
            "{MODE}={mode} may connect without encryption, and then {CERTIFICATE} does nothing: {MODE}={}",
            VERIFYING[1]
        )),
        _ => Ok(()),
    }
}

fn check_files(found: &BTreeMap<&str, String>) -> StoreResult<()> {
    // What begins so is the certificate itself.
    let file = |name: &str| {
        let value = found.get(name).filter(|value| !value.trim().is_empty());
        value
            .filter(|value| !value.trim_start().starts_with("-----BEGIN"))
            .map(Path::new)
    };
    if let Some(ca) = file(CA) {
        pem::authorities(ca).map_err(|error| wrong(format!("{CA}: {error}")))?;
    }
    if let (Some(certificate), Some(key)) = (file(CERTIFICATE), file(KEY)) {
        pem::identity(certificate, key).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(())
}

pub(in crate::store) fn wrong(what: String) -> StoreError {
    StoreError::Permanent(format!("the database URL cannot be used: {what}"))
}

/// What to do about a failure to connect, where its words say it.
pub(in crate::store) fn hint(cause: &str) -> Option<&'static str> {
    let says = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    if says(&["insecure transport", "require_secure_transport"]) {
        Some("the server takes encrypted connections alone: ssl-mode=verify_identity and ssl-ca in the URL")
    } else if says(&["does not support TLS"]) {
        Some("the server has no certificate: give it one, or ask for ssl-mode=disabled")
    } else if says(&["UnknownIssuer", "CaUsedAsEndEntity", "BadSignature"]) {
        Some(
            "no authority that is believed vouches for the server's certificate: ssl-ca in the URL names one",
        )
    } else if says(&["not valid for name", "NotValidForName"]) {
        Some("the host in the URL has to be one that the certificate names, or ssl-mode=verify_ca")
    } else if says(&["Access denied"]) {
        Some(
            "user or password is wrong, or what comes has to be encrypted (REQUIRE SSL or X509, require_secure_transport) and is \
             not: docs/CONNECTIONS.md",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> String {
        let url = format!("mysql://u:s3cret@db/rushgate?{query}");
        normalized(&url).expect_err(query).to_string()
    }

    #[test]
    fn what_would_not_be_encrypted_or_checked_is_refused() {
        for (query, words) in [
            ("ssl_mode=required", "no parameter \"ssl_mode\""),
            ("useSSL=true", "no parameter \"useSSL\""),
            ("SSL-MODE=required", "no parameter \"SSL-MODE\""),
            ("ssl-mode=on", "ssl-mode=on is none of disabled, preferred"),
            ("ssl-mode=required&sslmode=disabled", "twice"),
            ("ssl-mode=required&ssl-ca=/ca.pem", "ssl-ca would do nothing"),
            ("ssl-mode=preferred&ssl-ca=/ca.pem", "ssl-ca would do nothing"),
            (
                "ssl-mode=preferred&ssl-cert=/c.pem&ssl-key=/k.pem",
                "without encryption",
            ),
            ("ssl-cert=/c.pem", "go together"),
            (
                "socket=/run/db.sock&ssl-mode=required",
                "over a socket of this machine is not encrypted",
            ),
            ("ssl-ca=%2Fno%2Fca.pem", "ssl-ca: cannot read /no/ca.pem"),
        ] {
            let error = refused(query);
            assert!(
                error.contains(words) && !error.contains("s3cret"),
                "{query}: {error}"
            );
        }
    }

    #[test]
    fn a_file_alone_asks_for_the_whole_check() {
        let folder = tempfile::tempdir().expect("a folder");
        let ca = folder.path().join("ca.pem");
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = rcgen::CertificateParams::default().self_signed(&key);
        std::fs::write(&ca, made.expect("a certificate").pem()).expect("written");
        let url = format!("mysql://u:p@db/rushgate?ssl-ca={}", ca.display());
        assert_eq!(normalized(&url), Ok(format!("{url}&ssl-mode=verify_identity")));
        for kept in [
            format!("{url}&ssl-mode=VERIFY_CA"),
            "mysql://db/rushgate".to_owned(),
        ] {
            assert_eq!(normalized(&kept), Ok(kept.clone()));
        }
        let socket = "mysql://db/rushgate?socket=/run/db.sock";
        for given in [socket.to_owned(), format!("{socket}&ssl-mode=preferred")] {
            assert_eq!(normalized(&given), Ok(format!("{socket}&ssl-mode=disabled")));
        }
    }
}
