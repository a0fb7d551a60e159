//! Replays that somebody asked for at a later moment: a lander sends them once it has come.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;

use super::replay::{Item, Replayer, Report};
use super::route::Route;
use crate::store::{LetterFilter, LetterOrder, ReplayMatch, Stage};

const LEASE: &str = "scheduled-replays";
const LEASE_MS: i64 = 60_000;
/// Between looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After something went wrong.
const TROUBLE_PAUSE: Duration = Duration::from_secs(30);
/// Letters of one look.
const BATCH: u32 = 100;

/// Sends replays that are due. One lander does it for all.
pub struct Scheduled {
    pub replayer: Replayer,
    /// Topics that records may wait in, besides those they came from.
    pub retries: Vec<String>,
    /// Names this lander in the lease.
    pub owner: String,
}

impl Scheduled {
    /// Looks again and again, until it is dropped.
    pub async fn run(self) {
        loop {
            let pause = match self.look().await {
                Ok(0) => LOOK_EVERY,
                Ok(replayed) => {
                    tracing::info!(replayed, "dead letters replayed at the time that was asked for");
                    LOOK_EVERY
                }
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "replays that are due wait");
                    TROUBLE_PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends what is due; says how many.
    pub async fn look(&self) -> anyhow::Result<u64> {
        let Replayer { store, clock, .. } = &self.replayer;
        if !store.lease(LEASE, &self.owner, clock(), LEASE_MS).await? {
            return Ok(0);
        }
        let filter = LetterFilter {
            stages: vec![Stage::Dead, Stage::Parked],
            topics: self.replayer.targets.clone(),
            replay: ReplayMatch::Due(clock()),
            ..LetterFilter::default()
        };
        let letters = store
            .first_dead_letters(&filter, LetterOrder::Origin, BATCH)
            .await?;
        let mut by_target: BTreeMap<Option<String>, Vec<Item>> = BTreeMap::new();
        for letter in letters {
            by_target
                .entry(letter.replay_to.clone())
                .or_default()
                .push(Item::from(letter));
        }
        let (mut report, mut wrong) = (Report::default(), None);
        for (topic, items) in by_target {
            // What one topic refuses does not keep the others.
            if let Err(error) = self.send(topic, &items, &mut report).await {
                wrong = Some(error);
            }
        }
        match wrong {
            None => Ok(report.replayed),
            Some(error) => Err(error),
        }
    }

    async fn send(&self, topic: Option<String>, items: &[Item], report: &mut Report) -> anyhow::Result<()> {
        let route = match topic {
            None => Route::Back,
            Some(topic) if !self.retries.contains(&topic) => {
                anyhow::bail!(
                    "{topic} is no retry topic any more: schedule {} letters anew, with another --to or none",
                    items.len()
                );
            }
            Some(topic) => {
                let producer = self.replayer.producer.as_ref().context("nothing to send with")?;
                let partitions = producer.high_watermarks(&topic).await?.into_keys().collect();
                Route::Retry { topic, partitions }
            }
        };
        let replayer = Replayer {
            route,
            // Whoever asked for it has said so where that was needed.
            force: true,
            ..self.replayer.clone()
        };
        let mut paced = Instant::now();
        replayer.replay(items, &mut paced, report).await
    }
}
