//! Whose pages may read what gateways say of a campaign.

use crate::campaign::Origins;
use crate::store::rows::to_json;
use crate::store::{Store, StoreResult};

impl Store {
    /// `None`: those that the configuration names.
    pub async fn set_origins(&self, campaign: &str, origins: Option<&Origins>) -> StoreResult<()> {
        sqlx::query("UPDATE campaigns SET origins = ? WHERE campaign_id = ?")
            .bind(origins.map(to_json).transpose()?)
            .bind(campaign)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
