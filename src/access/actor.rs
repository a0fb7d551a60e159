//! Whoever asks the control plane, and what that one may: the holder of the root token, a payment system, a program of this machine
//! where there is no token, or the holder of a key.

use std::sync::Arc;

use super::scope::{Role, Scope, Scopes};

/// Who asks. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Actor(Arc<Identity>);

#[derive(Debug)]
struct Identity {
    name: String,
    scopes: Scopes,
    /// `None`: of all.
    merchant: Option<String>,
    key: Option<KeyHead>,
    is_root: bool,
}

/// What a key says of itself, but for its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHead {
    /// 16 lower-case hex digits.
    pub id: String,
    pub name: String,
    /// Who holds it.
    pub person: String,
    /// `None`: of all.
    pub merchant: Option<String>,
    pub scopes: Scopes,
    /// When it ends by itself; milliseconds since 1970-01-01 UTC.
    pub expires_at: Option<i64>,
}

impl Actor {
    fn of_all(name: &str, scopes: Scopes, is_root: bool) -> Self {
        Self(Arc::new(Identity {
            is_root,
            name: name.to_owned(),
            scopes,
            merchant: None,
            key: None,
        }))
    }

    /// The holder of the root token, under the name that the audit trail has always had.
    pub fn root() -> Self {
        Self::of_all("admin", Scopes::all(), true)
    }

    /// A program of this machine, where there is no token.
    pub fn local() -> Self {
        Self::of_all("local", Scopes::all(), true)
    }

    /// The holder of the payment system's token; `name` is what order changes say.
    pub fn payments(name: &str) -> Self {
        Self::of_all(name, Role::Payments.scopes(), false)
    }

    /// The holder of a key.
    pub fn of_key(key: KeyHead) -> Self {
        Self(Arc::new(Identity {
            // No key's name is that of somebody else: they have no parenthesis.
            name: format!("{} (key {})", key.person, key.id),
            scopes: key.scopes.clone(),
            merchant: key.merchant.clone(),
            key: Some(key),
            is_root: false,
        }))
    }

    /// As the audit trail names who changed something.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it may everything: the holder of the root token, and whoever asks where there is none.
    pub fn is_root(&self) -> bool {
        self.0.is_root
    }

    /// The key that it came with; `None` of a token.
    pub fn key(&self) -> Option<&KeyHead> {
        self.0.key.as_ref()
    }

    /// The merchant whose things alone it sees; `None`: all of them.
    pub fn merchant(&self) -> Option<&str> {
        self.0.merchant.as_deref()
    }

    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    pub fn may(&self, scope: Scope) -> bool {
        self.0.scopes.has(scope)
    }

    /// Whether it sees what belongs to this merchant.
    pub fn sees(&self, merchant: &str) -> bool {
        self.merchant().is_none_or(|own| own == merchant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_nobody_else_whatever_its_person_is_called() {
        let key = |person: &str| KeyHead {
            id: "0123456789abcdef".into(),
            name: "desk".into(),
            person: person.into(),
            merchant: Some("a".into()),
            scopes: Role::Viewer.scopes(),
            expires_at: None,
        };
        for person in ["admin", "payments", "local"] {
            let actor = Actor::of_key(key(person));
            assert_eq!(actor.name(), format!("{person} (key 0123456789abcdef)"));
            assert!(actor.sees("a") && !actor.sees("b"));
            assert!(actor.may(Scope::OrdersRead) && !actor.may(Scope::OrdersWrite));
        }
        assert!(Actor::root().sees("b") && Actor::root().may(Scope::Keys));
        assert!(!Actor::payments("payments").may(Scope::OrdersRead));
    }
}
