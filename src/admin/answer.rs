//! Problem documents of the control plane, and bodies read within bounds.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::audit::Stale;
use crate::control::{Answered, ControlError};
use crate::order::OrderState;
use crate::plan::diff::{Change, needs_accept};
use crate::revision::Unapproved;
use crate::serving;
use crate::serving::body::{Bounds, Unread};
use crate::wire::problem::{
    ACCEPT_MISSING, ANOTHER_PERSON, APPROVAL_NEEDED, APPROVAL_STALE, CONFLICT, Fault, IDEMPOTENCY_KEY,
    IN_PROGRESS, INTERNAL, INVALID, KEY_REUSED, MALFORMED, MEDIA_TYPE, MODULE_REFUSED, NOT_LANDED_YET,
    ORDER_EXPIRED, ORDER_STATE, PRECONDITION_FAILED, PROOF_FAILED, TOO_LARGE, UNAVAILABLE, UNKNOWN,
};
use crate::wire::tags::{Tags, quoted};
use crate::wire::{self, Problem, is_media_type, json};

/// Bytes of a JSON body: a thousand SKUs and rules with long tables fit well.
pub(super) const JSON_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A body up to so many times its limit is read and dropped, so that its sender can be told.
const DISCARDED: usize = 4;

/// A problem on its way out.
#[derive(Debug)]
pub(super) struct Refused(Problem);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<ControlError> for Refused {
    fn from(error: ControlError) -> Self {
        Self(problem(error))
    }
}

fn problem(error: ControlError) -> Problem {
    match error {
        ControlError::Unknown(detail) => Problem::new(&UNKNOWN, detail),
        ControlError::Conflict(detail) => Problem::new(&CONFLICT, detail),
        ControlError::Changed(ref stale) => changed_since(error.to_string(), stale),
        ControlError::InProgress => Problem::new(&IN_PROGRESS, error.to_string()),
        ControlError::KeyReused | ControlError::BuyerKeyReused => {
            Problem::new(&KEY_REUSED, error.to_string())
        }
        ControlError::KeyMissing => Problem::new(&IDEMPOTENCY_KEY, error.to_string()),
        ControlError::OrderState { state, detail } => {
            Problem::new(&ORDER_STATE, detail).member("state", &state)
        }
        ControlError::OrderExpired(detail) => {
            Problem::new(&ORDER_EXPIRED, detail).member("state", &OrderState::Expired)
        }
        ControlError::NotLanded(detail) => Problem::new(&NOT_LANDED_YET, detail),
        ControlError::Unapproved(Unapproved::Stale { detail, differs }) => {
            let problem = Problem::new(&APPROVAL_STALE, detail);
            match differs.is_empty() {
                true => problem,
                false => problem.member("differs", &differs),
            }
        }
        ControlError::Unapproved(why) => Problem::new(&APPROVAL_NEEDED, why.to_string()),
        ControlError::NotAnother(detail) => Problem::new(&ANOTHER_PERSON, detail),
        ControlError::AcceptMissing(changes) => accept_missing(&changes),
        ControlError::Proof(counterexample) => {
            tracing::error!(?counterexample, "interpreter and script part");
            let detail = "interpreter and script part over this plan; the gateway is at fault, and nothing was changed";
            Problem::new(&PROOF_FAILED, detail).member("counterexample", &counterexample)
        }
        ControlError::Invalid(problems) => {
            let detail = match problems.as_slice() {
                [] => "the request is not valid".to_owned(),
                [only] => only.detail.clone(),
                [first, rest @ ..] => format!("{} (and {} more, see errors)", first.detail, rest.len()),
            };
            let fault = |problem: crate::control::Problem| Fault {
                pointer: problem.pointer,
                detail: problem.detail,
                hint: problem.hint,
            };
            Problem::new(&INVALID, detail).errors(problems.into_iter().map(fault).collect())
        }
        ControlError::Suspicious(found) => {
            let fault = |detail: String| Fault {
                pointer: String::new(),
                detail,
                hint: None,
            };
            let detail = format!(
                "{found}. Nothing was stored: send the ids alone, a spreadsheet's export as text/csv, or ?strict=false to \
                 take every line as it is"
            );
            Problem::new(&INVALID, detail)
                .errors(found.told().map(fault).collect())
                .member("suspicious", &found.count)
        }
        ControlError::Malformed(detail) => Problem::new(&MALFORMED, detail),
        ControlError::TooLarge(detail) => Problem::new(&TOO_LARGE, detail),
        ControlError::Module {
            code: "too-large",
            message,
        } => Problem::new(&TOO_LARGE, message),
        ControlError::Module { code, message } => Problem::new(&MODULE_REFUSED, message).reason(code),
        ControlError::Unavailable(detail) => {
            tracing::warn!(detail, "the control plane cannot do its work");
            Problem::new(&UNAVAILABLE, detail)
        }
        ControlError::Internal(detail) => {
            tracing::error!(detail, "the control plane failed");
            Problem::new(
                &INTERNAL,
                "the request could not be carried out; the log of the gateway says why",
            )
        }
    }
}

/// It is not as whoever asks has seen it.
pub(super) fn changed_since(detail: String, stale: &Stale) -> Problem {
    let problem = Problem::new(&PRECONDITION_FAILED, detail).tag(&stale.tag);
    let problem = problem.member("current", &stale.current);
    match &stale.last_change {
        Some(last) => problem.member("last_change", last),
        None => problem,
    }
}

/// What has to be accepted, and what it would mean.
fn accept_missing(changes: &[Change]) -> Problem {
    let ids: Vec<&str> = needs_accept(changes).map(|(id, _)| id).collect();
    let sentences: Vec<&str> = changes.iter().map(|change| change.sentence.as_str()).collect();
    let detail = format!(
        "{} To activate all the same, send \"accept\": {}.",
        sentences.join(" "),
        serde_json::json!(ids)
    );
    Problem::new(&ACCEPT_MISSING, detail)
        .pointer("/accept")
        .member("accept", &ids)
        .member("changes", &changes)
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Body::from(problem.to_json()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = problem.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(tag) = problem.etag().and_then(|tag| HeaderValue::from_str(tag).ok()) {
            headers.insert(header::ETAG, tag);
        }
        if let Some(codings) = problem.accepted_encoding() {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(codings));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"Bearer realm="rushgate-admin""#),
            );
        }
        response
    }
}

/// The key under which a change is made once.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let values = headers.get_all("idempotency-key").iter();
    let key = wire::idempotency_key(values.map(HeaderValue::as_bytes))?;
    Ok(key.map(std::borrow::Cow::into_owned))
}

/// 200 with what a change answers.
pub(super) fn changed(answered: Answered) -> Response {
    let json = HeaderValue::from_static("application/json");
    let status = match answered.is_proposed {
        true => StatusCode::ACCEPTED,
        false => StatusCode::OK,
    };
    once(
        (status, [(header::CONTENT_TYPE, json)], answered.body),
        answered.is_replay,
    )
}

/// The member `id` of an answer.
pub(super) fn id_of(body: &str) -> String {
    let read: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    read["id"].as_str().unwrap_or_default().to_owned()
}

/// 200 with what has this tag, or 304 for whom has it already. Nobody keeps it by themselves: figures that the tag does not cover go on.
pub(super) fn tagged(headers: &HeaderMap, tag: &str, body: impl IntoResponse) -> Result<Response, Refused> {
    let values = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .map(HeaderValue::as_bytes);
    let known = Tags::read("If-None-Match", values)?;
    let mut response = match known.is_some_and(|known| known.have(tag)) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => body.into_response(),
    };
    let tag =
        HeaderValue::from_str(&quoted(tag)).map_err(|error| ControlError::Internal(error.to_string()))?;
    response.headers_mut().insert(header::ETAG, tag);
    let keep_none = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, keep_none);
    Ok(response)
}

/// What is done once per key: a replay says so.
pub(super) fn once(answer: impl IntoResponse, is_replay: bool) -> Response {
    let mut response = answer.into_response();
    if is_replay {
        let replayed = HeaderValue::from_static("true");
        response.headers_mut().insert("idempotent-replayed", replayed);
    }
    response
}

/// Refuses a body that does not say it is of the named media type.
pub(super) fn check_media_type(headers: &HeaderMap, media_type: &'static str) -> Result<(), Refused> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if given.is_some_and(|given| is_media_type(given, media_type)) {
        return Ok(());
    }
    let detail = format!("this path takes {media_type}: send the header Content-Type: {media_type}");
    Err(Problem::new(&MEDIA_TYPE, detail).into())
}

/// Reads a body of the named media type.
pub(super) async fn read(
    headers: &HeaderMap,
    media_type: &'static str,
    body: Body,
    limit: usize,
) -> Result<Bytes, Refused> {
    check_media_type(headers, media_type)?;
    check_uncompressed(headers)?;
    let bounds = Bounds {
        most: limit,
        discarded: limit * DISCARDED,
    };
    // The listener sees to it that it goes on arriving.
    let read = serving::body::read(body, bounds, Duration::MAX).await;
    read.map_err(|unread| {
        let problem = match unread {
            Unread::TooLarge => {
                let detail = format!("the body may have at most {} MiB", limit / (1024 * 1024));
                Problem::new(&TOO_LARGE, detail)
            }
            Unread::CutOff(_) | Unread::Late(_) => Problem::new(&MALFORMED, unread.to_string()),
        };
        problem.into()
    })
}

/// Refuses a body that its sender compressed.
pub(super) fn check_uncompressed(headers: &HeaderMap) -> Result<(), Refused> {
    let coding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    Ok(wire::check_uncompressed(coding)?)
}

pub(super) async fn read_json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Refused> {
    let bytes = read(headers, "application/json", body, JSON_BYTES_MAX).await?;
    Ok(json::parse_owned(&bytes)?)
}

/// The same where everything may be left out: so may the body.
pub(super) async fn read_json_if_any<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Refused> {
    match body.is_end_stream() {
        true => Ok(T::default()),
        false => read_json(headers, body).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control;

    #[test]
    fn every_error_has_its_row() {
        let invalid = |pointers: &[&str]| {
            let problem = |pointer: &&str| control::Problem {
                pointer: (*pointer).to_owned(),
                detail: "is wrong".into(),
                hint: None,
            };
            ControlError::Invalid(pointers.iter().map(problem).collect())
        };
        let module = |code| ControlError::Module {
            code,
            message: "no".into(),
        };
        for (error, status, reason) in [
            (ControlError::Unknown("no".into()), 404, "unknown"),
            (ControlError::Conflict("no".into()), 409, "conflict"),
            (ControlError::Changed(Box::default()), 412, "precondition-failed"),
            (ControlError::InProgress, 409, "in-progress"),
            (ControlError::KeyReused, 422, "key-reused"),
            (ControlError::KeyMissing, 400, "idempotency-key"),
            (
                ControlError::OrderState {
                    state: OrderState::Paid,
                    detail: "no".into(),
                },
                409,
                "order-state",
            ),
            (ControlError::OrderExpired("no".into()), 409, "order-expired"),
            (ControlError::NotLanded("no".into()), 409, "not-landed-yet"),
            (invalid(&["/id"]), 422, "invalid"),
            (ControlError::Suspicious(Default::default()), 422, "invalid"),
            (ControlError::Malformed("no".into()), 400, "malformed"),
            (ControlError::TooLarge("no".into()), 413, "too-large"),
            (module("not-wasm"), 422, "not-wasm"),
            (module("too-large"), 413, "too-large"),
            (ControlError::Unavailable("no".into()), 503, "unavailable"),
            (ControlError::Internal("no".into()), 500, "internal"),
        ] {
            let problem = problem(error);
            assert_eq!(
                (problem.status(), problem.reason_code().as_ref()),
                (status, reason)
            );
        }
        let json = problem(invalid(&["/rules/0/params/limit", "/id"])).to_json();
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(json["pointer"], "/rules/0/params/limit");
        assert_eq!(json["errors"][1]["pointer"], "/id");
    }

    #[test]
    fn defects_stay_inside() {
        let json = problem(ControlError::Internal("secret path".into())).to_json();
        assert!(!String::from_utf8_lossy(&json).contains("secret"));
    }
}
