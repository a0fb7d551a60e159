//! Answers of the data plane: orders, problem documents, and the mapping of decisions and errors to
//! the one table of problems.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::content::Content;
use crate::admission::{AdmissionError, Refusal, Retry};
use crate::order::{LandedOrder, OrderId, OrderState};
use crate::plan::decision::Placed;
use crate::rejection::{Own, Reason};
use crate::wire::openapi;
use crate::wire::problem::{self, Problem};
use crate::wire::{Moment, echo};

pub type Answer = Response<Content>;

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Headers of an answer, about.
const HEADERS: usize = 6;

/// An order as clients see it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Order)]
pub(super) struct OrderAnswer<'a> {
    pub(super) order: OrderId,
    pub(super) state: OrderState,
    pub(super) campaign: &'a str,
    pub(super) sku: &'a str,
    pub(super) quantity: u32,
    pub(super) revision: u32,
    pub(super) placed_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confirmed_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revoked_reason: Option<&'a str>,
    /// Until when it can be paid; missing where it does not wait for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pay_by: Option<Moment>,
    /// The order that was not paid in time, in whose place it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) replaces: Option<OrderId>,
}

impl<'a> OrderAnswer<'a> {
    /// An order as the engine has it.
    pub(super) fn placed(campaign: &'a str, order: OrderId, placed: &'a Placed, state: OrderState) -> Self {
        Self {
            order,
            state,
            campaign,
            sku: &placed.sku,
            quantity: placed.quantity,
            revision: placed.revision,
            placed_at: Moment(placed.placed_at),
            confirmed_at: None,
            revoked_reason: None,
            pay_by: None,
            replaces: placed.replaces,
        }
    }

    /// An order as the database has it.
    pub(super) fn landed(campaign: &'a str, row: &'a LandedOrder) -> Self {
        Self {
            order: row.attempt.order,
            state: row.state,
            campaign,
            sku: &row.attempt.sku,
            quantity: row.attempt.quantity,
            revision: row.revision,
            placed_at: Moment(row.placed_at),
            confirmed_at: row.confirmed_at.map(Moment),
            revoked_reason: row.revoked_reason.as_deref(),
            pay_by: row.pay_by.map(Moment),
            replaces: row.replaces,
        }
    }
}

/// 202 with the place to ask later.
pub(super) fn accepted(order: &OrderAnswer<'_>, replayed: bool) -> Answer {
    let mut answer = json(StatusCode::ACCEPTED, order);
    let mut id = [0; 32];
    let id = order.order.encode(&mut id);
    let location = ["/v1/campaigns/", order.campaign, "/orders/", id].concat();
    let headers = answer.headers_mut();
    if let Ok(location) = HeaderValue::try_from(location) {
        headers.insert(header::LOCATION, location);
    }
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}

/// A body that no cache may keep: it is about one buyer, or changes while the sale runs.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let mut bytes = Vec::with_capacity(256);
    serde_json::to_writer(&mut bytes, body).expect("answers are plain data with text keys");
    let mut answer = new(status, JSON, bytes);
    answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    answer
}

/// JSON that is the same for everybody.
pub(super) fn page(json: Vec<u8>) -> Answer {
    new(StatusCode::OK, JSON, json)
}

/// The contract as a page for people.
pub(super) fn contract_page(page: &openapi::Page) -> Answer {
    let mut answer = new(StatusCode::OK, HTML, page.html.clone().into_bytes());
    let headers = answer.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(page.policy.as_str()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}

pub(super) fn text(text: String) -> Answer {
    new(StatusCode::OK, TEXT, text.into_bytes())
}

/// A problem document with the headers that belong to its status.
pub fn problem(problem: &Problem) -> Answer {
    let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = new(status, PROBLEM_JSON, problem.to_json());
    let headers = answer.headers_mut();
    if let Some(seconds) = problem.retry_after_seconds() {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if let Some(codings) = problem.accepted_encoding() {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(codings));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, challenge(problem.reason_code()));
    }
    answer
}

/// RFC 6750: which token is wanted, and what was wrong with the one that came.
fn challenge(reason: &str) -> HeaderValue {
    HeaderValue::from_static(match reason {
        "token-missing" => r#"Bearer realm="rushgate""#,
        "token-expired" => {
            r#"Bearer realm="rushgate", error="invalid_token", error_description="the token has expired""#
        }
        _ => r#"Bearer realm="rushgate", error="invalid_token""#,
    })
}

pub(super) fn method_not_allowed(allow: &'static str) -> Answer {
    let detail = format!("this path takes only {allow}");
    let mut answer = problem(&Problem::new(&problem::METHOD_NOT_ALLOWED, detail));
    answer
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allow));
    answer
}

fn new(status: StatusCode, content_type: HeaderValue, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Content::from(Bytes::from(body)));
    *answer.status_mut() = status;
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(header::CONTENT_TYPE, content_type);
    *answer.headers_mut() = headers;
    answer
}

/// A rejection as a problem document.
pub(super) fn refusal(refusal: &Refusal) -> Problem {
    let mut document = match &refusal.reason {
        Reason::Own(own) => {
            let document = Problem::new(own.kind(), refusal.detail.clone());
            document
                .constraint(refusal.constraint.clone())
                .retryable(refusal.retryable)
        }
        Reason::Rule(code) => Problem::by_rule(
            code,
            refusal.constraint.as_deref(),
            refusal.retryable,
            refusal.detail.clone(),
        ),
    };
    if let Some((used, limit)) = refusal.measure {
        document = document.measure(used, limit);
    }
    if let Some(Retry { at, now }) = refusal.retry {
        document = document.retry_at(at, now);
    }
    if let Some(wait) = refusal.retry_after {
        document = document.retry_after(wait);
    }
    match (&refusal.pointer, &refusal.reason) {
        (Some(pointer), _) => document.pointer(pointer.clone()),
        (None, Reason::Own(Own::UnknownSku)) => document.pointer("/sku"),
        (None, _) => document,
    }
}

/// An attempt without a decision as a problem document. What went wrong inside stays inside.
pub(super) fn admission_error(error: &AdmissionError) -> Problem {
    match error {
        AdmissionError::UnknownCampaign(id) => unknown_campaign(id),
        // Of a quota: no decision was made.
        AdmissionError::Refused(refused) => refusal(refused),
        AdmissionError::Over { .. } => Problem::new(&problem::CLOSED, "The sale is over."),
        AdmissionError::Overloaded { retry_after } => Problem::new(
            &problem::OVERLOADED,
            "too many orders are waiting; nothing was begun",
        )
        .retry_after(*retry_after),
        AdmissionError::Backlog { retry_after, refused } => {
            let kind = if *refused {
                &problem::BACKLOG
            } else {
                &problem::OVERLOADED
            };
            Problem::new(
                kind,
                "orders come faster than they reach the database; nothing was begun",
            )
            .retry_after(*retry_after)
        }
        AdmissionError::Halted => Problem::new(
            &problem::UNAVAILABLE,
            "this gateway takes no orders any more; nothing was begun: send the order again, and another one takes it",
        ),
        AdmissionError::GateClosed { why, retry_after } => {
            tracing::debug!(why, "gate closed");
            Problem::new(
                &problem::GATE_CLOSED,
                "the campaign's state is not available or being rebuilt; nothing is decided meanwhile",
            )
            .retry_after(*retry_after)
        }
        AdmissionError::Deadline(within) => Problem::new(
            &problem::DEADLINE,
            format!(
                "no decision within {} ms; the order may have been admitted: send it again with the same \
                 Idempotency-Key",
                within.as_millis()
            ),
        ),
        AdmissionError::Engine(cause) => {
            tracing::debug!(cause, "engine failed");
            Problem::new(
                &problem::UNAVAILABLE,
                "orders cannot be decided right now; send the order again with the same Idempotency-Key",
            )
        }
    }
}

pub(super) fn unknown_campaign(id: &str) -> Problem {
    Problem::new(&problem::UNKNOWN, format!("there is no campaign {}", echo(id)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(reason: impl Into<Reason>, constraint: Option<&str>) -> Refusal {
        Refusal {
            reason: reason.into(),
            constraint: constraint.map(Into::into),
            detail: "because".into(),
            retryable: false,
            retry: None,
            retry_after: None,
            measure: None,
            pointer: None,
        }
    }

    #[test]
    fn every_rejection_has_its_row() {
        let rule = |code: &str| Reason::Rule(code.to_owned());
        for (reason, constraint, status, uri) in [
            (Own::SoldOut.into(), None, 409, "/problems/sold-out"),
            (Own::NotOpen.into(), None, 425, "/problems/not-open"),
            (Own::Closed.into(), None, 410, "/problems/closed"),
            (Own::UnknownSku.into(), None, 404, "/problems/unknown-sku"),
            (Own::Paused.into(), None, 503, "/problems/paused"),
            (Own::WindowFull.into(), None, 409, "/problems/window-full"),
            (
                Own::WindowFull.into(),
                Some("n/window-full"),
                409,
                "/problems/window-full",
            ),
            (
                Own::AttributeMissing.into(),
                None,
                422,
                "/problems/attribute-missing",
            ),
            (
                Own::AttributeUnreadable.into(),
                None,
                422,
                "/problems/attribute-unreadable",
            ),
            (
                Own::ClaimNotSingle.into(),
                None,
                422,
                "/problems/claim-not-single",
            ),
            (Own::KeyReused.into(), None, 422, "/problems/key-reused"),
            (
                Own::PrecheckFailed.into(),
                Some("n/precheck-failed"),
                503,
                "/problems/precheck-failed",
            ),
            (
                rule("limit-per-user"),
                Some("n/limit-per-user"),
                409,
                "/problems/rule/limit-per-user",
            ),
            (
                rule("sold-out"),
                Some("n/sold-out"),
                409,
                "/problems/rule/sold-out",
            ),
        ] {
            let document = refusal(&refused(reason.clone(), constraint));
            let json: serde_json::Value = serde_json::from_slice(&document.to_json()).expect("JSON");
            assert_eq!(
                (document.status(), json["type"].as_str()),
                (status, Some(uri)),
                "{json}"
            );
            assert_eq!(json["reason"], reason.name());
            assert_eq!(json["constraint"].as_str(), constraint);
        }
    }

    #[test]
    fn what_time_heals_says_when() {
        let early = Refusal {
            retry: Some(Retry {
                at: 61_500,
                now: 60_000,
            }),
            ..refused(Own::NotOpen, None)
        };
        let answer = problem(&refusal(&early));
        assert_eq!(answer.status(), StatusCode::TOO_EARLY);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn what_something_else_may_heal_says_when_to_ask_again() {
        let taken = Refusal {
            retryable: true,
            retry_after: Some(Duration::from_secs(5)),
            ..refused(Own::SoldOut, None)
        };
        let document = refusal(&taken);
        let json: serde_json::Value = serde_json::from_slice(&document.to_json()).expect("JSON");
        assert_eq!(
            (&json["retryable"], &json["retry_at"]),
            (&true.into(), &serde_json::Value::Null)
        );
        assert_eq!(problem(&document).headers()[header::RETRY_AFTER], "5");
    }

    #[test]
    fn a_window_that_nobody_leaves_before_the_sale_closes_is_no_reason_to_come_back() {
        let full = refused(Own::WindowFull, Some("n/orders"));
        let json: serde_json::Value = serde_json::from_slice(&refusal(&full).to_json()).expect("JSON");
        assert_eq!(
            (&json["retryable"], &json["retry_at"]),
            (&false.into(), &serde_json::Value::Null)
        );
    }

    #[test]
    fn every_error_has_its_row_and_leaks_nothing() {
        let wait = Duration::from_millis(2500);
        for (error, status, reason, retry_after) in [
            (AdmissionError::UnknownCampaign("x".into()), 404, "unknown", None),
            (AdmissionError::Over { archived: true }, 410, "closed", None),
            (
                AdmissionError::Overloaded { retry_after: wait },
                429,
                "overloaded",
                Some("3"),
            ),
            (
                AdmissionError::Backlog {
                    retry_after: wait,
                    refused: false,
                },
                429,
                "overloaded",
                Some("3"),
            ),
            (
                AdmissionError::Backlog {
                    retry_after: wait,
                    refused: true,
                },
                503,
                "backlog",
                Some("3"),
            ),
            (
                AdmissionError::GateClosed {
                    why: "redis-7.internal".into(),
                    retry_after: wait,
                },
                503,
                "gate-closed",
                Some("3"),
            ),
            (AdmissionError::Halted, 503, "unavailable", Some("1")),
            (AdmissionError::Deadline(wait), 503, "deadline", Some("1")),
            (
                AdmissionError::Engine("redis-7.internal".into()),
                503,
                "unavailable",
                Some("1"),
            ),
        ] {
            let document = admission_error(&error);
            let shown = String::from_utf8(document.to_json()).expect("UTF-8");
            assert_eq!(
                (document.status(), document.reason_code().as_ref()),
                (status, reason)
            );
            assert!(!shown.contains("internal"), "{shown}");
            let answer = problem(&document);
            let header = answer.headers().get(header::RETRY_AFTER);
            assert_eq!(header.and_then(|h| h.to_str().ok()), retry_after);
        }
    }
}
