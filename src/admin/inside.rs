//! The API as pages of the same process ask it: the same routes, checks and answers, for somebody whose key was looked at before.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use tower_service::Service;

use super::Admin;
use super::guard::{Address, Guard};
use crate::access::{Actor, Scopes, digest};
use crate::serving::PeerKey;
use crate::wire::Problem;

/// The API, and who may ask it.
#[derive(Clone)]
pub struct Inside {
    router: Router,
    guard: Arc<Guard>,
}

/// Somebody whose key is good, or a program of this machine where there is no key.
#[derive(Clone, Debug)]
pub struct Holder(Actor, Option<Address>);

impl Holder {
    /// As the audit trail names who changed something.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    pub fn scopes(&self) -> &Scopes {
        self.0.scopes()
    }

    /// The merchant whose things alone they see.
    pub fn merchant(&self) -> Option<&str> {
        self.0.merchant()
    }

    /// The same, who asks from there.
    pub fn from(self, address: Option<Address>) -> Self {
        Self(self.0, address)
    }
}

pub use crate::access::KeyDigest;

/// What is kept of a key.
pub fn key_digest(key: &str) -> KeyDigest {
    digest(key)
}

impl Inside {
    /// Whoever may come to a control plane without keys; `None` where it has them.
    pub fn local(&self) -> Option<Holder> {
        (!self.guard.has_token()).then(|| Holder(Actor::local(), None))
    }

    /// Whose key it is, asked anew for every page: one that was taken back is nobody's.
    pub async fn holder(&self, key: &KeyDigest) -> Result<Holder, Problem> {
        let holder = self.guard.holder(key).await;
        holder.map(|actor| Holder(actor, None))
    }

    /// The same for somebody who logs in from there: who guesses is soon told to wait.
    pub async fn log_in(&self, key: &KeyDigest, from: Address) -> Result<Holder, Problem> {
        let Address(address) = from;
        let holder = self.guard.log_in(key, true, Some(PeerKey::of(address))).await;
        holder.map(|actor| Holder(actor, Some(from)))
    }

    /// Answers as the control plane does.
    pub async fn ask(&self, Holder(actor, from): &Holder, mut request: Request<Body>) -> Response {
        request.extensions_mut().insert(actor.clone());
        if let Some(from) = from {
            request.extensions_mut().insert(*from);
        }
        let answered: Result<Response, Infallible> = self.router.clone().call(request).await;
        let Ok(answer) = answered;
        answer
    }
}

impl Admin {
    /// The same control plane, for pages of this process.
    pub fn inside(&self) -> Inside {
        Inside {
            router: self.clone().router(),
            guard: self.guard(),
        }
    }
}
