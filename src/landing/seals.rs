//! Looks at the seals of what was polled: what none of ours wrote is set apart, and what cannot be told yet waits.
//!
//! A seal that is wrong, or missing where there has to be one, makes a record a forged one: it is passed over, however
//! many there are, and the guard does not hear of it. A key that is in use somewhere and not here keeps the partition
//! waiting: the record may well be an order.
//!
//! A record of many orders has a seal as every record has, by whoever published it, and each of its orders has one by the
//! gateway that asked for it. An order whose own seal is wrong is forged for itself; the others have nothing to do with it.

use std::time::{Duration, Instant};

use super::batch::{Batch, Form, Polled, Sorted};
use super::book::CLOCKS_MS;
use super::state::Awaits;
use super::wait::End;
use super::{Config, Landing};
use crate::bus::origin::Origin;
use crate::bus::sealed::{self, Seal};
use crate::bus::{Record, Slice};
use crate::record::{At, DeadRecord, Payload};
use crate::seal::Keyring;
use crate::store::{CutOver, FORGED_PAYLOAD_BYTES_MAX, KeyRow, StoreResult};

/// Where nothing can be verified, the cut-over is looked up this often: it is a matter of days.
const LOOK_UP_EVERY: Duration = Duration::from_secs(5);

/// What the database says of seals.
#[derive(Debug, Default)]
pub(super) struct KnownSeals {
    cut_over: Option<CutOver>,
    keys: Vec<KeyRow>,
    read_at: Option<Instant>,
}

/// What the seals of a record say.
#[derive(Debug, PartialEq)]
struct Seals<'a> {
    record: Seal,
    /// `None`: its own seal says that it is not to be looked into.
    polled: Option<Polled<'a>>,
    /// By position; empty where the record's own is all there is to look at.
    orders: Vec<Seal>,
}

impl<'a> Seals<'a> {
    fn read(config: &Config, partition: i32, record: &'a Record) -> Self {
        let keys = config.seal.keys.as_deref();
        let own = sealed::read(keys, &config.topic, partition, record);
        // What landing moved it had looked at, and has signed again: keys of then may be retired by now.
        let is_moved = own == Seal::Genuine && Origin::read(&record.headers).is_some();
        let polled = matches!(own, Seal::Genuine | Seal::Missing).then(|| Polled::read(record));
        let looked_into = polled.as_ref().filter(|_| !is_moved);
        Self {
            orders: looked_into.map_or_else(Vec::new, |polled| of_orders(keys, polled, &own)),
            record: own,
            polled,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Seal> {
        std::iter::once(&self.record).chain(&self.orders)
    }
}

/// The seals of the orders of a record of many. One that cannot be read tells no more than the record's, and what it is
/// of is no order that can be read either.
fn of_orders(keys: Option<&Keyring>, polled: &Polled<'_>, own: &Seal) -> Vec<Seal> {
    let Form::Many(many) = &polled.form else {
        return Vec::new();
    };
    let scope = many.header.scope();
    let seal = |bytes: &&[u8]| Payload::read(bytes).map_or(own.clone(), |payload| payload.seal(&scope, keys));
    many.payloads.iter().map(seal).collect()
}

/// What becomes of a record, or of an order of one.
#[derive(Debug, PartialEq, Eq)]
enum Authenticity {
    Sealed,
    Unsealed,
    Forged(String),
    /// Its key is in use and not here.
    Waits(String),
}

fn authenticity(
    config: &Config,
    stored: &KnownSeals,
    partition: i32,
    offset: i64,
    seal: Seal,
) -> Authenticity {
    let covers = |cut_over: &CutOver| cut_over.covers(&config.topic, partition, offset);
    match seal {
        Seal::Genuine => Authenticity::Sealed,
        Seal::Missing if config.seal.only || stored.cut_over.as_ref().is_some_and(covers) => {
            Authenticity::Forged("it carries no seal".to_owned())
        }
        Seal::Missing => Authenticity::Unsealed,
        Seal::Wrong(why) => Authenticity::Forged(why.to_owned()),
        Seal::UnknownKey(id) => match stored.keys.iter().find(|key| key.id == id) {
            None => Authenticity::Forged(format!("its seal names key {id}, which none of ours ever used")),
            Some(key) if key.retired_at.is_some() => {
                Authenticity::Forged(format!("its seal names key {id}, which is retired"))
            }
            Some(_) => Authenticity::Waits(id),
        },
    }
}

/// The same for an order of a record that one of ours has published. One that was admitted before seals had to be carried, or
/// before its key was retired, may have waited in an outbox since.
fn authenticity_of_order(
    config: &Config,
    stored: &KnownSeals,
    place: (i32, i64),
    seal: Seal,
    at: i64,
) -> Authenticity {
    let has_waited = |end: i64| at <= end.saturating_add(CLOCKS_MS);
    let end = match &seal {
        Seal::Missing => stored.cut_over.as_ref().map(|cut_over| cut_over.decided_at),
        Seal::UnknownKey(id) => {
            let key = stored.keys.iter().find(|key| key.id == *id);
            key.and_then(|key| key.retired_at)
        }
        Seal::Genuine | Seal::Wrong(_) => None,
    };
    match end {
        Some(end) if !config.seal.only && has_waited(end) => Authenticity::Unsealed,
        _ => authenticity(config, stored, place.0, place.1, seal),
    }
}

/// Sets apart what is forged, and cuts the slice off at the first record that waits: its offset and key.
fn sort<'a>(
    config: &Config,
    stored: &KnownSeals,
    slice: &'a Slice,
    seals: Vec<Seals<'a>>,
) -> (Sorted<'a>, Option<(i64, String)>) {
    let mut sorted = Sorted {
        partition: slice.partition,
        from: slice.from,
        next: slice.next,
        records: Vec::with_capacity(slice.records.len()),
        unsealed: Vec::new(),
        forged: Vec::new(),
    };
    for (record, seals) in slice.records.iter().zip(seals) {
        let own = authenticity(config, stored, slice.partition, record.offset, seals.record);
        let own = match own {
            Authenticity::Forged(why) => {
                sorted.forged.push(kept_of(record, None, why));
                continue;
            }
            Authenticity::Waits(key) => return waits(sorted, record, key),
            own => own,
        };
        let polled = seals.polled.unwrap_or_else(|| Polled::read(record));
        match sort_orders(config, stored, (slice.partition, &polled), (own, seals.orders)) {
            Ok(told) => {
                sorted.unsealed.extend(told.unsealed);
                sorted.forged.extend(told.forged);
            }
            Err(key) => return waits(sorted, record, key),
        }
        sorted.records.push(polled);
    }
    (sorted, None)
}

/// The slice ends before a record that waits for a key.
fn waits<'a>(mut sorted: Sorted<'a>, record: &Record, key: String) -> (Sorted<'a>, Option<(i64, String)>) {
    sorted.next = record.offset;
    (sorted, Some((record.offset, key)))
}

/// What is told of a record's orders.
#[derive(Default)]
struct Told {
    unsealed: Vec<At>,
    forged: Vec<DeadRecord>,
}

/// Looks at each order of a record that is none of the forged ones; fails with the key that one of them waits for.
fn sort_orders(
    config: &Config,
    stored: &KnownSeals,
    (partition, polled): (i32, &Polled<'_>),
    (own, seals): (Authenticity, Vec<Seal>),
) -> Result<Told, String> {
    let offset = polled.offset();
    let admitted_at = match &polled.form {
        Form::Many(many) => many.header.at,
        Form::One | Form::Odd(_) => 0,
    };
    let mut told = Told::default();
    if seals.is_empty() && own == Authenticity::Unsealed {
        told.unsealed.push(offset.into());
    }
    for (position, seal) in (0..).zip(seals) {
        let at = At { offset, position };
        let found = match own {
            Authenticity::Sealed => {
                authenticity_of_order(config, stored, (partition, offset), seal, admitted_at)
            }
            _ => authenticity(config, stored, partition, offset, seal),
        };
        match found {
            Authenticity::Sealed if own == Authenticity::Sealed => {}
            // Whoever wrote the record may have invented all but the order.
            Authenticity::Sealed | Authenticity::Unsealed => told.unsealed.push(at),
            Authenticity::Forged(why) => {
                told.forged
                    .push(kept_of(polled.record, Some((position, polled)), why));
            }
            Authenticity::Waits(key) => return Err(key),
        }
    }
    Ok(told)
}

/// A record, or one order of it, that is forged. Its headers are as little to be believed as the rest: its place is the one
/// it was read from, and it is no order.
fn kept_of(record: &Record, order: Option<(u32, &Polled<'_>)>, error: String) -> DeadRecord {
    let alone = order.and_then(|(position, polled)| polled.alone(position));
    let payload = alone.as_ref().unwrap_or(&record.payload);
    DeadRecord {
        at: At {
            offset: record.offset,
            position: order.map_or(0, |(position, _)| position),
        },
        key: record.key.clone(),
        payload: payload[..payload.len().min(FORGED_PAYLOAD_BYTES_MAX)].to_vec(),
        class: "forged",
        error,
        recorded_at: (record.timestamp > 0).then_some(record.timestamp),
        ..DeadRecord::default()
    }
}

impl Landing {
    /// What is to be landed of these slices; partitions that wait are held.
    pub(super) fn sort_out<'a>(&mut self, slices: &'a [Slice]) -> Result<Vec<Sorted<'a>>, End> {
        let seals = |slice: &'a Slice| -> Vec<Seals<'a>> {
            let read = |record| Seals::read(&self.config, slice.partition, record);
            slice.records.iter().map(read).collect()
        };
        let seals: Vec<Vec<Seals<'a>>> = slices.iter().map(seals).collect();
        let each = || seals.iter().flatten().flat_map(Seals::all);
        let doubt = |seal: &Seal| matches!(seal, Seal::Missing | Seal::UnknownKey(_));
        if each().any(doubt) {
            let now = each().any(|seal| *seal != Seal::Missing);
            self.look_up_seals(now)?;
        }
        let mut sorted = Vec::with_capacity(slices.len());
        for (slice, seals) in slices.iter().zip(seals) {
            let partition = slice.partition;
            let (part, waits) = sort(&self.config, &self.stored_seals, slice, seals);
            if let Some((offset, key)) = waits {
                let what = format!("key {key} of its seal is in use and not among seal.keys of this lander");
                self.await_at(partition, offset, Awaits::Key, &what);
            } else {
                self.state.awaits_no_more(partition, Awaits::Key);
            }
            self.metrics.unsealed.inc_by(part.unsealed.len() as u64);
            if part.from < part.next {
                sorted.push(part);
            }
        }
        Ok(sorted)
    }

    /// Looks again at those orders of a batch that fail and carry no seal: what is forged by now leaves it.
    pub(super) fn sort_out_again(&mut self, batch: &mut Batch<'_>) -> Result<(), End> {
        if batch.poison().all(|poisoned| poisoned.sealed) {
            return Ok(());
        }
        self.look_up_seals(false)?;
        let (config, stored) = (&self.config, &self.stored_seals);
        let keys = config.seal.keys.as_deref();
        batch.set_apart(|partition, at, polled| {
            let record = polled.record;
            let order = polled.is_of_many().then_some((at.position, polled));
            // Whoever published it vouches for an order that has waited.
            let vouched = || sealed::read(keys, &config.topic, partition, record) == Seal::Genuine;
            if order.is_some() && vouched() {
                return None;
            }
            match authenticity(config, stored, partition, record.offset, Seal::Missing) {
                Authenticity::Forged(why) => Some(kept_of(record, order, why)),
                _ => None,
            }
        });
        Ok(())
    }

    /// Leaves a partition alone for a while, from this record on, and tells somebody, once.
    pub(super) fn await_at(&mut self, partition: i32, offset: i64, awaits: Awaits, what: &str) {
        self.consumer.hold(partition, offset, self.config.recheck);
        if self.state.awaits(partition, awaits) {
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
        let store = self.store.clone();
        let asked = async || StoreResult::Ok((store.cut_over().await?, store.seal_keys().await?));
        let (cut_over, keys) = self.persist("landing waits for the database", asked)?;
        self.stored_seals = KnownSeals {
            cut_over,
            keys,
            read_at: Some(Instant::now()),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests;
