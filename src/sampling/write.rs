//! The task that writes what was spooled, and the one that forgets what nobody needs any more.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::Shared;
use super::spool::Taken;
use crate::attempts::pieces;
use crate::seldom::Seldom;
use crate::store::{SampleRow, Spooled, Store, StoreError};

/// Attempts of one write, about.
const WRITE_ATTEMPTS: usize = 8192;
/// Campaigns that are written as often as `write_every` says; with more, it is done more seldom, down to a fifth.
const CAMPAIGNS_AT_ONCE: usize = 16;
const STRETCH_MAX: usize = 5;
/// Bytes in memory of the attempts of one write: compressed they are far below what a packet takes.
const WRITE_BYTES: usize = 4 << 20;
/// For how long a write is tried before its attempts are dropped. What is decided meanwhile fills the spools.
const TRY_FOR: Duration = Duration::from_secs(60);
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// How often samples whose retention is over are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// The task that writes.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Store,
    /// What is wrong with the database, and what was lost: each is said once a minute.
    trouble: Seldom,
    loss: Seldom,
    /// Lost attempts that were said.
    said: u64,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, store: Store) -> Self {
        Self {
            shared,
            store,
            trouble: Seldom::default(),
            loss: Seldom::default(),
            said: 0,
        }
    }

    /// Writes until the stage is gone and nothing is spooled.
    pub(super) async fn run(mut self) {
        loop {
            let is_last = self.shared.ended.load(Ordering::Acquire);
            let campaigns = self.write_spooled().await;
            self.tell_losses();
            if is_last {
                return;
            }
            tokio::select! {
                () = self.shared.hurry.notified() => {}
                () = tokio::time::sleep(self.shared.config.write_every * stretch(campaigns)) => {}
            }
        }
    }

    /// Writes what waits now, and goes on where nothing is to be left. Of how many campaigns it was.
    async fn write_spooled(&mut self) -> usize {
        let shared = self.shared.clone();
        let mut campaigns = 0;
        loop {
            shared.writing.store(true, Ordering::SeqCst);
            let (taken, is_cut) = shared.spools.take(WRITE_ATTEMPTS, WRITE_BYTES);
            let is_empty = taken.is_empty();
            campaigns += taken.len();
            if !is_empty {
                self.write(taken).await;
            }
            shared.writing.store(false, Ordering::SeqCst);
            let to_the_end = shared.ended.load(Ordering::Acquire) || shared.draining.load(Ordering::Acquire);
            if is_empty || !(is_cut || to_the_end) {
                return campaigns;
            }
        }
    }

    async fn write(&mut self, taken: Vec<Taken>) {
        let attempts = taken.iter().map(|taken| taken.attempts).sum();
        let bytes = taken.iter().map(|taken| taken.bytes).sum();
        // Some milliseconds of a core: not where orders are answered.
        let cut = tokio::task::spawn_blocking(move || taken.into_iter().map(spooled).collect::<Vec<_>>());
        match cut.await {
            Ok(spooled) => self.keep(&spooled).await,
            Err(error) => tracing::error!(%error, attempts, "attempts are not in the sample"),
        }
        self.shared.done(attempts, bytes);
    }

    async fn keep(&mut self, spooled: &[Spooled]) {
        match self.try_for_long(spooled).await {
            Ok(rows) => spooled
                .iter()
                .zip(rows)
                .for_each(|(spooled, row)| self.kept(spooled, row)),
            // One of them may be what the database does not take.
            Err(error) if spooled.len() > 1 && !error.is_transient() => {
                for one in spooled {
                    match self.try_for_long(std::slice::from_ref(one)).await {
                        Ok(rows) => rows.into_iter().for_each(|row| self.kept(one, row)),
                        Err(error) => self.lost(one, &error),
                    }
                }
            }
            Err(error) => spooled.iter().for_each(|spooled| self.lost(spooled, &error)),
        }
    }

    async fn try_for_long(&mut self, spooled: &[Spooled]) -> Result<Vec<SampleRow>, StoreError> {
        let (begun, mut again) = (Instant::now(), false);
        loop {
            match self
                .store
                .keep_attempts(spooled, &self.shared.config.bounds(), again)
                .await
            {
                Err(error) if error.is_transient() && begun.elapsed() < TRY_FOR => {
                    // A commit whose answer was lost may have happened.
                    again = true;
                    if self.trouble.met("", Instant::now()).is_some() {
                        let attempts = self.shared.waiting.load(Ordering::Relaxed);
                        tracing::warn!(attempts, %error, "the sample waits for the database");
                    }
                    self.tell_losses();
                    tokio::time::sleep(RETRY_EVERY).await;
                }
                answer => return answer,
            }
        }
    }

    fn kept(&self, spooled: &Spooled, row: SampleRow) {
        self.shared.spools.set_share(&spooled.campaign, row.share);
        let metrics = &self.shared.metrics;
        for piece in &spooled.pieces {
            let counter = match piece.band >= row.share.halvings {
                true => &metrics.recorded,
                false => &metrics.skipped,
            };
            counter.inc_by(piece.attempts);
        }
    }

    fn lost(&self, spooled: &Spooled, error: &StoreError) {
        let campaign = &spooled.campaign;
        let attempts = spooled.pieces.iter().map(|piece| piece.attempts).sum();
        tracing::debug!(%campaign, attempts, %error, "attempts are not in the sample");
        self.shared
            .spools
            .put_back(campaign, spooled.skipped, spooled.dropped);
        if attempts > 0 {
            self.shared.lose(campaign, attempts);
        }
    }

    fn tell_losses(&mut self) {
        let all = self.shared.metrics.dropped.get();
        if all > self.said && self.loss.met("", Instant::now()).is_some() {
            let attempts = all - std::mem::replace(&mut self.said, all);
            tracing::warn!(
                attempts,
                "attempts were dropped: the database does not take the sample in time"
            );
        }
    }
}

/// Every campaign of a write costs the database some rows: of many, more attempts are waited for.
fn stretch(campaigns: usize) -> u32 {
    (campaigns / CAMPAIGNS_AT_ONCE).clamp(1, STRETCH_MAX) as u32
}

fn spooled(mut taken: Taken) -> Spooled {
    let attempts = taken.recorded();
    Spooled {
        token: fastrand::i64(0..),
        pieces: pieces::cut(&taken.campaign, attempts),
        campaign: taken.campaign,
        skipped: taken.skipped,
        dropped: taken.dropped,
    }
}

/// Deletes samples with the retention of their campaigns, for as long as the stage lives.
pub(super) async fn forget(shared: Weak<Shared>, store: Store, clock: Arc<dyn Fn() -> i64 + Send + Sync>) {
    let mut tick = tokio::time::interval(FORGET_EVERY);
    while shared.strong_count() > 0 {
        tick.tick().await;
        match store.forget_attempts(clock()).await {
            Ok(0) => {}
            Ok(campaigns) => {
                tracing::info!(campaigns, "samples were deleted with their campaigns' retention")
            }
            Err(error) => tracing::warn!(%error, "samples of campaigns that are over are still there"),
        }
    }
}
