//! The directory: ids of all campaigns there are, live and archived, so that a name somebody invented costs no
//! query of its own.
//!
//! Ids are read in order of creation, each once. Whoever asks for one that is not there waits for a read that began
//! after he asked, so a campaign that another gateway has just made is always found; one read serves all who wait,
//! and there are ten a second at most, whatever is asked for.

use std::collections::HashSet;
use std::sync::RwLock;
use std::time::Duration;

use tokio::time::Instant;

use crate::store::Store;

/// Between the beginnings of two reads.
const READ_EVERY: Duration = Duration::from_millis(100);
/// Ids read at a time.
const PAGE: u32 = 5000;
/// Numbers before the last one read that are looked at again: their transactions may have ended later.
const AGAIN: i64 = 100;

pub(super) struct Directory {
    store: Store,
    ids: RwLock<HashSet<String>>,
    reading: tokio::sync::Mutex<Reading>,
}

#[derive(Default)]
struct Reading {
    /// Number of the last campaign read.
    last: i64,
    begun: Option<Instant>,
    /// When the newest read that came to its end had begun, and what came of it.
    ended: Option<(Instant, Result<(), String>)>,
}

impl Directory {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            ids: RwLock::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// Whether there is such a campaign; an error where that cannot be read.
    pub(super) async fn knows(&self, campaign: &str) -> Result<bool, String> {
        if self.has(campaign) {
            return Ok(true);
        }
        let asked = Instant::now();
        let mut reading = self.reading.lock().await;
        if let Some((begun, outcome)) = &reading.ended
            && *begun >= asked
        {
            return outcome.clone().map(|()| self.has(campaign));
        }
        if let Some(begun) = reading.begun {
            tokio::time::sleep_until(begun + READ_EVERY).await;
        }
        let begun = Instant::now();
        reading.begun = Some(begun);
        let outcome = self.read(&mut reading.last).await;
        reading.ended = Some((begun, outcome.clone()));
        outcome.map(|()| self.has(campaign))
    }

    /// These were seen in the database.
    pub(super) fn note<'a>(&self, campaigns: impl IntoIterator<Item = &'a str>) {
        let mut ids = self.ids.write().expect("no panic holds this lock");
        for campaign in campaigns {
            if !ids.contains(campaign) {
                ids.insert(campaign.to_owned());
            }
        }
    }

    /// It was seen that there is no such campaign any more.
    pub(super) fn forget(&self, campaign: &str) {
        self.ids
            .write()
            .expect("no panic holds this lock")
            .remove(campaign);
    }

    fn has(&self, campaign: &str) -> bool {
        self.ids
            .read()
            .expect("no panic holds this lock")
            .contains(campaign)
    }

    async fn read(&self, last: &mut i64) -> Result<(), String> {
        let mut after = last.saturating_sub(AGAIN);
        loop {
            let page = self.store.campaign_ids(after, PAGE).await;
            let page = page.map_err(|error| error.to_string())?;
            self.note(page.iter().map(|(_, campaign)| campaign.as_str()));
            if let Some((number, _)) = page.last() {
                after = *number;
                *last = (*last).max(after);
            }
            if page.len() < PAGE as usize {
                return Ok(());
            }
        }
    }
}
