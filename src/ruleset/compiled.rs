//! A revision, compiled: what orders are decided by, relayed, compared and restored with. It says nothing about whether the
//! revision is active, or ever was.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::campaign::Campaign;
use crate::lua::fence::Fence;
use crate::lua::{Family, emit};
use crate::plan::{self, CheckedPlan, PlanError};
use crate::revision::Revision;

/// A revision of a campaign with its plan, checked, and the scripts made from it.
#[derive(Debug)]
pub struct Compiled {
    pub campaign: Campaign,
    pub revision: Revision,
    pub family: Family,
    /// Text forms of the attributes the plan and its shadow read besides user, SKU and quantity: what a gateway
    /// keeps of an attempt.
    pub reads: Vec<String>,
}

impl Compiled {
    /// Of a revision that is stored: its plan is checked once more. Needs no module.
    pub fn build(campaign: Campaign, revision: Revision) -> Result<Self, PlanError> {
        let context = revision.context(&campaign);
        let plan = plan::check(revision.plan.clone(), context.clone())?;
        let shadow = revision.shadow.as_ref();
        let shadow = shadow.map(|shadow| plan::check(shadow.plan.clone(), context));
        let shadow = shadow.transpose()?.map(Arc::new);
        Self::emit(campaign, revision, Arc::new(plan), shadow)
    }

    /// Of a revision whose plans were checked in its own context.
    pub fn emit(
        campaign: Campaign,
        revision: Revision,
        plan: Arc<CheckedPlan>,
        shadow: Option<Arc<CheckedPlan>>,
    ) -> Result<Self, PlanError> {
        let all = [Some(&plan), shadow.as_ref()].into_iter().flatten();
        let reads: BTreeSet<String> = all
            .flat_map(|plan| plan.attributes())
            .map(|attribute| attribute.to_string())
            .collect();
        let family = emit::emit_with_shadow(plan, shadow, revision.number)?;
        Ok(Self {
            campaign,
            revision,
            family,
            reads: reads.into_iter().collect(),
        })
    }

    /// The same under another number, which the scripts of a shadow carry.
    pub fn numbered(self, number: u32) -> Result<Self, PlanError> {
        let Self {
            campaign,
            revision,
            family: Family { plan, shadow, .. },
            ..
        } = self;
        Self::emit(campaign, Revision { number, ..revision }, plan, shadow)
    }

    /// What a shard's state carries while this revision is active under `epoch`.
    pub fn fence(&self, epoch: u64) -> Fence {
        Fence {
            uid: self.campaign.uid.clone(),
            version: self.campaign.record_version,
            epoch,
        }
    }
}
