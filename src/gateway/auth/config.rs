//! What the configuration says about tokens, and what can be wrong with it.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};

use crate::serving::Networks;
use crate::wire::{Unfit, millis};

/// Every algorithm that keys can be for.
pub const ALGORITHMS: &[Algorithm] = &[
    Algorithm::HS256,
    Algorithm::EdDSA,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// How orders prove who they come from. At most one of the four sources of keys is set.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "struct Auth")]
pub struct Config {
    /// File with the shared secret of HS256.
    pub jwt_hs256_secret_file: Option<PathBuf>,
    /// File with the PEM public key of EdDSA (Ed25519), ES256, ES384 or RS256.
    pub jwt_public_key_file: Option<PathBuf>,
    /// File with a JWK Set.
    pub jwks_file: Option<PathBuf>,
    /// Where a JWK Set is published: https, or http on this machine.
    pub jwks_url: Option<String>,
    /// PEM certificates of the only authorities that are believed about `jwks_url`; without, those of the machine.
    pub jwks_ca_file: Option<PathBuf>,
    /// How often `jwks_url` is fetched.
    #[serde(rename = "jwks_every_ms", with = "millis")]
    pub jwks_every: Duration,
    /// For how long keys are used after they could be read last.
    #[serde(rename = "keys_keep_ms", with = "millis")]
    pub keys_keep: Duration,
    /// Algorithms that are taken, joined by commas; those that the keys are for where empty.
    pub algorithms: String,
    /// Required `iss`.
    pub issuer: Option<String>,
    /// Required `aud`.
    pub audience: Option<String>,
    /// Networks that merchants' key sets may be in although they are private; plain http goes nowhere else.
    pub private: Networks,
    /// Whether `dev:<user>` is taken for a token. Whoever can connect can then be anybody.
    pub insecure_dev_auth: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            jwt_hs256_secret_file: None,
            jwt_public_key_file: None,
            jwks_file: None,
            jwks_url: None,
            jwks_ca_file: None,
            jwks_every: Duration::from_secs(300),
            keys_keep: Duration::from_secs(24 * 3600),
            algorithms: String::new(),
            issuer: None,
            audience: None,
            private: Networks::default(),
            insecure_dev_auth: false,
        }
    }
}

impl Config {
    /// Whether what is set fits together.
    pub fn check(&self) -> Result<(), Unfit> {
        self.allowed()?;
        match (&self.jwks_ca_file, &self.jwks_url) {
            (Some(_), None) => Err(Unfit::new(
                "auth.jwks_ca_file",
                "says whom to believe about auth.jwks_url, which is not set",
            )),
            _ => Ok(()),
        }
    }

    /// Algorithms that are taken; none: those that the keys are for.
    pub(super) fn allowed(&self) -> Result<Option<Vec<Algorithm>>, Unfit> {
        let names = self.algorithms.split(',').map(str::trim);
        let listed = names.filter(|name| !name.is_empty()).map(|name| {
            let found = ALGORITHMS.iter().find(|known| format!("{known:?}") == name);
            let wrong = || Unfit::new("auth.algorithms", format!("{name:?} is none of {ALGORITHMS:?}"));
            found.copied().ok_or_else(wrong)
        });
        let listed = listed.collect::<Result<Vec<Algorithm>, Unfit>>()?;
        Ok((!listed.is_empty()).then_some(listed))
    }
}

/// Why the gateway cannot check tokens as configured. Paths and URLs are as they may be shown.
#[derive(Debug, thiserror::Error)]
pub enum AuthConfigError {
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(
        "no way to check order tokens: set auth.jwks_url, auth.jwks_file, auth.jwt_public_key_file or \
         auth.jwt_hs256_secret_file, or, for trying only, --insecure-dev-auth"
    )]
    Nothing,
    #[error("set {one} or {other}, not both")]
    Both { one: &'static str, other: &'static str },
    #[error("{key}: cannot read {path}: {cause}")]
    Unreadable {
        key: &'static str,
        path: String,
        cause: std::io::Error,
    },
    #[error("auth.jwt_hs256_secret_file: the secret in {path} has {bytes} bytes; HS256 needs at least 32")]
    Short { path: String, bytes: usize },
    #[error(
        "auth.jwt_public_key_file: {path} is no PEM public key of EdDSA (Ed25519), ES256, ES384 or RS256"
    )]
    NoKey { path: String },
    #[error("auth.jwt_public_key_file: {path} {why}")]
    UnfitKey { path: String, why: String },
    #[error("auth.jwks_file: {path} {why}")]
    NoSet { path: String, why: String },
    #[error("{key}: the key in {path} is for {algorithm:?}, which auth.algorithms does not list")]
    OtherAlgorithm {
        key: &'static str,
        path: String,
        algorithm: Algorithm,
    },
    #[error("auth.jwks_url: {url} {why}")]
    Url { url: String, why: String },
    #[error("auth.jwks_ca_file: {path}: {why}")]
    Authorities { path: String, why: String },
}
