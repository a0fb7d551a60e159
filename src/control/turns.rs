//! Turns of those who change the times of one campaign: each makes a revision, and of two at once only one could activate its own.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

/// Campaigns that share one wait for each other; so few are changed at a time that it does not matter.
const TURNS: usize = 32;
/// How long somebody waits: where the engine is away, each takes its time. Whoever goes on without a turn does no harm: an inactive
/// revision may be left.
const WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Turns([Mutex<()>; TURNS]);

impl Turns {
    /// The turn at this campaign, as long as it is held; `None` where that takes too long.
    pub(super) async fn at(&self, campaign: &str) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        campaign.hash(&mut hasher);
        let turn = &self.0[(hasher.finish() % TURNS as u64) as usize];
        tokio::time::timeout(WAIT, turn.lock()).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_after_the_other() {
        let turns = Turns::default();
        let first = turns.at("spring").await;
        assert!(first.is_some());
        assert!(turns.at("spring").now_or_never().is_none(), "it waits");
        drop(first);
        assert!(turns.at("spring").await.is_some());
    }
}
