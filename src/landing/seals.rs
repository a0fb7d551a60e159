//! Looks at the seals of what was polled: what none of ours wrote is set apart, and what cannot be told yet waits.
//!
//! A seal that is wrong, or missing where there has to be one, makes a record a forged one: it is passed over, however
//! many there are, and the guard does not hear of it. A key that is in use somewhere and not here keeps the partition
//! waiting: the record may well be an order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{Batch, Sorted};
use super::figures::Awaits;
use super::wait::{Backoff, End};
use super::{Config, Landing};
use crate::bus::sealed::{self, Seal};
use crate::bus::{Record, Slice};
use crate::seal::Keyring;
use crate::store::{CutOver, DeadRecord, FORGED_PAYLOAD_BYTES_MAX, KeyRow, StoreResult};

/// Where nothing can be verified, the cut-over is looked up this often: it is a matter of days.
const LOOK_UP_EVERY: Duration = Duration::from_secs(5);

/// What landing verifies records with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SealConfig {
    /// Without them no seal can be verified.
    pub keys: Option<Arc<Keyring>>,
    /// Every record has to carry a seal, whatever the database says of a cut-over.
    pub only: bool,
}

/// What the database says of seals.
#[derive(Debug, Default)]
pub(super) struct Stored {
    cut_over: Option<CutOver>,
    keys: Vec<KeyRow>,
    read_at: Option<Instant>,
}

/// What becomes of a record.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Sealed,
    Unsealed,
    Forged(String),
    /// Its key is in use and not here.
    Waits(String),
}

fn verdict(config: &Config, stored: &Stored, partition: i32, offset: i64, seal: Seal) -> Verdict {
    let covers = |cut_over: &CutOver| cut_over.covers(&config.topic, partition, offset);
    match seal {
        Seal::Genuine => Verdict::Sealed,
        Seal::Missing if config.seal.only || stored.cut_over.as_ref().is_some_and(covers) => {
            Verdict::Forged("it carries no seal".to_owned())
        }
        Seal::Missing => Verdict::Unsealed,
        Seal::Wrong(why) => Verdict::Forged(why.to_owned()),
        Seal::UnknownKey(id) => match stored.keys.iter().find(|key| key.id == id) {
            None => Verdict::Forged(format!("its seal names key {id}, which none of ours ever used")),
            Some(key) if key.retired_at.is_some() => {
                Verdict::Forged(format!("its seal names key {id}, which is retired"))
            }
            Some(_) => Verdict::Waits(id),
        },
    }
}

/// Sets apart what is forged, and cuts the slice off at the first record that waits: its offset and key.
fn sort(
    config: &Config,
    stored: &Stored,
    mut slice: Slice,
    seals: Vec<Seal>,
) -> (Sorted, Option<(i64, String)>) {
    let (mut unsealed, mut forged, mut waits) = (Vec::new(), Vec::new(), None);
    let mut records = Vec::with_capacity(slice.records.len());
    for (record, seal) in std::mem::take(&mut slice.records).into_iter().zip(seals) {
        match verdict(config, stored, slice.partition, record.offset, seal) {
            Verdict::Sealed => {}
            Verdict::Unsealed => unsealed.push(record.offset),
            Verdict::Forged(why) => {
                forged.push(kept_of(&record, why));
                continue;
            }
            Verdict::Waits(key) => {
                waits = Some((record.offset, key));
                slice.next = record.offset;
                break;
            }
        }
        records.push(record);
    }
    slice.records = records;
    let sorted = Sorted {
        slice,
        unsealed,
        forged,
    };
    (sorted, waits)
}

/// Its headers are as little to be believed as the rest: its place is the one it was read from, and it is no order.
fn kept_of(record: &Record, error: String) -> DeadRecord {
    DeadRecord {
        offset: record.offset,
        key: record.key.clone(),
        payload: record.payload[..record.payload.len().min(FORGED_PAYLOAD_BYTES_MAX)].to_vec(),
        class: "forged",
        error,
        recorded_at: (record.timestamp > 0).then_some(record.timestamp),
        ..DeadRecord::default()
    }
}

impl Landing {
    /// What is to be landed of these slices; partitions that wait are held.
    pub(super) fn sort_out(&mut self, slices: Vec<Slice>) -> Result<Vec<Sorted>, End> {
        let keys = self.config.seal.keys.clone();
        let seals = |slice: &Slice| -> Vec<Seal> {
            let read = |record| sealed::read(keys.as_deref(), &self.config.topic, slice.partition, record);
            slice.records.iter().map(read).collect()
        };
        let seals: Vec<Vec<Seal>> = slices.iter().map(seals).collect();
        let doubt = |seal: &Seal| matches!(seal, Seal::Missing | Seal::UnknownKey(_));
        if seals.iter().flatten().any(doubt) {
            self.look_up_seals(seals.iter().flatten().any(|seal| *seal != Seal::Missing))?;
        }
        let mut sorted = Vec::with_capacity(slices.len());
        for (slice, seals) in slices.into_iter().zip(seals) {
            let partition = slice.partition;
            let (part, waits) = sort(&self.config, &self.stored_seals, slice, seals);
            if let Some((offset, key)) = waits {
                let what = format!("key {key} of its seal is in use and not among seal.keys of this lander");
                self.await_at(partition, offset, Awaits::Key, &what);
            } else {
                self.figures.awaits_no_more(partition, Awaits::Key);
            }
            self.figures.unsealed(part.unsealed.len());
            if part.slice.from < part.slice.next {
                sorted.push(part);
            }
        }
        Ok(sorted)
    }

    /// Looks again at those records of a batch that fail and carry no seal: what is forged by now leaves it.
    pub(super) fn sort_out_again(&mut self, batch: &mut Batch) -> Result<(), End> {
        if batch.poison().all(|poisoned| poisoned.sealed) {
            return Ok(());
        }
        self.look_up_seals(false)?;
        let (config, stored) = (&self.config, &self.stored_seals);
        batch.set_apart(|partition, record| {
            match verdict(config, stored, partition, record.offset, Seal::Missing) {
                Verdict::Forged(why) => Some(kept_of(record, why)),
                _ => None,
            }
        });
        Ok(())
    }

    /// Leaves a partition alone for a while, from this record on, and tells somebody, once.
    pub(super) fn await_at(&mut self, partition: i32, offset: i64, awaits: Awaits, what: &str) {
        self.consumer.hold(partition, offset, self.config.recheck);
        if self.figures.awaits(partition, awaits) {
            tracing::error!(
                topic = self.config.topic,
                partition,
                offset,
                what,
                "a partition waits for what its next record needs; nothing is skipped"
            );
        }
    }

    /// A key is written down before its first record, so whoever reads the keys after the record knows them all.
    fn look_up_seals(&mut self, now: bool) -> Result<(), End> {
        let recent = |at: Instant| at.elapsed() < LOOK_UP_EVERY;
        let blind = self.config.seal.keys.is_none() && !now;
        if self.config.seal.only || (blind && self.stored_seals.read_at.is_some_and(recent)) {
            return Ok(());
        }
        let mut backoff = Backoff::default();
        loop {
            let store = self.store.clone();
            let asked = async { StoreResult::Ok((store.cut_over().await?, store.seal_keys().await?)) };
            match self.drive(asked)? {
                Ok((cut_over, keys)) => {
                    let read_at = Some(Instant::now());
                    self.stored_seals = Stored {
                        cut_over,
                        keys,
                        read_at,
                    };
                    return Ok(());
                }
                Err(error) => self.trouble("landing waits for the database", error.to_string()),
            }
            self.wait(backoff.next())?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Stored {
        let key = |id: &str, retired_at| KeyRow {
            id: id.into(),
            check_value: String::new(),
            first_used_at: 1,
            retired_at,
        };
        Stored {
            cut_over: Some(CutOver {
                decided_at: 1,
                from: [(("o".to_owned(), 2), 10)].into(),
            }),
            keys: vec![key("new", None), key("old", Some(5))],
            read_at: None,
        }
    }

    fn config(only: bool) -> Config {
        Config {
            topic: "o".into(),
            seal: SealConfig { keys: None, only },
            ..Config::default()
        }
    }

    #[test]
    fn records_without_a_seal_are_taken_up_to_the_cut_over() {
        let missing = |config: &Config, stored: &Stored, partition, offset| {
            verdict(config, stored, partition, offset, Seal::Missing)
        };
        let forged = Verdict::Forged("it carries no seal".into());
        assert_eq!(
            missing(&config(false), &Stored::default(), 2, 99),
            Verdict::Unsealed
        );
        assert_eq!(missing(&config(false), &stored(), 2, 9), Verdict::Unsealed);
        assert_eq!(missing(&config(false), &stored(), 2, 10), forged);
        assert_eq!(
            missing(&config(false), &stored(), 3, 0),
            forged,
            "a partition of later"
        );
        assert_eq!(missing(&config(true), &Stored::default(), 2, 0), forged);
    }

    #[test]
    fn only_a_key_that_is_in_use_is_waited_for() {
        let of = |id: &str| verdict(&config(false), &stored(), 2, 0, Seal::UnknownKey(id.into()));
        assert_eq!(of("new"), Verdict::Waits("new".into()));
        assert!(matches!(of("old"), Verdict::Forged(why) if why.contains("retired")));
        assert!(matches!(of("invented"), Verdict::Forged(why) if why.contains("none of ours")));
    }

    #[test]
    fn a_slice_ends_before_what_waits_and_forged_records_hold_nothing() {
        let record = |offset| Record {
            offset,
            key: b"k".to_vec(),
            payload: vec![0; FORGED_PAYLOAD_BYTES_MAX + 1],
            headers: Vec::new(),
            timestamp: -3,
        };
        let slice = Slice {
            partition: 2,
            from: 7,
            next: 12,
            records: (7..12).map(record).collect(),
        };
        let seals = vec![
            Seal::Genuine,
            Seal::Wrong("no"),
            Seal::Missing,
            Seal::UnknownKey("new".into()),
            Seal::Genuine,
        ];
        let (sorted, waits) = sort(&config(false), &stored(), slice, seals);
        assert_eq!(waits, Some((10, "new".into())));
        let offsets: Vec<i64> = sorted.slice.records.iter().map(|record| record.offset).collect();
        assert_eq!(
            (offsets, sorted.slice.next, sorted.unsealed),
            (vec![7, 9], 10, vec![9])
        );
        let forged = &sorted.forged[0];
        assert_eq!((forged.offset, &forged.order, &forged.origin), (8, &None, &None));
        assert_eq!(
            (forged.payload.len(), forged.recorded_at),
            (FORGED_PAYLOAD_BYTES_MAX, None)
        );
    }
}
