//! What is wrong with a plan, and where.

use serde::Serialize;

/// What is wrong with a plan. `at` names the part: `nodes/7`, `counters/0/cost`, `constraints/2`,
/// `context/skus`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{at}: {message}")]
pub struct PlanError {
    pub at: String,
    /// `index`, `bound`, `type`, `attribute`, `number`, `cost`, `name`, `window`, `audience`.
    pub code: &'static str,
    pub message: String,
}

impl PlanError {
    pub(super) fn new(at: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            code,
            message: message.into(),
        }
    }

    /// The same error inside `<part>/<index>`.
    pub(super) fn under(self, part: &str, index: usize) -> Self {
        let at = match self.at.as_str() {
            "" => format!("{part}/{index}"),
            inner => format!("{part}/{index}/{inner}"),
        };
        Self { at, ..self }
    }
}

/// Code and message; the caller knows where.
pub(super) type Refusal = (&'static str, String);
