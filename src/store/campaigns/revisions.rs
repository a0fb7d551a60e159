//! The history of a campaign: its revisions, when each was activated, and who did it.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AssertSqlSafe;

use crate::campaign::Activation;
use crate::store::dialect::{pieces, placeholders};
use crate::store::rows::{json, moment, narrow, text};
use crate::store::{Store, StoreResult};

/// One activation, or a rebuild that raised the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivationRow {
    pub activation: Activation,
    pub at: i64,
}

/// A line of the audit trail.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    pub at: i64,
    pub actor: String,
    pub action: String,
    pub detail: serde_json::Value,
}

impl Store {
    /// Numbers of a campaign's revisions below `before`, newest first, at most `limit`.
    pub async fn revision_numbers(
        &self,
        campaign: &str,
        before: Option<u32>,
        limit: u32,
    ) -> StoreResult<Vec<u32>> {
        let rows = sqlx::query(
            "SELECT revision FROM revisions WHERE campaign_id = ? AND revision < ? ORDER BY revision DESC LIMIT ?",
        )
        .bind(campaign)
        .bind(before.map_or(i64::MAX, i64::from))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| narrow(row, 0)).collect()
    }

    /// The revisions of these campaigns that were ever in force.
    pub async fn activated(&self, ids: &[String]) -> StoreResult<BTreeMap<String, BTreeSet<u32>>> {
        let mut activated: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for range in pieces(ids.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!(
                "SELECT DISTINCT campaign_id, revision FROM activations WHERE campaign_id IN {marks}"
            );
            let query = sqlx::query(AssertSqlSafe(sql));
            let query = ids[range].iter().fold(query, |query, id| query.bind(id.as_str()));
            for row in &query.fetch_all(&self.pool).await? {
                activated
                    .entry(text(row, 0)?)
                    .or_default()
                    .insert(narrow(row, 1)?);
            }
        }
        Ok(activated)
    }

    /// Newest first, at most `limit`.
    pub async fn activations(&self, campaign: &str, limit: u32) -> StoreResult<Vec<ActivationRow>> {
        let rows = sqlx::query(
            "SELECT epoch, revision, CAST(activated_at AS CHAR) FROM activations WHERE campaign_id = ? \
             ORDER BY epoch DESC LIMIT ?",
        )
        .bind(campaign)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ActivationRow {
                    activation: Activation {
                        epoch: narrow(row, 0)?,
                        revision: narrow(row, 1)?,
                    },
                    at: moment(row, 2)?,
                })
            })
            .collect()
    }

    /// What the audit trail says about a target, newest first, at most `limit`.
    pub async fn audited(&self, target: &str, limit: u32) -> StoreResult<Vec<AuditRow>> {
        let rows = sqlx::query(
            "SELECT CAST(at AS CHAR), actor, action, detail FROM audit WHERE target = ? ORDER BY seq DESC LIMIT ?",
        )
        .bind(target)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(AuditRow {
                    at: moment(row, 0)?,
                    actor: text(row, 1)?,
                    action: text(row, 2)?,
                    detail: json(row, 3)?,
                })
            })
            .collect()
    }
}
