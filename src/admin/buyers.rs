//! One buyer's data: all of it as lines of JSON, and its erasure.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, StreamExt};

use super::answer::{Refused, changed, idempotency_key, read_json_if_any};
use super::query::{parameters, query};
use super::table::{LINES_TYPE, cut_off, json_lines};
use super::{Admin, Answered};
use crate::access::Actor;
use crate::control::{self, BuyerLines, Control, ERASE, EraseBody, ErasureView, Operation};

/// Bytes of a line, about.
const LINE_BYTES: usize = 256;

/// What the control plane asks of [`Control`] about one buyer's data.
pub trait Buyers: Send + Sync {
    fn export_buyer<'a>(&'a self, actor: &'a str, user: &'a str) -> Answered<'a, BuyerLines>;
    fn erase_buyer<'a>(
        &'a self,
        operation: Operation<'a>,
        user: &'a str,
        body: &'a EraseBody,
        dry_run: bool,
    ) -> Answered<'a, control::Answered>;
    fn erasure<'a>(&'a self, user: &'a str) -> Answered<'a, ErasureView>;
}

impl Buyers for Control {
    fn export_buyer<'a>(&'a self, actor: &'a str, user: &'a str) -> Answered<'a, BuyerLines> {
        self.export_buyer(actor, user).boxed()
    }

    fn erase_buyer<'a>(
        &'a self,
        operation: Operation<'a>,
        user: &'a str,
        body: &'a EraseBody,
        dry_run: bool,
    ) -> Answered<'a, control::Answered> {
        self.erase_buyer(operation, user, body, dry_run).boxed()
    }

    fn erasure<'a>(&'a self, user: &'a str) -> Answered<'a, ErasureView> {
        self.erasure(user).boxed()
    }
}

parameters! {
    struct EraseQuery {
        /// Changes nothing, and says what it would be.
        #[serde(default)]
        dry_run: bool,
    }
}

/// All there is of a buyer, as it is read; also where that is nothing.
pub(super) async fn export(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    Path(user): Path<String>,
) -> Result<Response, Refused> {
    let lines = admin.rules.export_buyer(actor.name(), &user).await?;
    // Without its last line, it is not all.
    let pages = lines.map(|lines| json_lines(lines?.into_iter(), LINE_BYTES));
    let headers = [
        (header::CONTENT_TYPE, LINES_TYPE),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"buyer-data.jsonl\"",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(cut_off(pages, "a buyer's data"))).into_response())
}

/// 202 with the erasure, or 200 for a dry run.
pub(super) async fn erase(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    Path(user): Path<String>,
    asked: Result<Query<EraseQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let EraseQuery { dry_run } = query(asked)?;
    let key = idempotency_key(&headers)?;
    let body: EraseBody = read_json_if_any(&headers, body).await?;
    let operation = Operation::by(actor.name(), "", ERASE).asked(key.as_deref(), body.note.as_deref());
    let answered = admin.rules.erase_buyer(operation, &user, &body, dry_run).await?;
    let mut answer = changed(answered);
    if !dry_run {
        *answer.status_mut() = StatusCode::ACCEPTED;
    }
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// What stands of the newest erasure.
pub(super) async fn erasure(
    State(admin): State<Admin>,
    Path(user): Path<String>,
) -> Result<Response, Refused> {
    let view = admin.rules.erasure(&user).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(view)).into_response())
}
