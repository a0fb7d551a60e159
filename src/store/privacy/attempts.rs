//! What is recorded of a buyer's attempts, also of those that were refused.

use sqlx::{AssertSqlSafe, Row};

use super::buyer::BuyerName;
use crate::attempts::DecidedAttempt;
use crate::attempts::pieces::{unpack, without};
use crate::attempts::share::{lot, user_hash};
use crate::order::TIME_MIN_MS;
use crate::store::attempts::held::Spooled;
use crate::store::attempts::older::{COLUMNS, recorded};
use crate::store::rows::{int, text};
use crate::store::{Store, StoreError, StoreResult, time};

/// Pieces that are unpacked together: some megabytes.
const PIECES_AT_ONCE: i64 = 4;
/// Rows of the release before.
const ROWS_AT_ONCE: u32 = 1000;

/// A page of a campaign's recorded attempts: which come next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptsPlace {
    /// Behind the piece of this write.
    arrival: i64,
}

impl Store {
    /// Campaigns of which attempts are recorded, of the merchant that is meant.
    pub async fn sampled_campaigns(&self, buyer: BuyerName<'_>) -> StoreResult<Vec<String>> {
        let sql = "SELECT campaign_id FROM buyer_samples UNION SELECT campaign_id FROM samples ORDER BY campaign_id";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await?;
        let mut campaigns = Vec::with_capacity(rows.len());
        for row in &rows {
            let campaign = text(row, 0)?;
            if self.is_meant(buyer, &campaign).await? {
                campaigns.push(campaign);
            }
        }
        Ok(campaigns)
    }

    /// Attempts of a buyer in some pieces of a campaign, and where to go on; `None` at the end.
    pub async fn buyer_attempts(
        &self,
        campaign: &str,
        user: &str,
        after: AttemptsPlace,
    ) -> StoreResult<(Vec<DecidedAttempt>, Option<AttemptsPlace>)> {
        let pieces = self.own_pieces(campaign, user, after).await?;
        let next = next(&pieces);
        let mut found = Vec::new();
        for (_, payload) in pieces {
            let attempts = unpack(&payload).map_err(|why| broken(campaign, &why))?;
            let own = attempts.into_iter().map(|(_, one)| one);
            found.extend(own.filter(|one| one.attempt.user == user));
        }
        Ok((found, next))
    }

    /// The same as releases before pieces recorded them; a thousand at most after a place, and the place of the last.
    pub async fn buyer_attempt_rows(
        &self,
        campaign: &str,
        user: &str,
        after: i64,
    ) -> StoreResult<(Vec<DecidedAttempt>, Option<i64>)> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM attempts WHERE campaign_id = ? AND user_hash = ? AND user_id = ? \
             AND seq > ? ORDER BY seq LIMIT ?"
        )))
        .bind(campaign)
        .bind(i64::from(user_hash(user)))
        .bind(user)
        .bind(after)
        .bind(i64::from(ROWS_AT_ONCE))
        .fetch_all(&self.pool)
        .await?;
        let found = rows.iter().map(recorded).collect::<StoreResult<_>>()?;
        let is_full = rows.len() == ROWS_AT_ONCE as usize;
        let last = rows
            .last()
            .filter(|_| is_full)
            .map(|row| int(row, 0))
            .transpose()?;
        Ok((found, last))
    }

    /// Deletes what a buyer attempted in a campaign up to a moment: how many attempts.
    pub async fn erase_attempts(&self, campaign: &str, user: &str, until: i64) -> StoreResult<u64> {
        let mut erased = self.erase_attempt_rows(campaign, user, until).await?;
        let mut after = Some(AttemptsPlace::default());
        while let Some(place) = after {
            let pieces = self.own_pieces(campaign, user, place).await?;
            after = next(&pieces);
            for (arrival, payload) in pieces {
                let left = without(&payload, user, until).map_err(|why| broken(campaign, &why))?;
                if let Some(left) = left {
                    erased += left.gone;
                    let band = lot(campaign, user).band;
                    self.replace_piece(
                        (campaign, band, arrival),
                        &left.payload,
                        (left.attempts, left.gone),
                    )
                    .await?;
                }
            }
        }
        Ok(erased)
    }

    /// Pieces of the buyer's band: each with its arrival and its payload.
    async fn own_pieces(
        &self,
        campaign: &str,
        user: &str,
        after: AttemptsPlace,
    ) -> StoreResult<Vec<(i64, Vec<u8>)>> {
        let rows = sqlx::query(
            "SELECT arrival, payload FROM attempt_pieces WHERE campaign_id = ? AND band = ? AND arrival > ? \
             ORDER BY arrival LIMIT ?",
        )
        .bind(campaign)
        .bind(i64::from(lot(campaign, user).band))
        .bind(after.arrival)
        .bind(PIECES_AT_ONCE)
        .fetch_all(&self.pool)
        .await?;
        let piece = |row: &sqlx::any::AnyRow| Ok((int(row, 0)?, row.try_get(1)?));
        rows.iter().map(piece).collect()
    }

    /// Writes a piece without some attempts, which count as of a buyer who is not kept. Its moments stay: by them a write that is
    /// tried again finds itself.
    async fn replace_piece(
        &self,
        (campaign, band, arrival): (&str, u32, i64),
        payload: &[u8],
        (left, gone): (u64, u64),
    ) -> StoreResult<()> {
        const THIS: &str = "campaign_id = ? AND band = ? AND arrival = ?";
        let mut tx = self.begin().await?;
        let nothing = Spooled {
            campaign: campaign.to_owned(),
            token: 0,
            pieces: Vec::new(),
            skipped: 0,
            dropped: 0,
        };
        let mut held = self.hold_samples(&mut tx, std::slice::from_ref(&nothing)).await?;
        let query = match left {
            0 => sqlx::query(AssertSqlSafe(format!("DELETE FROM attempt_pieces WHERE {THIS}"))),
            _ => {
                let sql = format!("UPDATE attempt_pieces SET payload = ?, attempts = ? WHERE {THIS}");
                sqlx::query(AssertSqlSafe(sql)).bind(payload).bind(left as i64)
            }
        };
        let written = query
            .bind(campaign)
            .bind(i64::from(band))
            .bind(arrival)
            .execute(&mut *tx)
            .await?;
        if written.rows_affected() > 0 {
            held.iter_mut().for_each(|row| row.forget(band, gone));
        }
        self.put_samples(&mut tx, &held).await?;
        tx.commit().await.map_err(StoreError::of_commit)
    }

    async fn erase_attempt_rows(&self, campaign: &str, user: &str, until: i64) -> StoreResult<u64> {
        let until = time::to_text(until.max(TIME_MIN_MS))?;
        let gone = sqlx::query(
            "DELETE FROM attempts WHERE campaign_id = ? AND user_hash = ? AND user_id = ? AND decided_at <= ?",
        )
        .bind(campaign)
        .bind(i64::from(user_hash(user)))
        .bind(user)
        .bind(until)
        .execute(&self.pool)
        .await?;
        let gone = gone.rows_affected();
        if gone > 0 {
            let floor = self.dialect.not_below_zero("attempts - ?");
            let sql = format!("UPDATE samples SET attempts = {floor} WHERE campaign_id = ?");
            sqlx::query(AssertSqlSafe(sql))
                .bind(gone as i64)
                .bind(campaign)
                .execute(&self.pool)
                .await?;
        }
        Ok(gone)
    }
}

fn next(pieces: &[(i64, Vec<u8>)]) -> Option<AttemptsPlace> {
    let is_full = pieces.len() == PIECES_AT_ONCE as usize;
    let last = pieces.last().filter(|_| is_full);
    last.map(|(arrival, _)| AttemptsPlace { arrival: *arrival })
}

fn broken(campaign: &str, why: &str) -> StoreError {
    StoreError::Permanent(format!(
        "recorded attempts of campaign {campaign} cannot be read: {why}"
    ))
}
