//! What an answer means to a buyer.

use std::time::Duration;

use hyper::{StatusCode, header};
use serde::Deserialize;

use super::link::Raw;

/// A gateway that names no time is asked again after this.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_millis(100);
/// A load tool is less patient than `Retry-After` may ask.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(2);

/// The order of a 201 or 202.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Answer {
    pub order: String,
    /// `pending`, `accepted`, `confirmed` or `revoked`.
    pub state: String,
    pub revision: u32,
    pub placed_at: jiff::Timestamp,
}

/// A final no: the reason of the problem document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub reason: String,
}

/// What to do with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Order(Answer),
    Refused(Refused),
    /// 429 or 5xx: ask again, with the same key, after this.
    Again {
        status: u16,
        after: Duration,
        /// Empty where none is named.
        reason: String,
    },
    /// An answer the contract does not know.
    Strange(String),
}

pub(super) fn read(raw: &Raw) -> Meaning {
    let status = raw.status.as_u16();
    match raw.status {
        StatusCode::ACCEPTED | StatusCode::CREATED => match serde_json::from_slice(&raw.body) {
            Ok(answer) => Meaning::Order(answer),
            Err(error) => Meaning::Strange(format!("{status} that is no order: {error}")),
        },
        code if code == StatusCode::TOO_MANY_REQUESTS || code.is_server_error() => Meaning::Again {
            status,
            after: retry_after(raw),
            reason: reason(&raw.body).unwrap_or_default(),
        },
        code if code.is_client_error() => refused(status, &raw.body),
        _ => Meaning::Strange(format!("status {status}")),
    }
}

fn refused(status: u16, body: &[u8]) -> Meaning {
    match reason(body) {
        Ok(reason) => Meaning::Refused(Refused { status, reason }),
        Err(error) => Meaning::Strange(format!("{status} without a reason: {error}")),
    }
}

/// Of a problem document.
fn reason(body: &[u8]) -> serde_json::Result<String> {
    #[derive(Deserialize)]
    struct Problem {
        reason: String,
    }
    serde_json::from_slice::<Problem>(body).map(|problem| problem.reason)
}

fn retry_after(raw: &Raw) -> Duration {
    raw.headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map_or(RETRY_AFTER_DEFAULT, Duration::from_secs)
        .min(RETRY_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(status: u16, body: &str) -> Raw {
        Raw {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: [(header::RETRY_AFTER, "1".parse().expect("a value"))]
                .into_iter()
                .collect(),
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn every_class_of_answer_is_told_apart() {
        let order = r#"{"order":"ab","state":"accepted","campaign":"c","sku":"s","quantity":1,"revision":3,
                        "placed_at":"2026-05-01T10:00:00.123Z"}"#;
        assert!(
            matches!(read(&raw(202, order)), Meaning::Order(a) if a.revision == 3 && a.state == "accepted")
        );
        let no = read(&raw(409, r#"{"reason":"sold-out","retryable":false}"#));
        let refused = Refused {
            status: 409,
            reason: "sold-out".to_owned(),
        };
        assert_eq!(no, Meaning::Refused(refused));
        for status in [429, 500, 503] {
            let again = |reason: &str| Meaning::Again {
                status,
                after: Duration::from_secs(1),
                reason: reason.to_owned(),
            };
            assert_eq!(read(&raw(status, "")), again(""));
            assert_eq!(
                read(&raw(status, r#"{"reason":"gate-closed"}"#)),
                again("gate-closed")
            );
        }
        assert!(matches!(read(&raw(202, "{}")), Meaning::Strange(_)));
        assert!(matches!(read(&raw(404, "nginx")), Meaning::Strange(_)));
        assert!(matches!(read(&raw(302, "")), Meaning::Strange(_)));
    }
}
