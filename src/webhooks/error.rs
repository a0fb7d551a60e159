//! Why the control plane does not do what was asked about webhooks.

use crate::store::StoreError;
use crate::wire::problem::Fault;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// 404: there is no such endpoint.
    #[error("{0}")]
    Unknown(String),
    /// 409.
    #[error("{0}")]
    Conflict(String),
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
        match error.is_transient() {
            true => Self::Unavailable(error.to_string()),
            false => Self::Internal(error.to_string()),
        }
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
