//! Whether the engine may be believed: its state has to be whole, and declared so for the very server that
//! answers. What was found holds for one incarnation of the server, and every decision is asked of that one.

use super::Shared;
use super::fence::Step;
use super::local::Local;
use crate::engine::EngineError;
use crate::lua::calls::{self, ShardStatus};
use crate::lua::keys::Shard;
use crate::lua::reply::Reply;
use crate::lua::{Args, Script, fixed};
use crate::ruleset::ActiveCampaign;

/// What the state of a shard says about the server that gave it.
pub(super) enum Standing {
    /// It may decide.
    Whole,
    /// No gate is open there: nothing, or what a rebuild has written so far.
    Closed,
    /// Another deployment's.
    Foreign,
    /// It was made for another server, of which this one holds what was saved or copied.
    Unverified,
    /// A key that an open gate always has is not there.
    Lacks(String),
}

impl Standing {
    pub(super) fn of(status: &ShardStatus, active: &ActiveCampaign, incarnation: &str) -> Self {
        match &status.fence {
            None => Self::Closed,
            Some(fence) if fence.uid != active.campaign.uid => Self::Foreign,
            Some(_) if status.run != incarnation => Self::Unverified,
            Some(_) => status.lacks(&active.campaign).map_or(Self::Whole, Self::Lacks),
        }
    }

    /// Why nobody can be admitted; `None` where the engine may decide.
    fn closes(self, active: &ActiveCampaign) -> Option<Step> {
        let why = match self {
            Self::Whole => return None,
            Self::Foreign => return Some(Step::Closed(FOREIGN.into())),
            Self::Closed => "the engine holds no state of this campaign".to_owned(),
            Self::Unverified => "the engine restarted, or another server took over".to_owned(),
            Self::Lacks(what) => {
                let (campaign, epoch) = (&active.campaign.id, active.activation.epoch);
                tracing::warn!(campaign, what, "the engine lost a part of the campaign's state");
                let why = format!("the engine lost {what}; the campaign is being rebuilt");
                return Some(Step::Lost { why, epoch });
            }
        };
        let why = format!("{why}; the campaign is being rebuilt");
        Some(Step::Lost { why, epoch: 0 })
    }
}

impl Shared {
    /// Runs a script on the server whose state is known to be this campaign's, and whole.
    pub(super) async fn ask(
        &self,
        shard: &Shard,
        local: &Local,
        active: &ActiveCampaign,
        script: &Script,
        args: Args,
    ) -> Result<Reply, Step> {
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
                return Step::Again;
            }
            failed(error)
        })
    }

    /// Asks the engine who it is and what it holds; the incarnation that may decide.
    async fn verify(&self, shard: &Shard, local: &Local, active: &ActiveCampaign) -> Result<String, Step> {
        let incarnation = self.engine.incarnation().await.map_err(failed)?;
        let args = calls::watch_args(&Default::default());
        let reply = self
            .engine
            .run_on(&incarnation, &fixed::WATCH, &shard.state(), args)
            .await;
        let status = calls::watch_reply(reply.map_err(failed)?);
        let status = status.map_err(|error| Step::Failed(error.to_string()))?;
        let standing = Standing::of(&status, active, &incarnation);
        match standing.closes(active) {
            Some(step) => Err(step),
            None => {
                local.verify(incarnation.clone());
                Ok(incarnation)
            }
        }
    }

    /// Why nobody can be admitted; has the state rebuilt where that can help.
    pub(super) fn judge(&self, active: &ActiveCampaign, standing: Standing) -> Option<String> {
        match standing.closes(active)? {
            Step::Lost { why, epoch } => {
                self.rules.lost(&active.campaign.id, epoch);
                Some(why)
            }
            Step::Closed(why) => Some(why),
            _ => None,
        }
    }
}

pub(super) const FOREIGN: &str = "the engine holds the state of another campaign of this name";

fn failed(error: EngineError) -> Step {
    match error.is_transient() {
        true => Step::Later(error),
        false => Step::Failed(error.to_string()),
    }
}
