//! The re-drive: replays dead letters of chosen classes by itself, once what failed them is healthy again.
//!
//! Healthy means that landing had to try nothing again for a while. One lander does it for all.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

/// Between looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Letters of one look: with the time between looks, a bound on their rate.
const BATCH: u32 = 20;
/// How long nothing may have been tried again.
pub const QUIET: Duration = Duration::from_secs(30);

/// Dead letters, as the re-drive needs them.
pub trait DeadLetters: Send + Sync + 'static {
    /// Takes or keeps the right to replay by itself, among all landers.
    fn hold(&self) -> BoxFuture<'_, Result<bool, String>>;

    /// Replays up to `most` of them that have been dead for `quiet`; says how many. Those that were replayed too
    /// often are parked.
    fn replay(&self, most: u32, quiet: Duration) -> BoxFuture<'_, Result<u64, String>>;
}

/// Looks again and again, until it is dropped. `retries` reads how often landing tried something again.
pub async fn run(letters: Arc<dyn DeadLetters>, quiet: Duration, retries: impl Fn() -> u64 + Send) {
    let mut watch = Watch::new(retries(), Instant::now());
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !watch.is_quiet(retries(), Instant::now(), quiet) {
            continue;
        }
        if let Err(error) = look(&*letters, quiet).await {
            tracing::warn!(error, "dead letters are not replayed for now");
            watch.disturb(Instant::now());
        }
    }
}

async fn look(letters: &dyn DeadLetters, quiet: Duration) -> Result<(), String> {
    if !letters.hold().await? {
        return Ok(());
    }
    let replayed = letters.replay(BATCH, quiet).await?;
    if replayed > 0 {
        tracing::info!(
            replayed,
            "dead letters replayed: what failed them is healthy again"
        );
    }
    Ok(())
}

/// Since when landing had nothing to try again.
struct Watch {
    retries: u64,
    since: Instant,
}

impl Watch {
    fn new(retries: u64, now: Instant) -> Self {
        Self { retries, since: now }
    }

    fn is_quiet(&mut self, retries: u64, now: Instant, quiet: Duration) -> bool {
        if retries != self.retries {
            self.retries = retries;
            self.since = now;
        }
        now.duration_since(self.since) >= quiet
    }

    fn disturb(&mut self, now: Instant) {
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_begins_anew_with_every_retry() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut watch = Watch::new(5, start);
        assert!(!watch.is_quiet(5, at(29), QUIET));
        assert!(watch.is_quiet(5, at(30), QUIET));
        assert!(!watch.is_quiet(6, at(31), QUIET));
        assert!(!watch.is_quiet(6, at(60), QUIET));
        assert!(watch.is_quiet(6, at(61), QUIET));
        watch.disturb(at(61));
        assert!(!watch.is_quiet(6, at(90), QUIET));
    }
}
