//! How a revision stands: what it holds, as its rows say now, who made it, who approved it, and whether that is enough.

use std::collections::BTreeMap;

use sqlx::AnyConnection;

use super::Approving;
use super::lineage::{Behind, behind};
use crate::campaign::{Campaign, Sku, Skus};
use crate::revision::{Content, Revision, Unapproved};
use crate::store::campaigns::revision_by;
use crate::store::rows::{json, maybe_json, maybe_moment, maybe_text, moment, narrow, text};
use crate::store::{StoreError, StoreResult};

/// Who made a revision. Nobody is named where it was made with a token, by a process of its own, or by an earlier release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maker {
    pub person: Option<String>,
    pub key: Option<String>,
}

/// That somebody has approved a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    pub person: String,
    pub key: String,
    pub note: Option<String>,
    pub at: i64,
    pub withdrawn_at: Option<i64>,
    /// Of what was approved.
    pub digest: String,
    pub(super) parts: BTreeMap<String, String>,
}

/// How a revision stands.
#[derive(Clone, Debug)]
pub struct RevisionStanding {
    pub(super) revision: Revision,
    pub content: Content,
    /// As it was when it was made, where that was written down.
    made: Option<String>,
    pub maker: Maker,
    /// Newest first, those that were withdrawn included.
    pub approvals: Vec<Approval>,
    /// Whether it may be put in force where two people have to agree.
    pub verdict: Result<(), Unapproved>,
}

/// `None` where there is no such revision.
pub(super) async fn read(
    connection: &mut AnyConnection,
    campaign: &str,
    number: u32,
) -> StoreResult<Option<RevisionStanding>> {
    let Some(revision) = revision_by(connection, campaign, number).await? else {
        return Ok(None);
    };
    let row = sqlx::query(
        "SELECT r.made_by, r.made_with, r.content, c.uid FROM revisions r JOIN campaigns c ON c.campaign_id = r.campaign_id \
         WHERE r.campaign_id = ? AND r.revision = ?",
    )
    .bind(campaign)
    .bind(i64::from(number))
    .fetch_one(&mut *connection)
    .await?;
    let stocked = stocked(connection, campaign, text(&row, 3)?).await?;
    let members = members(connection, &revision).await?;
    let mut there = RevisionStanding {
        content: Content::of(&revision, &stocked, &members),
        revision,
        made: maybe_text(&row, 2)?,
        maker: Maker {
            person: maybe_text(&row, 0)?,
            key: maybe_text(&row, 1)?,
        },
        approvals: approvals(connection, campaign, number).await?,
        verdict: Ok(()),
    };
    there.verdict = there.judge(connection).await?;
    Ok(Some(there))
}

/// The campaign as far as a revision's content goes: its name, and its stock.
async fn stocked(connection: &mut AnyConnection, id: &str, uid: String) -> StoreResult<Campaign> {
    let rows =
        sqlx::query("SELECT sku_id, total, attributes FROM stock WHERE campaign_id = ? ORDER BY position")
            .bind(id)
            .fetch_all(&mut *connection)
            .await?;
    let sku = |row| {
        Ok(Sku {
            id: text(row, 0)?,
            stock: narrow(row, 1)?,
            attributes: maybe_json(row, 2)?.unwrap_or_default(),
        })
    };
    let skus: Vec<Sku> = rows.iter().map(sku).collect::<StoreResult<_>>()?;
    Ok(Campaign {
        id: id.to_owned(),
        title: String::new(),
        skus: Skus::from(skus),
        uid,
        buckets: 0,
        shards: 0,
        partitions: None,
        record_version: Default::default(),
        created_at: 0,
    })
}

/// The digest of each list version that it pins; what is gone is missing.
async fn members(
    connection: &mut AnyConnection,
    revision: &Revision,
) -> StoreResult<BTreeMap<String, String>> {
    let mut members = BTreeMap::new();
    for (list, pinned) in &revision.audiences {
        let row = sqlx::query("SELECT digest FROM audiences WHERE audience_id = ? AND version = ?")
            .bind(list.as_str())
            .bind(i64::from(pinned.version))
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(row) = row {
            members.insert(list.clone(), text(&row, 0)?);
        }
    }
    Ok(members)
}

async fn approvals(
    connection: &mut AnyConnection,
    campaign: &str,
    revision: u32,
) -> StoreResult<Vec<Approval>> {
    let rows = sqlx::query(
        "SELECT person, key_id, note, CAST(approved_at AS CHAR), CAST(withdrawn_at AS CHAR), digest, parts FROM approvals \
         WHERE campaign_id = ? AND revision = ? ORDER BY seq DESC",
    )
    .bind(campaign)
    .bind(i64::from(revision))
    .fetch_all(&mut *connection)
    .await?;
    let approval = |row| {
        Ok(Approval {
            person: text(row, 0)?,
            key: text(row, 1)?,
            note: maybe_text(row, 2)?,
            at: moment(row, 3)?,
            withdrawn_at: maybe_moment(row, 4)?,
            digest: text(row, 5)?,
            parts: json(row, 6)?,
        })
    };
    rows.iter().map(approval).collect()
}

impl RevisionStanding {
    /// Refuses what is not what was made.
    pub(super) fn is_as_made(&self) -> Result<(), StoreError> {
        match &self.made {
            Some(made) if *made != self.content.digest => Err(self.altered().into()),
            _ => Ok(()),
        }
    }

    fn altered(&self) -> Unapproved {
        Unapproved::Stale {
            detail: format!(
                "revision {} is not what was made: the database was altered since. Make it again",
                self.revision.number
            ),
            differs: Vec::new(),
        }
    }

    /// Whether whoever approves is another person than its maker.
    pub(super) async fn may_approve(
        &self,
        connection: &mut AnyConnection,
        approving: Approving<'_>,
    ) -> StoreResult<()> {
        let maker = self.made_by(connection).await?;
        let maker = maker.ok_or_else(|| self.nobodys())?;
        let approver = behind(connection, approving.key).await?;
        let approver = approver.ok_or_else(|| self.unknown(approving.person))?;
        match maker.lineage.shares(&approver.lineage) {
            None => Ok(()),
            Some(person) => Err(self.is_one(approving.person, person).into()),
        }
    }

    async fn made_by(&self, connection: &mut AnyConnection) -> StoreResult<Option<Behind>> {
        match &self.maker.key {
            Some(key) => behind(connection, key).await,
            None => Ok(None),
        }
    }

    /// Whether one of its approvals counts now.
    async fn judge(&self, connection: &mut AnyConnection) -> StoreResult<Result<(), Unapproved>> {
        let Some(maker) = self.made_by(connection).await? else {
            return Ok(Err(self.nobodys()));
        };
        let number = self.revision.number;
        let mut why = Unapproved::Missing(format!(
            "revision {number} needs the approval of another person than its maker: they look at it and approve its digest"
        ));
        for approval in self.approvals.iter().filter(|each| each.withdrawn_at.is_none()) {
            let person = &approval.person;
            if approval.digest != self.content.digest {
                let differs = self.content.differs(&approval.parts);
                why = Unapproved::Stale {
                    detail: format!(
                        "revision {number} is not what {person} has approved: {} differ. Make it again, and have that approved",
                        differs.join(", ")
                    ),
                    differs,
                };
                continue;
            }
            match behind(connection, &approval.key).await? {
                None => why = self.unknown(person),
                Some(approver) if approver.is_revoked => {
                    why = Unapproved::Missing(format!(
                        "the key with which {person} approved revision {number} was revoked since: it has to be approved again"
                    ));
                }
                Some(approver) => match maker.lineage.shares(&approver.lineage) {
                    None if self.is_as_made().is_ok() => return Ok(Ok(())),
                    None => why = self.altered(),
                    Some(shared) => why = self.is_one(person, shared),
                },
            }
        }
        Ok(Err(why))
    }

    fn nobodys(&self) -> Unapproved {
        Unapproved::SamePerson(format!(
            "nobody is named as the maker of revision {}, so that nobody is known to be another person: make it again with a key",
            self.revision.number
        ))
    }

    fn unknown(&self, person: &str) -> Unapproved {
        Unapproved::SamePerson(format!(
            "it cannot be said who is behind the key of {person}, because a key that it was made with is missing"
        ))
    }

    fn is_one(&self, person: &str, shared: &str) -> Unapproved {
        let number = self.revision.number;
        Unapproved::SamePerson(one_person(&format!("revision {number}"), person, shared))
    }
}

/// That two people are one, where something needs two.
pub(super) fn one_person(what: &str, person: &str, shared: &str) -> String {
    format!(
        "{person} is no other person than the maker of {what}: {shared} is behind both keys, as their holder or because \
         they were made with a key of theirs. Somebody else has to approve it"
    )
}
