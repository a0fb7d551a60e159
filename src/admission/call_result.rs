//! What becomes of one call to the engine, and what that means for those who wait for it.

use std::time::Duration;

use super::AdmissionError;
use crate::engine::EngineError;

/// What a client is told to wait while the gate is closed.
const GATE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What became of one call.
pub(super) enum CallResult {
    Done,
    /// Another revision is active, or this gateway's is newer and was put in place: ask again.
    Again,
    /// The engine did not answer: ask again in a moment.
    Later(EngineError),
    /// Nobody can be admitted.
    Closed(String),
    /// Nobody can be admitted: the campaign's state under this epoch is lost (0: missing). An order has it rebuilt,
    /// a question about something else does not.
    Lost {
        why: String,
        epoch: u64,
    },
    /// The campaign of this id is gone.
    Gone(String),
    Failed(String),
}

impl CallResult {
    pub(super) fn foreign() -> Self {
        Self::Closed("the engine holds the state of another campaign of this name".into())
    }
}

/// For a caller that does not ask again.
impl From<CallResult> for AdmissionError {
    fn from(result: CallResult) -> Self {
        match result {
            CallResult::Closed(why) | CallResult::Lost { why, .. } => Self::GateClosed {
                why,
                retry_after: GATE_RETRY_AFTER,
            },
            CallResult::Later(error) => Self::Engine(error.to_string()),
            CallResult::Failed(why) => Self::Engine(why),
            CallResult::Gone(campaign) => Self::UnknownCampaign(campaign),
            CallResult::Done | CallResult::Again => Self::Engine("the engine does not settle down".into()),
        }
    }
}
