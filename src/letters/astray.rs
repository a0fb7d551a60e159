//! Copies astray: letters that wait to be tried again, and whose record Kafka does not hold any more, because its topic
//! was trimmed or made anew. A lander sends them again.
//!
//! The copy is acknowledged before the letter's row says that it waits. So once landing has passed whatever the topics
//! held after the row was read, the copy was tried, and the row says so; a row that is as it was has no copy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use super::headers;
use super::metrics::Metrics;
use super::replay::{Replayer, forward};
use super::route::{Route, what_is_wrong};
use crate::audit::AuditLine;
use crate::bus::{Forward, RetryTopic};
use crate::store::{Count, DeadLetter, LetterFilter, LetterMove, LetterOrder, Stage};

const LEASE: &str = "copies-astray";
const LEASE_MS: i64 = 60_000;
/// Between looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After something went wrong.
const TROUBLE_PAUSE: Duration = Duration::from_secs(30);
/// How long after its turn a letter is taken to wait still: landing is slow, or its partition is elsewhere.
const GRANT: Duration = Duration::from_secs(60);
/// Letters of one look.
const BATCH: u32 = 100;
/// In the audit trail.
const ACTION: &str = "dlt.send-again";

/// By topic and partition.
type Marks = BTreeMap<String, BTreeMap<i32, i64>>;

/// Sends letters again whose copy is gone. One lander does it for all.
pub struct Astray {
    pub replayer: Replayer,
    /// In the order in which a record goes through them.
    pub retries: Vec<RetryTopic>,
    /// Names this lander in the lease.
    pub owner: String,
    pub metrics: Metrics,
    watched: Option<Watched>,
}

/// Letters that have waited for too long, and what the topics held after they were read.
struct Watched {
    letters: Vec<DeadLetter>,
    marks: Marks,
}

impl Astray {
    pub fn new(replayer: Replayer, retries: Vec<RetryTopic>, owner: String, metrics: Metrics) -> Self {
        Self {
            replayer,
            retries,
            owner,
            metrics,
            watched: None,
        }
    }

    /// Looks again and again, until it is dropped.
    pub async fn run(mut self) {
        loop {
            let pause = match self.look().await {
                Ok(_) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "whether copies of dead letters are gone is not looked at for now"
                    );
                    TROUBLE_PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One look, where this lander has the right to; says how many letters were sent again.
    pub async fn look(&mut self) -> anyhow::Result<u64> {
        let Replayer { store, clock, .. } = &self.replayer;
        if !store.lease(LEASE, &self.owner, clock(), LEASE_MS).await? {
            self.watched = None;
            return Ok(0);
        }
        let watched = match self.watched.take() {
            Some(watched) => watched,
            None => match self.watch().await? {
                Some(watched) => watched,
                None => return Ok(0),
            },
        };
        if !self.is_passed(&watched.marks).await? {
            self.watched = Some(watched);
            return Ok(0);
        }
        let mut gone = Vec::new();
        for letter in watched.letters {
            let now = self.replayer.store.dead_letter(&letter.origin).await?;
            if now.is_some_and(|now| is_as_it_was(&letter, &now)) {
                gone.push(letter);
            }
        }
        if gone.is_empty() {
            return Ok(0);
        }
        self.send(&gone, &watched.marks).await?;
        Ok(gone.len() as u64)
    }

    /// Letters that should have been tried by now; `None` where there are none.
    async fn watch(&self) -> anyhow::Result<Option<Watched>> {
        let longest = self.retries.iter().map(|retry| retry.delay).max();
        let late = longest.unwrap_or_default() + GRANT;
        let filter = LetterFilter {
            stages: vec![Stage::Retry, Stage::Replayed],
            topics: self.replayer.targets.clone(),
            until: Some((self.replayer.clock)() - late.as_millis() as i64),
            ..LetterFilter::default()
        };
        let store = &self.replayer.store;
        let letters = store
            .first_dead_letters(&filter, LetterOrder::Oldest, BATCH)
            .await?;
        if letters.is_empty() {
            return Ok(None);
        }
        let producer = self.replayer.producer.as_ref().context("nothing to send with")?;
        let retries = self.retries.iter().map(|retry| &retry.name);
        let mut marks = Marks::new();
        for topic in self.replayer.targets.iter().chain(retries) {
            let held = producer.high_watermarks(topic).await?;
            marks.insert(topic.clone(), held);
        }
        Ok(Some(Watched { letters, marks }))
    }

    async fn is_passed(&self, marks: &Marks) -> anyhow::Result<bool> {
        for (topic, marks) in marks {
            let landed = self.replayer.store.offsets(topic).await?;
            let behind = |(partition, mark): (&i32, &i64)| {
                *mark > 0 && landed.get(partition).is_none_or(|offset| offset < mark)
            };
            if marks.iter().any(behind) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Recorded after Kafka's acknowledgement: what is interrupted is sent once more, and lands once.
    async fn send(&self, gone: &[DeadLetter], marks: &Marks) -> anyhow::Result<()> {
        let producer = self.replayer.producer.as_ref().context("nothing to send with")?;
        let records: Vec<Forward> = gone.iter().map(|letter| self.copy(letter, marks)).collect();
        let topics: Vec<String> = records.iter().map(|record| record.topic.clone()).collect();
        forward(&**producer, records).await?;
        let detail = |letter: &DeadLetter, topic: &str| json!({"stage": letter.stage.as_str(), "to": topic, "attempts": letter.attempts});
        let moves: Vec<LetterMove<'_>> = gone
            .iter()
            .zip(&topics)
            .map(|(letter, topic)| LetterMove {
                letter,
                to: letter.stage,
                repaired: None,
                count: Count::Keep,
                detail: detail(letter, topic),
            })
            .collect();
        let Replayer {
            store, clock, actor, ..
        } = &self.replayer;
        let moved = store
            .move_dead_letters(clock(), actor.by(), ACTION, &moves)
            .await?;
        for ((each, topic), moved) in moves.iter().zip(&topics).zip(moved) {
            let id = each.letter.origin.to_string();
            // A letter that is recorded as replayed is in the trail in any case.
            if !moved && each.to != Stage::Replayed {
                let line = AuditLine::new(clock(), actor.by(), ACTION, id.as_str(), each.detail.clone());
                store.audit(&[line]).await?;
            }
            self.metrics.sent_again.inc();
            tracing::warn!(
                letter = id,
                stage = each.letter.stage.as_str(),
                to = topic,
                "Kafka does not hold the record of a letter that waits any more: it was sent again"
            );
        }
        Ok(())
    }

    /// As it was lost: one that is tried again waits in the topic of its attempt, with what was wrong; one that was
    /// replayed begins anew.
    fn copy(&self, letter: &DeadLetter, marks: &Marks) -> Forward {
        let back = headers::record(letter, None, &self.replayer.group);
        let level = usize::try_from(letter.attempts - 1).unwrap_or(0);
        let retry = self.retries.get(level).or(self.retries.last());
        let partitions = |retry: &RetryTopic| -> BTreeSet<i32> {
            marks
                .get(&retry.name)
                .map_or_else(BTreeSet::new, |marks| marks.keys().copied().collect())
        };
        match retry.map(|retry| (retry, partitions(retry))) {
            Some((retry, partitions)) if letter.stage == Stage::Retry && !partitions.is_empty() => {
                let topic = retry.name.clone();
                let mut copy = Route::Retry { topic, partitions }.turn(letter, back);
                copy.headers.extend(what_is_wrong(letter));
                copy
            }
            _ => back,
        }
    }
}

fn is_as_it_was(letter: &DeadLetter, now: &DeadLetter) -> bool {
    (letter.stage, letter.attempts, letter.changed_at) == (now.stage, now.attempts, now.changed_at)
}
