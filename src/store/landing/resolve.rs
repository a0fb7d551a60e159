//! What became of a landing transaction whose COMMIT was not answered: read, not guessed.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Connection};

use crate::order::OrderState;
use crate::record::LandingSlice;
use crate::store::dialect::{pieces, placeholders};
use crate::store::landing::careful::LAND_LIMIT;
use crate::store::landing::lane::Lane;
use crate::store::landing::offsets::lock_offsets;
use crate::store::rows::int;
use crate::store::{Store, StoreError, StoreResult, time};

/// What such a transaction had written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    pub confirmed: u64,
    pub revoked: u64,
}

impl Store {
    /// What the landing of `slices` at the moment `now` has left in the database, where its answer was lost: nothing
    /// if it was rolled back. Waits until that transaction holds no lock any more, so the answer is final.
    pub async fn resolve(&self, topic: &str, slices: &[LandingSlice], now: i64) -> StoreResult<Resolved> {
        let resolving = self.read_back(topic, slices, now);
        tokio::time::timeout(LAND_LIMIT, resolving)
            .await
            .unwrap_or_else(|_| {
                let what = format!("{} gave no answer within {LAND_LIMIT:?}", self.place);
                Err(StoreError::Transient(what))
            })
    }

    async fn read_back(&self, topic: &str, slices: &[LandingSlice], now: i64) -> StoreResult<Resolved> {
        let at = time::to_text(now)?;
        let mut connection = self.pool.acquire().await?;
        let mut tx = connection.begin_with(self.dialect.begin()).await?;
        let stored = lock_offsets(&mut Lane::Any(&mut tx), self.dialect, topic, slices).await?;
        let moved = |slice: &LandingSlice| {
            stored
                .get(&slice.partition)
                .is_some_and(|stored| stored.next > slice.from)
        };
        let mut resolved = Resolved::default();
        for (campaign, ids) in by_campaign(slices) {
            for range in pieces(ids.len()) {
                let sql = format!(
                    "SELECT COUNT(CASE WHEN confirmed_at = ? THEN 1 END), COUNT(CASE WHEN state = ? THEN 1 END) \
                     FROM orders WHERE campaign_id = ? AND order_id IN {}",
                    placeholders(1, range.len())
                );
                let query = sqlx::query(AssertSqlSafe(sql))
                    .bind(at.as_str())
                    .bind(OrderState::Revoked.as_str())
                    .bind(campaign);
                let query = ids[range].iter().fold(query, |query, id| query.bind(id.as_str()));
                let row = query.fetch_one(&mut *tx).await?;
                resolved.confirmed += u64::try_from(int(&row, 0)?).unwrap_or(0);
                resolved.revoked += u64::try_from(int(&row, 1)?).unwrap_or(0);
            }
        }
        tx.rollback().await?;
        // Revoked rows do not say when; they are of this landing if anything else is.
        let committed = resolved.confirmed > 0 || slices.iter().any(moved);
        Ok(if committed { resolved } else { Resolved::default() })
    }
}

fn by_campaign(slices: &[LandingSlice]) -> BTreeMap<&str, Vec<String>> {
    let mut by_campaign: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (_, order) in slices.iter().flat_map(|slice| &slice.orders) {
        let ids = by_campaign.entry(order.campaign.as_str()).or_default();
        ids.push(order.order.to_string());
    }
    by_campaign
}
