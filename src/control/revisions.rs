//! Revisions looked at: their history, one in full, and one against another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::compile::{Compared, RevisionAnswer, answer};
use super::operations::ACTIVATE;
use super::proof::weigh;
use super::stock::{SKU_CREATE, STOCK_CHANGE};
use super::{Control, ControlError, StandingView, versions};
use crate::campaign::Schedule;
use crate::plan::Folds;
use crate::plan::diff::{self, Class, Stored};
use crate::revision::PinnedRule;
use crate::ruleset::Compiled;
use crate::store::{ActivationRow, AuditRow, CampaignRow};

/// Revisions of one page at most, and one that says whether more follow.
const PAGE_MAX: u32 = 101;
/// Activations and audit lines of a campaign that are looked at, newest first.
const HISTORY_MAX: u32 = 1000;
/// Revisions that were active before, looked at for counters that come back.
const EARLIER_MAX: usize = 16;

/// One line of a campaign's history.
#[derive(Clone, Debug, PartialEq)]
pub struct RevisionHead {
    pub revision: u32,
    pub active: bool,
    pub created_at: i64,
    /// As the audit trail says; `None` where it does not reach back.
    pub created_by: Option<String>,
    /// Newest first; epochs that a rebuild raised are among them.
    pub activations: Vec<ActivatedAt>,
    pub schedule: Schedule,
    pub rules: Vec<PinnedRule>,
    pub folds: Folds,
    /// Rules that decide a second time, and change no answer.
    pub shadow: Vec<PinnedRule>,
    /// Lists that its rules ask for, in the version that it pins.
    pub lists: BTreeMap<String, u32>,
    pub plan_digest: String,
    /// What it changed against the revision before it, in sentences; empty for the first.
    pub changed: Vec<String>,
}

/// When and by whom a revision was activated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivatedAt {
    pub epoch: u64,
    pub at: i64,
    /// `None` for the first of a campaign, and for a rebuild.
    pub by: Option<String>,
}

/// A revision in full: the answer it was created with once more, as this build gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct RevisionView {
    pub head: RevisionHead,
    pub answer: RevisionAnswer,
    /// Who made it, who approved it.
    pub standing: StandingView,
}

struct History {
    active: u32,
    activations: Vec<ActivationRow>,
    audit: Vec<AuditRow>,
}

impl Control {
    /// A stored revision, compiled.
    pub(super) async fn stored_revision(
        &self,
        campaign: &str,
        number: u32,
    ) -> Result<Arc<Compiled>, ControlError> {
        let row = self.row(campaign).await?;
        let found = self.loader.revision_of(row.campaign, number).await;
        found
            .map_err(ControlError::Unavailable)?
            .ok_or_else(|| ControlError::Unknown(format!("campaign {campaign:?} has no revision {number}")))
    }

    /// What a revision changes against the active one.
    pub(super) async fn compare(&self, row: &CampaignRow, new: &Compiled) -> Result<Compared, ControlError> {
        let old = self
            .stored_revision(&row.campaign.id, row.activation.revision)
            .await?;
        self.compare_with(old, new).await
    }

    async fn compare_with(&self, old: Arc<Compiled>, new: &Compiled) -> Result<Compared, ControlError> {
        let against = old.revision.number;
        let earlier = self.earlier(&old, new).await?;
        let mut changes = versions::changes(&old.revision, &new.revision);
        let (old, new) = (old.family.plan.clone(), new.family.plan.clone());
        let now = (self.clock)();
        let compared = tokio::task::spawn_blocking(move || {
            let mut changes = diff::diff(&old, &new, &earlier, now);
            weigh(&old, &new, &mut changes);
            changes
        });
        let compared = compared
            .await
            .map_err(|error| ControlError::Internal(format!("the comparison: {error}")))?;
        changes.extend(compared);
        Ok(Compared { against, changes })
    }

    /// Counters of revisions that were active before `old`, as far as `new` could bring one back.
    async fn earlier(&self, old: &Compiled, new: &Compiled) -> Result<Vec<Stored>, ControlError> {
        let there = |id: &str| {
            old.family
                .plan
                .plan()
                .counters
                .iter()
                .any(|counter| counter.id == id)
        };
        let counters = &new.family.plan.plan().counters;
        if counters.iter().all(|counter| there(&counter.id)) {
            return Ok(Vec::new());
        }
        let campaign = &old.campaign.id;
        let activations = self.store.activations(campaign, HISTORY_MAX).await?;
        let numbers: BTreeSet<u32> = activations.iter().map(|row| row.activation.revision).collect();
        let mut earlier = Vec::new();
        for number in numbers.into_iter().rev().take(EARLIER_MAX) {
            if number != old.revision.number {
                let built = self.stored_revision(campaign, number).await?;
                earlier.extend(diff::stored(&built.family.plan, number));
            }
        }
        Ok(earlier)
    }

    /// Newest first, those numbered below `before`.
    pub async fn revisions(
        &self,
        campaign: &str,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<RevisionHead>, ControlError> {
        let history = self.history(campaign).await?;
        let limit = limit.clamp(1, PAGE_MAX);
        let numbers = self.store.revision_numbers(campaign, before, limit).await?;
        let mut heads = Vec::with_capacity(numbers.len());
        for number in numbers {
            heads.push(self.head(campaign, number, &history).await?);
        }
        Ok(heads)
    }

    /// One revision in full; its changes are those against the active one.
    pub async fn revision(&self, campaign: &str, number: u32) -> Result<RevisionView, ControlError> {
        let row = self.row(campaign).await?;
        let built = self.stored_revision(campaign, number).await?;
        let history = self.history(campaign).await?;
        let head = self.head(campaign, number, &history).await?;
        let proof = self.prove(&built).await?;
        let compared = self.compare(&row, &built).await?;
        let answer = answer(&built, Some(number), Vec::new(), proof, Some(compared));
        let standing = self.standing(&row, number).await?;
        Ok(RevisionView {
            head,
            answer,
            standing,
        })
    }

    /// What a revision changes against another; against the active one where none is named.
    pub async fn compare_revisions(
        &self,
        campaign: &str,
        number: u32,
        against: Option<u32>,
    ) -> Result<Compared, ControlError> {
        let row = self.row(campaign).await?;
        let new = self.stored_revision(campaign, number).await?;
        let against = against.unwrap_or(row.activation.revision);
        let old = self.stored_revision(campaign, against).await?;
        self.compare_with(old, &new).await
    }

    async fn history(&self, campaign: &str) -> Result<History, ControlError> {
        let row = self.row(campaign).await?;
        let mut audit = self.store.audited(campaign, HISTORY_MAX).await?;
        // What stands before that is about another campaign of the name, which was removed.
        if let Some(created) = audit.iter().position(|line| line.action == "campaign.create") {
            audit.truncate(created + 1);
        }
        Ok(History {
            active: row.activation.revision,
            activations: self.store.activations(campaign, HISTORY_MAX).await?,
            audit,
        })
    }

    async fn head(
        &self,
        campaign: &str,
        number: u32,
        history: &History,
    ) -> Result<RevisionHead, ControlError> {
        let built = self.stored_revision(campaign, number).await?;
        let mut changed = Vec::new();
        if number > 1 {
            let before = self.stored_revision(campaign, number - 1).await?;
            let (old, new) = (&before.family.plan, &built.family.plan);
            let changes = diff::diff(old, new, &[], built.revision.created_at);
            let pinned = versions::changes(&before.revision, &built.revision);
            let changes = pinned
                .into_iter()
                .chain(changes)
                .filter(|change| change.class != Class::Unchanged);
            changed.extend(changes.map(|change| change.sentence));
        }
        let revision = &built.revision;
        Ok(RevisionHead {
            revision: number,
            active: number == history.active,
            created_at: revision.created_at,
            created_by: history.created_by(number),
            activations: history.activations(number),
            schedule: revision.schedule,
            rules: revision.rules.clone(),
            folds: revision.folds.clone(),
            shadow: revision
                .shadow
                .as_ref()
                .map_or_else(Vec::new, |shadow| shadow.rules.clone()),
            lists: revision.lists(),
            plan_digest: revision.plan_digest.clone(),
            changed,
        })
    }
}

impl History {
    fn created_by(&self, number: u32) -> Option<String> {
        let created = self.audit.iter().find(|line| match line.action.as_str() {
            "campaign.create" => number == 1,
            "revision.create" | STOCK_CHANGE | SKU_CREATE => line.detail["revision"] == number,
            _ => false,
        });
        created.map(|line| line.actor.clone())
    }

    fn activations(&self, number: u32) -> Vec<ActivatedAt> {
        let rows = self.activations.iter();
        rows.filter(|row| row.activation.revision == number)
            .map(|row| {
                let epoch = row.activation.epoch;
                let by = self
                    .audit
                    .iter()
                    .find(|line| line.action == ACTIVATE && line.detail["epoch"] == epoch);
                ActivatedAt {
                    epoch,
                    at: row.at,
                    by: by.map(|line| line.actor.clone()),
                }
            })
            .collect()
    }
}
