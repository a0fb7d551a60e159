//! What to do when the shard's fence is another one than the caller's.

use super::lane::GATE_RETRY_AFTER;
use super::verify::FOREIGN;
use super::{AdmissionError, Shared};
use crate::engine::EngineError;
use crate::lua::activate::activate_args;
use crate::lua::fence::Fence;
use crate::lua::fixed;
use crate::lua::keys::Shard;
use crate::ruleset::ActiveCampaign;

/// What became of one call.
pub(super) enum Step {
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
    Failed(String),
}

/// For a caller that does not ask again.
impl From<Step> for AdmissionError {
    fn from(step: Step) -> Self {
        match step {
            Step::Closed(why) | Step::Lost { why, .. } => Self::GateClosed {
                why,
                retry_after: GATE_RETRY_AFTER,
            },
            Step::Later(error) => Self::Engine(error.to_string()),
            Step::Failed(why) => Self::Engine(why),
            Step::Done | Step::Again => Self::Engine("the engine does not settle down".into()),
        }
    }
}

impl Shared {
    /// Fetches the newer revision, or puts this gateway's in place.
    pub(super) async fn refence(&self, shard: &Shard, active: &ActiveCampaign, there: Option<Fence>) -> Step {
        let campaign = &shard.campaign;
        let Some(there) = there else {
            return Step::Lost {
                why: "the engine holds no state of this campaign; it is being rebuilt".into(),
                epoch: active.activation.epoch,
            };
        };
        if there.uid != active.campaign.uid {
            return Step::Closed(FOREIGN.into());
        }
        // Neither goes back. A gateway of a build before records had versions may have been the first to hear of the epoch.
        let behind = |known: &ActiveCampaign| {
            known.activation.epoch < there.epoch || known.campaign.record_version < there.version
        };
        if active.fence() != there && !behind(active) {
            return self.activate(shard, active).await;
        }
        match self.load(campaign, there.epoch).await {
            Ok(Some(loaded)) if !behind(&loaded) => Step::Again,
            Ok(_) => Step::Closed("the engine is ahead of the database".into()),
            Err(why) => Step::Closed(format!("the active revision cannot be read: {why}")),
        }
    }

    /// An activation reached the database but not this shard: finish it.
    async fn activate(&self, shard: &Shard, active: &ActiveCampaign) -> Step {
        let args = activate_args(&active.fence(), active.revision.number, &active.family.plan);
        match self.engine.run(&fixed::ACTIVATE, &shard.state(), args).await {
            Ok(_) => Step::Again,
            Err(error) if error.is_transient() => Step::Later(error),
            Err(error) => Step::Failed(error.to_string()),
        }
    }
}
