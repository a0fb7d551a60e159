//! A revision that is asked for, from its body to its row: everything that can refuse it comes before it is stored, so that what is
//! refused leaves nothing behind.

use super::campaigns::schedule_of;
use serde_json::json;

use super::compile::{Compared, Draft, RuleSpecs, answer, check_accepted};
use super::folding::check_folds;
use super::operations::{Answered, Operation};
use super::problem::Problem;
use super::proof::Proof;
use super::requests::{check_retention, check_rules, check_schedule, check_shadow};
use super::{Control, ControlError, NewRevision, RevisionAnswer};
use crate::audit::{AskedBy, AuditLine};
use crate::campaign::days_ms;
use crate::plan::Audiences;
use crate::plan::diff::filled;

/// As the audit trail names it.
pub const REVISION_CREATE: &str = "revision.create";

/// A revision that is compiled, proven and compared with the active one, and not stored.
pub(super) struct Considered {
    draft: Draft,
    proof: Proof,
    compared: Compared,
}

impl Considered {
    /// What it would be.
    pub(super) fn answer(self) -> Result<RevisionAnswer, ControlError> {
        self.draft.answer(None, self.proof, Some(self.compared))
    }
}

impl Control {
    /// Stores a revision, or with `dry_run` only says what it would be. Its lists are in the versions of `kept`, all others in their
    /// newest.
    pub(super) async fn create_revision_keeping(
        &self,
        by: AskedBy<'_>,
        campaign: &str,
        new: NewRevision,
        kept: Audiences,
        dry_run: bool,
    ) -> Result<RevisionAnswer, ControlError> {
        let considered = self.consider(campaign, &new, kept).await?;
        if let Some(at) = new.activate_at {
            self.may_be_activated_at(at.as_millisecond(), &considered.compared.changes)?;
        }
        if dry_run {
            return considered.answer();
        }
        let answer = self.keep(by, campaign, &new, considered).await?;
        let change = uuid::Uuid::now_v7().simple().to_string();
        self.scheduled_as_asked(by, answer, &new, (campaign, change))
            .await
    }

    /// The same for whoever asks over HTTP: once per key, and where the campaign is as they have seen it. `lua`: the answer holds the script.
    pub async fn create_revision_once(
        &self,
        operation: Operation<'_>,
        new: NewRevision,
        (dry_run, lua): (bool, bool),
    ) -> Result<Answered, ControlError> {
        let asked = json!({"revision": new, "lua": lua});
        let operation = Operation {
            key: operation.key.filter(|_| !dry_run),
            ..operation
        };
        self.once(operation, &asked, async |id| {
            let answer = match dry_run {
                true => {
                    let none = Audiences::new();
                    self.create_revision_keeping(operation.by, operation.campaign, new, none, true)
                        .await?
                }
                false => self.create_under(operation, new, id).await?,
            };
            Ok(RevisionAnswer {
                lua: answer.lua.filter(|_| lua),
                ..answer
            })
        })
        .await
    }

    async fn create_under(
        &self,
        operation: Operation<'_>,
        new: NewRevision,
        id: String,
    ) -> Result<RevisionAnswer, ControlError> {
        let (by, campaign) = (operation.by, operation.campaign);
        // An earlier try of the same request may have stored it.
        let answer = match self.store.revision_of(campaign, &id).await? {
            Some(number) => self.answer_again(campaign, number).await?,
            None => {
                let considered = self.consider(campaign, &new, Audiences::new()).await?;
                if let Some(at) = new.activate_at {
                    self.may_be_activated_at(at.as_millisecond(), &considered.compared.changes)?;
                }
                self.keep(by, campaign, &new, considered).await?
            }
        };
        self.scheduled_as_asked(by, answer, &new, (campaign, id)).await
    }

    async fn answer_again(&self, campaign: &str, number: u32) -> Result<RevisionAnswer, ControlError> {
        let built = self.stored_revision(campaign, number).await?;
        let proof = self.prove(&built).await?;
        let compared = self.compare(&self.row(campaign).await?, &built).await?;
        Ok(answer(&built, Some(number), Vec::new(), proof, Some(compared)))
    }

    /// Has what is stored activated later, where that is asked for: `change` is the id of that.
    async fn scheduled_as_asked(
        &self,
        by: AskedBy<'_>,
        mut answer: RevisionAnswer,
        new: &NewRevision,
        (campaign, change): (&str, String),
    ) -> Result<RevisionAnswer, ControlError> {
        if let Some(at) = new.activate_at {
            let (number, at) = (answer.stored()?, at.as_millisecond());
            let later = self.activate_later(by.begun(), (campaign, change), number, at);
            answer.scheduled = Some(later.await?);
        }
        Ok(answer)
    }

    /// Compiles, proves and compares it.
    pub(super) async fn consider(
        &self,
        campaign: &str,
        new: &NewRevision,
        kept: Audiences,
    ) -> Result<Considered, ControlError> {
        let row = self.row(campaign).await?;
        let mut schedule = schedule_of(row.schedule, new.opens_at, new.closes_at);
        if let Some(days) = new.retention_days {
            schedule.retention_ms = days_ms(days);
        }
        let mut problems: Vec<Problem> = Vec::new();
        check_schedule(schedule, &mut problems);
        check_retention(new.retention_days, &mut problems);
        check_rules(&new.rules, &mut problems);
        new.fold
            .iter()
            .for_each(|folds| check_folds(folds, &mut problems));
        check_shadow(&new.shadow, &mut problems);
        if !problems.is_empty() {
            return Err(ControlError::Invalid(problems));
        }
        let rules = RuleSpecs {
            rules: &new.rules,
            shadow: &new.shadow,
            folds: &self.folds_of(&row, new.fold.as_ref()).await?,
            merchant: &row.merchant,
        };
        let draft = self.draft(&row.campaign, &rules, schedule, kept).await?;
        let proof = self.prove(&draft.compiled).await?;
        let compared = self.compare(&row, &draft.compiled).await?;
        Ok(Considered {
            draft,
            proof,
            compared,
        })
    }

    /// Asks of a revision that is not stored yet what its activation will ask, but for what others do meanwhile: one that is refused
    /// leaves nothing behind. Its lists are loaded, too.
    pub(super) async fn may_activate(
        &self,
        considered: &mut Considered,
        accept: &[String],
    ) -> Result<(), ControlError> {
        let changes = &considered.compared.changes;
        check_accepted(changes, accept)?;
        let built = &considered.draft.compiled;
        let servable = self.loader.can_serve(&built.revision).await;
        servable.map_err(ControlError::Unavailable)?;
        let filled = filled(changes);
        if !filled.is_empty() {
            self.none_stranded(built, &filled, accept).await?;
        }
        let copies = std::mem::take(&mut considered.draft.copies);
        self.store_copies(copies).await?;
        let provided = self.gate.provide(&built.campaign, &built.revision).await;
        provided.map_err(|why| {
            ControlError::Unavailable(format!("the lists of the revision are not loaded: {why}"))
        })
    }

    /// Stores it under the next number.
    pub(super) async fn keep(
        &self,
        by: AskedBy<'_>,
        campaign: &str,
        new: &NewRevision,
        considered: Considered,
    ) -> Result<RevisionAnswer, ControlError> {
        let Considered {
            mut draft,
            proof,
            compared,
        } = considered;
        self.store_copies(std::mem::take(&mut draft.copies)).await?;
        let line = AuditLine::new(
            (self.clock)(),
            by,
            REVISION_CREATE,
            campaign,
            serde_json::json!(new),
        );
        let revision = &draft.compiled.revision;
        let number = self.store.insert_revision(revision, vec![line]).await?;
        draft.answer(Some(number), proof, Some(compared))
    }
}
