//! The running sale: paused, resumed, ended, and brought to other times or another title.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::FutureExt;
use serde::Deserialize;

use super::answer::{Refused, changed, idempotency_key, read_json, read_json_if_any};
use super::caller::Caller;
use super::query::{parameters, query};
use super::{Admin, Answered};
use crate::control::{self, CHANGE, CampaignChange, Control, END, Operation, PAUSE, RESUME, UNSCHEDULE};

/// What the control plane asks of [`Control`] about a sale that runs.
pub trait Running: Send + Sync + 'static {
    fn pause<'a>(
        &'a self,
        operation: Operation<'a>,
        resume_at: Option<jiff::Timestamp>,
    ) -> Answered<'a, control::Answered>;
    fn pause_later<'a>(
        &'a self,
        operation: Operation<'a>,
        pause_at: jiff::Timestamp,
        resume_at: Option<jiff::Timestamp>,
    ) -> Answered<'a, control::Answered>;
    /// `id` is the scheduled change's.
    fn unschedule<'a>(&'a self, operation: Operation<'a>, id: &'a str) -> Answered<'a, control::Answered>;
    fn resume<'a>(&'a self, operation: Operation<'a>) -> Answered<'a, control::Answered>;
    fn end<'a>(&'a self, operation: Operation<'a>) -> Answered<'a, control::Answered>;
    fn change_campaign<'a>(
        &'a self,
        operation: Operation<'a>,
        change: CampaignChange,
        dry_run: bool,
    ) -> Answered<'a, control::Answered>;
}

impl Running for Control {
    fn pause<'a>(
        &'a self,
        operation: Operation<'a>,
        resume_at: Option<jiff::Timestamp>,
    ) -> Answered<'a, control::Answered> {
        self.pause(operation, resume_at).boxed()
    }

    fn pause_later<'a>(
        &'a self,
        operation: Operation<'a>,
        pause_at: jiff::Timestamp,
        resume_at: Option<jiff::Timestamp>,
    ) -> Answered<'a, control::Answered> {
        self.pause_later(operation, pause_at, resume_at).boxed()
    }

    fn unschedule<'a>(&'a self, operation: Operation<'a>, id: &'a str) -> Answered<'a, control::Answered> {
        self.unschedule(operation, id).boxed()
    }

    fn resume<'a>(&'a self, operation: Operation<'a>) -> Answered<'a, control::Answered> {
        self.resume(operation).boxed()
    }

    fn end<'a>(&'a self, operation: Operation<'a>) -> Answered<'a, control::Answered> {
        self.end(operation).boxed()
    }

    fn change_campaign<'a>(
        &'a self,
        operation: Operation<'a>,
        change: CampaignChange,
        dry_run: bool,
    ) -> Answered<'a, control::Answered> {
        self.change_campaign(operation, change, dry_run).boxed()
    }
}

parameters! {
    struct ChangeQuery {
        /// Changes nothing, and says what it would be.
        #[serde(default)]
        dry_run: bool,
    }
}

#[derive(Default, Deserialize, utoipa::ToSchema)]
#[schema(as = Pause)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PauseBody {
    /// When it begins; now where it is left out.
    pause_at: Option<jiff::Timestamp>,
    resume_at: Option<jiff::Timestamp>,
    /// For the audit trail, and shown with the pause.
    #[schema(max_length = 500)]
    note: Option<String>,
}

#[derive(Default, Deserialize, utoipa::ToSchema)]
#[schema(as = Note)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NoteBody {
    /// For the audit trail.
    #[schema(max_length = 500)]
    note: Option<String>,
}

/// What a change is asked for with that takes nothing else.
async fn key_and_note(headers: &HeaderMap, body: Body) -> Result<(Option<String>, Option<String>), Refused> {
    let key = idempotency_key(headers)?;
    let NoteBody { note } = read_json_if_any(headers, body).await?;
    Ok((key, note))
}

/// Answers when no gateway admits any more.
pub(super) async fn pause(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let key = idempotency_key(&headers)?;
    let PauseBody {
        pause_at,
        resume_at,
        note,
    } = read_json_if_any(&headers, body).await?;
    let operation = Operation::by(caller.by(), &id, PAUSE).asked(key.as_deref(), note.as_deref());
    let answered = match pause_at {
        None => admin.rules.pause(operation, resume_at).await?,
        Some(pause_at) => admin.rules.pause_later(operation, pause_at, resume_at).await?,
    };
    Ok(changed(answered))
}

/// Answers when every gateway takes orders again.
pub(super) async fn resume(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let (key, note) = key_and_note(&headers, body).await?;
    let operation = Operation::by(caller.by(), &id, RESUME)
        .asked(key.as_deref(), note.as_deref())
        .by_root(caller.is_root());
    Ok(changed(admin.rules.resume(operation).await?))
}

/// Answers when every gateway says that the sale is over.
pub(super) async fn end(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let (key, note) = key_and_note(&headers, body).await?;
    let operation = Operation::by(caller.by(), &id, END).asked(key.as_deref(), note.as_deref());
    Ok(changed(admin.rules.end(operation).await?))
}

/// Answers when every gateway goes by the other times.
pub(super) async fn change(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    asked: Result<Query<ChangeQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let ChangeQuery { dry_run } = query(asked)?;
    let key = idempotency_key(&headers)?;
    let change: CampaignChange = read_json(&headers, body).await?;
    let note = change.note.clone();
    let operation = Operation::by(caller.by(), &id, CHANGE)
        .asked(key.as_deref(), note.as_deref())
        .by_root(caller.is_root());
    let changed_so = admin.rules.change_campaign(operation, change, dry_run).await?;
    Ok(changed(changed_so))
}

/// Takes a scheduled change back.
pub(super) async fn unschedule(
    State(admin): State<Admin>,
    caller: Caller,
    Path((id, change)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let key = idempotency_key(&headers)?;
    let operation = Operation::by(caller.by(), &id, UNSCHEDULE).asked(key.as_deref(), None);
    Ok(changed(admin.rules.unschedule(operation, &change).await?))
}
