//! What changes of a campaign besides its revision: its title, whose pages may read what gateways say of it, and the terms of its orders.

use sqlx::{Any, Transaction};

use super::{terms, with_bypass};
use crate::audit::AuditLine;
use crate::campaign::Origins;
use crate::order::OrderTerms;
use crate::store::rows::to_json;
use crate::store::{Store, StoreResult, Warrant};

/// What is to change; `None` stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CampaignEdit {
    pub title: Option<String>,
    /// Within, `None`: those that the configuration names.
    pub origins: Option<Option<Origins>>,
    /// Holds are for orders that land from now on: until when one can be paid was said when it landed.
    pub terms: Option<OrderTerms>,
    /// Whether what decides in it needs a second person.
    pub four_eyes: Option<bool>,
}

impl Store {
    /// [`Self::edit_campaign_on`] of what needs no second person.
    pub async fn edit_campaign(
        &self,
        campaign: &str,
        edit: &CampaignEdit,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<()> {
        let warrant = Warrant::Approval { served: None };
        self.edit_campaign_on(campaign, edit, warrant, audit)
            .await
            .map(drop)
    }

    /// Changes it, and writes the audit trail, in one transaction. `true` where it needed a second person, and the root token had it
    /// done.
    pub async fn edit_campaign_on(
        &self,
        campaign: &str,
        edit: &CampaignEdit,
        warrant: Warrant<'_>,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let mut is_bypass = false;
        if edit.four_eyes == Some(false) {
            self.lock_epoch(&mut tx, campaign).await?;
            is_bypass = self.allow_off(&mut tx, campaign, warrant).await?;
        }
        write(&mut tx, campaign, edit).await?;
        self.append_audit(&mut tx, &with_bypass(audit, warrant, is_bypass))
            .await?;
        tx.commit().await?;
        Ok(is_bypass)
    }
}

pub(super) async fn write(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    edit: &CampaignEdit,
) -> StoreResult<()> {
    if let Some(title) = &edit.title {
        sqlx::query("UPDATE campaigns SET title = ? WHERE campaign_id = ?")
            .bind(title.as_str())
            .bind(campaign)
            .execute(&mut **tx)
            .await?;
    }
    if let Some(origins) = &edit.origins {
        sqlx::query("UPDATE campaigns SET origins = ? WHERE campaign_id = ?")
            .bind(origins.as_ref().map(to_json).transpose()?)
            .bind(campaign)
            .execute(&mut **tx)
            .await?;
    }
    if let Some(four_eyes) = edit.four_eyes {
        // One that waits for its first approval goes on waiting.
        let sql = match four_eyes {
            true => "UPDATE campaigns SET four_eyes = 1 WHERE campaign_id = ? AND four_eyes = 0",
            false => "UPDATE campaigns SET four_eyes = 0 WHERE campaign_id = ?",
        };
        sqlx::query(sql).bind(campaign).execute(&mut **tx).await?;
    }
    match &edit.terms {
        Some(changed) => terms::write(tx, campaign, changed).await,
        None => Ok(()),
    }
}
