//! A campaign made like another one: the same SKUs, stock, rules and lists, under another id and at another time.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::campaigns::Making;
use super::compile::{RevisionAnswer, answer};
use super::operations::{Answered, Operation};
use super::requests::NewCampaign;
use super::revise::{Likeness, like};
use super::{Control, ControlError};
use crate::wire::echo;

/// Body of `POST /admin/v1/campaigns/{id}/clone`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewClone {
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
    )]
    pub id: String,
    /// That of the other one where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub title: Option<String>,
    pub opens_at: jiff::Timestamp,
    pub closes_at: jiff::Timestamp,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub note: Option<String>,
}

impl Control {
    /// Creates a campaign with what another one has by now: SKUs with their stock and attributes, and of its active revision
    /// the rules by digest, their shadow, how attributes are folded, and the lists in the versions that it pins; and the terms
    /// of its orders. Answers what a new campaign does, with the script where `lua` is.
    pub async fn clone_campaign(
        &self,
        operation: Operation<'_>,
        new: NewClone,
        lua: bool,
    ) -> Result<Answered, ControlError> {
        let asked = json!({"clone": new, "lua": lua});
        self.once(operation, &asked, async |id| {
            let made = match self.made_before(&new.id, &id).await? {
                Some(made) => made,
                None => self.clone_under(operation, new, id).await?,
            };
            Ok(RevisionAnswer {
                lua: made.lua.filter(|_| lua),
                ..made
            })
        })
        .await
    }

    /// The campaign that an earlier try of this operation has stored; its gate may not be open yet.
    pub(super) async fn made_before(
        &self,
        id: &str,
        operation: &str,
    ) -> Result<Option<RevisionAnswer>, ControlError> {
        let row = self.store.campaign(id).await?;
        let Some(row) = row.filter(|row| row.campaign.uid == operation) else {
            return Ok(None);
        };
        self.begin_campaign(id, row.schedule).await?;
        let built = self.stored_revision(id, 1).await?;
        let proof = self.prove(&built).await?;
        Ok(Some(answer(&built, Some(1), Vec::new(), proof, None)))
    }

    async fn clone_under(
        &self,
        operation: Operation<'_>,
        new: NewClone,
        uid: String,
    ) -> Result<RevisionAnswer, ControlError> {
        let source = operation.campaign;
        let row = self.row(source).await?;
        let active = self.stored_revision(source, row.activation.revision).await?;
        let Likeness { new: same, lists } = like(active.revision.clone())?;
        let terms = self.terms(source).await?;
        let own_title = Some(row.campaign.title).filter(|title| *title != row.campaign.id);
        let clone = NewCampaign {
            id: new.id,
            title: new.title.or(own_title).unwrap_or_default(),
            opens_at: new.opens_at,
            closes_at: new.closes_at,
            retention_days: same.retention_days,
            skus: row.campaign.skus.to_vec(),
            rules: same.rules,
            fold: same.fold.unwrap_or_default(),
            shadow: same.shadow,
            hold: terms.hold,
            cancel_by_buyer: terms.cancel_by_buyer,
            releases: terms.releases,
            origins: row
                .origins
                .map(|origins| origins.iter().map(str::to_owned).collect()),
            merchant: Some(row.merchant),
            four_eyes: row.four_eyes.is_on(),
        };
        let mut told = json!(clone);
        told["clone_of"] = json!({"campaign": source, "revision": active.revision.number});
        let made = Making {
            uid,
            kept: lists,
            told,
            note: operation.note,
        };
        let made = self.make_campaign(operation.by, clone, made).await;
        made.map_err(|error| of_body(error, source))
    }
}

/// What is wrong with the other campaign at another time stands nowhere in this body.
fn of_body(error: ControlError, source: &str) -> ControlError {
    let ControlError::Invalid(mut problems) = error else {
        return error;
    };
    const OWN: [&str; 4] = ["/id", "/title", "/opens_at", "/closes_at"];
    for problem in &mut problems {
        if !OWN.contains(&problem.pointer.as_str()) {
            let at = std::mem::take(&mut problem.pointer);
            problem.detail = format!("{at} of the campaign {}: {}", echo(source), problem.detail);
        }
    }
    ControlError::Invalid(problems)
}
