//! A campaign that is to go by a list's newest version: a revision like the active one, but for that list, and its
//! activation.

use super::super::activate::{Beside, others_activate};
use super::super::eyes::needs_two;
use super::super::operations::{ACTIVATE, Operation};
use super::super::revise::like;
use super::{Control, ControlError};
use crate::audience::ListKind;
use crate::audit::AskedBy;
use crate::plan::fold::list_of;
use crate::revision::Revision;
use crate::store::AudienceRow;

/// Revisions that are made of a campaign's active one while others activate their own.
const REPIN_TRIES: u32 = 5;

/// A campaign that goes by the version asked for, or a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repinned {
    pub campaign: String,
    pub revision: u32,
    pub epoch: u64,
}

impl Control {
    /// Whether these campaigns can go by another version of the list: asked before anything is stored.
    pub(super) async fn can_repin(&self, id: &str, campaigns: &[String]) -> Result<(), ControlError> {
        for campaign in campaigns {
            self.pinning(id, campaign).await?;
        }
        Ok(())
    }

    /// Whether these campaigns can go by a version whose members are such.
    pub(super) async fn can_match(
        &self,
        id: &str,
        kind: &ListKind,
        campaigns: &[String],
    ) -> Result<(), ControlError> {
        for campaign in campaigns.iter().filter(|_| *kind != ListKind::Texts) {
            let (revision, _) = self.pinning(id, campaign).await?;
            let mut keys = revision.audiences.keys().map(|key| list_of(key));
            if keys.any(|(list, fold)| list == id && fold.is_some()) {
                return Err(ControlError::Conflict(format!(
                    "revision {} of the campaign {campaign:?}, which is active, asks for the list {id:?} by a folded attribute, \
                     and a list of addresses is not folded: send ?kind=texts, or leave the campaign out of ?activate=",
                    revision.number
                )));
            }
        }
        Ok(())
    }

    /// The active revision of a campaign, under its epoch, where it asks for the list.
    async fn pinning(&self, id: &str, campaign: &str) -> Result<(Revision, u64), ControlError> {
        let row = self.row(campaign).await?;
        if row.four_eyes.is_on() {
            return Err(needs_two(
                &format!("that the campaign {campaign:?} goes by another version of a list"),
                "leave the campaign out of ?activate=, make a revision with the same rules, which pins the newest version, and have \
                 that approved",
            ));
        }
        if row.schedule.is_archived((self.clock)()) {
            return Err(ControlError::Conflict(format!(
                "the campaign {campaign:?} is archived: it goes by no list"
            )));
        }
        let active = self.stored_revision(campaign, row.activation.revision).await?;
        let revision = active.revision.clone();
        match revision.list_version(id).is_some() {
            true => Ok((revision, row.activation.epoch)),
            false => Err(ControlError::Conflict(format!(
                "revision {} of the campaign {campaign:?}, which is active, does not ask for the list {id:?}, so it cannot go \
                 by another version of it: leave the campaign out of ?activate=, or activate a revision with a rule that \
                 asks for the list",
                revision.number
            ))),
        }
    }

    /// Has each of these campaigns go by this version.
    pub(super) async fn repin_all(
        &self,
        by: AskedBy<'_>,
        row: &AudienceRow,
        campaigns: &[String],
    ) -> Result<Vec<Repinned>, ControlError> {
        let mut repinned = Vec::with_capacity(campaigns.len());
        for campaign in campaigns {
            repinned.push(self.repin(by, row, campaign).await?);
        }
        Ok(repinned)
    }

    /// Has a campaign go by this version, or a later one where there is one. Rules, schedule and other lists stay as
    /// they are.
    async fn repin(
        &self,
        by: AskedBy<'_>,
        row: &AudienceRow,
        campaign: &str,
    ) -> Result<Repinned, ControlError> {
        // Changes that one version holds make one revision.
        let _turn = self.repinning.lock().await;
        let repinned = self.repin_now(by, row, campaign).await;
        repinned.map_err(|error| {
            let stored = format!(
                "version {} of the list {:?} is stored, and the campaign {campaign:?} does not go by it yet",
                row.version, row.id
            );
            error.after(&stored)
        })
    }

    async fn repin_now(
        &self,
        by: AskedBy<'_>,
        row: &AudienceRow,
        campaign: &str,
    ) -> Result<Repinned, ControlError> {
        for _ in 0..REPIN_TRIES {
            if let Some(repinned) = self.repin_once(by, row, campaign).await? {
                return Ok(repinned);
            }
        }
        Err(others_activate(campaign))
    }

    /// `None` where another revision than the one that was copied was in force by the time.
    async fn repin_once(
        &self,
        by: AskedBy<'_>,
        row: &AudienceRow,
        campaign: &str,
    ) -> Result<Option<Repinned>, ControlError> {
        let (active, epoch) = self.pinning(&row.id, campaign).await?;
        if active.list_version(&row.id) >= Some(row.version) {
            return Ok(Some(Repinned {
                campaign: campaign.to_owned(),
                revision: active.number,
                epoch,
            }));
        }
        let expected = active.number;
        let mut like = like(active)?;
        like.lists.retain(|key, _| list_of(key).0 != row.id);
        let answer = self
            .create_revision_keeping(by, campaign, like.new, like.lists, false)
            .await?;
        let revision = answer.stored()?;
        let operation = Operation::by(by, campaign, ACTIVATE);
        let activated = self
            .activate_instead_of(Some(expected), operation, revision, &[], &Beside::default())
            .await
            .map_err(|error| to_accept(error, revision))?;
        Ok(activated.map(|activated| Repinned {
            campaign: campaign.to_owned(),
            revision,
            epoch: activated.epoch,
        }))
    }
}

/// Rules that an earlier release compiled may count otherwise now: that is not accepted on the way.
fn to_accept(error: ControlError, revision: u32) -> ControlError {
    let ControlError::AcceptMissing(changes) = error else {
        return error;
    };
    let sentences: Vec<&str> = changes.iter().map(|change| change.sentence.as_str()).collect();
    ControlError::Conflict(format!(
        "revision {revision} is made, and changes what counters hold: {} Activate it by itself, with \"accept\"",
        sentences.join(" ")
    ))
}
