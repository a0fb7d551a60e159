//! Four eyes: where what decides in a campaign needs a second person. Approvals of revisions, what a revision still lacks, and the alarm
//! where the root token had something done without them. docs/FOUR_EYES.md says what needs them and what does not.

mod metrics;
mod proposals;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::operations::{Operation, Pass, check_note};
use super::{Control, ControlError};
use crate::audit::{AskedBy, AuditLine};
use crate::revision::{Revision, Unapproved};
use crate::store::{Approval, Approving, CampaignRow, RevisionStanding, Warrant};
use crate::wire::Moment;

pub use metrics::Metrics;
pub use proposals::{Carried, PROPOSAL_APPROVE, PROPOSAL_WITHDRAW, ProposalView, Proposed};

/// As the audit trail names them.
pub const APPROVE: &str = "revision.approve";
pub const WITHDRAW: &str = "revision.withdraw";
const BYPASS: &str = "campaign.bypass";

/// Body of an approval.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = Approve)]
#[serde(deny_unknown_fields)]
pub struct ApproveBody {
    /// Of what was looked at, as it is shown there.
    pub digest: String,
    /// For the audit trail.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub note: Option<String>,
}

/// What an approval answers, or its withdrawal.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Approved {
    pub campaign: String,
    pub revision: u32,
    /// What was done, in a sentence.
    pub did: String,
    #[serde(flatten)]
    pub standing: StandingView,
}

/// How a revision stands where two people have to agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = RevisionStanding)]
pub struct StandingView {
    /// Over all that the revision holds: what an approval is of.
    pub digest: String,
    /// Missing where nobody is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_by: Option<Named>,
    /// Newest first.
    pub approvals: Vec<ApprovalView>,
    /// Whether another person has approved it, as it is now.
    pub approved: bool,
    /// Whether it may be put in force: it is approved, or the campaign needs no second person.
    pub may_activate: bool,
    /// What its approval lacks, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
}

/// A person, and their key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Named {
    pub person: String,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// That somebody has approved a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Approval)]
pub struct ApprovalView {
    #[serde(flatten)]
    pub by: Named,
    pub at: Moment,
    /// Of what was approved.
    pub digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Moment>,
}

impl From<Approval> for ApprovalView {
    fn from(approval: Approval) -> Self {
        Self {
            by: Named {
                person: approval.person,
                key: Some(approval.key),
            },
            at: Moment(approval.at),
            digest: approval.digest,
            note: approval.note,
            withdrawn_at: approval.withdrawn_at.map(Moment),
        }
    }
}

impl StandingView {
    fn of(standing: RevisionStanding, row: &CampaignRow) -> Self {
        let approved = standing.verdict.is_ok();
        let key = standing.maker.key;
        Self {
            digest: standing.content.digest,
            made_by: standing.maker.person.map(|person| Named { person, key }),
            approvals: standing.approvals.into_iter().map(ApprovalView::from).collect(),
            approved,
            may_activate: approved || !row.four_eyes.is_on(),
            lacks: standing.verdict.err().map(|why| why.to_string()),
        }
    }
}

impl Control {
    /// How a revision stands.
    pub(super) async fn standing(
        &self,
        row: &CampaignRow,
        revision: u32,
    ) -> Result<StandingView, ControlError> {
        let campaign = &row.campaign.id;
        let standing = self.store.revision_standing(campaign, revision).await?;
        let standing = standing.ok_or_else(|| no_revision(campaign, revision))?;
        Ok(StandingView::of(standing, row))
    }

    /// Approves a revision as it was looked at: whoever asks is another person than its maker.
    pub async fn approve(
        &self,
        operation: Operation<'_>,
        revision: u32,
        digest: &str,
    ) -> Result<Approved, ControlError> {
        check_note(operation.note)?;
        let (person, key) = named(operation.by)?;
        let campaign = operation.campaign;
        let row = self.row(campaign).await?;
        self.standing(&row, revision).await?;
        let now = (self.clock)();
        let approving = Approving {
            person,
            key,
            digest,
            note: operation.note,
            now,
        };
        let line = [operation.line(now, json!({"revision": revision, "digest": digest}))];
        let is_new = self.store.approve((campaign, revision), approving, &line);
        let is_new = is_new.await.map_err(|error| refused(error.into()))?;
        let did = match is_new {
            true => format!("Revision {revision} is approved by {person}."),
            false => format!("Revision {revision} was approved by {person} already: nothing was changed."),
        };
        self.approved(campaign, revision, did).await
    }

    /// Takes all approvals of a revision back that is not in force.
    pub async fn withdraw(&self, operation: Operation<'_>, revision: u32) -> Result<Approved, ControlError> {
        check_note(operation.note)?;
        let campaign = operation.campaign;
        let row = self.row(campaign).await?;
        self.standing(&row, revision).await?;
        let now = (self.clock)();
        let line = [operation.line(now, json!({"revision": revision}))];
        let done = self.store.withdraw_approvals((campaign, revision), now, &line);
        let did = match done.await? {
            true => format!("Revision {revision} is approved by nobody any more."),
            false => format!("Revision {revision} was approved by nobody: nothing was changed."),
        };
        self.approved(campaign, revision, did).await
    }

    async fn approved(&self, campaign: &str, revision: u32, did: String) -> Result<Approved, ControlError> {
        let row = self.row(campaign).await?;
        Ok(Approved {
            campaign: campaign.to_owned(),
            revision,
            did,
            standing: self.standing(&row, revision).await?,
        })
    }

    /// Refuses what its activation will refuse, because another person has to approve it; that asks again, under the campaign's lock.
    pub(super) async fn may_pass(&self, operation: Operation<'_>, revision: u32) -> Result<(), ControlError> {
        let row = self.row(operation.campaign).await?;
        if operation.pass != Pass::Approval || !row.four_eyes.is_on() {
            return Ok(());
        }
        let campaign = &row.campaign.id;
        let standing = self.store.revision_standing(campaign, revision).await?;
        let standing = standing.ok_or_else(|| no_revision(campaign, revision))?;
        standing.verdict.map_err(ControlError::Unapproved)
    }

    /// Everybody is to hear that the root token had something done that two people have to agree to.
    pub(super) fn alarm(&self, operation: Operation<'_>, is_bypass: bool) {
        if !is_bypass {
            return;
        }
        self.metrics.bypassed.inc();
        tracing::error!(
            campaign = operation.campaign,
            kind = operation.kind,
            address = operation.by.address,
            "four eyes were bypassed with the root token"
        );
    }
}

impl<'a> Operation<'a> {
    /// What the audit trail says where the root token has it done.
    pub(super) fn bypass(&self, at: i64) -> AuditLine<'a> {
        self.of_kind(BYPASS).line(at, json!({"bypassed": self.kind}))
    }
}

impl<'a> Pass<'a> {
    /// The same for the database: `served` is what gateways are to compile.
    pub(super) fn warrant(self, served: Option<&'a Revision>, line: &'a AuditLine<'a>) -> Warrant<'a> {
        match self {
            Self::Approval => Warrant::Approval { served },
            Self::Root => Warrant::Root { served, line },
            Self::Proposal(proposal) => Warrant::Proposal(proposal),
            Self::Less => Warrant::Less,
        }
    }
}

/// A change that makes a revision and puts it in force at once, where that needs a second person and is not proposed.
pub(super) fn needs_two(what: &str, instead: &str) -> ControlError {
    ControlError::Unapproved(Unapproved::Missing(format!(
        "{what} needs the approval of another person, and nothing was changed: {instead}"
    )))
}

/// Who agrees to something has a name.
fn named(by: AskedBy<'_>) -> Result<(&str, &str), ControlError> {
    by.person.zip(by.key).ok_or_else(|| {
        let why = "a token names no person: whoever approves or proposes something shows a key of their own";
        ControlError::NotAnother(why.to_owned())
    })
}

/// Who is no other person may not approve it.
fn refused(error: ControlError) -> ControlError {
    match error {
        ControlError::Unapproved(Unapproved::SamePerson(why)) => ControlError::NotAnother(why),
        error => error,
    }
}

fn no_revision(campaign: &str, revision: u32) -> ControlError {
    ControlError::Unknown(format!("campaign {campaign:?} has no revision {revision}"))
}
