//! Orders that land late: one that was placed before its buyer was erased, and lands when that is done, opens the erasure again.
//!
//! Which buyers those are is read once a minute. Nothing is looked at of orders that were placed after the last request, so
//! landing pays for it only while it is behind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::buyer::BuyerName;
use super::erasures::{SETTLES_MS, hash, new_pseudonym, new_secret};
use crate::order::{OrderEvent, TIME_MIN_MS};
use crate::record::LandingSlice;
use crate::store::error::is_duplicate;
use crate::store::rows::{moment, text};
use crate::store::{Store, StoreResult, time};

/// Far below the time that a request stays open.
const READ_EVERY: Duration = Duration::from_secs(60);

/// What landing knows of erased buyers; shared by clones of a store.
#[derive(Debug, Default)]
pub(in crate::store) struct Late(Mutex<Option<(Instant, Arc<Known>)>>);

#[derive(Debug)]
struct Known {
    key: Vec<u8>,
    /// When the last of them was asked for.
    last: i64,
    /// Id and moment of the newest request, by the buyer's hash.
    requests: HashMap<String, (String, i64)>,
    /// Some are of the buyers of one merchant.
    of_merchants: bool,
}

impl Store {
    /// Opens the erasures again that orders among these belong to. Before they land: afterwards nobody might be there to do it.
    pub(in crate::store) async fn note_late(&self, slices: &[LandingSlice], now: i64) -> StoreResult<()> {
        let known = self.known_erasures().await?;
        let late: Vec<&OrderEvent> = slices
            .iter()
            .flat_map(orders)
            .filter(|order| order.placed_at <= known.last)
            .collect();
        let owners = match known.of_merchants {
            true => self.owners_of(&late).await?,
            false => BTreeMap::new(),
        };
        for order in late {
            let everywhere = BuyerName::from(order.user.as_str());
            self.note_late_one(&known, everywhere, order, now).await?;
            if let Some(merchant) = owners.get(&order.campaign) {
                let there = BuyerName {
                    merchant: Some(merchant),
                    ..everywhere
                };
                self.note_late_one(&known, there, order, now).await?;
            }
        }
        Ok(())
    }

    /// The merchants of these orders' campaigns, by campaign: one statement for all.
    async fn owners_of(&self, orders: &[&OrderEvent]) -> StoreResult<BTreeMap<String, String>> {
        let campaigns: BTreeSet<&str> = orders.iter().map(|order| order.campaign.as_str()).collect();
        let campaigns: Vec<&str> = campaigns.into_iter().collect();
        self.campaign_owners(&campaigns).await
    }

    async fn note_late_one(
        &self,
        known: &Known,
        buyer: BuyerName<'_>,
        order: &OrderEvent,
        now: i64,
    ) -> StoreResult<()> {
        match known.requests.get(&hash(&known.key, buyer)) {
            Some((id, asked_at)) if order.placed_at <= *asked_at => {
                self.open_again(id, &order.user, now).await
            }
            _ => Ok(()),
        }
    }

    async fn known_erasures(&self) -> StoreResult<Arc<Known>> {
        let there = self.late.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((read_at, known)) = there
            && read_at.elapsed() < READ_EVERY
        {
            return Ok(known);
        }
        let rows = sqlx::query(
            "SELECT erasure_id, user_hash, CAST(asked_at AS CHAR), merchant FROM erasures ORDER BY asked_at, erasure_id",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut known = Known {
            key: Vec::new(),
            last: TIME_MIN_MS,
            requests: HashMap::with_capacity(rows.len()),
            of_merchants: false,
        };
        for row in &rows {
            known.last = moment(row, 2)?;
            known.of_merchants |= !text(row, 3)?.is_empty();
            known.requests.insert(text(row, 1)?, (text(row, 0)?, known.last));
        }
        if !rows.is_empty() {
            known.key = self.erasure_key().await?;
        }
        let known = Arc::new(known);
        let mut there = self.late.0.lock().unwrap_or_else(PoisonError::into_inner);
        *there = Some((Instant::now(), known.clone()));
        Ok(known)
    }

    /// What landing knows is read anew with the next batch.
    #[doc(hidden)]
    #[cfg(any(test, feature = "testing"))]
    pub fn read_erasures_again(&self) {
        *self.late.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Keeps a request open until the order has landed, or opens it again.
    async fn open_again(&self, id: &str, user: &str, now: i64) -> StoreResult<()> {
        let settled_at = time::to_text(now.saturating_add(SETTLES_MS))?;
        let sql = "UPDATE erasures SET settled_at = ? WHERE erasure_id = ? AND user_id IS NOT NULL";
        let kept = sqlx::query(sql)
            .bind(settled_at.as_str())
            .bind(id)
            .execute(&self.pool)
            .await?;
        if kept.rows_affected() > 0 {
            return Ok(());
        }
        let opened = sqlx::query(
            "UPDATE erasures SET user_id = ?, pseudonym = ?, secret = ?, settled_at = ?, done_at = NULL \
             WHERE erasure_id = ? AND user_id IS NULL",
        )
        .bind(user)
        .bind(new_pseudonym())
        .bind(new_secret())
        .bind(settled_at)
        .bind(id)
        .execute(&self.pool)
        .await;
        match opened {
            Ok(_) => Ok(()),
            // A later request is open, and erases it.
            Err(error) if is_duplicate(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn orders(slice: &LandingSlice) -> impl Iterator<Item = &OrderEvent> {
    let moved = slice.dead.iter().filter_map(|record| record.order.as_ref());
    slice.orders.iter().map(|(_, order)| order).chain(moved)
}
