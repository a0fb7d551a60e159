//! Moving what does not land: to the next retry topic, or to the dead letters. An order of a record of many goes on alone,
//! as the JSON that records of one order are: with its receipt, so that everybody who deals with letters reads it.
//!
//! First the copies are acknowledged by all replicas, then one transaction moves the offsets and writes the rows.
//! Whoever dies in between leaves copies that will be made again; orders are known by their id, so none lands twice.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::batch::{Batch, Class, Form, Poisoned, record_id};
use super::wait::{Backoff, End, PAUSE_FROM};
use super::{Config, Landing};
use crate::bus::origin::{self, Move, Origin};
use crate::bus::{BusError, Forward};
use crate::campaign::check_id;
use crate::clock::now_ms;
use crate::failpoint::{self, Point};
use crate::needs::TakenOrders;
use crate::order::{OrderEvent, check_sku};
use crate::record::DeadRecord;
use crate::store::Landed;

/// Bytes of an error kept with a record.
const ERROR_BYTES_MAX: usize = 1000;
/// Bytes of a payload that are copied to another topic: with its headers it has to fit into a message of 1 MB. No
/// order is as long; the database keeps the whole.
const COPY_BYTES_MAX: usize = 900_000;
/// Between looks at whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A record on its way: its copy, and its row.
#[derive(Debug, PartialEq)]
pub(super) struct Transfer {
    pub copy: Forward,
    pub dead: DeadRecord,
}

/// Decides where what fails goes, and what is kept of it.
pub(super) fn transfer(config: &Config, poisoned: Poisoned<'_>, now: i64) -> Transfer {
    let Poisoned {
        partition,
        at,
        record: polled,
        poison,
        sealed,
    } = poisoned;
    let record = polled.record;
    let (key, payload) = goes_on(&poisoned);
    let error = &poison.error[..poison.error.floor_char_boundary(ERROR_BYTES_MAX)];
    let known = Origin::read(&record.headers).map(|known| Origin {
        position: known.position.saturating_add(at.position),
        ..known
    });
    let origin = known.clone().unwrap_or_else(|| Origin {
        topic: config.topic.clone(),
        partition,
        offset: at.offset,
        position: at.position,
        timestamp: record.timestamp,
        group: config.group.clone(),
    });
    let retry = config.retry.as_ref().filter(|_| poison.class.retries());
    let how = Move {
        class: poison.class.as_str(),
        error,
        attempts: origin::attempts(&record.headers).saturating_add(1),
        due: retry.map(|retry| now + retry.delay.as_millis() as i64),
    };
    let target = retry.map_or(&config.dead_letters, |retry| &retry.name);
    let copied = payload.len().min(COPY_BYTES_MAX);
    let order = poison.event.clone();
    let is_named = |order: &OrderEvent| check_id(&order.campaign).is_ok() && check_sku(&order.sku).is_ok();
    Transfer {
        copy: Forward {
            topic: target.clone(),
            partition: Some(partition),
            key: key.to_vec(),
            payload: payload[..copied].to_vec(),
            headers: origin.moved(record, &how),
        },
        dead: DeadRecord {
            at,
            recorded_at: (origin.timestamp > 0).then_some(origin.timestamp),
            origin: known.map(|known| record_id(known, 0)),
            key: key.into_owned(),
            payload: payload.into_owned(),
            retry: retry.is_some(),
            class: poison.class.as_str(),
            error: error.to_owned(),
            attempts: how.attempts.into(),
            holds: may_hold(poison.class, sealed) && order.as_ref().is_some_and(is_named),
            order,
        },
    }
}

/// Key and payload of what goes on: the record as it is, or the one order of it. An order that cannot be read goes on in
/// a record of its own.
fn goes_on<'a>(poisoned: &Poisoned<'a>) -> (Cow<'a, [u8]>, Cow<'a, [u8]>) {
    let Poisoned {
        at, record, poison, ..
    } = *poisoned;
    let own = &record.record;
    match (&poison.event, &record.form) {
        (Some(event), Form::Many(_)) => (event.key().into_bytes().into(), event.encode().into()),
        _ => {
            let alone = record.alone(at.position).map(Cow::Owned);
            let payload = alone.unwrap_or(Cow::Borrowed(own.payload.as_slice()));
            (Cow::Borrowed(own.key.as_slice()), payload)
        }
    }
}

/// Whether a record that does not land may stand for an order that somebody was admitted with: what cannot have been
/// admitted holds no unit and no count, or one record would end a sale.
fn may_hold(class: Class, sealed: bool) -> bool {
    match class {
        Class::Invalid => false,
        Class::Implausible => sealed,
        _ => true,
    }
}

impl Landing {
    /// Moves everything of the batch that fails, and the offsets past it.
    pub(super) fn move_away(&mut self, batch: &mut Batch<'_>) -> Result<(Landed, TakenOrders), End> {
        let mut moved: BTreeMap<(Class, String), u64> = BTreeMap::new();
        let (mut copies, mut dead) = (Vec::new(), BTreeMap::<i32, Vec<DeadRecord>>::new());
        let at = now_ms();
        for poisoned in batch.poison() {
            let transfer = transfer(&self.config, poisoned, at);
            let Poisoned {
                partition,
                at,
                poison,
                ..
            } = poisoned;
            tracing::warn!(
                topic = self.config.topic,
                partition,
                offset = at.offset,
                position = at.position,
                to = transfer.copy.topic,
                class = poison.class.as_str(),
                attempts = transfer.dead.attempts,
                error = transfer.dead.error,
                "an order does not land and is moved"
            );
            *moved
                .entry((poison.class, transfer.copy.topic.clone()))
                .or_default() += 1;
            copies.push(transfer.copy);
            dead.entry(partition).or_default().push(transfer.dead);
        }
        self.check_partitions(&mut copies)?;
        self.send(&copies)?;
        failpoint::hit(Point::C4);
        batch.bury(dead);
        let (landed, taken) = self.write(batch)?;
        if landed.fenced.is_empty() {
            self.metrics.moved.add(moved);
        }
        Ok((landed, taken))
    }

    /// A topic with fewer partitions than the orders gets a record where its key belongs.
    fn check_partitions(&mut self, copies: &mut [Forward]) -> Result<(), End> {
        for copy in copies {
            let known = self.targets.get(&copy.topic);
            // It may have been given more since it was asked for.
            if !known.is_some_and(|known| copy.partition.is_none_or(|partition| known.contains(&partition))) {
                let partitions = self.partitions(&copy.topic)?;
                self.targets.insert(copy.topic.clone(), partitions);
            }
            let exists = |partition: &i32| self.targets[&copy.topic].contains(partition);
            copy.partition = copy.partition.filter(exists);
        }
        Ok(())
    }

    fn partitions(&mut self, topic: &str) -> Result<BTreeSet<i32>, End> {
        let producer = self.producer.clone();
        let asked = async || producer.high_watermarks(topic).await;
        let watermarks = self.persist("landing cannot move a record", asked)?;
        Ok(watermarks.into_keys().collect())
    }

    /// Sends copies, until all are acknowledged.
    fn send(&mut self, copies: &[Forward]) -> Result<(), End> {
        let mut backoff = Backoff::default();
        loop {
            let (sender, answer) = mpsc::channel();
            // A landing that was stopped no longer listens.
            let acknowledge = Box::new(move |result| drop(sender.send(result)));
            self.producer.forward(copies.to_vec(), acknowledge);
            match self.acknowledged(&answer)? {
                Ok(()) => return Ok(()),
                Err(error) => self.trouble("landing cannot move records", error.to_string()),
            }
            self.wait(backoff.next())?;
        }
    }

    fn acknowledged(
        &mut self,
        answer: &mpsc::Receiver<Result<(), BusError>>,
    ) -> Result<Result<(), BusError>, End> {
        let begun = Instant::now();
        loop {
            match answer.recv_timeout(LOOK_EVERY) {
                Ok(result) => return Ok(result),
                Err(RecvTimeoutError::Disconnected) => {
                    let unanswered = "the producer dropped them".to_owned();
                    return Ok(Err(BusError::Unacknowledged(unanswered)));
                }
                Err(RecvTimeoutError::Timeout) if begun.elapsed() < PAUSE_FROM => {
                    self.check_stop(Duration::ZERO)?;
                }
                Err(RecvTimeoutError::Timeout) => self.wait(PAUSE_FROM)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{Record, Topics};
    use crate::landing::batch::{Poison, Polled};

    fn config(delays: &str) -> Config {
        let topics = Topics::new("o", delays).expect("delays");
        Config {
            topic: "o".into(),
            retry: topics.retries.first().cloned(),
            dead_letters: topics.dead_letters,
            ..Config::default()
        }
    }

    fn poison(class: Class) -> Poison {
        Poison {
            class,
            error: "é".repeat(2000),
            event: None,
        }
    }

    fn moved(config: &Config, partition: i32, record: &Record, poison: &Poison, now: i64) -> Transfer {
        let poisoned = Poisoned {
            partition,
            at: record.offset.into(),
            record: &Polled::read(record),
            poison,
            sealed: true,
        };
        transfer(config, poisoned, now)
    }

    fn record() -> Record {
        Record {
            offset: 7,
            key: b"spring/ada".to_vec(),
            payload: vec![b'x'; COPY_BYTES_MAX + 10],
            headers: Vec::new(),
            timestamp: 5,
        }
    }

    #[test]
    fn what_may_succeed_later_goes_to_the_retry_topic_and_all_else_to_the_dead_letters() {
        let with = config("5s");
        for (class, config, topic, due) in [
            (Class::Failing, &with, "o.retry.5s", Some(5100)),
            (Class::Locked, &with, "o.retry.5s", Some(5100)),
            (Class::Refused, &with, "o.dlt", None),
            (Class::Undecodable, &with, "o.dlt", None),
            (Class::Failing, &config(""), "o.dlt", None),
        ] {
            let made = moved(config, 3, &record(), &poison(class), 100);
            assert_eq!((made.copy.topic.as_str(), made.copy.partition), (topic, Some(3)));
            assert_eq!(origin::due(&made.copy.headers), due);
            assert_eq!((made.dead.retry, made.dead.attempts), (due.is_some(), 1));
        }
    }

    #[test]
    fn the_second_move_counts_on_and_keeps_the_first_origin() {
        let first = moved(&config("5s,30s"), 3, &record(), &poison(Class::Failing), 100);
        assert_eq!(first.dead.origin, None);
        let again = Record {
            offset: 99,
            payload: first.copy.payload,
            headers: first.copy.headers,
            ..record()
        };
        let second = moved(&config(""), 3, &again, &poison(Class::Failing), 200);
        assert_eq!(second.dead.attempts, 2);
        let origin = second.dead.origin.expect("it was elsewhere before");
        assert_eq!(
            (origin.topic.as_str(), origin.partition, origin.offset),
            ("o", 3, 7)
        );
        assert_eq!(second.dead.recorded_at, Some(5));
    }

    #[test]
    fn sizes_are_bounded() {
        let made = moved(&config(""), 0, &record(), &poison(Class::Undecodable), 0);
        assert_eq!(made.copy.payload.len(), COPY_BYTES_MAX);
        assert_eq!(made.dead.payload.len(), COPY_BYTES_MAX + 10);
        assert_eq!(made.dead.error.len(), ERROR_BYTES_MAX);
    }
}
