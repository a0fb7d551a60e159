//! Rows of `buyer_samples`, locked while a write is reckoned: which buyers are kept, and what there is of them.

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::attempts::pieces::Piece;
use crate::attempts::share::{BANDS, Bounds, HALVINGS_MAX, Share};
use crate::store::dialect::{pieces, placeholders};
use crate::store::rows::{int, json, moment, narrow, text, to_json};
use crate::store::{Store, StoreError, StoreResult, time};

/// What a gateway has of a campaign since it last wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    pub campaign: String,
    /// Random, of this write alone.
    pub token: i64,
    /// One per band at most, the lowest first.
    pub pieces: Vec<Piece>,
    /// Attempts of buyers outside of the share.
    pub skipped: u64,
    /// Attempts of buyers inside of it that are lost.
    pub dropped: u64,
}

/// What a campaign's sample holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleRow {
    pub share: Share,
    /// Attempts of the buyers that are kept.
    pub attempts: u64,
    /// Attempts of the others; of those that a release before bands left out, nobody knows.
    pub skipped: u64,
    /// Attempts that gateways could not write: histories may have holes.
    pub dropped: u64,
    /// Writes so far.
    pub arrivals: i64,
}

impl SampleRow {
    /// Attempts of all buyers that were decided while they were recorded; `None` where nobody knows.
    pub fn decided(&self) -> Option<u64> {
        (self.share.before == 0).then_some(self.attempts + self.skipped + self.dropped)
    }
}

const COLUMNS: &str = "campaign_id, halvings, bands, skipped, dropped, arrivals, begun_at";
/// Rows of [`Held`].
pub(in crate::store) const SELECT: &str = "SELECT b.campaign_id, b.halvings, b.bands, b.skipped, b.dropped, b.arrivals, \
     CAST(b.begun_at AS CHAR), COALESCE(s.halvings, 0) FROM buyer_samples b \
     LEFT JOIN samples s ON s.campaign_id = b.campaign_id";
/// Written where nothing but losses has been told yet.
const NOT_BEGUN: i64 = 0;

/// A row of `buyer_samples`, locked, while a write is reckoned.
pub(in crate::store) struct Held {
    pub(in crate::store) campaign: String,
    pub(in crate::store) halvings: u32,
    bands: [u64; BANDS],
    skipped: u64,
    dropped: u64,
    pub(in crate::store) arrivals: i64,
    begun_at: i64,
    /// Of `samples`.
    before: u32,
}

impl Store {
    /// The rows of these campaigns, made where they are missing, locked until the transaction ends; in their order.
    pub(in crate::store) async fn hold_samples(
        &self,
        tx: &mut Transaction<'_, Any>,
        spooled: &[Spooled],
    ) -> StoreResult<Vec<Held>> {
        let mut ordered: Vec<&Spooled> = spooled.iter().collect();
        // Whoever locks several rows locks them in one order.
        ordered.sort_by(|one, other| one.campaign.cmp(&other.campaign));
        let made = ordered
            .iter()
            .map(|spooled| Held::new(spooled))
            .collect::<Vec<_>>();
        self.write_samples(tx, &made, &[("halvings", "buyer_samples.halvings")])
            .await?;
        let mut found = Vec::with_capacity(made.len());
        for range in pieces(made.len()) {
            let sql = format!("{SELECT} WHERE b.campaign_id IN {}", placeholders(1, range.len()));
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for row in &made[range] {
                query = query.bind(row.campaign.clone());
            }
            for row in query.fetch_all(&mut **tx).await? {
                found.push(Held::read(&row)?);
            }
        }
        let missing = || StoreError::Transient("a sample was deleted while it was written".to_owned());
        let mut rows = Vec::with_capacity(spooled.len());
        for spooled in spooled {
            let at = found.iter().position(|row| row.campaign == spooled.campaign);
            rows.push(found.swap_remove(at.ok_or_else(missing)?));
        }
        Ok(rows)
    }

    pub(in crate::store) async fn put_samples(
        &self,
        tx: &mut Transaction<'_, Any>,
        held: &[Held],
    ) -> StoreResult<()> {
        let new = ["halvings", "bands", "skipped", "dropped", "arrivals", "begun_at"]
            .map(|column| (column, "{new}"));
        self.write_samples(tx, held, &new).await
    }

    /// Inserts rows; those that are there get `changes`.
    async fn write_samples(
        &self,
        tx: &mut Transaction<'_, Any>,
        rows: &[Held],
        changes: &[(&str, &str)],
    ) -> StoreResult<()> {
        let clause = self.dialect.on_conflict_all("campaign_id", changes);
        for range in pieces(rows.len()) {
            let sql = format!(
                "INSERT INTO buyer_samples ({COLUMNS}) VALUES {}{clause}",
                placeholders(range.len(), 7)
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for row in &rows[range] {
                query = query
                    .bind(row.campaign.as_str())
                    .bind(i64::from(row.halvings))
                    .bind(to_json(&row.bands.as_slice())?)
                    .bind(row.skipped as i64)
                    .bind(row.dropped as i64)
                    .bind(row.arrivals)
                    .bind(time::to_text(row.begun_at)?);
            }
            query.execute(&mut **tx).await?;
        }
        Ok(())
    }
}

impl Held {
    /// Before anything was written.
    fn new(spooled: &Spooled) -> Self {
        Self {
            campaign: spooled.campaign.clone(),
            halvings: 0,
            bands: [0; BANDS],
            skipped: 0,
            dropped: 0,
            arrivals: 0,
            begun_at: begun_at(spooled),
            before: 0,
        }
    }

    /// Counts a write in. The lowest band whose pieces are to be kept.
    pub(in crate::store) fn add(&mut self, spooled: &Spooled, bounds: &Bounds) -> u32 {
        self.arrivals += 1;
        self.skipped += spooled.skipped;
        self.dropped += spooled.dropped;
        for piece in &spooled.pieces {
            self.bands[piece.band.min(HALVINGS_MAX) as usize] += piece.attempts;
        }
        if self.begun_at == NOT_BEGUN {
            self.begun_at = begun_at(spooled);
        }
        let last_at = spooled.pieces.iter().map(|piece| piece.last_at).max();
        let most = bounds.at(self.begun_at, last_at.unwrap_or(self.begun_at));
        let is_new = !spooled.pieces.is_empty();
        while is_new && self.attempts() > most && self.halvings < HALVINGS_MAX {
            self.halvings += 1;
        }
        for band in &mut self.bands[..self.halvings as usize] {
            self.skipped += std::mem::take(band);
        }
        if self.attempts() <= bounds.most {
            return self.halvings;
        }
        // The last band cannot be halved: somebody in it asks without end.
        let last = spooled.pieces.iter().filter(|piece| piece.band >= HALVINGS_MAX);
        let refused: u64 = last.map(|piece| piece.attempts).sum();
        self.bands[HALVINGS_MAX as usize] -= refused;
        self.dropped += refused;
        HALVINGS_MAX + 1
    }

    /// Attempts of a band are gone: they count as of a buyer who is not kept.
    pub(in crate::store) fn forget(&mut self, band: u32, attempts: u64) {
        let kept = &mut self.bands[band.min(HALVINGS_MAX) as usize];
        let gone = attempts.min(*kept);
        *kept -= gone;
        self.skipped += gone;
    }

    fn attempts(&self) -> u64 {
        self.bands[self.halvings as usize..].iter().sum()
    }

    pub(in crate::store) fn sample(&self) -> SampleRow {
        SampleRow {
            share: Share {
                halvings: self.halvings,
                before: self.before,
            },
            attempts: self.attempts(),
            skipped: self.skipped,
            dropped: self.dropped,
            arrivals: self.arrivals,
        }
    }

    /// A row of [`SELECT`].
    pub(in crate::store) fn read(row: &AnyRow) -> StoreResult<Self> {
        let stored: Vec<u64> = json(row, 2)?;
        let mut bands = [0; BANDS];
        bands
            .iter_mut()
            .zip(stored)
            .for_each(|(band, stored)| *band = stored);
        let halvings: u32 = narrow(row, 1)?;
        Ok(Self {
            campaign: text(row, 0)?,
            halvings: halvings.min(HALVINGS_MAX),
            bands,
            skipped: narrow(row, 3)?,
            dropped: narrow(row, 4)?,
            arrivals: int(row, 5)?,
            begun_at: moment(row, 6)?,
            before: narrow(row, 7)?,
        })
    }
}

fn begun_at(spooled: &Spooled) -> i64 {
    let first = spooled.pieces.iter().map(|piece| piece.first_at).min();
    first.unwrap_or(NOT_BEGUN)
}
