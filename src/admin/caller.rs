//! Who calls, and from where, as the audit trail says of what they change; and how that has to be.

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};

use super::answer::Refused;
use super::guard::Address;
use super::openapi;
use crate::access::Actor;
use crate::audit::{AskedBy, Asker, Condition, Only};
use crate::wire::Problem;
use crate::wire::problem::{INTERNAL, MALFORMED};
use crate::wire::tags::Tags;

/// Somebody whom the guard has let in.
pub(super) struct Caller {
    actor: Actor,
    asker: Asker,
    condition: Condition,
}

impl Caller {
    pub(super) fn by(&self) -> AskedBy<'_> {
        AskedBy {
            only_if: Some(Only::of(&self.condition)),
            ..self.asker.by()
        }
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
            condition: Condition::new(if_match(parts)?),
        })
    }
}

/// The header `If-Match`. Where it would say nothing it is refused: whoever sends it counts on it.
fn if_match(parts: &Parts) -> Result<Option<Tags>, Refused> {
    let values = parts.headers.get_all(header::IF_MATCH).iter();
    let tags = Tags::read("If-Match", values.map(HeaderValue::as_bytes))?;
    let path = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    if tags.is_some() && !path.is_some_and(|path| openapi::takes_if_match(&parts.method, path)) {
        let detail = "this path has no use for the header If-Match, and nothing was changed: leave it out";
        return Err(Problem::new(&MALFORMED, detail).into());
    }
    Ok(tags)
}
