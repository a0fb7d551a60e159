//! Revisions: immutable configurations of a campaign, with the plan they compiled to.

mod content;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::campaign::{Campaign, STOCK_MAX, Schedule, Sku, Skus};
use crate::plan::fold::list_of;
use crate::plan::{Audiences, CheckContext, Expr, Folds, Plan};

pub use content::{Content, Unapproved};

/// One rule of a revision, its module pinned by digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
    /// Units of each SKU that it was compiled for; `None` where they are those that the campaign has.
    pub stock: Option<BTreeMap<String, u64>>,
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

    /// Whether one of its plans asks how many units a SKU has in all: shares of the stock are made so.
    pub fn follows_stock(&self) -> bool {
        let shadow = self.shadow.iter().map(|shadow| &shadow.plan);
        let mut nodes = std::iter::once(&self.plan)
            .chain(shadow)
            .flat_map(|plan| &plan.nodes);
        nodes.any(|node| matches!(node, Expr::Stock))
    }

    /// The campaign's SKUs, with the units that it was compiled for, as far as they matter to it: what it admits, and what it
    /// may admit, is the same whatever is added or taken later. A SKU that came later has the units it has.
    pub fn skus(&self, campaign: &Skus) -> Skus {
        let Some(stock) = self.stock.as_ref().filter(|_| self.follows_stock()) else {
            return campaign.clone();
        };
        let units = |sku: &Sku| stock.get(&sku.id).copied().unwrap_or(sku.stock);
        let all = campaign
            .iter()
            .fold(0_u64, |all, sku| all.saturating_add(units(sku)));
        let is_same = campaign.iter().all(|sku| units(sku) == sku.stock);
        // More than a campaign may have, when a SKU got what was taken off another: then today's are as good.
        if is_same || all > STOCK_MAX {
            return campaign.clone();
        }
        let as_it_was = |sku: &Sku| Sku {
            stock: units(sku),
            ..sku.clone()
        };
        campaign.iter().map(as_it_was).collect()
    }

    /// What its plans are checked in.
    pub fn context(&self, campaign: &Campaign) -> CheckContext {
        CheckContext {
            campaign: campaign.id.clone(),
            schedule: self.schedule,
            skus: self.skus(&campaign.skus),
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
