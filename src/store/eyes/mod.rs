//! Four eyes: approvals of revisions, and what they say of a revision that is to be put in force. Everything here is read and decided in
//! the transaction that puts it in force, under the campaign's lock, which approvals and their withdrawals take as well.

mod lineage;
pub(in crate::store) mod proposals;
mod standing;

use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::audit::AuditLine;
use crate::campaign::FourEyes;
use crate::revision::{Content, Revision, Unapproved};
use crate::store::rows::{int, narrow, to_json};
use crate::store::{Store, StoreError, StoreResult, time};
pub use standing::{Approval, Maker, RevisionStanding};

/// On what a revision is put in force.
#[derive(Clone, Copy, Debug)]
pub enum Warrant<'a> {
    /// It sells nothing that was not sold before: the end of a sale, units that are taken off.
    Less,
    /// Its approval; `served` is what gateways are to compile.
    Approval { served: Option<&'a Revision> },
    /// Its approval, or the root token: the line is written where it has none.
    Root {
        served: Option<&'a Revision>,
        line: &'a AuditLine<'a>,
    },
    /// Another person has approved this change, which made it.
    Proposal(&'a str),
}

/// Who approves, or takes an approval back.
#[derive(Clone, Copy, Debug)]
pub struct Approving<'a> {
    pub person: &'a str,
    pub key: &'a str,
    /// What the approver saw.
    pub digest: &'a str,
    pub note: Option<&'a str>,
    /// Milliseconds since 1970-01-01 UTC.
    pub now: i64,
}

impl Store {
    /// How a revision stands: what it holds, who made it, who approved it. `None` where there is no such revision.
    pub async fn revision_standing(
        &self,
        campaign: &str,
        revision: u32,
    ) -> StoreResult<Option<RevisionStanding>> {
        let mut connection = self.pool.acquire().await?;
        standing::read(&mut connection, campaign, revision).await
    }

    /// Writes an approval, where it counts; an `Unapproved` says why it does not. `false` where it was there already.
    pub async fn approve(
        &self,
        (campaign, revision): (&str, u32),
        approving: Approving<'_>,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        self.lock_epoch(&mut tx, campaign).await?;
        let there = standing::read(&mut tx, campaign, revision).await?;
        let there = there.ok_or_else(|| no_revision(campaign, revision))?;
        there.is_as_made()?;
        if there.content.digest != approving.digest {
            return Err(Unapproved::Stale {
                detail: format!(
                    "revision {revision} holds something else than what was looked at: look at it again, and approve the digest \
                     that it shows"
                ),
                differs: Vec::new(),
            }
            .into());
        }
        there.may_approve(&mut tx, approving).await?;
        let is_there = there.approvals.iter().any(|approval| {
            approval.withdrawn_at.is_none()
                && approval.key == approving.key
                && approval.digest == approving.digest
        });
        if is_there {
            return Ok(false);
        }
        insert(&mut tx, campaign, revision, &there.content, approving).await?;
        begin_if_waiting(&mut tx, campaign, Some(revision)).await?;
        self.append_audit(&mut tx, audit).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes all approvals of a revision back that is not in force; `false` where it has none.
    pub async fn withdraw_approvals(
        &self,
        (campaign, revision): (&str, u32),
        now: i64,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        self.lock_epoch(&mut tx, campaign).await?;
        if active(&mut tx, campaign).await? == revision {
            return Err(StoreError::Conflict(format!(
                "revision {revision} is in force: its approval is not taken back. Put another one in force, pause the sale, or end it"
            )));
        }
        let done = sqlx::query(
            "UPDATE approvals SET withdrawn_at = ? WHERE campaign_id = ? AND revision = ? AND withdrawn_at IS NULL",
        )
        .bind(time::to_text(now)?)
        .bind(campaign)
        .bind(i64::from(revision))
        .execute(&mut *tx)
        .await?;
        self.commit_if(tx, done.rows_affected() > 0, audit).await
    }

    /// Lets a sale begin whose first revision waits for its approval, without one.
    pub async fn begin_unapproved(&self, campaign: &str, audit: &[AuditLine<'_>]) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        begin_if_waiting(&mut tx, campaign, None).await?;
        self.append_audit(&mut tx, audit).await?;
        Ok(tx.commit().await?)
    }

    /// Whether a revision may be put in force, the campaign being locked and the revision written, and not in force yet. An `Unapproved`
    /// where it may not; `true` where the root token alone has it done.
    pub(in crate::store) async fn allow(
        &self,
        tx: &mut Transaction<'_, Any>,
        (campaign, revision): (&str, u32),
        warrant: Warrant<'_>,
        now: i64,
    ) -> StoreResult<bool> {
        if !four_eyes(tx, campaign).await?.is_on() {
            return Ok(false);
        }
        let (served, is_root) = match warrant {
            Warrant::Less => return Ok(false),
            Warrant::Proposal(proposal) => {
                return self.allow_proposed(tx, (campaign, revision), proposal, now).await;
            }
            Warrant::Approval { served } => (served, false),
            Warrant::Root { served, .. } => (served, true),
        };
        self.hold_revision(tx, campaign, revision).await?;
        let there = standing::read(tx, campaign, revision).await?;
        let there = there.ok_or_else(|| no_revision(campaign, revision))?;
        let verdict = there.verdict.and_then(|()| is_served(&there.revision, served));
        match verdict {
            Err(why) if !is_root => Err(why.into()),
            verdict => {
                begin_if_waiting(tx, campaign, None).await?;
                Ok(verdict.is_err())
            }
        }
    }

    /// A change that another person has approved, made against what is still in force: what it makes counts as approved by them.
    async fn allow_proposed(
        &self,
        tx: &mut Transaction<'_, Any>,
        (campaign, revision): (&str, u32),
        proposal: &str,
        now: i64,
    ) -> StoreResult<bool> {
        let decided = proposals::decided(tx, campaign, proposal).await?;
        let in_force = active(tx, campaign).await?;
        if decided.against != in_force {
            return Err(Unapproved::Stale {
                detail: format!(
                    "it was proposed while revision {} was in force, and by now revision {in_force} is: propose it again",
                    decided.against
                ),
                differs: Vec::new(),
            }
            .into());
        }
        let there = standing::read(tx, campaign, revision).await?;
        let there = there.ok_or_else(|| no_revision(campaign, revision))?;
        let approving = Approving {
            person: &decided.person,
            key: &decided.key,
            digest: &there.content.digest,
            note: None,
            now,
        };
        insert(tx, campaign, revision, &there.content, approving).await?;
        Ok(false)
    }

    /// Whether four eyes may be turned off, the campaign being locked; `true` where the root token alone has it done.
    pub(in crate::store) async fn allow_off(
        &self,
        tx: &mut Transaction<'_, Any>,
        campaign: &str,
        warrant: Warrant<'_>,
    ) -> StoreResult<bool> {
        if !four_eyes(tx, campaign).await?.is_on() {
            return Ok(false);
        }
        match warrant {
            Warrant::Root { .. } => Ok(true),
            Warrant::Proposal(proposal) => {
                proposals::decided(tx, campaign, proposal).await?;
                Ok(false)
            }
            Warrant::Less | Warrant::Approval { .. } => {
                let why = "that two people have to agree is not turned off by one";
                Err(Unapproved::Missing(why.to_owned()).into())
            }
        }
    }

    /// Nobody changes the row until the transaction ends.
    async fn hold_revision(
        &self,
        tx: &mut Transaction<'_, Any>,
        campaign: &str,
        revision: u32,
    ) -> StoreResult<()> {
        let lock = self.dialect.for_share();
        let sql = format!("SELECT revision FROM revisions WHERE campaign_id = ? AND revision = ?{lock}");
        sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(i64::from(revision))
            .fetch_optional(&mut **tx)
            .await?;
        Ok(())
    }
}

/// Writes with a revision who made it and what it holds, as its row says.
pub(in crate::store) async fn sign(
    tx: &mut Transaction<'_, Any>,
    (campaign, revision): (&str, u32),
    audit: &[AuditLine<'_>],
) -> StoreResult<()> {
    let by = audit.first().map(|line| line.by);
    let there = standing::read(tx, campaign, revision).await?;
    let there = there.ok_or_else(|| no_revision(campaign, revision))?;
    sqlx::query(
        "UPDATE revisions SET made_by = ?, made_with = ?, content = ? WHERE campaign_id = ? AND revision = ?",
    )
    .bind(by.and_then(|by| by.person))
    .bind(by.and_then(|by| by.key))
    .bind(there.content.digest)
    .bind(campaign)
    .bind(i64::from(revision))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What a gateway has compiled is what the row says; it may have read another one, which was altered and put back.
fn is_served(stored: &Revision, served: Option<&Revision>) -> Result<(), Unapproved> {
    let is_same = |served: &Revision| {
        let served = Revision {
            stock: stored.stock.clone(),
            ..served.clone()
        };
        served == *stored
    };
    match served.is_none_or(is_same) {
        true => Ok(()),
        false => Err(Unapproved::Stale {
            detail: format!(
                "this gateway has read revision {} before it was what it is now: its row in the database was altered. Make the \
                 revision again",
                stored.number
            ),
            differs: Vec::new(),
        }),
    }
}

async fn insert(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    revision: u32,
    content: &Content,
    by: Approving<'_>,
) -> StoreResult<()> {
    sqlx::query(
        "INSERT INTO approvals (campaign_id, revision, digest, parts, person, key_id, note, approved_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(campaign)
    .bind(i64::from(revision))
    .bind(content.digest.as_str())
    .bind(to_json(&content.parts)?)
    .bind(by.person)
    .bind(by.key)
    .bind(by.note)
    .bind(time::to_text(by.now)?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A sale whose first revision waits does so no longer; of `revision` alone, where it is named: that has to be the one in force.
async fn begin_if_waiting(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    revision: Option<u32>,
) -> StoreResult<()> {
    let named = revision.map_or(String::new(), |revision| format!(" AND revision = {revision}"));
    let sql = format!("UPDATE campaigns SET four_eyes = 1 WHERE campaign_id = ? AND four_eyes = 2{named}");
    sqlx::query(AssertSqlSafe(sql))
        .bind(campaign)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn four_eyes(tx: &mut Transaction<'_, Any>, campaign: &str) -> StoreResult<FourEyes> {
    let row = sqlx::query("SELECT four_eyes FROM campaigns WHERE campaign_id = ?")
        .bind(campaign)
        .fetch_one(&mut **tx)
        .await?;
    Ok(FourEyes::of(int(&row, 0)?))
}

async fn active(tx: &mut Transaction<'_, Any>, campaign: &str) -> StoreResult<u32> {
    let row = sqlx::query("SELECT revision FROM campaigns WHERE campaign_id = ?")
        .bind(campaign)
        .fetch_one(&mut **tx)
        .await?;
    narrow(&row, 0)
}

fn no_revision(campaign: &str, revision: u32) -> StoreError {
    StoreError::Conflict(format!("campaign {campaign:?} has no revision {revision}"))
}
