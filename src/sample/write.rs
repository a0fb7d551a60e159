//! The task that writes what was queued, and the one that forgets what nobody needs any more.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Shared;
use crate::recorded::{Decided, Recorded};
use crate::store::Store;

/// Attempts of one transaction at most, a last batch aside.
const WRITE_ATTEMPTS: usize = 2000;
/// Tries of one write before its attempts are dropped.
const TRIES: u32 = 5;
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// How often samples whose retention is over are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Writes until the queue is closed and empty.
pub(super) async fn run(shared: Arc<Shared>, store: Store, mut queue: mpsc::UnboundedReceiver<Decided>) {
    while let Some(first) = queue.recv().await {
        let batches = collect(first, &mut queue, shared.config.write_every).await;
        let mut campaigns: BTreeMap<String, Vec<Recorded>> = BTreeMap::new();
        for decided in batches {
            let campaign = decided.active.campaign.id.clone();
            campaigns
                .entry(campaign)
                .or_default()
                .extend(decided.into_recorded());
        }
        for (campaign, attempts) in campaigns {
            write(&shared, &store, &campaign, &attempts).await;
            shared.waiting.fetch_sub(attempts.len(), Ordering::Relaxed);
        }
    }
}

/// What comes within `wait`, up to the size of a transaction.
async fn collect(
    first: Decided,
    queue: &mut mpsc::UnboundedReceiver<Decided>,
    wait: Duration,
) -> Vec<Decided> {
    let until = Instant::now() + wait;
    let mut count = first.attempts.len();
    let mut batches = vec![first];
    while count < WRITE_ATTEMPTS {
        match tokio::time::timeout_at(until, queue.recv()).await {
            Ok(Some(decided)) => {
                count += decided.attempts.len();
                batches.push(decided);
            }
            Ok(None) | Err(_) => break,
        }
    }
    batches
}

/// Writes attempts of one campaign, or drops them.
async fn write(shared: &Shared, store: &Store, campaign: &str, attempts: &[Recorded]) {
    let count = attempts.len() as u64;
    let most = shared.config.attempts_max;
    let dropped = shared.take_dropped(campaign);
    for attempt in 1..=TRIES {
        match store.insert_attempts(campaign, attempts, dropped, most).await {
            Ok(sample) => {
                shared.set_halvings(campaign, sample.halvings);
                shared.figures.recorded.fetch_add(count, Ordering::Relaxed);
                return;
            }
            // A commit whose answer was lost may have written them: then they are there twice, and the
            // sample is off by a batch.
            Err(error) if error.is_transient() && attempt < TRIES => {
                tracing::debug!(campaign, %error, "the sample waits for the database");
                tokio::time::sleep(RETRY_EVERY).await;
            }
            Err(error) => {
                tracing::warn!(campaign, count, %error, "attempts are not in the sample");
                break;
            }
        }
    }
    shared.drop_attempts(campaign, count);
    // What was taken and not told.
    let mut untold = shared.dropped.lock().expect("no panic holds this lock");
    *untold.entry(campaign.to_owned()).or_default() += dropped;
}

/// Deletes samples with the retention of their campaigns, for as long as the stage lives.
pub(super) async fn forget(shared: Weak<Shared>, store: Store, clock: Arc<dyn Fn() -> i64 + Send + Sync>) {
    let mut tick = tokio::time::interval(FORGET_EVERY);
    while shared.strong_count() > 0 {
        tick.tick().await;
        match store.forget_attempts(clock()).await {
            Ok(0) => {}
            Ok(attempts) => tracing::info!(attempts, "samples were deleted with their campaigns' retention"),
            Err(error) => tracing::warn!(%error, "samples of campaigns that are over are still there"),
        }
    }
}
