//! Why the control plane does not do what was asked about webhooks.

use crate::audit::Stale;
use crate::store::{StoreError, Undone};
use crate::wire::problem::Fault;
use crate::wire::tags::quoted;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// 404: there is no such endpoint.
    #[error("{0}")]
    Unknown(String),
    /// 409.
    #[error("{0}")]
    Conflict(String),
    /// 409: the same request, with the same `Idempotency-Key`, is being carried out.
    #[error(
        "the same request, with this Idempotency-Key, is being carried out: send it again in some seconds to get its answer"
    )]
    InProgress,
    /// 422: the `Idempotency-Key` is another request's.
    #[error(
        "this Idempotency-Key belongs to another request of the merchant; use a new key for a new request"
    )]
    KeyReused,
    /// 412: the endpoint is not as whoever asks has seen it.
    #[error("it has changed since you looked at it. Nothing was changed; its ETag is {} by now", quoted(&.0.tag))]
    Changed(Box<Stale>),
    /// 422: the body is well-formed and wrong.
    #[error("{} problem(s) in the request", .0.len())]
    Invalid(Vec<Fault>),
    /// 503: the database is away.
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}

impl From<StoreError> for WebhookError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Changed(tag) => Self::Changed(Box::new(Stale {
                tag,
                ..Stale::default()
            })),
            error if error.is_transient() => Self::Unavailable(error.to_string()),
            error => Self::Internal(error.to_string()),
        }
    }
}

impl Undone for WebhookError {
    fn in_progress() -> Self {
        Self::InProgress
    }

    fn key_reused() -> Self {
        Self::KeyReused
    }

    fn leaves_open(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Internal(_))
    }
}

/// One thing wrong in a body.
pub(super) fn fault(pointer: impl Into<String>, detail: impl Into<String>, hint: Option<String>) -> Fault {
    Fault {
        pointer: pointer.into(),
        detail: detail.into(),
        hint,
    }
}
