//! Why a campaign's state could not be put back, or not be looked at.

use crate::engine::EngineError;
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error("no campaign {0:?}")]
    UnknownCampaign(String),
    #[error("another gateway is rebuilding it")]
    Elsewhere,
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("waited {waited:?} for {what}")]
    Patience {
        what: String,
        waited: std::time::Duration,
    },
    #[error("{0}")]
    Bus(#[from] crate::bus::BusError),
    #[error("{0}")]
    Codec(#[from] crate::lua::reply::CodecError),
    #[error("a stored plan is refused: {0}")]
    Plan(#[from] crate::plan::PlanError),
    #[error("the engine holds the state of another campaign of this name; is this the right Redis?")]
    Foreign,
    #[error("it is archived: its state is gone for good, and nothing is to be restored")]
    Archived,
}
