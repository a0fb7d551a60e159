//! Changes of a running sale that make a revision and put it in force in one step: where that needs a second person they are written
//! down, and made by the same code when another person approves them.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::end::reasons;
use super::super::operations::{Answered, Operation, Pass, check_note};
use super::super::stock::{SKU_CREATE, STOCK_CHANGE};
use super::super::times::CHANGE;
use super::super::{CampaignChange, Control, ControlError, NewSku, StockBody};
use super::{Named, named, refused};
use crate::audit::{AskedBy, AuditLine};
use crate::revision::Unapproved;
use crate::store::Undone as _;
use crate::store::{CampaignRow, ProposalRow, ProposalState};
use crate::wire::{Moment, echo};

const PROPOSE: &str = "campaign.propose";
pub const PROPOSAL_APPROVE: &str = "campaign.proposal-approve";
pub const PROPOSAL_WITHDRAW: &str = "campaign.proposal-withdraw";
/// What came of one.
const PROPOSAL: &str = "campaign.proposal";
/// Proposals of a campaign that wait.
const WAITING_MAX: u32 = 50;
/// Those that are shown, whatever became of them.
const SHOWN_MAX: u32 = 100;

/// A change that waits for another person, or did.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Proposal)]
pub struct ProposalView {
    pub id: String,
    /// `campaign.change`, `stock.change` or `sku.create`.
    pub kind: String,
    /// What was asked for.
    #[schema(value_type = Object)]
    pub body: Value,
    /// The revision that was in force: it is made as long as that one is.
    pub against: u32,
    /// What an approval is of.
    pub digest: String,
    pub proposed_by: Named,
    pub at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// `waiting`, `making`, `done`, `failed` or `withdrawn`.
    pub state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Named>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// What a change answers that waits for another person.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Proposed {
    pub campaign: String,
    /// What was done, in a sentence or two.
    pub did: String,
    pub proposal: ProposalView,
}

/// What the approval of a proposal answers.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ProposalMade)]
pub struct Carried {
    pub campaign: String,
    pub did: String,
    pub proposal: ProposalView,
    /// What the change answers.
    #[schema(value_type = Object)]
    pub answer: Value,
}

/// A change of the stock, as it is kept.
#[derive(Serialize, Deserialize)]
struct KeptStock {
    /// The SKU that the path names.
    path: Option<String>,
    body: StockBody,
}

impl From<ProposalRow> for ProposalView {
    fn from(row: ProposalRow) -> Self {
        let by = |person, key| Named { person, key };
        Self {
            id: row.id,
            kind: row.kind,
            body: row.body,
            against: row.against,
            digest: row.digest,
            proposed_by: by(row.person, Some(row.key)),
            at: Moment(row.created_at),
            note: row.note,
            state: row.state.as_str(),
            decided_by: row.decided_by.map(|person| by(person, row.decided_with)),
            outcome: row.outcome,
        }
    }
}

impl Control {
    /// Whether a change that puts something in force waits for another person.
    pub(in super::super) fn is_proposed(row: &CampaignRow, operation: Operation<'_>) -> bool {
        row.four_eyes.is_on() && operation.pass == Pass::Approval
    }

    /// The same of the stock, as it is kept.
    pub(in super::super) fn stock_proposal(path: Option<&str>, body: &StockBody) -> Value {
        json!(KeptStock {
            path: path.map(str::to_owned),
            body: body.clone(),
        })
    }

    /// Writes a change down that waits for another person. `would` is what it would do. What it answers is a [`Proposed`].
    pub(in super::super) async fn propose(
        &self,
        operation: Operation<'_>,
        body: &Value,
        would: String,
    ) -> Result<Answered, ControlError> {
        let (person, key) = named(operation.by)?;
        let asked = (operation.kind, body);
        let answer = self.once(operation.of_kind(PROPOSE), &asked, async |id| {
            let campaign = operation.campaign;
            let waiting = Some(ProposalState::Waiting);
            if self.store.proposals(campaign, waiting, WAITING_MAX).await?.len() >= WAITING_MAX as usize {
                return Err(ControlError::Conflict(format!(
                    "{WAITING_MAX} proposals for campaign {campaign:?} wait already: withdraw one first"
                )));
            }
            let row = self.row(campaign).await?;
            let now = (self.clock)();
            let mut proposal = ProposalRow {
                id,
                campaign: campaign.to_owned(),
                kind: operation.kind.to_owned(),
                body: body.clone(),
                against: row.activation.revision,
                digest: String::new(),
                actor: operation.actor.to_owned(),
                person: person.to_owned(),
                key: key.to_owned(),
                note: operation.note.map(str::to_owned),
                created_at: now,
                state: ProposalState::Waiting,
                decided_by: None,
                decided_with: None,
                outcome: None,
            };
            proposal.digest = digest(&proposal, &row);
            let detail = json!({"proposal": proposal.id, "kind": proposal.kind, "digest": proposal.digest,
                "from": {"revision": proposal.against}, "to": body});
            let line = operation.of_kind(PROPOSE).line(now, detail);
            // Asked again under its key, it is there already.
            if self.store.proposal(campaign, &proposal.id).await?.is_none() {
                self.store.insert_proposal(&proposal, &[line]).await?;
            }
            Ok(Proposed {
                campaign: campaign.to_owned(),
                did: format!("Nothing is changed yet: it waits for the approval of another person. {would}"),
                proposal: proposal.into(),
            })
        });
        Ok(Answered {
            is_proposed: true,
            ..answer.await?
        })
    }

    /// Newest first.
    pub async fn proposals(&self, campaign: &str) -> Result<Vec<ProposalView>, ControlError> {
        self.row(campaign).await?;
        let rows = self.store.proposals(campaign, None, SHOWN_MAX).await?;
        Ok(rows.into_iter().map(ProposalView::from).collect())
    }

    /// Approves a proposal as it was looked at, and makes the change. One that was approved and is not made yet is gone on with.
    pub async fn approve_proposal(
        &self,
        operation: Operation<'_>,
        id: &str,
        digest_seen: &str,
    ) -> Result<Carried, ControlError> {
        check_note(operation.note)?;
        let (person, key) = named(operation.by)?;
        let campaign = operation.campaign;
        let proposal = self.one(campaign, id).await?;
        let row = self.row(campaign).await?;
        if proposal.digest != digest_seen || proposal.digest != digest(&proposal, &row) {
            return Err(stale(
                "the proposal is not what was looked at: look at it again, and approve the digest that it shows",
            ));
        }
        match proposal.state {
            ProposalState::Making => {}
            ProposalState::Waiting => {
                if row.activation.revision != proposal.against {
                    return Err(stale(&format!(
                        "it was proposed while revision {} was in force, and by now revision {} is: propose it again",
                        proposal.against, row.activation.revision
                    )));
                }
                let detail = json!({"proposal": id, "digest": digest_seen, "to": proposal.body});
                let line = [operation.line((self.clock)(), detail)];
                let moved = self.store.approve_proposal(&proposal, (person, key), &line);
                if !moved.await.map_err(|error| refused(error.into()))? {
                    return Err(decided_already());
                }
            }
            _ => return Err(decided_already()),
        }
        self.carry_out(campaign, id).await
    }

    /// Takes a proposal back that waits.
    pub async fn withdraw_proposal(
        &self,
        operation: Operation<'_>,
        id: &str,
    ) -> Result<ProposalView, ControlError> {
        self.one(operation.campaign, id).await?;
        let line = operation.line((self.clock)(), json!({"proposal": id}));
        let way = (ProposalState::Waiting, ProposalState::Withdrawn);
        let moved = self.store.move_proposal(id, way, None, &[line]).await?;
        let now = self.one(operation.campaign, id).await?;
        match moved || now.state == ProposalState::Withdrawn {
            true => Ok(now.into()),
            false => Err(decided_already()),
        }
    }

    async fn one(&self, campaign: &str, id: &str) -> Result<ProposalRow, ControlError> {
        self.row(campaign).await?;
        let found = self.store.proposal(campaign, id).await?;
        found.ok_or_else(|| {
            ControlError::Unknown(format!("campaign {campaign:?} has no proposal {}", echo(id)))
        })
    }

    /// Makes a change that is approved, as the one who proposed it.
    async fn carry_out(&self, campaign: &str, id: &str) -> Result<Carried, ControlError> {
        let proposal = self.one(campaign, id).await?;
        let by = AskedBy {
            actor: &proposal.actor,
            key: Some(&proposal.key),
            person: Some(&proposal.person),
            address: None,
            // It is bound to what it was asked against.
            only_if: None,
        };
        let done = self.make_proposed(by, &proposal).await;
        let (state, outcome) = match &done {
            Ok(_) => (ProposalState::Done, "made".to_owned()),
            // Approving it again goes on with it.
            Err(error) if error.leaves_open() => return Err(done.expect_err("it is one")),
            Err(error) => (ProposalState::Failed, reasons(error)),
        };
        let now = (self.clock)();
        let line = AuditLine::new(
            now,
            by,
            PROPOSAL,
            campaign,
            json!({"proposal": id, "outcome": outcome}),
        );
        let way = (ProposalState::Making, state);
        self.store.move_proposal(id, way, Some(&outcome), &[line]).await?;
        let answer: Value = serde_json::from_str(&done?.body)
            .map_err(|error| ControlError::Internal(format!("what was answered is no JSON: {error}")))?;
        Ok(Carried {
            campaign: campaign.to_owned(),
            did: answer["did"].as_str().unwrap_or("It is made.").to_owned(),
            proposal: self.one(campaign, id).await?.into(),
            answer,
        })
    }

    async fn make_proposed(&self, by: AskedBy<'_>, proposal: &ProposalRow) -> Result<Answered, ControlError> {
        let key = format!("proposal:{}", proposal.id);
        let of_kind = |kind| {
            Operation::by(by, &proposal.campaign, kind)
                .asked(Some(&key), proposal.note.as_deref())
                .passing(Pass::Proposal(&proposal.id))
        };
        let body = proposal.body.clone();
        match proposal.kind.as_str() {
            CHANGE => {
                let change: CampaignChange = read(body)?;
                self.change_campaign(of_kind(CHANGE), change, false).await
            }
            STOCK_CHANGE => {
                let KeptStock { path, body } = read(body)?;
                self.change_stock(of_kind(STOCK_CHANGE), path.as_deref(), &body, false)
                    .await
            }
            SKU_CREATE => {
                let new: NewSku = read(body)?;
                self.add_sku(of_kind(SKU_CREATE), &new, false).await
            }
            other => Err(ControlError::Conflict(format!(
                "this release makes no {other}: approve it at a gateway of the later one"
            ))),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, ControlError> {
    serde_json::from_value(body)
        .map_err(|error| ControlError::Internal(format!("a proposal cannot be read: {error}")))
}

/// Over all that an approver sees.
fn digest(proposal: &ProposalRow, row: &CampaignRow) -> String {
    let whole = json!([
        "rushgate proposal 1",
        proposal.campaign,
        row.campaign.uid,
        proposal.id,
        proposal.kind,
        proposal.body,
        proposal.against,
        proposal.person
    ]);
    HEXLOWER.encode(&Sha256::digest(whole.to_string()))
}

fn stale(detail: &str) -> ControlError {
    ControlError::Unapproved(Unapproved::Stale {
        detail: detail.to_owned(),
        differs: Vec::new(),
    })
}

fn decided_already() -> ControlError {
    ControlError::Conflict("the proposal does not wait any more: it was made, tried or withdrawn".to_owned())
}
