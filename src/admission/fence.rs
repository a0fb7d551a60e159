//! What to do when the shard's fence is another one than the caller's.

use super::Shared;
use super::call_result::CallResult;
use crate::lua::activate::activate_args;
use crate::lua::fence::Fence;
use crate::lua::fixed;
use crate::lua::keys::Shard;
use crate::ruleset::Active;
use crate::state::Whose;

impl Shared {
    /// Fetches the newer revision, or puts this gateway's in place.
    pub(super) async fn refence(&self, shard: &Shard, active: &Active, there: Option<Fence>) -> CallResult {
        let campaign = &shard.campaign;
        let there = match Whose::of(there.as_ref(), &active.campaign.uid) {
            Whose::Ours(there) => there,
            Whose::Foreign => return CallResult::foreign(),
            Whose::Nobodys => {
                return CallResult::Lost {
                    why: "the engine holds no state of this campaign; it is being rebuilt".into(),
                    epoch: active.activation.epoch,
                };
            }
        };
        // Neither goes back. A gateway of a build before records had versions may have been the first to hear of the epoch.
        let behind = |known: &Active| {
            known.activation.epoch < there.epoch || known.campaign.record_version < there.version
        };
        if active.fence() != *there && !behind(active) {
            return self.activate(shard, active).await;
        }
        match self.load(campaign, there.epoch).await {
            Ok(Some(loaded)) if !behind(&loaded) => CallResult::Again,
            Ok(None) if self.ruleset.archived(campaign).is_none() => CallResult::Gone(campaign.clone()),
            Ok(_) => CallResult::Closed("the engine is ahead of the database".into()),
            Err(why) => CallResult::Closed(format!("the active revision cannot be read: {why}")),
        }
    }

    /// An activation reached the database but not this shard: finish it.
    async fn activate(&self, shard: &Shard, active: &Active) -> CallResult {
        let args = activate_args(
            &active.fence(),
            active.revision.number,
            &active.family.plan,
            active.restock.as_ref(),
        );
        match self.engine.run(&fixed::ACTIVATE, &shard.state(), args).await {
            Ok(_) => CallResult::Again,
            Err(error) if error.is_transient() => CallResult::Later(error),
            Err(error) => CallResult::Failed(error.to_string()),
        }
    }
}
