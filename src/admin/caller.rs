//! Who calls, and from where, as the audit trail says of what they change.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::answer::Refused;
use super::guard::Address;
use crate::access::Actor;
use crate::audit::{AskedBy, Asker};
use crate::wire::Problem;
use crate::wire::problem::INTERNAL;

/// Somebody whom the guard has let in.
pub(super) struct Caller {
    actor: Actor,
    asker: Asker,
}

impl Caller {
    pub(super) fn by(&self) -> AskedBy<'_> {
        self.asker.by()
    }

    /// Whether they hold the root token, or need none here.
    pub(super) fn is_root(&self) -> bool {
        self.actor.is_root()
    }

    /// What they may, and whose things they see.
    pub(super) fn actor(&self) -> &Actor {
        &self.actor
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let Some(actor) = parts.extensions.get::<Actor>() else {
            return Err(Problem::new(&INTERNAL, "nobody has looked at who asks").into());
        };
        let address = parts.extensions.get::<Address>();
        let asker = Asker {
            actor: actor.name().to_owned(),
            key: actor.key().map(|key| key.id.clone()),
            person: actor.key().map(|key| key.person.clone()),
            address: address.map(|Address(address)| address.to_canonical().to_string()),
        };
        Ok(Self {
            actor: actor.clone(),
            asker,
        })
    }
}
