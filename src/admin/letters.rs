//! Dead letters: listed, shown, repaired, sent back, taken up again and given up.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Admin;
use super::answer::{Refused, read_json};
use super::caller::Caller;
use super::campaigns::limit;
use super::query::{parameters, query};
use crate::access::Actor;
use crate::audit::AskedBy;
use crate::letters::{
    self, Act, Asked, Desk, Done, LetterError, LetterInFull, LetterQuery, LetterView, TotalView,
};
use crate::wire::problem::{CONFLICT, INTERNAL, INVALID, MALFORMED, UNAVAILABLE, UNKNOWN};
use crate::wire::{Problem, paged};

/// Letters of one page unless `limit` says otherwise.
const PAGE: u32 = 50;

type Answered<'a, T> = BoxFuture<'a, Result<T, LetterError>>;

/// What the control plane asks of [`Desk`].
pub trait Letters: Send + Sync + 'static {
    /// Of one merchant where it is named.
    fn list<'a>(
        &'a self,
        merchant: Option<&'a str>,
        query: &'a LetterQuery,
        before: Option<&'a str>,
        limit: u32,
    ) -> Answered<'a, letters::Page>;
    fn show<'a>(&'a self, id: &'a str) -> Answered<'a, LetterInFull>;
    fn repair<'a>(&'a self, by: AskedBy<'a>, id: &'a str, payload: &'a Value) -> Answered<'a, LetterInFull>;
    /// To those of one merchant where it is named.
    fn act<'a>(
        &'a self,
        by: AskedBy<'a>,
        merchant: Option<&'a str>,
        what: (Act, &'a Asked),
        dry_run: bool,
    ) -> Answered<'a, Done>;
}

impl Letters for Desk {
    fn list<'a>(
        &'a self,
        merchant: Option<&'a str>,
        query: &'a LetterQuery,
        before: Option<&'a str>,
        limit: u32,
    ) -> Answered<'a, letters::Page> {
        self.list(merchant, query, before, limit).boxed()
    }

    fn show<'a>(&'a self, id: &'a str) -> Answered<'a, LetterInFull> {
        self.show(id).boxed()
    }

    fn repair<'a>(&'a self, by: AskedBy<'a>, id: &'a str, payload: &'a Value) -> Answered<'a, LetterInFull> {
        self.repair(by, id, payload).boxed()
    }

    fn act<'a>(
        &'a self,
        by: AskedBy<'a>,
        merchant: Option<&'a str>,
        what: (Act, &'a Asked),
        dry_run: bool,
    ) -> Answered<'a, Done> {
        self.act(by, merchant, what, dry_run).boxed()
    }
}

impl From<LetterError> for Refused {
    fn from(error: LetterError) -> Self {
        let problem = match error {
            LetterError::Unknown(detail) => Problem::new(&UNKNOWN, detail),
            LetterError::Conflict(detail) => Problem::new(&CONFLICT, detail),
            LetterError::Invalid(faults) => {
                let detail = match faults.as_slice() {
                    [only] => format!("{} {}", only.pointer, only.detail),
                    all => format!("{} things are wrong, see errors", all.len()),
                };
                Problem::new(&INVALID, detail).errors(faults)
            }
            LetterError::Unavailable(detail) => {
                tracing::warn!(detail, "dead letters cannot be looked after");
                Problem::new(&UNAVAILABLE, detail)
            }
            LetterError::Internal(detail) => {
                tracing::error!(detail, "the control plane failed");
                let detail = "the request could not be carried out; the log of the gateway says why";
                Problem::new(&INTERNAL, detail)
            }
        };
        problem.into()
    }
}

parameters! {
    struct LettersQuery {
        /// Of this campaign.
        campaign: Option<String>,
        /// With this key, `<campaign>/<user>`; with `*` at its end, every key that begins so.
        key: Option<String>,
        /// Of this class of errors.
        class: Option<String>,
        /// Whose error contains this.
        error: Option<String>,
        /// In their stage at this time or later; RFC 3339.
        #[param(format = DateTime)]
        from: Option<String>,
        /// In their stage before this time; RFC 3339.
        #[param(format = DateTime)]
        to: Option<String>,
        /// In this stage; `dead` where it is left out, `any` for all.
        #[param(pattern = "^(retry|dead|replayed|parked|discarded|landed|forged|any)$")]
        stage: Option<String>,
        /// Entries of the page at most.
        #[param(minimum = 1, maximum = 100, default = 50)]
        limit: Option<u32>,
        /// Id of the last one of the page before.
        before: Option<String>,
    }
}

parameters! {
    struct ActQuery {
        /// Changes nothing, and says what it would be.
        #[serde(default)]
        dry_run: bool,
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Letters)]
pub(super) struct Page {
    letters: Vec<LetterView>,
    /// Of all that match, whatever their stage.
    totals: Vec<TotalView>,
    /// Value of `before` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Another payload for a letter.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = LetterRepair)]
#[serde(deny_unknown_fields)]
pub(super) struct Repair {
    /// The order as landing would take it: the same order of the same campaign.
    payload: Value,
}

/// What is wrong with a filter is wrong with the query.
fn of_query(error: LetterError) -> Refused {
    match error {
        LetterError::Invalid(faults) => {
            let told = faults
                .iter()
                .map(|fault| format!("{} {}", &fault.pointer[1..], fault.detail));
            let told: Vec<String> = told.collect();
            Problem::new(&MALFORMED, told.join("; ")).into()
        }
        error => error.into(),
    }
}

/// In order of their records.
pub(super) async fn list(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    asked: Result<Query<LettersQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let asked = query(asked)?;
    let limit = limit(asked.limit, PAGE)?;
    let filter = LetterQuery {
        campaign: asked.campaign,
        key: asked.key,
        class: asked.class,
        error: asked.error,
        from: asked.from,
        to: asked.to,
        stage: asked.stage,
    };
    let found = admin
        .letters
        .list(actor.merchant(), &filter, asked.before.as_deref(), limit + 1)
        .await
        .map_err(of_query)?;
    let (letters, next) = paged(found.letters, limit, |letter| letter.id.clone());
    let totals = found.totals;
    Ok(Json(Page {
        letters,
        totals,
        next,
    })
    .into_response())
}

type Place = Path<(String, String, String)>;

/// A letter's id, which its path is.
fn id((topic, partition, offset): &(String, String, String)) -> String {
    format!("{topic}/{partition}/{offset}")
}

pub(super) async fn show(State(admin): State<Admin>, Path(place): Place) -> Result<Response, Refused> {
    Ok(Json(admin.letters.show(&id(&place)).await?).into_response())
}

/// 200 with the letter as it is now.
pub(super) async fn repair(
    State(admin): State<Admin>,
    caller: Caller,
    Path(place): Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let repair: Repair = read_json(&headers, body).await?;
    let repaired = admin
        .letters
        .repair(caller.by(), &id(&place), &repair.payload)
        .await?;
    Ok(Json(repaired).into_response())
}

/// `POST` of one act.
pub(super) fn of(act: Act) -> MethodRouter<Admin> {
    post(
        move |State(admin): State<Admin>, caller: Caller, asked, headers, body| {
            change(act, admin, caller, asked, (headers, body))
        },
    )
}

/// 200 with what was done.
async fn change(
    act: Act,
    admin: Admin,
    caller: Caller,
    asked: Result<Query<ActQuery>, QueryRejection>,
    (headers, body): (HeaderMap, Body),
) -> Result<Response, Refused> {
    let ActQuery { dry_run } = query(asked)?;
    let asked: Asked = read_json(&headers, body).await?;
    let merchant = caller.actor().merchant();
    let done = admin
        .letters
        .act(caller.by(), merchant, (act, &asked), dry_run)
        .await?;
    Ok(Json(done).into_response())
}
