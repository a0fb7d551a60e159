//! Dead letters as landing's re-drive needs them: a lease in the database and a replay of the next few.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::replay::{Item, Replayer, Report};
use crate::landing::redrive::DeadLetters;
use crate::store::{LetterFilter, Stage};

const LEASE: &str = "redrive";
const LEASE_MS: i64 = 15_000;

/// Dead letters of some classes, replayed by themselves.
pub struct Redrive {
    pub replayer: Replayer,
    /// Names this lander in the lease.
    pub owner: String,
    pub classes: Vec<String>,
}

impl Redrive {
    async fn next(&self, most: u32, quiet: Duration) -> anyhow::Result<u64> {
        let filter = LetterFilter {
            classes: self.classes.clone(),
            stages: vec![Stage::Dead],
            until: Some((self.replayer.clock)() - quiet.as_millis() as i64),
            ..LetterFilter::default()
        };
        let letters = self.replayer.store.dead_letters(&filter, None, most).await?;
        let items: Vec<Item> = letters.into_iter().map(Item::from).collect();
        let (mut paced, mut report) = (Instant::now(), Report::default());
        self.replayer.replay(&items, &mut paced, &mut report).await?;
        Ok(report.replayed)
    }
}

impl DeadLetters for Redrive {
    fn hold(&self) -> BoxFuture<'_, Result<bool, String>> {
        let now = (self.replayer.clock)();
        let lease = self.replayer.store.lease(LEASE, &self.owner, now, LEASE_MS);
        async { lease.await.map_err(|error| error.to_string()) }.boxed()
    }

    fn replay(&self, most: u32, quiet: Duration) -> BoxFuture<'_, Result<u64, String>> {
        async move { self.next(most, quiet).await.map_err(|error| format!("{error:#}")) }.boxed()
    }
}
