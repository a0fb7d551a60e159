//! Who is ordering: verifies the bearer token and takes user and claims from it.

mod cache;
mod claims;

use std::path::PathBuf;
use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::plan::TOKEN_CLAIMS;
use crate::wire::problem::{Kind, TOKEN_EXPIRED, TOKEN_INVALID, TOKEN_NOT_YET_VALID};
use crate::wire::{Problem, check_text, echo};
use cache::Cache;
use claims::Claims;

/// Bytes of a shared secret at least: what HMAC-SHA256 can use.
const SECRET_BYTES_MIN: usize = 32;
/// Clocks of issuer and gateway may differ by so many seconds.
const LEEWAY_SECONDS: u64 = 10;

/// How orders prove who they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// File with the shared secret of HS256.
    pub jwt_hs256_secret_file: Option<PathBuf>,
    /// File with the PEM public key of EdDSA (Ed25519) or RS256.
    pub jwt_public_key_file: Option<PathBuf>,
    /// Required `iss`.
    pub issuer: Option<String>,
    /// Required `aud`.
    pub audience: Option<String>,
    /// Whether `dev:<user>` is taken for a token. Whoever can connect can then be anybody.
    pub insecure_dev_auth: bool,
}

/// Why the gateway cannot check tokens as configured.
#[derive(Debug, thiserror::Error)]
pub enum AuthConfigError {
    #[error(
        "no way to check order tokens: set auth.jwt_hs256_secret_file or auth.jwt_public_key_file, \
         or, for trying only, --insecure-dev-auth"
    )]
    Nothing,
    #[error("set auth.jwt_hs256_secret_file or auth.jwt_public_key_file, not both")]
    Both,
    #[error("cannot read {path}: {cause}", path = path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error(
        "the secret in {path} has {bytes} bytes; HS256 needs at least {SECRET_BYTES_MIN}",
        path = path.display()
    )]
    Short { path: PathBuf, bytes: usize },
    #[error("{path} is no PEM public key of EdDSA (Ed25519) or RS256", path = path.display())]
    NoKey { path: PathBuf },
}

/// A verified buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: String,
    /// Claims as text under `claim:<name>`, and those that no rule can read under [`crate::order::unreadable`], with why.
    pub claims: Vec<(String, String)>,
}

/// Checks tokens.
pub struct Auth {
    jwt: Option<Jwt>,
    dev: bool,
}

impl Auth {
    pub fn new(config: &Config) -> Result<Self, AuthConfigError> {
        let jwt = match (&config.jwt_hs256_secret_file, &config.jwt_public_key_file) {
            (Some(_), Some(_)) => return Err(AuthConfigError::Both),
            (Some(path), None) => {
                let bytes = read(path)?;
                let secret = bytes.trim_ascii_end();
                if secret.len() < SECRET_BYTES_MIN {
                    return Err(AuthConfigError::Short {
                        path: path.clone(),
                        bytes: secret.len(),
                    });
                }
                Some(Jwt::new(
                    DecodingKey::from_secret(secret),
                    Algorithm::HS256,
                    config,
                ))
            }
            (None, Some(path)) => {
                let pem = read(path)?;
                let (key, algorithm) =
                    public_key(&pem).ok_or(AuthConfigError::NoKey { path: path.clone() })?;
                Some(Jwt::new(key, algorithm, config))
            }
            (None, None) if config.insecure_dev_auth => None,
            (None, None) => return Err(AuthConfigError::Nothing),
        };
        if config.insecure_dev_auth {
            tracing::warn!(
                "INSECURE: orders are taken from anybody under any name (Authorization: Bearer dev:<user>). \
                 For trying only."
            );
        }
        Ok(Self {
            jwt,
            dev: config.insecure_dev_auth,
        })
    }

    /// Verifies a token.
    pub fn verify(&self, token: &str) -> Result<Arc<Identity>, Problem> {
        match (&self.jwt, token.strip_prefix("dev:")) {
            (_, Some(dev)) if self.dev => dev_identity(dev).map(Arc::new),
            (Some(jwt), _) => jwt.verify(token),
            (None, _) => Err(refused("this gateway takes only tokens of the form dev:<user>")),
        }
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, AuthConfigError> {
    std::fs::read(path).map_err(|cause| AuthConfigError::Unreadable {
        path: path.clone(),
        cause,
    })
}

fn public_key(pem: &[u8]) -> Option<(DecodingKey, Algorithm)> {
    let ed = DecodingKey::from_ed_pem(pem).map(|key| (key, Algorithm::EdDSA));
    ed.or_else(|_| DecodingKey::from_rsa_pem(pem).map(|key| (key, Algorithm::RS256)))
        .ok()
}

struct Jwt {
    key: DecodingKey,
    validation: Validation,
    /// Only where verifying costs much more than looking up.
    cache: Option<Cache>,
}

impl Jwt {
    fn new(key: DecodingKey, algorithm: Algorithm, config: &Config) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.validate_aud = config.audience.is_some();
        let mut required = vec!["exp", "sub"];
        if let Some(audience) = &config.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        if let Some(issuer) = &config.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        let cache = (algorithm != Algorithm::HS256).then(Cache::default);
        Self {
            key,
            validation,
            cache,
        }
    }

    fn verify(&self, token: &str) -> Result<Arc<Identity>, Problem> {
        let Some(cache) = &self.cache else {
            return self.decode(token).map(|(identity, _)| Arc::new(identity));
        };
        let now = jsonwebtoken::get_current_timestamp();
        if let Some(identity) = cache.get(token, now) {
            return Ok(identity);
        }
        let (identity, expires) = self.decode(token)?;
        let identity = Arc::new(identity);
        cache.put(token, identity.clone(), expires);
        Ok(identity)
    }

    /// The identity and its `exp`, seconds since 1970-01-01 UTC.
    fn decode(&self, token: &str) -> Result<(Identity, u64), Problem> {
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| problem(error.kind()))?;
        let claims = decoded.claims;
        let user = match claims.get("sub") {
            _ if claims.is_doubled("sub") => {
                return Err(refused("the claim sub stands in the token more than once"));
            }
            Some(Value::String(sub)) => sub.clone(),
            _ => return Err(refused("the claim sub must be a text")),
        };
        check_user(&user)?;
        let expires = claims.get("exp").and_then(Value::as_f64).unwrap_or(0.0) as u64;
        let claims = claims.attributes();
        Ok((Identity { user, claims }, expires))
    }
}

fn check_user(user: &str) -> Result<(), Problem> {
    match check_text(user) {
        _ if user.is_empty() => Err(refused("the user (sub) is empty")),
        Err(wrong) => Err(refused(&format!("the user (sub) {wrong}"))),
        Ok(()) => Ok(()),
    }
}

fn refused(detail: &str) -> Problem {
    Problem::new(&TOKEN_INVALID, detail.to_owned())
}

/// What the client may know about a refused token, and nothing about the key.
fn problem(error: &ErrorKind) -> Problem {
    let (kind, detail): (&'static Kind, String) = match error {
        ErrorKind::ExpiredSignature => (&TOKEN_EXPIRED, "the token has expired".into()),
        ErrorKind::ImmatureSignature => (&TOKEN_NOT_YET_VALID, "the token is not valid yet".into()),
        ErrorKind::InvalidSignature => (&TOKEN_INVALID, "the signature does not match".into()),
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => (
            &TOKEN_INVALID,
            "the token is signed with another algorithm".into(),
        ),
        ErrorKind::InvalidIssuer => (&TOKEN_INVALID, "the token has another issuer (iss)".into()),
        ErrorKind::InvalidAudience => (&TOKEN_INVALID, "the token is for another audience (aud)".into()),
        ErrorKind::MissingRequiredClaim(claim) => {
            (&TOKEN_INVALID, format!("the token lacks the claim {claim}"))
        }
        ErrorKind::InvalidClaimFormat(claim) => {
            (&TOKEN_INVALID, format!("the claim {claim} has the wrong form"))
        }
        _ => (&TOKEN_INVALID, "the token is no JSON Web Token".into()),
    };
    Problem::new(kind, detail)
}

/// `<user>` or `<user>?tier=gold&region=eu`, percent-encoded where needed.
fn dev_identity(text: &str) -> Result<Identity, Problem> {
    let decode = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded
            .map(String::from)
            .map_err(|_| refused("the development token is no UTF-8"))
    };
    let (user, query) = text.split_once('?').unwrap_or((text, ""));
    let user = decode(user)?;
    check_user(&user)?;
    let mut claims = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
        let (name, value) = (decode(name)?, decode(value)?);
        check_text(&value).map_err(|wrong| refused(&format!("the claim {} {wrong}", echo(&name))))?;
        if TOKEN_CLAIMS.contains(&name.as_str()) {
            return Err(refused(&format!(
                "{name} is a claim about the token, and no rule reads it"
            )));
        }
        let name = format!("claim:{name}");
        if claims.iter().any(|(there, _)| *there == name) {
            return Err(refused(&format!(
                "{} stands in the token more than once",
                echo(&name)
            )));
        }
        claims.push((name, value));
    }
    Ok(Identity { user, claims })
}

#[cfg(test)]
mod tests;
