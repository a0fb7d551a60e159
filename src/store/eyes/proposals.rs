//! Changes of a running sale that wait for another person.

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::lineage::behind;
use super::standing::one_person;
use crate::audit::AuditLine;
use crate::revision::Unapproved;
use crate::store::rows::{json, maybe_text, moment, narrow, text, to_json};
use crate::store::{Store, StoreError, StoreResult, time};

/// What has become of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposalState {
    Waiting,
    /// Another person has approved it, and it is being made.
    Making,
    Done,
    /// It was refused when it was made.
    Failed,
    Withdrawn,
}

impl ProposalState {
    const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Making,
        Self::Done,
        Self::Failed,
        Self::Withdrawn,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Making => "making",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// A change that somebody proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct ProposalRow {
    pub id: String,
    pub campaign: String,
    /// As the audit trail names the change.
    pub kind: String,
    pub body: serde_json::Value,
    /// The revision that was in force.
    pub against: u32,
    pub digest: String,
    pub actor: String,
    pub person: String,
    pub key: String,
    pub note: Option<String>,
    pub created_at: i64,
    pub state: ProposalState,
    pub decided_by: Option<String>,
    pub decided_with: Option<String>,
    pub outcome: Option<String>,
}

/// A proposal that another person has approved.
pub(super) struct Decided {
    pub(super) against: u32,
    pub(super) person: String,
    pub(super) key: String,
}

const SELECT: &str = "SELECT proposal_id, campaign_id, kind, body, against, digest, actor, person, key_id, note, \
     CAST(created_at AS CHAR), state, decided_by, decided_with, outcome FROM proposals";

impl Store {
    pub async fn insert_proposal(&self, row: &ProposalRow, audit: &[AuditLine<'_>]) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO proposals (proposal_id, campaign_id, kind, body, against, digest, actor, person, key_id, note, \
             created_at, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(row.id.as_str())
        .bind(row.campaign.as_str())
        .bind(row.kind.as_str())
        .bind(to_json(&row.body)?)
        .bind(i64::from(row.against))
        .bind(row.digest.as_str())
        .bind(row.actor.as_str())
        .bind(row.person.as_str())
        .bind(row.key.as_str())
        .bind(row.note.as_deref())
        .bind(time::to_text(row.created_at)?)
        .bind(row.state.as_str())
        .execute(&mut *tx)
        .await?;
        self.append_audit(&mut tx, audit).await?;
        Ok(tx.commit().await?)
    }

    /// Newest first, at most `limit`; in this state alone, where it is named.
    pub async fn proposals(
        &self,
        campaign: &str,
        state: Option<ProposalState>,
        limit: u32,
    ) -> StoreResult<Vec<ProposalRow>> {
        let of_state = state.map_or(String::new(), |state| {
            format!(" AND state = '{}'", state.as_str())
        });
        let sql = format!("{SELECT} WHERE campaign_id = ?{of_state} ORDER BY seq DESC LIMIT ?");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(row).collect()
    }

    pub async fn proposal(&self, campaign: &str, id: &str) -> StoreResult<Option<ProposalRow>> {
        let sql = format!("{SELECT} WHERE campaign_id = ? AND proposal_id = ?");
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        found.as_ref().map(row).transpose()
    }

    /// Lets a proposal that waits be made: `person`, with this key, approves it. An `Unapproved` where they are no other person; `false` where
    /// it does not wait any more.
    pub async fn approve_proposal(
        &self,
        proposal: &ProposalRow,
        (person, key): (&str, &str),
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        self.lock_epoch(&mut tx, &proposal.campaign).await?;
        let (maker, approver) = (behind(&mut tx, &proposal.key).await?, behind(&mut tx, key).await?);
        let (Some(maker), Some(approver)) = (maker, approver) else {
            let why =
                "it cannot be said who is behind the keys, because one that they were made with is missing";
            return Err(Unapproved::SamePerson(why.to_owned()).into());
        };
        if let Some(shared) = maker.lineage.shares(&approver.lineage) {
            let what = format!("proposal {}", proposal.id);
            return Err(Unapproved::SamePerson(one_person(&what, person, shared)).into());
        }
        let moved = sqlx::query(
            "UPDATE proposals SET state = 'making', decided_by = ?, decided_with = ? WHERE proposal_id = ? AND digest = ? \
             AND state = 'waiting'",
        )
        .bind(person)
        .bind(key)
        .bind(proposal.id.as_str())
        .bind(proposal.digest.as_str())
        .execute(&mut *tx)
        .await?;
        self.commit_if(tx, moved.rows_affected() > 0, audit).await
    }

    /// Brings a proposal from one state to another; `false` where it is not in the first.
    pub async fn move_proposal(
        &self,
        id: &str,
        (from, to): (ProposalState, ProposalState),
        outcome: Option<&str>,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let moved =
            sqlx::query("UPDATE proposals SET state = ?, outcome = ? WHERE proposal_id = ? AND state = ?")
                .bind(to.as_str())
                .bind(outcome)
                .bind(id)
                .bind(from.as_str())
                .execute(&mut *tx)
                .await?;
        self.commit_if(tx, moved.rows_affected() > 0, audit).await
    }
}

/// One that is being made, and by whom it was approved.
pub(super) async fn decided(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    proposal: &str,
) -> StoreResult<Decided> {
    let row = sqlx::query(
        "SELECT against, decided_by, decided_with FROM proposals WHERE campaign_id = ? AND proposal_id = ? AND state = 'making' \
         AND decided_by IS NOT NULL AND decided_with IS NOT NULL",
    )
    .bind(campaign)
    .bind(proposal)
    .fetch_optional(&mut **tx)
    .await?;
    let row = row.ok_or_else(|| {
        let why = format!("proposal {proposal} is not approved");
        StoreError::from(Unapproved::Missing(why))
    })?;
    Ok(Decided {
        against: narrow(&row, 0)?,
        person: text(&row, 1)?,
        key: text(&row, 2)?,
    })
}

fn row(row: &AnyRow) -> StoreResult<ProposalRow> {
    let state = text(row, 11)?;
    let known = ProposalState::ALL
        .into_iter()
        .find(|known| known.as_str() == state);
    Ok(ProposalRow {
        id: text(row, 0)?,
        campaign: text(row, 1)?,
        kind: text(row, 2)?,
        body: json(row, 3)?,
        against: narrow(row, 4)?,
        digest: text(row, 5)?,
        actor: text(row, 6)?,
        person: text(row, 7)?,
        key: text(row, 8)?,
        note: maybe_text(row, 9)?,
        created_at: moment(row, 10)?,
        // One of a later release is not this one's to make.
        state: known.unwrap_or(ProposalState::Failed),
        decided_by: maybe_text(row, 12)?,
        decided_with: maybe_text(row, 13)?,
        outcome: maybe_text(row, 14)?,
    })
}
