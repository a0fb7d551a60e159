//! What changes of a campaign besides its revision: its title, whose pages may read what gateways say of it, and the terms of its orders.

use sqlx::{Any, Transaction};

use super::terms;
use crate::audit::AuditLine;
use crate::campaign::Origins;
use crate::order::OrderTerms;
use crate::store::rows::to_json;
use crate::store::{Store, StoreResult};

/// What is to change; `None` stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CampaignEdit {
    pub title: Option<String>,
    /// Within, `None`: those that the configuration names.
    pub origins: Option<Option<Origins>>,
    /// Holds are for orders that land from now on: until when one can be paid was said when it landed.
    pub terms: Option<OrderTerms>,
}

impl Store {
    /// Changes it, and writes the audit trail, in one transaction.
    pub async fn edit_campaign(
        &self,
        campaign: &str,
        edit: &CampaignEdit,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        write(&mut tx, campaign, edit).await?;
        self.append_audit(&mut tx, audit).await?;
        Ok(tx.commit().await?)
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
    match &edit.terms {
        Some(changed) => terms::write(tx, campaign, changed).await,
        None => Ok(()),
    }
}
