//! One buyer's data: all of it as lines of JSON, and its erasure.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, StreamExt};

use super::answer::{Refused, changed, idempotency_key, read_json_if_any};
use super::caller::Caller;
use super::owners::own;
use super::query::{parameters, query};
use super::table::{LINES_TYPE, cut_off, json_lines};
use super::{Admin, Answered};
use crate::audit::AskedBy;
use crate::control::{self, BuyerLines, Control, ERASE, EraseBody, ErasureView, Operation};
use crate::store::BuyerName;

/// Bytes of a line, about.
const LINE_BYTES: usize = 256;

/// What the control plane asks of [`Control`] about one buyer's data.
pub trait Buyers: Send + Sync {
    fn export_buyer<'a>(&'a self, by: AskedBy<'a>, buyer: BuyerName<'a>) -> Answered<'a, BuyerLines>;
    fn erase_buyer<'a>(
        &'a self,
        operation: Operation<'a>,
        buyer: BuyerName<'a>,
        body: &'a EraseBody,
        dry_run: bool,
    ) -> Answered<'a, control::Answered>;
    fn erasure<'a>(&'a self, buyer: BuyerName<'a>) -> Answered<'a, ErasureView>;
}

impl Buyers for Control {
    fn export_buyer<'a>(&'a self, by: AskedBy<'a>, buyer: BuyerName<'a>) -> Answered<'a, BuyerLines> {
        self.export_buyer(by, buyer).boxed()
    }

    fn erase_buyer<'a>(
        &'a self,
        operation: Operation<'a>,
        buyer: BuyerName<'a>,
        body: &'a EraseBody,
        dry_run: bool,
    ) -> Answered<'a, control::Answered> {
        self.erase_buyer(operation, buyer, body, dry_run).boxed()
    }

    fn erasure<'a>(&'a self, buyer: BuyerName<'a>) -> Answered<'a, ErasureView> {
        self.erasure(buyer).boxed()
    }
}

parameters! {
    struct EraseQuery {
        /// Changes nothing, and says what it would be.
        #[serde(default)]
        dry_run: bool,
        /// The buyer of this merchant alone; with a key of one merchant, that one's.
        #[param(max_length = 64)]
        merchant: Option<String>,
    }
}

parameters! {
    struct BuyerQuery {
        /// The buyer of this merchant alone; with a key of one merchant, that one's. Without, everybody of this name at all merchants.
        #[param(max_length = 64)]
        merchant: Option<String>,
    }
}

/// All there is of a buyer, as it is read; also where that is nothing.
pub(super) async fn export(
    State(admin): State<Admin>,
    caller: Caller,
    Path(user): Path<String>,
    asked: Result<Query<BuyerQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let merchant = own(caller.actor(), query(asked)?.merchant)?;
    let buyer = named(&user, merchant.as_deref());
    let lines = admin.rules.export_buyer(caller.by(), buyer).await?;
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
    caller: Caller,
    Path(user): Path<String>,
    asked: Result<Query<EraseQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let EraseQuery { dry_run, merchant } = query(asked)?;
    let merchant = own(caller.actor(), merchant)?;
    let key = idempotency_key(&headers)?;
    let body: EraseBody = read_json_if_any(&headers, body).await?;
    let operation = Operation::by(caller.by(), "", ERASE).asked(key.as_deref(), body.note.as_deref());
    let buyer = named(&user, merchant.as_deref());
    let answered = admin.rules.erase_buyer(operation, buyer, &body, dry_run).await?;
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
    caller: Caller,
    Path(user): Path<String>,
    asked: Result<Query<BuyerQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let merchant = own(caller.actor(), query(asked)?.merchant)?;
    let view = admin.rules.erasure(named(&user, merchant.as_deref())).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(view)).into_response())
}

fn named<'a>(user: &'a str, merchant: Option<&'a str>) -> BuyerName<'a> {
    BuyerName { user, merchant }
}
