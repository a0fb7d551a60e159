//! Who may use the API: the holder of the root token or of a key, a payment system, or, without a token, programs of this machine. What
//! each may do says `routes.rs`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use subtle::ConstantTimeEq;

use super::Rules;
use super::answer::Refused;
use super::limits::Limits;
use super::owners;
use super::routes::{Found, Reach, find, for_root, payments_alone};
use super::watched::Watched;
use crate::access::{Actor, KeyDigest, KeyText, digest};
use crate::clock::now_ms;
use crate::control::PAYMENTS;
use crate::serving::PeerKey;
use crate::store::{ApiKeyRow, KeyState};
use crate::wire::problem::{TOKEN_INVALID, TOKEN_MISSING, UNAVAILABLE};
use crate::wire::{Moment, Problem, bearer};

/// A key that the database has not said anything of by then is nobody's for now.
const LOOK_WITHIN: Duration = Duration::from_secs(3);

/// Where a request came from; in its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub IpAddr);

pub(super) struct Guard {
    /// SHA-256 of the token: both sides of the comparison have one length.
    token: Option<KeyDigest>,
    payment_token: Option<KeyDigest>,
    rules: Arc<dyn Rules>,
    limits: Arc<Limits>,
}

impl Guard {
    pub(super) fn new(
        token: Option<&str>,
        payment_token: Option<&str>,
        rules: Arc<dyn Rules>,
        limits: Arc<Limits>,
    ) -> Self {
        Self {
            token: token.map(digest),
            payment_token: payment_token.map(digest),
            rules,
            limits,
        }
    }

    /// Who asks, and the key that it came with, where it is one that may end meanwhile.
    async fn actor(
        &self,
        headers: &HeaderMap,
        address: Option<PeerKey>,
    ) -> Result<(Actor, Option<KeyDigest>), Problem> {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(bearer);
        let is_key = given.is_some_and(KeyText::is_one);
        if !self.has_token() && !is_key {
            // `check_host` was here before.
            return Ok((Actor::local(), None));
        }
        let given = given.ok_or_else(|| {
            let detail = "the control plane needs the header Authorization: Bearer <RUSHGATE_ADMIN_TOKEN>, or Bearer <a key>";
            Problem::new(&TOKEN_MISSING, detail)
        })?;
        let of = digest(given);
        let actor = self.log_in(&of, is_key, address).await?;
        Ok((actor, is_key.then_some(of)))
    }

    /// Whether there is a token to know somebody by.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whose token or key it is of which this is the digest, and that was sent from there. Who guesses is soon told to wait.
    pub(super) async fn log_in(
        &self,
        of: &KeyDigest,
        may_be_key: bool,
        address: Option<PeerKey>,
    ) -> Result<Actor, Problem> {
        self.limits.may_try(of, address, Instant::now())?;
        let found = match self.known(of) {
            Some(actor) => Ok(actor),
            None if may_be_key => self.key(of).await,
            None => Err(invalid("this is not the token of the control plane")),
        };
        let is_wrong = matches!(&found, Err(problem) if problem.status() == 401);
        match is_wrong {
            true => self.limits.failed(address, Instant::now()),
            false if found.is_ok() => self.limits.good(*of, Instant::now()),
            false => {}
        }
        found
    }

    /// Whose token or key it is, asked anew.
    pub(super) async fn holder(&self, of: &KeyDigest) -> Result<Actor, Problem> {
        match self.known(of) {
            Some(actor) => Ok(actor),
            None => self.key(of).await,
        }
    }

    /// Whether the key is good now, or nobody can say so.
    async fn is_maybe_good(&self, of: &KeyDigest) -> bool {
        let held = self.holder(of).await;
        !matches!(&held, Err(problem) if problem.status() == 401)
    }

    /// The holder of a token that this process was given: no database is asked.
    fn known(&self, of: &KeyDigest) -> Option<Actor> {
        let is = |token: &Option<KeyDigest>| token.as_ref().is_some_and(|token| bool::from(of.ct_eq(token)));
        match (is(&self.token), is(&self.payment_token)) {
            (true, _) => Some(Actor::root()),
            (false, true) => Some(Actor::payments(PAYMENTS)),
            (false, false) => None,
        }
    }

    async fn key(&self, of: &KeyDigest) -> Result<Actor, Problem> {
        let hex = HEXLOWER.encode(of);
        let looked = tokio::time::timeout(LOOK_WITHIN, self.rules.key_by_digest(&hex)).await;
        let row = match looked {
            Ok(Ok(row)) => row,
            Ok(Err(_)) | Err(_) => {
                let detail =
                    "the database does not say whose key this is; RUSHGATE_ADMIN_TOKEN needs no database";
                return Err(Problem::new(&UNAVAILABLE, detail));
            }
        };
        let row = row.ok_or_else(|| invalid("there is no such key"))?;
        check_good(&row, now_ms())?;
        // That it is not written down is said there.
        let _ = self.rules.key_used(&row).await;
        Ok(Actor::of_key(row.head))
    }

    /// Whether whoever asks may ask for this; the key to be watched while it is answered.
    async fn admit(&self, params: Params, request: &mut Request) -> Result<Option<KeyDigest>, Refused> {
        let address = request.extensions().get::<Address>();
        let address = address.map(|Address(address)| PeerKey::of(*address));
        // Somebody whom a page of this process knows; no request from outside has such an extension.
        let (actor, key) = match request.extensions().get::<Actor>().cloned() {
            Some(known) => (known, None),
            None => self.actor(request.headers(), address).await?,
        };
        self.limits.asked(&actor, address, Instant::now())?;
        let pattern = request.extensions().get::<MatchedPath>();
        let found = pattern.map_or(Found::Nothing, |path| find(request.method(), path.as_str()));
        match found {
            Found::Route(route) => {
                route.admits(&actor)?;
                if let Some(id) = named(&params, route.reach) {
                    owners::check(&*self.rules, &actor, route.reach, &id).await?;
                } else if !matches!(route.reach, Reach::Own | Reach::All) && actor.merchant().is_some() {
                    return Err(for_root().into());
                }
            }
            Found::OtherMethod | Found::Nothing if actor.key().is_none() && actor.name() == PAYMENTS => {
                return Err(payments_alone().into());
            }
            Found::OtherMethod => {}
            Found::Nothing if actor.key().is_none() => {}
            Found::Nothing => return Err(for_root().into()),
        }
        request.extensions_mut().insert(actor);
        Ok(key)
    }
}

type Params = Result<RawPathParams, RawPathParamsRejection>;

/// What a path names first: the campaign, the list, the module. A letter's id is all of its parts.
fn named(params: &Params, reach: Reach) -> Option<String> {
    let params = params.as_ref().ok()?;
    let mut values = params.iter().map(|(_, value)| value);
    match reach {
        Reach::Letter => Some(values.collect::<Vec<_>>().join("/")),
        _ => values.next().map(str::to_owned),
    }
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(&TOKEN_INVALID, detail.into())
}

fn check_good(row: &ApiKeyRow, now: i64) -> Result<(), Problem> {
    match row.state(now) {
        KeyState::Revoked(at) => Err(invalid(format!("this key was revoked at {}", Moment(at)))),
        KeyState::Expired(at) => Err(invalid(format!("this key was good until {}", Moment(at)))),
        KeyState::Good => Ok(()),
    }
}

pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    params: Params,
    mut request: Request,
    next: Next,
) -> Response {
    match guard.admit(params, &mut request).await {
        Ok(None) => next.run(request).await,
        Ok(Some(key)) => {
            let answer = next.run(request).await;
            let still = move || {
                let guard = guard.clone();
                async move { guard.is_maybe_good(&key).await }
            };
            answer.map(|body| Body::new(Watched::new(body, still)))
        }
        Err(refused) => refused.into_response(),
    }
}
