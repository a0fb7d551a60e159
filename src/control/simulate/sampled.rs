//! The recorded sample in the order of its moments: pieces are merged with each other, and with the rows of releases that
//! recorded a row per attempt.

use std::collections::{BTreeMap, VecDeque};

use super::ControlError;
use crate::attempts::DecidedAttempt;
use crate::attempts::pieces::{self, Piece};
use crate::store::{AttemptsAt, PieceAt, SampleRow, Store};

/// Attempts of one page.
const PAGE: usize = 2000;
/// Pieces that are read at once: a megabyte or two.
const PIECES: u32 = 16;

/// Reads page by page; in memory are the pieces whose moments overlap.
pub(super) struct Sampled<'a> {
    store: &'a Store,
    campaign: &'a str,
    sample: SampleRow,
    rows: VecDeque<DecidedAttempt>,
    /// The last row read, and the end of rows; `None`: all of them are read.
    rows_at: Option<(Option<AttemptsAt>, i64)>,
    pieces: VecDeque<(PieceAt, Piece)>,
    pieces_after: Option<PieceAt>,
    pieces_read: bool,
    /// Unpacked, by moment, arrival, and place in their write.
    open: BTreeMap<(i64, i64, u64), DecidedAttempt>,
}

impl<'a> Sampled<'a> {
    /// What arrives later than this is not part of it.
    pub(super) async fn begin(
        store: &'a Store,
        campaign: &'a str,
        sample: SampleRow,
    ) -> Result<Self, ControlError> {
        Ok(Self {
            store,
            campaign,
            sample,
            rows: VecDeque::new(),
            rows_at: Some((None, store.attempts_end().await?)),
            pieces: VecDeque::new(),
            pieces_after: None,
            pieces_read: false,
            open: BTreeMap::new(),
        })
    }

    /// `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<DecidedAttempt>>, ControlError> {
        let mut page = Vec::with_capacity(PAGE);
        while page.len() < PAGE {
            self.fill_rows().await?;
            self.open_pieces().await?;
            let row = self.rows.front().map(|row| row.at);
            let open = self.open.first_key_value().map(|((at, ..), _)| *at);
            let next = match (row, open) {
                (None, None) => break,
                (Some(row), Some(open)) if open < row => self.pop_open(),
                (None, Some(_)) => self.pop_open(),
                (Some(_), _) => self.rows.pop_front(),
            };
            page.extend(next);
        }
        Ok(Some(page).filter(|page| !page.is_empty()))
    }

    fn pop_open(&mut self) -> Option<DecidedAttempt> {
        self.open.pop_first().map(|(_, recorded)| recorded)
    }

    async fn fill_rows(&mut self) -> Result<(), ControlError> {
        while self.rows.is_empty()
            && let Some((after, end)) = self.rows_at
        {
            let page = self.store.attempts_page(self.campaign, after, end, PAGE as u32);
            let (rows, last) = page.await?;
            self.rows_at = last.map(|last| (Some(last), end));
            let (share, campaign) = (self.sample.share, self.campaign);
            let held = |row: &DecidedAttempt| share.holds(campaign, &row.attempt.user);
            self.rows.extend(rows.into_iter().filter(held));
        }
        Ok(())
    }

    /// Unpacks every piece that may hold the next attempt.
    async fn open_pieces(&mut self) -> Result<(), ControlError> {
        loop {
            if self.pieces.is_empty() && !self.pieces_read {
                let (share, end) = (self.sample.share, self.sample.arrivals);
                let page = self
                    .store
                    .attempt_pieces(self.campaign, share.halvings, self.pieces_after, end, PIECES)
                    .await?;
                self.pieces_read = page.len() < PIECES as usize;
                self.pieces.extend(page);
            }
            let Some((next, _)) = self.pieces.front() else {
                return Ok(());
            };
            if self
                .open
                .first_key_value()
                .is_some_and(|((at, ..), _)| *at < next.first_at)
            {
                return Ok(());
            }
            let Some((at, piece)) = self.pieces.pop_front() else {
                return Ok(());
            };
            self.pieces_after = Some(at);
            self.unpack(at, piece).await?;
        }
    }

    async fn unpack(&mut self, at: PieceAt, piece: Piece) -> Result<(), ControlError> {
        // Some milliseconds of a core: not where others wait.
        let unpacked = tokio::task::spawn_blocking(move || pieces::unpack(&piece.payload)).await;
        let unpacked = unpacked
            .map_err(|error| error.to_string())
            .and_then(|attempts| attempts);
        let attempts = unpacked.map_err(|why| {
            let PieceAt { arrival, band, .. } = at;
            let campaign = self.campaign;
            ControlError::Internal(format!(
                "attempt_pieces of {campaign}, band {band}, arrival {arrival}: {why}"
            ))
        })?;
        // A release before may have left buyers out whom this one keeps.
        let share = self.sample.share;
        for (place, recorded) in attempts {
            if share.holds(self.campaign, &recorded.attempt.user) {
                self.open.insert((recorded.at, at.arrival, place), recorded);
            }
        }
        Ok(())
    }
}
