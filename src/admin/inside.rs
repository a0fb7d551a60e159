//! The API as pages of the same process ask it: the same routes, checks and answers, for somebody whose key was looked at before.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use tower_service::Service;

use super::guard::{self, Actor, Guard, LOCAL};
use super::{Admin, Peer};
use crate::wire::Problem;

/// The API, and who may ask it.
#[derive(Clone)]
pub struct Inside {
    router: Router,
    guard: Arc<Guard>,
}

/// Somebody whose key is good, or a program of this machine where there is no key.
#[derive(Clone, Copy, Debug)]
pub struct Holder(Actor, Option<Peer>);

impl Holder {
    /// As the audit trail names who changed something.
    pub fn name(&self) -> &str {
        self.0.0
    }

    /// The same, who asks from there.
    pub fn from(self, peer: Option<Peer>) -> Self {
        Self(self.0, peer)
    }
}

/// SHA-256 of a key's text: what may be kept of it.
pub type KeyDigest = [u8; 32];

/// What is kept of a key.
pub fn key_digest(key: &str) -> KeyDigest {
    guard::digest(key)
}

impl Inside {
    /// Whoever may come to a control plane without keys; `None` where it has them.
    pub fn local(&self) -> Option<Holder> {
        (!self.guard.has_token()).then_some(Holder(LOCAL, None))
    }

    /// Whose key it is, asked anew for every page: one that was taken back is nobody's.
    pub async fn holder(&self, key: &KeyDigest) -> Result<Holder, Problem> {
        self.guard.holder(key).map(|actor| Holder(actor, None))
    }

    /// Answers as the control plane does.
    pub async fn ask(&self, Holder(actor, peer): Holder, mut request: Request<Body>) -> Response {
        request.extensions_mut().insert(actor);
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
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
