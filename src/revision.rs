//! Revisions: immutable configurations of a campaign, with the plan they compiled to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::campaign::{Campaign, Schedule};
use crate::plan::fold::list_of;
use crate::plan::{Audiences, CheckContext, Folds, Plan};

/// One rule of a revision, its module pinned by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedRule {
    /// Namespace of its counters; the module's id unless the merchant gave a name.
    pub name: String,
    pub module: String,
    pub version: String,
    /// Lower-case hex SHA-256 of the module's bytes.
    pub digest: String,
    pub params: serde_json::Value,
}

/// An immutable configuration of a campaign, numbered from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    pub campaign: String,
    pub number: u32,
    pub rules: Vec<PinnedRule>,
    pub schedule: Schedule,
    /// The merged plan: what gateways compile, so that serving needs no module.
    pub plan: Plan,
    pub plan_digest: String,
    /// The uploaded lists the plans ask for, pinned by version.
    pub audiences: Audiences,
    /// How rules read attributes; the plans read them so.
    pub folds: Folds,
    pub shadow: Option<Shadow>,
    pub created_at: i64,
}

impl Revision {
    /// The version of a list that its rules ask, folded or not; `None` where they do not.
    pub fn list_version(&self, list: &str) -> Option<u32> {
        let mut pinned = self.audiences.iter();
        pinned
            .find(|(key, _)| list_of(key).0 == list)
            .map(|(_, pinned)| pinned.version)
    }

    /// The lists that its rules ask, folded or not, each in the version that is pinned.
    pub fn lists(&self) -> BTreeMap<String, u32> {
        let pinned = self.audiences.iter();
        pinned
            .map(|(key, pinned)| (list_of(key).0.to_owned(), pinned.version))
            .collect()
    }

    /// What its plans are checked in.
    pub fn context(&self, campaign: &Campaign) -> CheckContext {
        CheckContext {
            campaign: campaign.id.clone(),
            schedule: self.schedule,
            skus: campaign.skus.clone(),
            audiences: self.audiences.clone(),
            buckets: campaign.buckets,
        }
    }
}

/// Rules that decide every attempt a second time, with counters of their own, and admit or reject nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    pub rules: Vec<PinnedRule>,
    /// Their merged plan.
    pub plan: Plan,
}
