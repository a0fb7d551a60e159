//! How orders prove who they come from: the keys of tokens, in a file or published at a URL.

use std::path::Path;
use std::time::SystemTime;

use super::leg::{Leg, Stopped, Wrong, aside, wrong};
use super::net::reach;
use super::{Patient, files};
use crate::gateway::auth::{AuthConfigError, Config, KeySource, Published};

pub(super) const STEPS: &[&str] = &["address", "keys"];
const URL: &str = "auth.jwks_url";
const CA: &str = "auth.jwks_ca_file";
/// Keys that are shown by their ids, and bytes of an id: they are the issuer's text.
const SHOWN_MAX: usize = 8;
const ID_SHOWN_MAX: usize = 64;

pub(super) async fn examine(patient: &Patient<'_>, leg: &mut Leg) -> Result<(), Stopped> {
    let config = patient.config.auth.clone();
    let source = leg.step("keys", source(&config)).await?;
    if config.insecure_dev_auth {
        leg.warn(
            "keys",
            "orders are taken from anybody under any name (auth.insecure_dev_auth)",
            "take --insecure-dev-auth away where buyers can connect",
        );
    }
    if let Some(source) = source {
        keys(&config, source, leg).await?;
    }
    if let Some(path) = &config.jwt_hs256_secret_file {
        leg.note(files::open_to_others("keys", "auth.jwt_hs256_secret_file", path))?;
    }
    if !config.insecure_dev_auth && config.audience.is_none() {
        leg.warn(
            "keys",
            "tokens for any audience are taken: those of other services of the same issuer are good here, too",
            "set auth.audience to what the issuer writes into `aud` for this shop",
        );
    }
    Ok(())
}

/// Where keys come from, and the files that this needs.
async fn source(config: &Config) -> Result<Option<KeySource>, Wrong> {
    let asked = config.clone();
    let made = aside(move || KeySource::of(&asked)).await;
    let made = made.ok_or_else(|| wrong("reading the files broke off", "try again"))?;
    made.map_err(|error| wrong(error.to_string(), mend(&error, config)))
}

async fn keys(config: &Config, source: KeySource, leg: &mut Leg) -> Result<(), Stopped> {
    let (key, path) = named(config);
    let shown = source.shown();
    let published = match source.server() {
        Some((host, port)) => {
            leg.step("address", reach(&host, port, URL)).await?;
            leg.ok("address", format!("{host}:{port} takes connections"));
            let has_ca = config.jwks_ca_file.is_some();
            let fetched = async {
                source
                    .fetch()
                    .await
                    .map_err(|why| unfetched(&shown, &why, has_ca))
            };
            leg.step("keys", fetched).await?
        }
        None => {
            let read = async {
                let read = aside(move || source.read_file()).await;
                let read = read.ok_or_else(|| wrong("reading the file broke off", "try again"))?;
                read.map_err(|error| wrong(error.to_string(), mend(&error, config)))
            };
            leg.step("keys", read).await?
        }
    };
    let age = path.map(age).unwrap_or_default();
    leg.ok("keys", format!("{key}: {shown}{age}: {}", said(&published)));
    if !published.left_out.is_empty() {
        leg.warn(
            "keys",
            format!("{key}: left out: {}", published.left_out.join("; ")),
            "have the issuer publish public keys for signatures alone, each under a kid of its own, and replace a key whose private \
             part was published",
        );
    }
    Ok(())
}

/// The key that names the source, and its file.
fn named(config: &Config) -> (&'static str, Option<&Path>) {
    let files = [
        ("auth.jwt_hs256_secret_file", &config.jwt_hs256_secret_file),
        ("auth.jwt_public_key_file", &config.jwt_public_key_file),
        ("auth.jwks_file", &config.jwks_file),
    ];
    let mut files = files
        .into_iter()
        .filter_map(|(key, path)| Some((key, path.as_deref()?)));
    files.next().map_or((URL, None), |(key, path)| (key, Some(path)))
}

/// `2 keys, "2026-11" (RS256), without a kid (EdDSA)`.
fn said(published: &Published) -> String {
    let keys = &published.keys;
    let count = match keys.len() {
        1 => "1 key".to_owned(),
        n => format!("{n} keys"),
    };
    let each = keys.iter().take(SHOWN_MAX).map(|key| {
        let id = match &key.id {
            Some(id) => format!("{:?}", id.chars().take(ID_SHOWN_MAX).collect::<String>()),
            None => "without a kid".to_owned(),
        };
        let algorithms: Vec<String> = key.algorithms.iter().map(|each| format!("{each:?}")).collect();
        format!(", {id} ({})", algorithms.join(" "))
    });
    let more = match keys.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let wish = published.good_for.map_or(String::new(), |wish| {
        format!(
            "; to be asked again after {} s, as its server says",
            wish.as_secs()
        )
    });
    count + &each.collect::<String>() + &more + &wish
}

/// What to do about a configuration, or a file, that cannot be used.
fn mend(error: &AuthConfigError, config: &Config) -> String {
    let (key, _) = named(config);
    match error {
        AuthConfigError::Unfit(unfit) => format!("mend {}", unfit.key),
        AuthConfigError::Nothing => "set auth.jwks_url to where the issuer publishes its keys".to_owned(),
        AuthConfigError::Both { one, other } => format!("take {one} or {other} away"),
        AuthConfigError::Unreadable { .. } => {
            format!("mend the path in {key}, or let the user that rushgate runs as read it")
        }
        AuthConfigError::Short { .. } => format!(
            "make a longer secret and give it to the issuer, too: openssl rand -base64 48 > the file of {key}"
        ),
        AuthConfigError::NoKey { .. } | AuthConfigError::UnfitKey { .. } => {
            format!("put the issuer's public key into the file of {key}: openssl pkey -in PRIVATE -pubout")
        }
        AuthConfigError::NoSet { .. } => {
            format!("put the set into the file of {key} as the issuer publishes it: curl its jwks_uri")
        }
        AuthConfigError::OtherAlgorithm { algorithm, .. } => {
            format!("add {algorithm:?} to auth.algorithms, or give a key for one of those it lists in {key}")
        }
        AuthConfigError::Url { .. } => format!("write https://host/path into {URL}"),
        AuthConfigError::Authorities { .. } => {
            format!("mend {CA}: certificates in PEM of the authorities that are believed about {URL}")
        }
    }
}

/// Why no keys came, and what to do.
fn unfetched(url: &str, why: &str, has_ca: bool) -> Wrong {
    let has = |words: &[&str]| words.iter().any(|word| why.contains(word));
    let todo = if has(&["auth.algorithms does not list"]) {
        "add the algorithm that the issuer signs with to auth.algorithms, or leave that empty".to_owned()
    } else if has(&["invalid HTTP version"]) {
        format!(
            "what answers speaks no plain HTTP: write https:// in {URL}, and set {CA} where this machine does not know its \
             authority"
        )
    } else if has(&["UnknownIssuer", "BadSignature", "CaUsedAsEndEntity"]) {
        match has_ca {
            true => format!("put the authority that signed the server's certificate into the file of {CA}"),
            false => format!("set {CA} to a file with the authority that signed the server's certificate"),
        }
    } else if has(&["not valid for name", "NotValidForName"]) {
        format!("write a host into {URL} that the server's certificate names")
    } else if has(&["expired", "Expired"]) {
        "have the server's certificate renewed".to_owned()
    } else if has(&["InvalidContentType", "corrupt message"]) {
        format!("the port speaks no TLS: give the one that does in {URL}")
    } else if has(&["answered 5"]) {
        format!("see the log of the issuer's server, and what curl -v {url} says")
    } else if has(&["redirects are not followed"]) {
        format!("curl -sI {url}, and write where it leads into {URL}")
    } else if has(&["the answer"]) {
        format!("{URL} has to lead to a JWK Set (jwks_uri of the issuer): curl {url}")
    } else {
        format!("see what curl -v {url} says, and mend {URL}")
    };
    wrong(format!("{url}: {why}"), todo)
}

/// How long ago a file was written.
fn age(path: &Path) -> String {
    let written = std::fs::metadata(path).and_then(|known| known.modified());
    let age = written
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok());
    match age.map(|age| age.as_secs() / (24 * 3600)) {
        None | Some(0) => String::new(),
        Some(1) => ", 1 day old".to_owned(),
        Some(days) => format!(", {days} days old"),
    }
}
