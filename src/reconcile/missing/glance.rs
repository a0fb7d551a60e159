//! A glance: whether a campaign's sums agree, from a row per SKU on each side.
//!
//! It answers only where nothing is on its way: what is in the outbox, or lands meanwhile, is for the longer sum.

use futures_util::future::join_all;

use super::super::Reconcile;
use super::super::compare::{CompareError, Gap, quiet_gap};
use super::looks::{Mark, Target};
use crate::lua::fixed;
use crate::lua::keys::Shard;
use crate::lua::repair::{Ledger, ledger_args, ledger_reply};
use crate::state::Whose;
use crate::store::CampaignSums;

pub(super) enum Seen {
    /// Nothing was on its way, and this is what the sums say.
    Still(Gap, Mark),
    /// Something is on its way.
    Moving,
    Failed(CompareError),
}

/// One side and the other, before landing was waited for.
type Sides = (CampaignSums, Ledger);

impl Reconcile {
    /// Looks at these campaigns. An error where landing is behind: then nothing can be said of any.
    pub(super) async fn glance(&self, targets: &[Target]) -> Result<Vec<Seen>, CompareError> {
        let first = join_all(targets.iter().map(|target| self.sides(target))).await;
        self.landed_within(self.config.glance).await?;
        let second = targets
            .iter()
            .zip(first)
            .map(|(target, first)| async move { self.seen(target, first?).await });
        let seen = join_all(second).await.into_iter();
        Ok(seen.map(|seen| seen.unwrap_or_else(Seen::Failed)).collect())
    }

    async fn sides(&self, target: &Target) -> Result<Sides, CompareError> {
        let sums = self.store.sold_sums(&target.campaign).await?;
        let state = Shard::new(&target.campaign, 0).state();
        // What is in the outbox is not asked for, only whether anything is.
        let reply = self.engine.run(&fixed::LEDGER, &state, ledger_args(0)).await?;
        let ledger = ledger_reply(reply)?;
        match Whose::of(ledger.fence.as_ref(), &target.uid) {
            Whose::Nobodys => Err(CompareError::Closed(target.campaign.clone())),
            Whose::Foreign => Err(CompareError::Foreign(target.campaign.clone())),
            Whose::Ours(_) => Ok((sums, ledger)),
        }
    }

    async fn seen(&self, target: &Target, (before, ledger): Sides) -> Result<Seen, CompareError> {
        if ledger.outbox.is_none() {
            return Ok(Seen::Moving);
        }
        let after = self.store.sold_sums(&target.campaign).await?;
        if before != after {
            return Ok(Seen::Moving);
        }
        let gap = quiet_gap(&ledger, &after);
        let mark = Mark {
            left: ledger.stock,
            reopened: ledger.reopened,
            admitted: ledger.admitted,
        };
        Ok(Seen::Still(gap, mark))
    }
}
