//! Removal: a campaign that never admitted anybody goes, as if it had never been made.
//!
//! The gate is closed first, so that an order which comes meanwhile is refused, or is one of those that are looked for. Then the
//! database is to know every order there may be, as a rebuild has it. Where there is none, the campaign's rows go, in one
//! transaction that looks once more, and then its keys. What stays in the engine for a while is a fence: an epoch that was never
//! activated, by which every other gateway finds out.

use super::work::Work;
use super::{RebuildError, Reconcile};
use crate::audit::AuditLine;
use crate::campaign::Holdings;
use crate::lua::fence::Fence;
use crate::lua::keys::{self, Shard};
use crate::lua::restore::Restore;
use crate::needs::Removal;
use crate::plan::{AudienceRef, Home};
use crate::revision::Revision;
use crate::ruleset::Compiled;
use crate::store::{CampaignRow, StoreError};

/// How long the fence of a campaign that is gone stays: a gateway looks more often.
const FENCE_KEPT_MS: i64 = 10 * 60 * 1000;

impl Reconcile {
    /// Removes a campaign that has never admitted anybody, with this line in the audit trail. Waits where another gateway rebuilds it.
    pub async fn remove(&self, campaign: &str, line: AuditLine<'_>) -> Result<Removal, RebuildError> {
        self.while_elsewhere(|| self.remove_once(campaign, &line)).await
    }

    async fn remove_once(&self, campaign: &str, line: &AuditLine<'_>) -> Result<Removal, RebuildError> {
        let shard = Shard::new(campaign, 0);
        let turn = self.turn(campaign);
        let _alone = turn.lock().await;
        let lease = format!("rebuild:{campaign}");
        let removed = self.remove_behind_the_gate(&shard, &lease, line);
        self.under_lease(campaign, &lease, removed).await
    }

    /// With the lease.
    async fn remove_behind_the_gate(
        &self,
        shard: &Shard,
        lease: &str,
        line: &AuditLine<'_>,
    ) -> Result<Removal, RebuildError> {
        let row = self.row(&shard.campaign).await?;
        let revision = self.kept_revision(&row).await?;
        let work = self.work(shard, lease).await?;
        work.condition(&row.campaign).await?;
        let (uid, expires_at) = (&row.campaign.uid, revision.schedule.expires_at());
        work.step(Restore::Begin { uid, expires_at }).await?;
        let admitted = u64::try_from(work.status().await?.admitted).unwrap_or(0);
        if admitted > 0 {
            return Ok(Removal::Stays(Holdings {
                admitted,
                ..Holdings::default()
            }));
        }
        work.wait_for_the_database().await?;
        let epoch = row.activation.epoch;
        // Another gateway that took over has raised the epoch.
        let lines = std::slice::from_ref(line);
        let removed = match self.store.remove_campaign(&shard.campaign, epoch, lines).await {
            Err(StoreError::Changed(tag)) => return Ok(Removal::Changed(tag)),
            removed => removed?,
        };
        match removed {
            None => return Err(RebuildError::Elsewhere),
            Some(held) if !held.is_empty() => return Ok(Removal::Stays(held)),
            Some(_) => {}
        }
        if let Err(error) = work.clear(&row, revision).await {
            tracing::warn!(
                campaign = shard.campaign,
                %error,
                "it is removed; keys of it stay in the engine until they expire"
            );
        }
        Ok(Removal::Gone)
    }
}

impl Work<'_> {
    /// Takes the keys of a campaign away that is gone. What shadow rules counted in windows expires by itself.
    async fn clear(&self, row: &CampaignRow, revision: Revision) -> Result<(), RebuildError> {
        let names: Vec<String> = lists(&revision).chain(shadow_counts(row, &revision)).collect();
        let compiled = Compiled::build(row.campaign.clone(), revision)?;
        self.drop_leftovers(&compiled.family.plan, true).await?;
        self.drop_keys(&names, true).await?;
        let fence = Fence {
            epoch: row.activation.epoch + 1,
            ..compiled.fence(row.activation.epoch)
        };
        let expires_at = self.status().await?.now + FENCE_KEPT_MS;
        let fence = &fence;
        self.step(Restore::Remove { fence, expires_at }).await
    }
}

/// Buckets of every list that the revision asks for.
fn lists(revision: &Revision) -> impl Iterator<Item = String> {
    let bucket = |list: &AudienceRef, audience: &str, bucket: u32| match list.home(bucket) {
        Home::Whole(version) => format!("{}{bucket}", keys::audience_family(audience, version)),
        Home::Changed(version) => format!("{}0", keys::audience_changed_family(audience, version, bucket)),
    };
    let lists = revision.audiences.iter();
    lists
        .flat_map(move |(audience, list)| (0..list.buckets).map(move |number| bucket(list, audience, number)))
}

/// Buckets of what the revision's shadow counts over the campaign: it may admit whom the rules reject.
fn shadow_counts(row: &CampaignRow, revision: &Revision) -> impl Iterator<Item = String> {
    let counters = revision.shadow.iter().flat_map(|shadow| &shadow.plan.counters);
    let family = |id: &str| keys::counts_family(&keys::shadow_id(revision.number, id), false);
    let families: std::collections::BTreeSet<String> = counters.map(|counter| family(&counter.id)).collect();
    let buckets = row.campaign.buckets;
    families
        .into_iter()
        .flat_map(move |family| (0..buckets).map(move |bucket| format!("{family}{bucket}")))
}
