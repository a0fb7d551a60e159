//! Who calls, and from where, as the audit trail says of what they change.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::answer::Refused;
use super::guard::Actor;
use crate::audit::{AskedBy, Asker};
use crate::wire::Problem;
use crate::wire::problem::INTERNAL;

/// The other end of a request's connection: of a proxy, where one stands between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Somebody whom the guard has let in.
pub(super) struct Caller(Asker);

impl Caller {
    pub(super) fn by(&self) -> AskedBy<'_> {
        self.0.by()
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let Some(Actor(actor)) = parts.extensions.get() else {
            return Err(Problem::new(&INTERNAL, "nobody has looked at who asks").into());
        };
        let peer = parts.extensions.get::<Peer>();
        Ok(Self(Asker {
            actor: (*actor).to_owned(),
            address: peer.map(|Peer(address)| address.to_canonical().to_string()),
            ..Asker::default()
        }))
    }
}
