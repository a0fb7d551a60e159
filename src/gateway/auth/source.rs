//! Where keys come from: a file, or a URL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::HeaderValue;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use sha2::{Digest, Sha256};

use super::fetch::{BYTES_MAX, Remote};
use super::keys::{Key, KeySet, Rules, public_key};
use super::{AuthConfigError, Config, jwks};
use crate::pem;
use crate::reaching::Guarded;
use crate::wire::secret::shown_path;

/// Bytes of a shared secret at least: what HMAC-SHA256 can use.
const SECRET_BYTES_MIN: usize = 32;
/// How often files are looked at.
const FILES_EVERY: Duration = Duration::from_secs(2);
/// A server that wants its answer to be used for less is asked no more often.
const FETCH_EVERY_MIN: Duration = Duration::from_secs(10);

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Secret,
    PublicKey,
    Set,
}

impl Holds {
    /// The setting that names the file.
    fn setting(self) -> &'static str {
        match self {
            Self::Secret => "auth.jwt_hs256_secret_file",
            Self::PublicKey => "auth.jwt_public_key_file",
            Self::Set => "auth.jwks_file",
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Source {
    File(Holds, PathBuf),
    Url(Remote),
}

/// Tells what was read from what is there now.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Tag {
    Digest([u8; 32]),
    Server(Option<HeaderValue>, [u8; 32]),
}

/// What a source says now.
pub(super) struct Reading {
    /// None: what it said before.
    pub keys: Option<KeySet>,
    pub tag: Tag,
    /// For how long the server wants it to be used.
    pub good_for: Option<Duration>,
}

impl Source {
    /// The one source that the configuration names, if it names any.
    pub(super) fn of(config: &Config) -> Result<Option<Self>, AuthConfigError> {
        let file = |holds: Holds, path: &Option<PathBuf>| {
            let source = path.clone().map(|path| Self::File(holds, path));
            (holds.setting(), source)
        };
        let mut named = vec![
            file(Holds::Secret, &config.jwt_hs256_secret_file),
            file(Holds::PublicKey, &config.jwt_public_key_file),
            file(Holds::Set, &config.jwks_file),
        ];
        if let Some(url) = &config.jwks_url {
            let remote = Remote::new(url, config.jwks_ca_file.clone())?;
            named.push(("auth.jwks_url", Some(Self::Url(remote))));
        }
        named.retain(|(_, source)| source.is_some());
        match named.as_slice() {
            [(one, _), (other, _), ..] => Err(AuthConfigError::Both { one, other }),
            _ => Ok(named.into_iter().find_map(|(_, source)| source)),
        }
    }

    /// A set that a merchant has published.
    pub(super) fn named(url: &str, guarded: Guarded) -> Result<Self, String> {
        Remote::named(url, guarded).map(Self::Url)
    }

    /// For logs.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::File(_, path) => shown_path(path),
            Self::Url(remote) => remote.shown(),
        }
    }

    pub(super) fn is_url(&self) -> bool {
        matches!(self, Self::Url(_))
    }

    /// Until the next reading: a file is cheap to look at; a server is asked every `every`, or earlier where it says so.
    pub(super) fn pause(&self, every: Duration, good_for: Option<Duration>) -> Duration {
        match self {
            Self::File(..) => FILES_EVERY,
            Self::Url(_) => good_for.map_or(every, |wish| wish.clamp(FETCH_EVERY_MIN.min(every), every)),
        }
    }

    /// Reads it; `before` is of the keys that are in force.
    pub(super) async fn read(&self, before: Option<&Tag>, rules: &Rules) -> Result<Reading, String> {
        match self {
            Self::Url(remote) => fetch(remote, before, rules).await,
            Self::File(..) => {
                let (source, before, rules) = (self.clone(), before.cloned(), rules.clone());
                let read = tokio::task::spawn_blocking(move || source.read_file(before.as_ref(), &rules));
                let read = read.await.map_err(|error| error.to_string())?;
                read.map_err(|error| error.to_string())
            }
        }
    }

    /// Reads a file at once. A URL has nothing to be read at once.
    pub(super) fn read_file(&self, before: Option<&Tag>, rules: &Rules) -> Result<Reading, AuthConfigError> {
        let Self::File(holds, path) = self else {
            return Err(AuthConfigError::Nothing);
        };
        let bytes =
            pem::read_bounded(path, BYTES_MAX as u64).map_err(|cause| AuthConfigError::Unreadable {
                key: holds.setting(),
                path: shown_path(path),
                cause,
            })?;
        let tag = Tag::Digest(Sha256::digest(&bytes).into());
        let keys = match before == Some(&tag) {
            true => None,
            false => Some(keys(*holds, path, &bytes, rules)?),
        };
        Ok(Reading {
            keys,
            tag,
            good_for: None,
        })
    }

    /// A sentence when others can read a secret in its file.
    pub(super) fn exposed(&self) -> Option<String> {
        match self {
            Self::File(holds @ Holds::Secret, path) => crate::wire::secret::exposed(holds.setting(), path),
            _ => None,
        }
    }
}

async fn fetch(remote: &Remote, before: Option<&Tag>, rules: &Rules) -> Result<Reading, String> {
    let (etag, digest) = match before {
        Some(Tag::Server(etag, digest)) => (etag.as_ref(), Some(*digest)),
        _ => (None, None),
    };
    let fetched = remote.fetch(etag).await?;
    let good_for = fetched.good_for;
    let Some(bytes) = fetched.bytes else {
        let tag = before
            .cloned()
            .ok_or("answered 304 to a question that was not asked")?;
        return Ok(Reading {
            keys: None,
            tag,
            good_for,
        });
    };
    let now: [u8; 32] = Sha256::digest(&bytes).into();
    let keys = match digest == Some(now) {
        true => None,
        false => Some(jwks::read(&bytes, rules).map_err(|why| format!("the answer {why}"))?),
    };
    Ok(Reading {
        keys,
        tag: Tag::Server(fetched.tag, now),
        good_for,
    })
}

fn keys(holds: Holds, path: &Path, bytes: &[u8], rules: &Rules) -> Result<KeySet, AuthConfigError> {
    let shown = || shown_path(path);
    let (decoding, algorithm) = match holds {
        Holds::Set => {
            return jwks::read(bytes, rules).map_err(|why| AuthConfigError::NoSet { path: shown(), why });
        }
        Holds::Secret => {
            let secret = bytes.trim_ascii_end();
            if secret.len() < SECRET_BYTES_MIN {
                return Err(AuthConfigError::Short {
                    path: shown(),
                    bytes: secret.len(),
                });
            }
            (DecodingKey::from_secret(secret), Algorithm::HS256)
        }
        Holds::PublicKey => {
            let found = public_key(bytes).ok_or_else(|| AuthConfigError::NoKey { path: shown() })?;
            check_public(bytes, &found.0).map_err(|why| AuthConfigError::UnfitKey { path: shown(), why })?;
            found
        }
    };
    let key =
        Key::new(None, decoding, &[algorithm], rules).ok_or_else(|| AuthConfigError::OtherAlgorithm {
            key: holds.setting(),
            path: shown(),
            algorithm,
        })?;
    Ok(KeySet::new(vec![key], false))
}

/// A private key verifies nothing, and has no business here.
fn check_public(pem: &[u8], key: &DecodingKey) -> Result<(), String> {
    if pem.windows(11).any(|word| word == b"PRIVATE KEY") {
        return Err(
            "holds a private key; give the public one, and keep the private one where tokens are made"
                .to_owned(),
        );
    }
    if key.family() != AlgorithmFamily::Rsa {
        return Ok(());
    }
    let unreadable = |_| "is no RSA public key".to_owned();
    let jwk = Jwk::from_decoding_key(key, Some(Algorithm::RS256)).map_err(unreadable)?;
    match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => jwks::check_rsa(&rsa.n, &rsa.e),
        _ => Err("is no RSA public key".to_owned()),
    }
}
