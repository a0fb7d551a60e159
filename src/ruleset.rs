//! What a gateway decides with right now: one immutable snapshot per campaign, swapped by a pointer
//! store. Building a snapshot may fail; the old one then keeps serving.

mod precheck;
mod reads;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, RwLock};

use arc_swap::ArcSwap;

use crate::campaign::{Activation, Campaign, Schedule};
use crate::lua::fence::Fence;
use crate::lua::{Family, emit};
use crate::plan::{self, CheckContext, PlanError};
use crate::revision::Revision;

pub use precheck::{Asked, Objection, Precheck, Verdict};
pub use reads::{Reads, marks};

/// A campaign with its active revision, compiled.
#[derive(Debug)]
pub struct ActiveCampaign {
    pub campaign: Campaign,
    pub revision: Revision,
    pub activation: Activation,
    pub family: Family,
    /// Text forms of the attributes the plan and its shadow read besides user, SKU and quantity: what a gateway
    /// keeps of an attempt.
    pub reads: Vec<String>,
    /// What the rules that decide read: the plan, without its shadow, and the prechecks.
    pub decides_by: Reads,
    /// Of the rules that have one, in the order of the revision's rules.
    pub prechecks: Vec<Arc<dyn Precheck>>,
}

impl ActiveCampaign {
    /// Checks the stored plan once more and compiles it. Needs no module, and so has no prechecks.
    pub fn build(campaign: Campaign, revision: Revision, activation: Activation) -> Result<Self, PlanError> {
        let context = CheckContext {
            campaign: campaign.id.clone(),
            schedule: revision.schedule,
            skus: campaign.skus.clone(),
            audiences: revision.audiences.clone(),
            buckets: campaign.buckets,
        };
        let plan = Arc::new(plan::check(revision.plan.clone(), context.clone())?);
        let shadow = revision.shadow.as_ref();
        let shadow = shadow.map(|shadow| plan::check(shadow.plan.clone(), context));
        let shadow = shadow.transpose()?.map(Arc::new);
        let all = [Some(&plan), shadow.as_ref()].into_iter().flatten();
        let reads: BTreeSet<String> = all
            .flat_map(|plan| plan.attributes())
            .map(|attribute| attribute.to_string())
            .collect();
        let decides_by = Reads::of(&plan, &[]);
        let family = emit::emit_with_shadow(plan, shadow, revision.number)?;
        Ok(Self {
            campaign,
            revision,
            activation,
            family,
            reads: reads.into_iter().collect(),
            decides_by,
            prechecks: Vec::new(),
        })
    }

    /// With the prechecks of its rules: without them nobody may be admitted under a revision that has some.
    pub fn with_prechecks(self, prechecks: Vec<Arc<dyn Precheck>>) -> Self {
        Self {
            decides_by: Reads::of(&self.family.plan, &prechecks),
            prechecks,
            ..self
        }
    }

    pub fn fence(&self) -> Fence {
        Fence {
            uid: self.campaign.uid.clone(),
            version: self.campaign.record_version,
            epoch: self.activation.epoch,
        }
    }
}

/// Archived campaigns a gateway remembers; when there are more, it forgets all, and reads again what is asked for.
const ARCHIVED_MAX: usize = 10_000;

/// A campaign that is archived: nobody decides anything about it any more, and this is what there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedCampaign {
    pub schedule: Schedule,
    pub activation: Activation,
    /// (SKU, whether every unit was sold).
    pub skus: Vec<(String, bool)>,
}

/// All campaigns a gateway serves, and archived ones that somebody asked for.
#[derive(Debug, Default)]
pub struct Ruleset {
    campaigns: ArcSwap<HashMap<String, Arc<ActiveCampaign>>>,
    archived: RwLock<HashMap<String, Arc<ArchivedCampaign>>>,
    quiet: ArcSwap<HashSet<String>>,
}

impl Ruleset {
    pub fn get(&self, campaign: &str) -> Option<Arc<ActiveCampaign>> {
        self.campaigns.load().get(campaign).cloned()
    }

    /// Whether it is decided with.
    pub fn has(&self, campaign: &str) -> bool {
        self.campaigns.load().contains_key(campaign)
    }

    pub fn all(&self) -> Vec<Arc<ActiveCampaign>> {
        self.campaigns.load().values().cloned().collect()
    }

    /// Puts a snapshot in place unless a newer epoch is already there; says whether it did.
    pub fn put(&self, active: Arc<ActiveCampaign>) -> bool {
        let id = active.campaign.id.clone();
        let newer = |there: &ActiveCampaign| {
            there.campaign.uid == active.campaign.uid && there.activation.epoch > active.activation.epoch
        };
        let before = self.campaigns.rcu(|map| {
            if map.get(&id).is_some_and(|there| newer(there)) {
                return map.clone();
            }
            let mut map = HashMap::clone(map);
            map.insert(id.clone(), active.clone());
            Arc::new(map)
        });
        let mut archived = self.archived.write().expect("no panic holds this lock");
        archived.remove(&id);
        drop(archived);
        !before.get(&id).is_some_and(|there| newer(there))
    }

    /// What is remembered of an archived campaign.
    pub fn archived(&self, campaign: &str) -> Option<Arc<ArchivedCampaign>> {
        let archived = self.archived.read().expect("no panic holds this lock");
        archived.get(campaign).cloned()
    }

    /// Remembers that a campaign is archived, and no longer decides with it.
    pub fn archive(&self, campaign: &str, as_it_was: ArchivedCampaign) {
        let mut archived = self.archived.write().expect("no panic holds this lock");
        if archived.len() >= ARCHIVED_MAX {
            archived.clear();
        }
        archived.insert(campaign.to_owned(), Arc::new(as_it_was));
        drop(archived);
        if self.has(campaign) {
            self.remove(campaign);
        }
    }

    /// Whether nobody orders from a campaign, at any gateway, and its outbox was empty when somebody last looked:
    /// there is nothing to do for it often. Until it is known, it is not.
    pub fn is_quiet(&self, campaign: &str) -> bool {
        self.quiet.load().contains(campaign)
    }

    /// Says which campaigns are quiet; all others are not.
    pub fn set_quiet(&self, campaigns: HashSet<String>) {
        self.quiet.store(Arc::new(campaigns));
    }

    /// Forgets a campaign (ended and expired).
    pub fn remove(&self, campaign: &str) {
        self.campaigns.rcu(|map| {
            let mut map = HashMap::clone(map);
            map.remove(campaign);
            map
        });
    }
}
