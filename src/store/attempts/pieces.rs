//! The recorded sample: attempts of some buyers of a campaign, in compressed pieces, within a bound.
//!
//! A write of one gateway is one transaction, whatever it brings of however many campaigns. The rows of `buyer_samples`
//! are locked by whoever writes, so that all gateways agree on the share of buyers that is kept. Pieces of buyers below it
//! are deleted afterwards; a reader leaves them out.

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use super::held::{self, Held, SampleRow, Spooled};
use crate::attempts::pieces::Piece;
use crate::attempts::share::Bounds;
use crate::order::TIME_MIN_MS;
use crate::store::dialect::{pieces, placeholders};
use crate::store::rows::{int, maybe_int, moment, narrow};
use crate::store::{Store, StoreError, StoreResult, time};

const PIECE_COLUMNS: &str = "campaign_id, band, arrival, token, first_at, last_at, attempts, payload";
/// Writes whose pieces are deleted at once: each statement locks its rows for a moment only.
const SLICE_ARRIVALS: i64 = 2000;

/// A place among a campaign's pieces: by their first moment, then by arrival, then by band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceAt {
    pub first_at: i64,
    pub arrival: i64,
    pub band: u32,
}

impl Store {
    /// Adds what a gateway spooled of each campaign, each of them named once. While more is kept of a campaign than
    /// `bounds` allow, halves its share of buyers. The samples afterwards, in the order of `spooled`. `again`: the same
    /// was tried before, and may be there already.
    pub async fn keep_attempts(
        &self,
        spooled: &[Spooled],
        bounds: &Bounds,
        again: bool,
    ) -> StoreResult<Vec<SampleRow>> {
        let mut tx = self.begin().await?;
        let mut held = self.hold_samples(&mut tx, spooled).await?;
        let mut fresh = Vec::new();
        let mut halved = Vec::new();
        for (row, spooled) in held.iter_mut().zip(spooled) {
            if again && is_there(&mut tx, spooled).await? {
                continue;
            }
            let before = row.halvings;
            let first = row.add(spooled, bounds);
            let kept = spooled.pieces.iter().filter(|piece| piece.band >= first);
            fresh.extend(kept.map(|piece| (spooled, row.arrivals, piece)));
            halved.extend((row.halvings > before).then(|| row.campaign.clone()));
        }
        for range in pieces(fresh.len()) {
            insert(&mut tx, &fresh[range]).await?;
        }
        self.put_samples(&mut tx, &held).await?;
        tx.commit().await.map_err(StoreError::of_commit)?;
        for row in held.iter().filter(|row| halved.contains(&row.campaign)) {
            // What is left is left out by readers, and deleted with the next round of forgetting.
            let deleted = self.delete_pieces(&row.campaign, row.halvings).await;
            deleted.unwrap_or_else(
                |error| tracing::debug!(%error, "pieces of buyers who are not kept are left"),
            );
        }
        Ok(held.iter().map(Held::sample).collect())
    }

    /// What the sample of a campaign holds; nothing of nobody where there is none.
    pub async fn sample(&self, campaign: &str) -> StoreResult<SampleRow> {
        let sql = format!("{} WHERE b.campaign_id = ?", held::SELECT);
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .fetch_optional(&self.pool)
            .await?;
        let mut sample = match &row {
            Some(row) => Held::read(row)?.sample(),
            None => SampleRow::default(),
        };
        let rows = sqlx::query("SELECT halvings, attempts, dropped FROM samples WHERE campaign_id = ?")
            .bind(campaign)
            .fetch_optional(&self.pool)
            .await?;
        if let Some(row) = &rows {
            sample.share.before = narrow(row, 0)?;
            sample.attempts += narrow::<u64>(row, 1)?;
            sample.dropped += narrow::<u64>(row, 2)?;
        }
        Ok(sample)
    }

    /// Pieces of buyers of band `band` and of higher ones after a place, of which none arrived after `end`; `limit` at
    /// most. Fewer only at the end.
    pub async fn attempt_pieces(
        &self,
        campaign: &str,
        band: u32,
        after: Option<PieceAt>,
        end: i64,
        limit: u32,
    ) -> StoreResult<Vec<(PieceAt, Piece)>> {
        let after = after.unwrap_or(PieceAt {
            first_at: TIME_MIN_MS,
            arrival: 0,
            band: 0,
        });
        let moment = time::to_text(after.first_at)?;
        let rows = sqlx::query(
            "SELECT band, arrival, CAST(first_at AS CHAR), CAST(last_at AS CHAR), attempts, payload FROM attempt_pieces \
             WHERE campaign_id = ? AND first_at >= ? AND (first_at > ? OR arrival > ? OR (arrival = ? AND band > ?)) \
             AND band >= ? AND arrival <= ? ORDER BY first_at, arrival, band LIMIT ?",
        )
        .bind(campaign)
        .bind(moment.as_str())
        .bind(moment.as_str())
        .bind(after.arrival)
        .bind(after.arrival)
        .bind(i64::from(after.band))
        .bind(i64::from(band))
        .bind(end)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(piece).collect()
    }

    /// Deletes pieces of bands below `band`.
    pub(in crate::store) async fn delete_pieces(&self, campaign: &str, band: u32) -> StoreResult<()> {
        for band in 0..i64::from(band) {
            let sql =
                "SELECT MIN(arrival), MAX(arrival) FROM attempt_pieces WHERE campaign_id = ? AND band = ?";
            let there = sqlx::query(sql)
                .bind(campaign)
                .bind(band)
                .fetch_one(&self.pool)
                .await?;
            let (Some(mut from), Some(end)) = (maybe_int(&there, 0)?, maybe_int(&there, 1)?) else {
                continue;
            };
            while from <= end {
                sqlx::query(
                    "DELETE FROM attempt_pieces WHERE campaign_id = ? AND band = ? AND arrival >= ? AND arrival < ?",
                )
                .bind(campaign)
                .bind(band)
                .bind(from)
                .bind(from + SLICE_ARRIVALS)
                .execute(&self.pool)
                .await?;
                from += SLICE_ARRIVALS;
            }
        }
        Ok(())
    }
}

/// Whether a write was committed before. One without a piece leaves no trace: then its counts are counted twice.
async fn is_there(tx: &mut Transaction<'_, Any>, spooled: &Spooled) -> StoreResult<bool> {
    // The highest band is the last to be deleted.
    let Some(piece) = spooled.pieces.last() else {
        return Ok(false);
    };
    let there: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM attempt_pieces WHERE campaign_id = ? AND band = ? AND first_at = ? AND token = ?",
    )
    .bind(spooled.campaign.as_str())
    .bind(i64::from(piece.band))
    .bind(time::to_text(piece.first_at)?)
    .bind(spooled.token)
    .fetch_one(&mut **tx)
    .await?;
    Ok(there > 0)
}

async fn insert(tx: &mut Transaction<'_, Any>, fresh: &[(&Spooled, i64, &Piece)]) -> StoreResult<()> {
    let sql = format!(
        "INSERT INTO attempt_pieces ({PIECE_COLUMNS}) VALUES {}",
        placeholders(fresh.len(), 8)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (spooled, arrival, piece) in fresh {
        query = query
            .bind(spooled.campaign.as_str())
            .bind(i64::from(piece.band))
            .bind(*arrival)
            .bind(spooled.token)
            .bind(time::to_text(piece.first_at)?)
            .bind(time::to_text(piece.last_at)?)
            .bind(piece.attempts as i64)
            .bind(piece.payload.as_slice());
    }
    query.execute(&mut **tx).await?;
    Ok(())
}

fn piece(row: &AnyRow) -> StoreResult<(PieceAt, Piece)> {
    let at = PieceAt {
        first_at: moment(row, 2)?,
        arrival: int(row, 1)?,
        band: narrow(row, 0)?,
    };
    let piece = Piece {
        band: at.band,
        first_at: at.first_at,
        last_at: moment(row, 3)?,
        attempts: narrow(row, 4)?,
        payload: row.try_get(5)?,
    };
    Ok((at, piece))
}
