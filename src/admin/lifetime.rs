//! Campaigns made like another one, and campaigns removed.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::answer::{Refused, changed, idempotency_key, read_json};
use super::caller::Caller;
use super::campaigns::ScriptQuery;
use super::query::{parameters, query};
use super::{Admin, Answered};
use crate::control::{self, CLONE, Control, DELETE, NewClone, Operation};

/// What the control plane asks of [`Control`] about how campaigns come and go.
pub trait Lifetime: Send + Sync {
    /// `lua`: the answer holds the script.
    fn clone_campaign<'a>(
        &'a self,
        operation: Operation<'a>,
        new: NewClone,
        lua: bool,
    ) -> Answered<'a, control::Answered>;
    fn delete_campaign<'a>(&'a self, operation: Operation<'a>) -> Answered<'a, ()>;
}

impl Lifetime for Control {
    fn clone_campaign<'a>(
        &'a self,
        operation: Operation<'a>,
        new: NewClone,
        lua: bool,
    ) -> Answered<'a, control::Answered> {
        self.clone_campaign(operation, new, lua).boxed()
    }

    fn delete_campaign<'a>(&'a self, operation: Operation<'a>) -> Answered<'a, ()> {
        self.delete_campaign(operation).boxed()
    }
}

parameters! {
    struct DeleteQuery {
        /// Why, for the audit trail.
        note: Option<String>,
    }
}

/// 201 with what a new campaign answers.
pub(super) async fn clone(
    State(admin): State<Admin>,
    caller: Caller,
    Path(source): Path<String>,
    asked: Result<Query<ScriptQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let ScriptQuery { lua } = query(asked)?;
    let key = idempotency_key(&headers)?;
    let new: NewClone = read_json(&headers, body).await?;
    let (location, note) = (format!("/admin/v1/campaigns/{}", new.id), new.note.clone());
    let operation = Operation::by(caller.by(), &source, CLONE).asked(key.as_deref(), note.as_deref());
    let answered = admin.rules.clone_campaign(operation, new, lua).await?;
    let location = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, location, changed(answered)).into_response())
}

/// 204 when no gateway serves it any more.
pub(super) async fn delete(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    asked: Result<Query<DeleteQuery>, QueryRejection>,
) -> Result<StatusCode, Refused> {
    let DeleteQuery { note } = query(asked)?;
    let operation = Operation::by(caller.by(), &id, DELETE)
        .asked(None, note.as_deref())
        .by_root(caller.is_root());
    admin.rules.delete_campaign(operation).await?;
    Ok(StatusCode::NO_CONTENT)
}
