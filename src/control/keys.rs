//! Keys of the control plane: made, listed and revoked. Nobody makes one that may do more than they may themselves.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::operations::{Answered, Operation, with_member};
use super::{Control, ControlError, Problem};
use crate::access::{Actor, KeyHead, KeyText, Role, Scope, Scopes};
use crate::audit::{AskedBy, AuditLine};
use crate::record::LetterId;
use crate::store::{ApiKeyRow, KeyState, Owned, Owner, new_secret};
use crate::wire::{Moment, check_seen, check_shown, echo};

/// Bytes of a key's name, and of a person's.
const NAME_BYTES_MAX: usize = 64;
/// For how long a key may be good: ten years.
const DAYS_MAX: u32 = 3660;
const DAY_MS: i64 = 24 * 3600 * 1000;
const MINUTE_MS: i64 = 60_000;
/// Keys of one page at most, and one that says whether more follow.
const PAGE_MAX: u32 = 101;

/// As the audit trail names it.
pub const KEY_CREATE: &str = "key.create";

/// Body of `POST /admin/v1/keys`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it is for.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// Who holds it: the audit trail says so.
    #[schema(min_length = 1, max_length = 64)]
    pub person: String,
    /// What it may do; or a role says so.
    #[serde(default)]
    #[schema(min_items = 1)]
    pub scopes: Option<Vec<Scope>>,
    /// A set of scopes, by name.
    #[serde(default)]
    pub role: Option<Role>,
    /// The merchant whose things alone it sees: that of the key that makes it. Left out by who sees all merchants: it sees all.
    #[serde(default)]
    #[schema(max_length = 64)]
    pub merchant: Option<String>,
    /// For how many days it is good; left out, until it is revoked. It never outlives the key that makes it.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3660)]
    pub expires_in_days: Option<u32>,
}

/// A key, but for its text.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Key)]
pub struct KeyView {
    pub id: String,
    pub name: String,
    pub person: String,
    /// Missing: it sees all merchants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant: Option<String>,
    pub scopes: Vec<Scope>,
    /// `good`, `expired` or `revoked`.
    pub state: &'static str,
    pub created_at: Moment,
    /// As the audit trail names them.
    pub created_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Moment>,
    /// To the minute; missing where it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Moment>,
}

/// A new key, with its text: nobody is shown it again.
#[derive(Clone, Serialize, utoipa::ToSchema)]
#[schema(as = CreatedKey)]
pub struct NewKeyView {
    #[serde(flatten)]
    pub view: KeyView,
    /// `Authorization: Bearer <key>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub key: Option<String>,
}

impl KeyView {
    fn of(row: ApiKeyRow, now: i64) -> Self {
        Self {
            state: match row.state(now) {
                KeyState::Revoked(_) => "revoked",
                KeyState::Expired(_) => "expired",
                KeyState::Good => "good",
            },
            id: row.head.id,
            name: row.head.name,
            person: row.head.person,
            merchant: row.head.merchant,
            scopes: row.head.scopes.iter().collect(),
            created_at: Moment(row.created_at),
            created_by: row.created_by,
            expires_at: row.head.expires_at.map(Moment),
            revoked_at: row.revoked_at.map(Moment),
            last_used_at: row.last_used_at.map(Moment),
        }
    }
}

impl Control {
    /// A key for somebody; `actor` may do all that it may.
    pub async fn create_key(
        &self,
        by: impl Into<AskedBy<'_>>,
        actor: &Actor,
        new: NewKey,
    ) -> Result<NewKeyView, ControlError> {
        self.create_key_under(by.into(), actor, new, &new_secret()).await
    }

    /// The same, once per key of the request and merchant. Nobody keeps a key's text: what is answered again is without it.
    pub async fn create_key_once(
        &self,
        operation: Operation<'_>,
        actor: &Actor,
        new: NewKey,
    ) -> Result<Answered, ControlError> {
        let asked = serde_json::json!(new);
        let text = OnceLock::new();
        let mut answered = self
            .keyed(operation, &asked, async |id| {
                // Its last digits are random.
                let (_, random) = id.split_at(id.len() / 2);
                let made = self.create_key_under(operation.by, actor, new, random).await?;
                made.key.into_iter().for_each(|key| drop(text.set(key)));
                Ok(made.view)
            })
            .await?;
        if let Some(key) = text.get() {
            answered.body = with_member(&answered.body, "key", key)?;
        }
        Ok(answered)
    }

    async fn create_key_under(
        &self,
        by: AskedBy<'_>,
        actor: &Actor,
        new: NewKey,
        id: &str,
    ) -> Result<NewKeyView, ControlError> {
        let mut problems = Vec::new();
        check_name("/name", &new.name, &mut problems);
        check_name("/person", &new.person, &mut problems);
        let scopes = scopes(actor, &new, &mut problems);
        let merchant = new.merchant.as_deref().or(actor.merchant());
        if let Some(merchant) = merchant {
            problems.extend(self.no_merchant(merchant).await?);
        }
        let now = (self.clock)();
        let expires_at = expires_at(actor, &new, now, &mut problems);
        if !problems.is_empty() {
            return Err(ControlError::Invalid(problems));
        }
        let text = KeyText::of(id, &new_secret());
        if let Some(there) = self.store.key(text.id()).await? {
            // An earlier try of the same request has made it, and nobody knows its text.
            let view = KeyView::of(there, now);
            return Ok(NewKeyView { view, key: None });
        }
        let row = ApiKeyRow {
            head: KeyHead {
                id: text.id().to_owned(),
                name: new.name,
                person: new.person,
                merchant: merchant.map(str::to_owned),
                scopes,
                expires_at,
            },
            created_at: now,
            created_by: actor.name().to_owned(),
            made_with: actor.key().map(|key| key.id.clone()),
            revoked_at: None,
            last_used_at: None,
        };
        let digest = text.digest();
        let view = KeyView::of(row.clone(), now);
        let detail = serde_json::json!({"name": view.name, "person": view.person, "merchant": view.merchant,
            "scopes": view.scopes, "expires_at": view.expires_at});
        let line = AuditLine::new(now, by, KEY_CREATE, view.id.as_str(), detail);
        self.store.insert_key(&row, &digest, &[line]).await?;
        Ok(NewKeyView {
            view,
            key: Some(text.text().to_owned()),
        })
    }

    /// Newest first; of one merchant where it is named.
    pub async fn keys(
        &self,
        merchant: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<KeyView>, ControlError> {
        if let Some(before) = before {
            let owner = self.store.owner(Owned::Key, before).await?;
            let is_seen = match (&owner, merchant) {
                (Owner::Missing, _) => false,
                (_, None) => true,
                (owner, Some(merchant)) => *owner == Owner::One(merchant.to_owned()),
            };
            if !is_seen {
                return Err(no_key(before));
            }
        }
        let rows = self
            .store
            .keys(merchant, before, limit.clamp(1, PAGE_MAX))
            .await?;
        let now = (self.clock)();
        Ok(rows.into_iter().map(|row| KeyView::of(row, now)).collect())
    }

    /// From now on nobody's, at every gateway. One that was revoked before stays so.
    pub async fn revoke_key(&self, by: impl Into<AskedBy<'_>>, id: &str) -> Result<(), ControlError> {
        let row = self.store.key(id).await?.ok_or_else(|| no_key(id))?;
        let (now, detail) = (
            (self.clock)(),
            serde_json::json!({"name": row.head.name, "person": row.head.person}),
        );
        let line = AuditLine::new(now, by, "key.revoke", id, detail);
        self.store.revoke_key(id, now, &[line]).await?;
        Ok(())
    }

    /// The key whose text has this hash, in hex, whether it is good or not.
    pub async fn key_by_digest(&self, digest: &str) -> Result<Option<ApiKeyRow>, ControlError> {
        Ok(self.store.key_by_digest(digest).await?)
    }

    /// Notes that a key was used, once a minute at most.
    pub async fn key_used(&self, row: &ApiKeyRow) {
        let now = (self.clock)();
        let since = now - MINUTE_MS;
        if row.last_used_at.is_some_and(|at| at >= since) {
            return;
        }
        if let Err(error) = self.store.key_used(&row.head.id, now, since).await {
            tracing::debug!(key = row.head.id, %error, "that a key was used is not written down");
        }
    }

    pub async fn letter_owner(&self, id: &LetterId) -> Result<Owner, ControlError> {
        Ok(self.store.letter_owner(id).await?)
    }

    pub async fn owner(&self, of: Owned, id: &str) -> Result<Owner, ControlError> {
        Ok(self.store.owner(of, id).await?)
    }
}

fn no_key(id: &str) -> ControlError {
    ControlError::Unknown(format!("no key {}", echo(id)))
}

pub(super) fn check_name(pointer: &str, name: &str, problems: &mut Vec<Problem>) {
    let wrong = match name.len() {
        0 => Err("is empty".to_owned()),
        1..=NAME_BYTES_MAX => check_shown(name, false).and_then(|()| check_seen(name)),
        _ => Err(format!("is longer than {NAME_BYTES_MAX} bytes")),
    };
    problems.extend(wrong.err().map(|why| Problem::new(pointer, why)));
}

/// What a new key may do.
fn scopes(actor: &Actor, new: &NewKey, problems: &mut Vec<Problem>) -> Scopes {
    let (pointer, asked) = match (&new.scopes, new.role) {
        (Some(scopes), None) => ("/scopes", scopes.iter().copied().collect()),
        (None, Some(role)) => ("/role", role.scopes()),
        (Some(_), Some(_)) => {
            problems.push(Problem::new(
                "/role",
                "stands beside scopes: name the one or the other",
            ));
            return Scopes::default();
        }
        (None, None) => {
            problems.push(Problem::new(
                "/scopes",
                "nothing says what the key may do: give scopes or a role",
            ));
            return Scopes::default();
        }
    };
    if asked.is_empty() {
        problems.push(Problem::new(pointer, "has no scope: such a key may do nothing"));
    }
    let beyond = asked.beyond(actor.scopes());
    if !beyond.is_empty() {
        let named: Vec<&str> = beyond.iter().map(|scope| scope.as_str()).collect();
        let detail = format!("asks for {}, which you may not do yourself", named.join(", "));
        problems.push(Problem::new(pointer, detail));
    }
    asked
}

/// When it ends: never after the key that makes it.
fn expires_at(actor: &Actor, new: &NewKey, now: i64, problems: &mut Vec<Problem>) -> Option<i64> {
    let asked = new.expires_in_days.map(|days| {
        if !(1..=DAYS_MAX).contains(&days) {
            let detail = format!("is {days}; use 1 to {DAYS_MAX}");
            problems.push(Problem::new("/expires_in_days", detail));
        }
        now.saturating_add(i64::from(days) * DAY_MS)
    });
    let own = actor.key().and_then(|key| key.expires_at);
    asked.into_iter().chain(own).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(scopes: Option<&[Scope]>, role: Option<Role>, days: Option<u32>) -> NewKey {
        NewKey {
            name: "desk".into(),
            person: "ada".into(),
            scopes: scopes.map(<[Scope]>::to_vec),
            role,
            merchant: None,
            expires_in_days: days,
        }
    }

    #[test]
    fn nobody_gives_more_than_they_have() {
        let maker = Actor::of_key(KeyHead {
            id: "0".repeat(16),
            name: "k".into(),
            person: "ada".into(),
            merchant: Some("a".into()),
            scopes: [Scope::Keys, Scope::OrdersRead].into_iter().collect(),
            expires_at: Some(5 * DAY_MS),
        });
        let wrong = |new: &NewKey| {
            let mut problems = Vec::new();
            scopes(&maker, new, &mut problems);
            problems
                .into_iter()
                .map(|problem| (problem.pointer, problem.detail))
                .collect::<Vec<_>>()
        };
        assert_eq!(wrong(&asked(Some(&[Scope::OrdersRead]), None, None)), []);
        let refused = wrong(&asked(Some(&[Scope::OrdersWrite, Scope::Keys]), None, None));
        assert!(
            refused[0].0 == "/scopes" && refused[0].1.contains("orders:write"),
            "{refused:?}"
        );
        assert_eq!(wrong(&asked(None, Some(Role::Viewer), None))[0].0, "/role");
        assert_eq!(wrong(&asked(None, None, None))[0].0, "/scopes");
        assert_eq!(wrong(&asked(Some(&[]), None, None))[0].0, "/scopes");
        let ends = |days| expires_at(&maker, &asked(None, None, days), 0, &mut Vec::new());
        assert_eq!(
            (ends(None), ends(Some(2)), ends(Some(90))),
            (Some(5 * DAY_MS), Some(2 * DAY_MS), Some(5 * DAY_MS))
        );
        assert_eq!(
            expires_at(&Actor::root(), &asked(None, None, None), 0, &mut Vec::new()),
            None
        );
    }
}
