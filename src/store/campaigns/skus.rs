//! The SKUs of campaigns: their stock rows, in the merchant's order.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::{SELECT, campaign_row};
use crate::campaign::Sku;
use crate::store::dialect::{pieces, placeholders};
use crate::store::rows::{maybe_json, narrow, text, to_json};
use crate::store::{CampaignRow, Store, StoreResult};

impl Store {
    /// Adds the SKUs. A campaign whose epoch has risen in between is read again: its units belong to an epoch, as its revision
    /// does.
    pub(super) async fn with_skus(&self, rows: &[AnyRow]) -> StoreResult<Vec<CampaignRow>> {
        let mut campaigns: Vec<CampaignRow> = rows.iter().map(campaign_row).collect::<StoreResult<_>>()?;
        let mut moved = (0..campaigns.len()).collect::<Vec<_>>();
        while !moved.is_empty() {
            moved = self.read_skus(&mut campaigns, &moved).await?;
            for at in &moved {
                let sql = format!("{SELECT} WHERE c.campaign_id = ?");
                let row = sqlx::query(AssertSqlSafe(sql))
                    .bind(campaigns[*at].campaign.id.as_str())
                    .fetch_optional(&self.pool)
                    .await?;
                // One that is gone stays as it was read.
                if let Some(row) = row {
                    campaigns[*at] = campaign_row(&row)?;
                }
            }
        }
        Ok(campaigns)
    }

    /// Reads the SKUs of those at these places; answers those whose epoch is another one by now.
    async fn read_skus(&self, campaigns: &mut [CampaignRow], at: &[usize]) -> StoreResult<Vec<usize>> {
        let places = at.iter().map(|at| (campaigns[*at].campaign.id.clone(), *at));
        let places: BTreeMap<String, usize> = places.collect();
        let ids: Vec<&String> = places.keys().collect();
        let mut moved = Vec::new();
        for range in pieces(ids.len()) {
            let marks = placeholders(1, range.len());
            // One statement: units and epoch are those of one moment.
            let sql = format!(
                "SELECT s.campaign_id, s.sku_id, s.total, s.attributes, c.epoch FROM stock s \
                 JOIN campaigns c ON c.campaign_id = s.campaign_id WHERE s.campaign_id IN {marks} \
                 ORDER BY s.campaign_id, s.position"
            );
            let query = ids[range]
                .iter()
                .fold(sqlx::query(AssertSqlSafe(sql)), |query, id| {
                    query.bind(id.as_str())
                });
            for row in &query.fetch_all(&self.pool).await? {
                let Some(at) = places.get(&text(row, 0)?) else {
                    continue;
                };
                let epoch: u64 = narrow(row, 4)?;
                if epoch != campaigns[*at].activation.epoch && moved.last() != Some(at) {
                    moved.push(*at);
                }
                campaigns[*at].campaign.skus.push(Sku {
                    id: text(row, 1)?,
                    stock: narrow(row, 2)?,
                    attributes: maybe_json(row, 3)?.unwrap_or_default(),
                });
            }
        }
        Ok(moved)
    }
}

/// Writes a SKU of which nothing is sold.
pub(in crate::store) async fn insert(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    sku: &Sku,
    position: i64,
) -> StoreResult<()> {
    let attributes = Some(&sku.attributes).filter(|attributes| !attributes.is_empty());
    let attributes = attributes.map(to_json).transpose()?;
    sqlx::query(
        "INSERT INTO stock (campaign_id, sku_id, total, sold, position, attributes) VALUES (?, ?, ?, 0, ?, ?)",
    )
    .bind(campaign)
    .bind(sku.id.as_str())
    .bind(i64::try_from(sku.stock).unwrap_or(i64::MAX))
    .bind(position)
    .bind(attributes)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
