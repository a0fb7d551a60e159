//! Replays dead letters: back to the topic they came from, same key, same partition, in order of origin.
//!
//! A letter is recorded as replayed only after Kafka's acknowledgement. Whatever interrupts the work, the next
//! run goes on with the letters that are not recorded yet; one that was sent and not recorded is sent again, and
//! landing knows its order by its id.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::headers;
use super::route::Route;
use crate::audit::{Asker, AuditLine};
use crate::bus::{Forward, Producer};
use crate::failpoint::{self, Point};
use crate::order::OrderEvent;
use crate::store::{Count, DeadLetter, LetterMove, Stage, Store};

/// Records on their way at a time: what is sent again at most after an interruption.
const BATCH_MAX: u32 = 100;
/// Batches per second that a low rate is spread over.
const BATCHES_PER_SECOND: u32 = 10;

/// A letter, and what is sent instead of its payload.
#[derive(Clone, Debug)]
pub struct Item {
    pub letter: DeadLetter,
    pub repaired: Option<(Vec<u8>, OrderEvent)>,
}

impl From<DeadLetter> for Item {
    fn from(letter: DeadLetter) -> Self {
        Self {
            letter,
            repaired: None,
        }
    }
}

/// What is to become of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Disposition {
    Send,
    /// Replayed often enough.
    Park,
    /// Not from here; the text says why.
    Refuse(String),
}

/// What a replay did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub replayed: u64,
    /// Sent to a topic that landing does not read.
    pub copied: u64,
    /// To be sent later.
    pub scheduled: u64,
    pub parked: u64,
    /// Of the replayed ones: those that landing had moved on before they could be recorded.
    pub overtaken: u64,
}

/// Replays what it is given.
#[derive(Clone)]
pub struct Replayer {
    pub store: Store,
    /// `None` for a trial: nothing is sent or recorded.
    pub producer: Option<Arc<dyn Producer>>,
    /// Topics a record may be sent to.
    pub targets: Vec<String>,
    /// The landers' consumer group, for the headers.
    pub group: String,
    /// For the audit trail.
    pub actor: Asker,
    /// `dlt.replay`, `dlt.import` or `dlt.redrive`.
    pub action: &'static str,
    /// Records per second.
    pub rate: u32,
    pub max_replays: u32,
    /// Takes parked and replayed letters too.
    pub force: bool,
    pub route: Route,
    /// Whether a replay counts as one of `max_replays`; that of a probe does not.
    pub counts: bool,
    /// Now, milliseconds since 1970-01-01 UTC.
    pub clock: fn() -> i64,
}

impl Replayer {
    fn disposition(&self, item: &Item) -> Disposition {
        let letter = &item.letter;
        let id = &letter.origin;
        if self.route.is_copy() {
            return Disposition::Send;
        }
        if !self.targets.contains(&id.topic) {
            let known = self.targets.join(", ");
            return Disposition::Refuse(format!(
                "{id} came from topic {:?}; only orders topics are written to: {known}",
                id.topic
            ));
        }
        let often = letter.replays >= i64::from(self.max_replays);
        match letter.stage {
            // A repaired payload is another record: earlier replays say nothing about it.
            Stage::Dead if often && !self.force && item.repaired.is_none() => Disposition::Park,
            Stage::Dead => Disposition::Send,
            Stage::Parked if self.force || item.repaired.is_some() => Disposition::Send,
            Stage::Retry | Stage::Replayed | Stage::Forged if self.force => Disposition::Send,
            Stage::Parked => Disposition::Refuse(format!(
                "{id} is parked after {} replays: give --stage parked --force to replay it once more",
                letter.replays
            )),
            Stage::Replayed => Disposition::Refuse(format!(
                "{id} was replayed and has not come back: give --stage replayed --force if its record is gone"
            )),
            Stage::Retry => Disposition::Refuse(format!(
                "{id} waits in a retry topic and is tried again by itself: give --stage retry --force if its record is gone"
            )),
            Stage::Discarded => Disposition::Refuse(format!(
                "{id} was discarded: its order was given up for good, and what it held may be sold by now"
            )),
            Stage::Forged => Disposition::Refuse(format!(
                "{id} carries no seal of ours, and a replay would seal it: look at it, and give --stage forged --force \
                 if it is an order all the same"
            )),
            Stage::Landed => Disposition::Refuse(format!("{id} has landed: there is nothing to replay")),
        }
    }

    /// Which of a batch are sent later, and which are parked.
    fn to_schedule<'a>(&self, items: &'a [Item]) -> anyhow::Result<(Vec<&'a Item>, Vec<&'a Item>)> {
        let (mut send, mut park) = (Vec::new(), Vec::new());
        for item in items {
            match self.disposition(item) {
                Disposition::Send if matches!(item.letter.stage, Stage::Retry | Stage::Replayed) => {
                    bail!(
                        "{} is on its way already: --delay is for dead and parked letters",
                        item.letter.origin
                    )
                }
                Disposition::Send => send.push(item),
                Disposition::Park => park.push(item),
                Disposition::Refuse(why) => bail!(why),
            }
        }
        Ok((send, park))
    }

    /// When the record behind so many others is sent, of which the first is at `at`.
    fn moment(&self, at: i64, n: usize) -> i64 {
        at + n as i64 * 1000 / i64::from(self.rate)
    }

    /// What [`Self::schedule`] would do.
    pub fn try_schedule(&self, items: &[Item], at: i64, report: &mut Report) -> anyhow::Result<i64> {
        let (send, park) = self.to_schedule(items)?;
        report.scheduled += send.len() as u64;
        report.parked += park.len() as u64;
        Ok(self.moment(at, send.len()))
    }

    /// Asks that a batch be sent from `at` on, milliseconds since 1970-01-01 UTC, no faster than the rate: the moment
    /// after the last one. The report is added to; one that moved on meanwhile is left to the next run. Nothing is sent here.
    pub async fn schedule(&self, items: &[Item], at: i64, report: &mut Report) -> anyhow::Result<i64> {
        let (send, park) = self.to_schedule(items)?;
        self.park(&park, report).await?;
        let asked: Vec<(&DeadLetter, i64)> = send
            .iter()
            .enumerate()
            .map(|(n, item)| (&item.letter, self.moment(at, n)))
            .collect();
        let (now, to) = ((self.clock)(), self.route.topic());
        let done = self
            .store
            .schedule_dead_letters(now, self.actor.by(), &asked, to)
            .await?;
        report.scheduled += done.iter().filter(|done| **done).count() as u64;
        report.overtaken += done.iter().filter(|done| !**done).count() as u64;
        Ok(self.moment(at, send.len()))
    }

    /// Records of one batch at most.
    pub fn batch(&self) -> u32 {
        (self.rate / BATCHES_PER_SECOND).clamp(1, BATCH_MAX)
    }

    /// Replays a batch; the report is added to. Waits as long as the rate asks for since `paced`.
    pub async fn replay(
        &self,
        items: &[Item],
        paced: &mut Instant,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let (mut send, mut park) = (Vec::new(), Vec::new());
        for item in items {
            match self.disposition(item) {
                Disposition::Send => send.push(item),
                Disposition::Park => park.push(item),
                Disposition::Refuse(why) => bail!(why),
            }
        }
        let Some(producer) = &self.producer else {
            self.sent(send.len(), report);
            report.parked += park.len() as u64;
            return Ok(());
        };
        self.park(&park, report).await?;
        if send.is_empty() {
            return Ok(());
        }
        sleep_until(*paced).await;
        *paced = Instant::now() + Duration::from_secs(1) * send.len() as u32 / self.rate;
        if let Route::Copy { topic } = &self.route {
            self.note_copies(&send, topic).await?;
        } else {
            let repairs = send.iter().filter_map(|item| {
                let (payload, event) = item.repaired.as_ref()?;
                Some((&item.letter, payload.as_slice(), event))
            });
            let (now, by) = ((self.clock)(), self.actor.by());
            self.store
                .repair_dead_letters(now, by, &repairs.collect::<Vec<_>>())
                .await?;
        }
        failpoint::hit(Point::D1);
        self.send(&**producer, &send).await?;
        failpoint::hit(Point::D2);
        self.sent(send.len(), report);
        if self.route.is_copy() {
            return Ok(());
        }
        let moves: Vec<LetterMove<'_>> = send.iter().map(|item| self.replayed(item)).collect();
        let moved = self.record(&moves).await.with_context(|| {
            format!(
                "{} records were sent and could not be recorded as replayed; run it again, duplicates do no harm",
                send.len()
            )
        })?;
        report.overtaken += moved.iter().filter(|moved| !**moved).count() as u64;
        Ok(())
    }

    fn sent(&self, records: usize, report: &mut Report) {
        match self.route.is_copy() {
            true => report.copied += records as u64,
            false => report.replayed += records as u64,
        }
    }

    /// Before they are made. A copy holds what a buyer ordered: who took it is worth knowing.
    async fn note_copies(&self, items: &[&Item], topic: &str) -> anyhow::Result<()> {
        let now = (self.clock)();
        let line = |item: &&Item| {
            let id = item.letter.origin.to_string();
            AuditLine::new(now, self.actor.by(), "dlt.copy", id, json!({"to": topic}))
        };
        let lines: Vec<AuditLine<'_>> = items.iter().map(line).collect();
        Ok(self.store.audit(&lines).await?)
    }

    async fn send(&self, producer: &dyn Producer, items: &[&Item]) -> anyhow::Result<()> {
        let record = |item: &&Item| -> Forward {
            let repaired = item.repaired.as_ref().map(|(payload, _)| payload.as_slice());
            let back = headers::record(&item.letter, repaired, &self.group);
            self.route.turn(&item.letter, back)
        };
        forward(producer, items.iter().map(record).collect())
            .await
            .with_context(|| {
                let (first, last) = (&items[0].letter.origin, &items[items.len() - 1].letter.origin);
                format!("the records from {first} to {last} may or may not be in the topic; run it again")
            })
    }

    async fn park(&self, items: &[&Item], report: &mut Report) -> anyhow::Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        let why = |item: &Item| json!({"replays": item.letter.replays, "max_replays": self.max_replays});
        let moves = items.iter().map(|item| LetterMove {
            letter: &item.letter,
            to: Stage::Parked,
            repaired: None,
            count: Count::Keep,
            detail: why(item),
        });
        let moves: Vec<_> = moves.collect();
        let now = (self.clock)();
        let moved = self
            .store
            .move_dead_letters(now, self.actor.by(), "dlt.park", &moves)
            .await?;
        report.parked += moved.iter().filter(|moved| **moved).count() as u64;
        Ok(())
    }

    fn replayed<'a>(&self, item: &'a Item) -> LetterMove<'a> {
        let letter = &item.letter;
        let mut detail = json!({
            "stage": letter.stage.as_str(),
            "class": letter.class,
            "replay": letter.replays + i64::from(self.counts),
            "forced": self.force,
        });
        if let Some(topic) = self.route.topic() {
            detail["to"] = topic.into();
        }
        if !self.counts {
            detail["probe"] = true.into();
        }
        let repaired = item.repaired.as_ref().map(|(payload, event)| {
            detail["payload_before"] = digest(&letter.payload).into();
            detail["payload_after"] = digest(payload).into();
            (payload.as_slice(), event)
        });
        LetterMove {
            letter,
            to: Stage::Replayed,
            repaired,
            count: if self.counts { Count::Add } else { Count::Keep },
            detail,
        }
    }

    async fn record(&self, moves: &[LetterMove<'_>]) -> anyhow::Result<Vec<bool>> {
        let now = (self.clock)();
        Ok(self
            .store
            .move_dead_letters(now, self.actor.by(), self.action, moves)
            .await?)
    }
}

/// Returns once the bus has the records.
pub(super) async fn forward(producer: &dyn Producer, records: Vec<Forward>) -> anyhow::Result<()> {
    let (answer, acknowledged) = oneshot::channel();
    // Whoever waited may be gone: then nobody records it, and the next run sends it again.
    producer.forward(records, Box::new(move |result| drop(answer.send(result))));
    let result = acknowledged
        .await
        .context("the producer ended without an answer")?;
    Ok(result?)
}

fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}
