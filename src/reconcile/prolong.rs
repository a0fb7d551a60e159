//! Buckets that have to last longer than they were made for, because the sale goes on for longer: before a revision that says
//! so is activated, in calls so small that orders do not wait for them.

use std::time::Instant;

use backon::Retryable;

use crate::campaign::Campaign;
use crate::engine::{self, EngineError};
use crate::lua::fence::Fence;
use crate::lua::keys::LASTING_FAMILIES;
use crate::lua::keys::Shard;
use crate::lua::prolong::{Prolong, Prolonged, prolong_reply};
use crate::lua::{Args, fixed};
use crate::revision::Revision;
use crate::state::Whose;

use super::audiences::TRIES;
use super::work::REST_MAX;
use super::{RebuildError, Reconcile};

/// Buckets of one call: it takes Redis a fraction of a millisecond.
const BUCKETS: u32 = 250;
/// How often it begins again, because a rebuild or an activation came in between or a bucket was lost.
const ROUNDS_MAX: u32 = 10;

impl Reconcile {
    /// Sees to it that the buckets of an open gate last as long as a revision needs them. One that outlives it is left
    /// alone.
    pub(super) async fn prolong(
        &self,
        shard: &Shard,
        campaign: &Campaign,
        revision: &Revision,
    ) -> Result<(), RebuildError> {
        // A rebuild in between makes all families anew: it is done when none has anything left to do.
        for _ in 0..ROUNDS_MAX {
            let mut done = true;
            for family in LASTING_FAMILIES {
                let prolong = Prolong {
                    uid: &campaign.uid,
                    family,
                    buckets: campaign.buckets,
                    expires_at: revision.schedule.expires_at(),
                };
                done &= self.prolong_family(shard, &prolong).await?;
            }
            if done {
                return Ok(());
            }
        }
        Err(RebuildError::Elsewhere)
    }

    /// Whether there was nothing to do.
    async fn prolong_family(&self, shard: &Shard, prolong: &Prolong<'_>) -> Result<bool, RebuildError> {
        let (mut fence, mut first) = (String::new(), None::<u32>);
        loop {
            let begun = Instant::now();
            let buckets = first.map(|first| first..=(first + BUCKETS - 1).min(prolong.buckets - 1));
            match self.prolong_some(shard, prolong.args(&fence, buckets)).await? {
                Prolonged::Complete => return Ok(first.is_none()),
                Prolonged::Fenced(there) => {
                    return match Whose::of(Fence::parse(there.as_bytes()).as_ref(), prolong.uid) {
                        // Behind a closed gate, or a state of an older layout, which is as good as none.
                        Whose::Nobodys => Ok(true),
                        Whose::Ours(_) => Ok(false),
                        Whose::Foreign => Err(RebuildError::Foreign),
                    };
                }
                Prolonged::Lost(key) => {
                    tracing::warn!(
                        campaign = shard.campaign,
                        key,
                        "the engine lost a part of the campaign's state"
                    );
                    let lost = Fence::parse(fence.as_bytes()).map_or(0, |fence| fence.epoch);
                    self.rebuild(&shard.campaign, lost).await?;
                    return Ok(false);
                }
                Prolonged::Incomplete { fence: there } => {
                    fence = there;
                    first = Some(first.map_or(0, |first| first + BUCKETS));
                }
            }
            // Orders that came meanwhile go first.
            tokio::time::sleep(begun.elapsed().min(REST_MAX)).await;
        }
    }

    async fn prolong_some(&self, shard: &Shard, args: Args) -> Result<Prolonged, RebuildError> {
        let (script, key) = (&fixed::PROLONG, shard.state());
        let run = || self.engine.run(script, &key, args.clone());
        let reply = run
            .retry(engine::tries(TRIES))
            .when(EngineError::is_transient)
            .await;
        Ok(prolong_reply(reply?)?)
    }
}
