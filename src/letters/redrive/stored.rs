//! Dead letters as landing's re-drive needs them: a lease in the database, a probe, and the replay of the next few.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{DeadLetters, Fate};
use crate::letters::replay::{Item, Replayer, Report};
use crate::record::LetterId;
use crate::store::{DeadLetter, LetterFilter, LetterOrder, ReplayMatch, Stage};

const LEASE: &str = "redrive";
/// Longer than a look may take, which is what keeps two landers from replaying the same letters.
const LEASE_MS: i64 = 30_000;

/// Dead letters of some classes, replayed by themselves.
pub struct StoredLetters {
    pub replayer: Replayer,
    /// Names this lander in the lease.
    pub owner: String,
    pub classes: Vec<String>,
}

impl StoredLetters {
    /// Letters of a class that have been dead for `quiet`, those first that failed longest ago: one that fails again
    /// goes to the end, so that a letter which will never land keeps no other from being tried.
    async fn oldest(
        &self,
        class: &str,
        most: u32,
        quiet: Duration,
        replays_below: Option<i64>,
    ) -> anyhow::Result<Vec<DeadLetter>> {
        let filter = LetterFilter {
            classes: vec![class.to_owned()],
            stages: vec![Stage::Dead],
            until: Some((self.replayer.clock)() - quiet.as_millis() as i64),
            // A record of a topic that is none of ours is left to people.
            topics: self.replayer.targets.clone(),
            replays_below,
            // Somebody wants it later.
            replay: ReplayMatch::None,
            ..LetterFilter::default()
        };
        let store = &self.replayer.store;
        let mut letters = store
            .first_dead_letters(&filter, LetterOrder::Oldest, most)
            .await?;
        letters.sort_by(|one, other| one.origin.cmp(&other.origin));
        Ok(letters)
    }

    async fn send(&self, replayer: &Replayer, letters: Vec<DeadLetter>) -> anyhow::Result<Vec<LetterId>> {
        let most = i64::from(replayer.max_replays);
        let sent = letters
            .iter()
            .filter(|letter| letter.replays < most)
            .map(|letter| letter.origin.clone())
            .collect();
        let items: Vec<Item> = letters.into_iter().map(Item::from).collect();
        let (mut paced, mut report) = (Instant::now(), Report::default());
        replayer.replay(&items, &mut paced, &mut report).await?;
        Ok(sent)
    }

    async fn probe_one(&self, class: &str, quiet: Duration) -> anyhow::Result<Option<LetterId>> {
        let most = i64::from(self.replayer.max_replays);
        let letters = self.oldest(class, 1, quiet, Some(most)).await?;
        let replayer = Replayer {
            counts: false,
            ..self.replayer.clone()
        };
        Ok(self.send(&replayer, letters).await?.pop())
    }

    async fn replay_some(&self, class: &str, most: u32, quiet: Duration) -> anyhow::Result<Vec<LetterId>> {
        let letters = self.oldest(class, most, quiet, None).await?;
        self.send(&self.replayer, letters).await
    }

    async fn read_fates(&self, letters: &[LetterId]) -> anyhow::Result<Vec<Fate>> {
        let stages = self.replayer.store.dead_letter_stages(letters).await?;
        let fate = |stage| match stage {
            Some(Stage::Landed) => Fate::Landed,
            Some(Stage::Replayed) => Fate::Open,
            // In a retry topic it may land yet; that it is there says that it failed.
            Some(Stage::Retry | Stage::Dead | Stage::Parked | Stage::Discarded | Stage::Forged) | None => {
                Fate::Failed
            }
        };
        Ok(stages.into_iter().map(fate).collect())
    }
}

fn told<T>(answer: anyhow::Result<T>) -> Result<T, String> {
    answer.map_err(|error| format!("{error:#}"))
}

impl DeadLetters for StoredLetters {
    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn hold(&self) -> BoxFuture<'_, Result<bool, String>> {
        let now = (self.replayer.clock)();
        let lease = self.replayer.store.lease(LEASE, &self.owner, now, LEASE_MS);
        async { lease.await.map_err(|error| error.to_string()) }.boxed()
    }

    fn probe<'a>(
        &'a self,
        class: &'a str,
        quiet: Duration,
    ) -> BoxFuture<'a, Result<Option<LetterId>, String>> {
        async move { told(self.probe_one(class, quiet).await) }.boxed()
    }

    fn replay<'a>(
        &'a self,
        class: &'a str,
        most: u32,
        quiet: Duration,
    ) -> BoxFuture<'a, Result<Vec<LetterId>, String>> {
        async move { told(self.replay_some(class, most, quiet).await) }.boxed()
    }

    fn fates<'a>(&'a self, letters: &'a [LetterId]) -> BoxFuture<'a, Result<Vec<Fate>, String>> {
        async move { told(self.read_fates(letters).await) }.boxed()
    }
}
