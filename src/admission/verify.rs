//! Whether the engine may be believed: its state has to be whole, and declared so for the very server that
//! answers. What was found holds for one incarnation of the server, and every decision is asked of that one.

use super::Shared;
use super::call_result::CallResult;
use super::local::Local;
use crate::engine::EngineError;
use crate::lua::calls;
use crate::lua::keys::Shard;
use crate::lua::reply::Reply;
use crate::lua::{Args, Script, fixed};
use crate::ruleset::Active;
use crate::state::{Condition, Whose};

/// Why nobody can be admitted by a state in this condition; `None` where the engine may decide.
fn closes(condition: Condition, active: &Active) -> Option<CallResult> {
    let why = match condition {
        Condition::Whole(_) => return None,
        Condition::Foreign => return Some(CallResult::foreign()),
        Condition::Closed => "the engine holds no state of this campaign".to_owned(),
        Condition::Unverified => "the engine restarted, or another server took over".to_owned(),
        Condition::Lacks(what) => {
            let (campaign, epoch) = (&active.campaign.id, active.activation.epoch);
            tracing::warn!(campaign, %what, "the engine lost a part of the campaign's state");
            let why = format!("the engine lost {what}; the campaign is being rebuilt");
            return Some(CallResult::Lost { why, epoch });
        }
    };
    let why = format!("{why}; the campaign is being rebuilt");
    Some(CallResult::Lost { why, epoch: 0 })
}

impl Shared {
    /// Runs a script on the server whose state is known to be this campaign's, and whole.
    pub(super) async fn ask(
        &self,
        shard: &Shard,
        local: &Local,
        active: &Active,
        script: &Script,
        args: Args,
    ) -> Result<Reply, CallResult> {
        let incarnation = match local.verified() {
            Some(incarnation) => incarnation,
            None => self.verify(shard, local, active).await?,
        };
        let reply = self
            .engine
            .run_on(&incarnation, script, &shard.state(), args)
            .await;
        reply.map_err(|error| {
            if let EngineError::Changed { .. } = error {
                local.forget(&incarnation);
                return CallResult::Again;
            }
            failed(error)
        })
    }

    /// Asks the engine who it is and what it holds; the incarnation that may decide.
    async fn verify(&self, shard: &Shard, local: &Local, active: &Active) -> Result<String, CallResult> {
        let incarnation = self.engine.incarnation().await.map_err(failed)?;
        let (args, asked) = (calls::watch_args(&Default::default()), local.elapsed());
        let reply = self
            .engine
            .run_on(&incarnation, &fixed::WATCH, &shard.state(), args)
            .await;
        let status = calls::watch_reply(reply.map_err(failed)?);
        let status = status.map_err(|error| CallResult::Failed(error.to_string()))?;
        local.seen_now(status.now, asked);
        // Of a newer activation this gateway has to hear first, and of a campaign that is gone.
        if let Whose::Ours(there) = Whose::of(status.fence.as_ref(), &active.campaign.uid)
            && there.epoch > active.activation.epoch
        {
            return Err(self.refence(shard, active, status.fence.clone()).await);
        }
        let condition = Condition::of(&status, &active.campaign, &incarnation);
        match closes(condition, active) {
            Some(result) => Err(result),
            None => {
                local.verify(incarnation.clone());
                Ok(incarnation)
            }
        }
    }

    /// Why nobody can be admitted; has the state rebuilt where that can help.
    pub(super) fn judge(&self, active: &Active, condition: Condition) -> Option<String> {
        match closes(condition, active)? {
            CallResult::Lost { why, epoch } => {
                self.rebuilder.clone().lost(&active.campaign.id, epoch);
                Some(why)
            }
            CallResult::Closed(why) => Some(why),
            _ => None,
        }
    }
}

fn failed(error: EngineError) -> CallResult {
    match error.is_transient() {
        true => CallResult::Later(error),
        false => CallResult::Failed(error.to_string()),
    }
}
