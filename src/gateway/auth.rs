//! Who is ordering: verifies the bearer token and takes user and claims from it.
//!
//! ```text
//! token ─▶ head: algorithm, kid ─▶ keys that may have signed it ─▶ claims
//!                                   ▲
//!            file or URL ─▶ keeper ─┘
//! ```

mod cache;
mod claims;
mod config;
mod examine;
mod fetch;
mod head;
mod issuers;
mod jwks;
mod keeper;
mod keys;
mod metrics;
mod odd;
mod source;

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use percent_encoding::percent_decode_str;

use crate::plan::TOKEN_CLAIMS;
use crate::reaching::{Guarded, System};
use crate::store::Issuer;
use crate::wire::problem::{Kind, TOKEN_EXPIRED, TOKEN_INVALID, TOKEN_NOT_YET_VALID, UNAVAILABLE};
use crate::wire::{Problem, Unfit, check_text, echo};
use cache::Cache;
use claims::{Claims, Form};
use head::{BadHead, Head};
use keeper::{Keeper, Times, Waited};
use keys::{Found, Key, KeySet, Rules};
use odd::{check_times, odd_claim, odd_form};
use source::Source;

pub use config::{ALGORITHMS, AuthConfigError, Config};
pub use examine::{KeySource, Published, PublishedKey};
pub use issuers::Issuers;
pub use jsonwebtoken::Algorithm;
pub(super) use metrics::KeyFigures;

/// A verified buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: String,
    /// Claims under `claim:<name>`, as texts or [`crate::order::array`]s of texts, and those that no rule can read under
    /// [`crate::order::unreadable`], with why.
    pub claims: Vec<(String, String)>,
    /// Its `exp`, seconds since 1970-01-01 UTC; `None` of a development token.
    pub expires: Option<u64>,
}

/// Checks tokens.
pub struct Auth {
    keeper: Option<Arc<Keeper>>,
    dev: bool,
}

impl Auth {
    /// Reads what is in a file; a URL is read from [`Self::start`] on.
    pub fn new(config: &Config) -> Result<Self, AuthConfigError> {
        let keeper = match Source::of(config)? {
            Some(source) => Some(Arc::new(keeper(source, config)?)),
            None if config.insecure_dev_auth => None,
            None => return Err(AuthConfigError::Nothing),
        };
        Ok(Self::with(keeper, config))
    }

    /// Keys of a merchant's issuer, to be read from [`Self::start`] on; what they verify is remembered in `cache`.
    fn of_issuer(issuer: &Issuer, config: &Config, cache: Arc<Cache>) -> Result<Self, String> {
        let (source, rules) = from_issuer(issuer, config)?;
        let keeper = Keeper::new(source, rules, times(config), None, Some(cache));
        Ok(Self {
            keeper: Some(Arc::new(keeper)),
            dev: false,
        })
    }

    /// Whether it is what [`Self::of_issuer`] would make.
    fn is_of(&self, issuer: &Issuer, config: &Config) -> bool {
        let (Some(keeper), Ok((source, rules))) = (&self.keeper, from_issuer(issuer, config)) else {
            return false;
        };
        keeper.is_for(&source, &rules, times(config))
    }

    fn with(keeper: Option<Arc<Keeper>>, config: &Config) -> Self {
        if config.insecure_dev_auth {
            tracing::warn!(
                "INSECURE: orders are taken from anybody under any name (Authorization: Bearer dev:<user>). \
                 For trying only."
            );
        }
        Self {
            keeper,
            dev: config.insecure_dev_auth,
        }
    }

    /// Keeps the keys as their source has them, from now on until dropped; needs a runtime.
    pub fn start(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.start();
        }
    }

    /// As another configuration says, started. Keys from the same URL go on as they are, and are read again at once.
    pub fn renew(&self, config: &Config) -> Result<Self, AuthConfigError> {
        let there = self.keeper.as_ref().filter(|keeper| {
            let source = Source::of(config).ok().flatten().filter(Source::is_url);
            let now = source.zip(rules(config).ok());
            now.is_some_and(|(source, rules)| keeper.is_for(&source, &rules, times(config)))
        });
        let renewed = match there {
            Some(keeper) => {
                keeper.at_once();
                Self::with(Some(keeper.clone()), config)
            }
            None => Self::new(config)?,
        };
        renewed.start();
        Ok(renewed)
    }

    /// Whether anybody's token can be checked, for `/readyz`.
    pub fn ready(&self) -> Result<(), String> {
        let Some(keeper) = self.keeper.as_ref().filter(|keeper| keeper.keys().is_none()) else {
            return Ok(());
        };
        let status = keeper.status();
        let why = status.trouble.unwrap_or_else(|| "not read yet".to_owned());
        Err(match status.age {
            Some(age) => format!(
                "read last {} s ago, which is longer than auth.keys_keep_ms: {why}",
                age.as_secs()
            ),
            None => why,
        })
    }

    /// Whether the keys could be read last time, for `/readyz`.
    pub fn fresh(&self) -> Result<(), String> {
        let status = self.keeper.as_ref().map(|keeper| keeper.status());
        status.and_then(|status| status.trouble).map_or(Ok(()), Err)
    }

    /// Verifies a token with the keys that are there.
    pub fn verify(&self, token: &str) -> Result<Arc<Identity>, Problem> {
        self.checked(token).map_err(|wrong| match wrong {
            Wrong::Final(problem) | Wrong::Key(problem) => problem,
            Wrong::Unknown | Wrong::NoKeys => later(Duration::from_secs(1)),
        })
    }

    /// Verifies a token. One that names a key that is not there waits a moment for the keys to be read anew: the key may
    /// have been published a moment ago. Only a reading that began after the token came can say that it was not.
    pub async fn identify(&self, token: &str) -> Result<Arc<Identity>, Problem> {
        let mut first: Option<(u64, tokio::time::Instant)> = None;
        loop {
            let (wrong, keeper) = match (self.checked(token), &self.keeper) {
                (Ok(identity), _) => return Ok(identity),
                (Err(Wrong::Final(problem)), _) => return Err(problem),
                (Err(wrong), Some(keeper)) => (wrong, keeper),
                (Err(_), None) => return self.verify(token),
            };
            let (since, until) = *first.get_or_insert_with(|| keeper.begun());
            match (keeper.wait(since, until).await, wrong) {
                (Waited::Read { after: true }, _) => return self.checked(token).map_err(Wrong::into_problem),
                (Waited::Read { after: false }, _) if tokio::time::Instant::now() < until => {}
                (Waited::Later(_) | Waited::Read { .. }, Wrong::Key(problem)) => return Err(problem),
                (Waited::Later(wait), _) => return Err(later(wait)),
                (Waited::Read { .. }, _) => return Err(later(Duration::from_secs(1))),
            }
        }
    }

    fn checked(&self, token: &str) -> Result<Arc<Identity>, Wrong> {
        match (&self.keeper, token.strip_prefix("dev:")) {
            (_, Some(dev)) if self.dev => dev_identity(dev).map(Arc::new).map_err(Wrong::Final),
            (Some(keeper), _) => match keeper.keys() {
                Some(keys) => verified(token, &keys, keeper.rules()),
                None => Err(Wrong::NoKeys),
            },
            (None, _) => Err(Wrong::Final(refused(
                "this gateway takes only tokens of the form dev:<user>",
            ))),
        }
    }
}

/// Why a token is not taken with the keys that are there.
enum Wrong {
    /// No other key would help.
    Final(Problem),
    /// Its signature is of none of the keys that have no name, and may be of one that is new.
    Key(Problem),
    /// It names a key that is not there.
    Unknown,
    /// Nobody can say anything.
    NoKeys,
}

impl Wrong {
    /// After the keys were read anew.
    fn into_problem(self) -> Problem {
        match self {
            Self::Final(problem) | Self::Key(problem) => problem,
            Self::Unknown => refused("the token is signed with a key (kid) that its issuer does not publish"),
            Self::NoKeys => later(Duration::from_secs(1)),
        }
    }
}

/// Not the buyer's fault, and not for good.
fn later(wait: Duration) -> Problem {
    let problem = Problem::new(
        &UNAVAILABLE,
        "the key that this token is signed with is not known here yet, or the keys cannot be read",
    );
    problem.reason("keys-unavailable").retry_after(wait)
}

fn rules(config: &Config) -> Result<Rules, Unfit> {
    Ok(Rules {
        issuer: config.issuer.clone(),
        audience: config.audience.clone(),
        algorithms: config.allowed()?,
    })
}

/// Of a merchant. It says where its keys are, and must not reach with that what only this machine can.
fn from_issuer(issuer: &Issuer, config: &Config) -> Result<(Source, Rules), String> {
    let guarded = Guarded::new("auth.private", config.private.clone(), Arc::new(System));
    let rules = Rules {
        issuer: Some(issuer.name.clone()),
        audience: issuer.audience.clone(),
        algorithms: config.allowed().map_err(|unfit| unfit.to_string())?,
    };
    Ok((Source::named(&issuer.jwks_url, guarded)?, rules))
}

fn times(config: &Config) -> Times {
    Times {
        every: config.jwks_every,
        keep: config.keys_keep,
    }
}

fn keeper(source: Source, config: &Config) -> Result<Keeper, AuthConfigError> {
    let rules = rules(config)?;
    let first = match source.is_url() {
        true => None,
        false => Some(source.read_file(None, &rules)?),
    };
    Ok(Keeper::new(source, rules, times(config), first, None))
}

fn verified(token: &str, keys: &KeySet, rules: &Rules) -> Result<Arc<Identity>, Wrong> {
    let now = jsonwebtoken::get_current_timestamp();
    if let Some(identity) = keys.remembered(token, now) {
        return Ok(identity);
    }
    let head = Head::read(token).map_err(|wrong| Wrong::Final(bad_head(&wrong)))?;
    let (candidates, named) = match keys.find(&head, rules) {
        Found::Named(keys) => (keys, true),
        Found::Fitting(keys) => (keys, false),
        Found::OtherAlgorithm => return Err(strange(token, rules, problem(&ErrorKind::InvalidAlgorithm))),
        // Nobody else's token has the keys read early.
        Found::Unknown => return Err(other_issuer(token, rules).map_or(Wrong::Unknown, Wrong::Final)),
    };
    for key in candidates {
        let (identity, expires) = match decode(token, key) {
            Ok(decoded) => decoded,
            Err(None) => continue,
            Err(Some(problem)) => return Err(Wrong::Final(problem)),
        };
        let identity = Arc::new(identity);
        keys.remember(token, &identity, expires);
        return Ok(identity);
    }
    let unsigned = problem(&ErrorKind::InvalidSignature);
    if let Some(problem) = other_issuer(token, rules) {
        return Err(Wrong::Final(problem));
    }
    Err(match keys.changing && !named {
        true => Wrong::Key(unsigned),
        false => Wrong::Final(unsigned),
    })
}

/// What is wrong with a token that is to be refused anyhow: that it says itself whose it is comes first.
fn strange(token: &str, rules: &Rules, otherwise: Problem) -> Wrong {
    Wrong::Final(other_issuer(token, rules).unwrap_or(otherwise))
}

/// That a token says itself that it is another issuer's. Nobody has verified that, which is enough to refuse it.
fn other_issuer(token: &str, rules: &Rules) -> Option<Problem> {
    let issuer = rules.issuer.as_deref()?;
    let said = odd::unverified_issuer(token)?;
    (said != issuer).then(|| problem(&ErrorKind::InvalidIssuer))
}

/// The identity and its `exp`, seconds since 1970-01-01 UTC. An error without a problem: another key may have signed it.
fn decode(token: &str, key: &Key) -> Result<(Identity, u64), Option<Problem>> {
    let decoded = jsonwebtoken::decode::<Claims>(token, &key.decoding, &key.validation);
    let claims = match decoded {
        Ok(decoded) => decoded.claims,
        Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => return Err(None),
        Err(error) => {
            let odd = odd_claim(token, error.kind());
            return Err(Some(odd.unwrap_or_else(|| problem(error.kind()))));
        }
    };
    identity(&claims).map_err(Some)
}

fn identity(claims: &Claims) -> Result<(Identity, u64), Problem> {
    check_times(claims)?;
    let sub = match claims.get("sub") {
        _ if claims.is_doubled("sub") => {
            return Err(refused("the claim sub stands in the token more than once"));
        }
        None => return Err(problem(&ErrorKind::MissingRequiredClaim("sub".into()))),
        Some(sub) => sub,
    };
    let user = sub.text().ok_or_else(|| odd_form("sub", &sub))?;
    let user = user.map_err(|why| refused(&format!("the user (sub) {why}")))?;
    check_user(&user)?;
    let expires = match claims.get("exp") {
        Some(Form::Number(digits)) => digits.parse().unwrap_or(0.0) as u64,
        _ => 0,
    };
    let claims = claims.attributes();
    let identity = Identity {
        user,
        claims,
        expires: Some(expires),
    };
    Ok((identity, expires))
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

fn bad_head(wrong: &BadHead) -> Problem {
    match wrong {
        BadHead::Unreadable => problem(&ErrorKind::InvalidToken),
        BadHead::Algorithm => problem(&ErrorKind::InvalidAlgorithm),
        BadHead::Extension(member) => refused(&format!(
            "the token has the header {member}, and no such extension is understood here"
        )),
    }
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
        ErrorKind::InvalidIssuer => (
            &TOKEN_INVALID,
            "the token has another issuer (iss) than the one whose tokens are taken here".into(),
        ),
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
    Ok(Identity {
        user,
        claims,
        expires: None,
    })
}

#[cfg(test)]
mod tests;
