//! The terms of a campaign's orders.

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use crate::order::{Hold, OnExpiry, OrderTerms};
use crate::store::rows::{int, maybe_int, maybe_json, to_json};
use crate::store::{Store, StoreError, StoreResult};

const SELECT: &str = "SELECT hold_minutes, buyer_cancels, releases FROM campaigns WHERE campaign_id = ?";

impl Store {
    /// `None` where there is no such campaign.
    pub async fn order_terms(&self, campaign: &str) -> StoreResult<Option<OrderTerms>> {
        let row = sqlx::query(SELECT)
            .bind(campaign)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(terms).transpose()
    }
}

pub(super) async fn write(
    tx: &mut Transaction<'_, Any>,
    campaign: &str,
    terms: &OrderTerms,
) -> StoreResult<()> {
    let releases = match terms.releases.is_empty() {
        true => None,
        false => Some(to_json(&terms.releases)?),
    };
    sqlx::query(
        "UPDATE campaigns SET hold_minutes = ?, buyer_cancels = ?, releases = ? WHERE campaign_id = ?",
    )
    .bind(terms.hold.map(|hold| i64::from(hold.minutes)))
    .bind(i64::from(terms.cancel_by_buyer))
    .bind(releases)
    .bind(campaign)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn terms(row: &AnyRow) -> StoreResult<OrderTerms> {
    let minutes = maybe_int(row, 0)?.map(u32::try_from).transpose();
    let minutes = minutes.map_err(|_| StoreError::Permanent("a stored hold is out of range".to_owned()))?;
    Ok(OrderTerms {
        hold: minutes.map(|minutes| Hold {
            minutes,
            on_expiry: OnExpiry::Release,
        }),
        cancel_by_buyer: int(row, 1)? != 0,
        releases: maybe_json(row, 2)?.unwrap_or_default(),
    })
}
