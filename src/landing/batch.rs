//! The records of one poll on their way into the database: decoded, and those that fail kept apart. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::bus::origin::Origin;
use crate::bus::{Record, Slice};
use crate::order::{EventError, OrderEvent};
use crate::store::{self, DeadRecord, Failed, Landed, LandingSlice, StoreError, check_event};

/// Why a record does not land.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Its bytes are no order.
    Undecodable,
    /// An order as a newer build writes them.
    UnknownVersion,
    /// An order that no database of rushgate can hold.
    Invalid,
    /// An order that nobody can have been admitted with: its campaign or its revision says otherwise.
    Implausible,
    /// Another order has its id.
    Conflict,
    /// The database refuses one of its values.
    Refused,
    /// The database fails with it, for a reason of its own.
    Failing,
    /// Another transaction keeps its rows locked.
    Locked,
}

impl Class {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::UnknownVersion => "unknown-version",
            Self::Invalid => "invalid",
            Self::Implausible => "implausible",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Failing => "failing",
            Self::Locked => "locked",
        }
    }

    /// Whether a later attempt may succeed without anybody changing the record.
    pub fn retries(self) -> bool {
        matches!(self, Self::Failing | Self::Locked)
    }

    fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Refused(_) | StoreError::Conflict(_) => Self::Refused,
            StoreError::Contradiction(_) => Self::Conflict,
            StoreError::Locked(_) => Self::Locked,
            StoreError::Permanent(_) | StoreError::Transient(_) | StoreError::Unanswered(_) => Self::Failing,
        }
    }
}

/// A record that does not land.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Poison {
    pub class: Class,
    pub error: String,
    /// The order, where it is one.
    pub event: Option<OrderEvent>,
}

/// One partition's records: what is left of them to land, and those that fail, by offset.
#[derive(Debug)]
pub(super) struct Part {
    pub partition: i32,
    /// Without the forged ones.
    records: Vec<Record>,
    /// Offsets of those that carry no seal, ascending.
    unsealed: Vec<i64>,
    pub poison: BTreeMap<i64, Poison>,
}

impl Part {
    fn is_sealed(&self, offset: i64) -> bool {
        self.unsealed.binary_search(&offset).is_err()
    }
}

/// One partition's part of a poll, its seals looked at.
#[derive(Debug, PartialEq)]
pub(super) struct Sorted {
    /// Without the forged ones.
    pub slice: Slice,
    /// Offsets of records without a seal, ascending.
    pub unsealed: Vec<i64>,
    pub forged: Vec<DeadRecord>,
}

/// What is known of an order besides the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Plausible,
    Implausible(String),
    /// The database has no such campaign or revision, for now; the text names it.
    Unknown(String),
}

/// A record that fails, where it is, and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Poisoned<'a> {
    pub partition: i32,
    pub record: &'a Record,
    pub poison: &'a Poison,
    pub sealed: bool,
}

/// The records of one poll.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What the next transaction writes, in the order of `parts`.
    pub slices: Vec<LandingSlice>,
    pub parts: Vec<Part>,
}

impl Batch {
    pub fn decode(sorted: Vec<Sorted>) -> Self {
        let mut batch = Self::default();
        for Sorted {
            slice,
            unsealed,
            forged,
        } in sorted
        {
            let mut landing = LandingSlice {
                partition: slice.partition,
                from: slice.from,
                next: slice.next,
                orders: Vec::with_capacity(slice.records.len()),
                forged,
                ..LandingSlice::default()
            };
            let mut poison = BTreeMap::new();
            for record in &slice.records {
                match decode(record) {
                    Ok(event) => add_order(&mut landing, record, event),
                    Err(bad) => drop(poison.insert(record.offset, *bad)),
                }
            }
            landing.stop = poison.keys().next().copied();
            batch.slices.push(landing);
            batch.parts.push(Part {
                partition: slice.partition,
                records: slice.records,
                unsealed,
                poison,
            });
        }
        batch
    }

    /// The orders that are to be landed, each with whether its record is sealed: those that are implausible become
    /// poison, and from the first that is not known on its partition waits. Partition, offset and what of these.
    pub fn weigh(
        &mut self,
        mut weigh: impl FnMut(&mut OrderEvent, bool) -> Weight,
    ) -> Vec<(i32, i64, String)> {
        let mut waits = Vec::new();
        for (slice, part) in self.slices.iter_mut().zip(&mut self.parts) {
            let orders = std::mem::take(&mut slice.orders);
            for (offset, mut event) in orders {
                match weigh(&mut event, part.is_sealed(offset)) {
                    Weight::Plausible => slice.orders.push((offset, event)),
                    Weight::Implausible(error) => {
                        let (class, event) = (Class::Implausible, None);
                        part.poison.insert(offset, Poison { class, error, event });
                    }
                    Weight::Unknown(what) => {
                        waits.push((slice.partition, offset, what));
                        cut(slice, part, offset);
                        break;
                    }
                }
            }
            slice.stop = part.poison.keys().next().copied();
        }
        waits
    }

    /// Records, and those of them that fail as far as is known. Forged ones are none of ours.
    pub fn size(&self) -> (usize, usize) {
        let records = self.parts.iter().map(|part| part.records.len()).sum();
        let poison = self.parts.iter().map(|part| part.poison.len()).sum();
        (records, poison)
    }

    /// Whether a transaction has anything to write.
    pub fn has_work(&self) -> bool {
        let mut slices = self.slices.iter();
        slices.any(|slice| {
            let some = !slice.orders.is_empty() || !slice.dead.is_empty() || !slice.forged.is_empty();
            some || (slice.stop.is_none() && slice.from < slice.next)
        })
    }

    /// When its oldest order was placed.
    pub fn oldest(&self) -> Option<i64> {
        let orders = self.slices.iter().flat_map(|slice| &slice.orders);
        orders.map(|(_, order)| order.placed_at).min()
    }

    /// Up to where each partition has been read: (partition, next offset).
    pub fn ends(&self) -> Vec<(i32, i64)> {
        let ends = self.slices.iter().map(|slice| (slice.partition, slice.next));
        ends.collect()
    }

    /// Forgets partitions that are another consumer's business.
    pub fn forget(&mut self, partitions: &BTreeSet<i32>) {
        if !partitions.is_empty() {
            self.slices.retain(|slice| !partitions.contains(&slice.partition));
            self.parts.retain(|part| !partitions.contains(&part.partition));
        }
    }

    /// Takes in what a transaction did: orders have landed or are poison now, and offsets have moved.
    pub fn settle(&mut self, landed: &Landed) {
        self.forget(&landed.fenced.keys().copied().collect());
        for (slice, part) in self.slices.iter_mut().zip(&mut self.parts) {
            let orders = std::mem::take(&mut slice.orders);
            let failed = |failed: &&Failed| failed.partition == slice.partition;
            let failed: BTreeMap<i64, &StoreError> = landed
                .failed
                .iter()
                .filter(failed)
                .map(|failed| (failed.offset, &failed.error))
                .collect();
            for (offset, event) in orders {
                if let Some(error) = failed.get(&offset) {
                    let poison = Poison {
                        class: Class::of(error),
                        error: error.to_string(),
                        event: Some(event),
                    };
                    part.poison.insert(offset, poison);
                }
            }
            slice.returned.clear();
            slice.dead.clear();
            slice.forged.clear();
            slice.stop = part.poison.keys().next().copied();
            slice.from = slice.stop.unwrap_or(slice.next);
        }
    }

    /// Takes out those of the records that fail and carry no seal which turn out to be forged: the next transaction
    /// keeps them and moves past them.
    pub fn set_apart(&mut self, forged: impl Fn(i32, &Record) -> Option<DeadRecord>) {
        for (slice, part) in self.slices.iter_mut().zip(&mut self.parts) {
            let failing = part.poison.keys().filter(|offset| !part.is_sealed(**offset));
            let records = failing.filter_map(|offset| find(&part.records, *offset));
            let found: Vec<DeadRecord> = records
                .filter_map(|record| forged(part.partition, record))
                .collect();
            let gone: BTreeSet<i64> = found.iter().map(|record| record.offset).collect();
            part.records.retain(|record| !gone.contains(&record.offset));
            part.poison.retain(|offset, _| !gone.contains(offset));
            slice.forged.extend(found);
            slice.stop = part.poison.keys().next().copied();
        }
    }

    /// Gives orders that failed another chance.
    pub fn again(&mut self) {
        for (slice, part) in self.slices.iter_mut().zip(&mut self.parts) {
            for (offset, poison) in &mut part.poison {
                let record = find(&part.records, *offset);
                if let (Some(record), Some(event)) = (record, poison.event.take()) {
                    add_order(slice, record, event);
                }
            }
            let orders = &slice.orders;
            part.poison
                .retain(|offset, _| orders.binary_search_by_key(offset, |(at, _)| *at).is_err());
            slice.stop = part.poison.keys().next().copied();
        }
    }

    /// Every record that fails.
    pub fn poison(&self) -> impl Iterator<Item = Poisoned<'_>> {
        self.parts.iter().flat_map(|part| {
            let poison = part.poison.iter();
            poison.filter_map(|(offset, poison)| {
                Some(Poisoned {
                    partition: part.partition,
                    record: find(&part.records, *offset)?,
                    poison,
                    sealed: part.is_sealed(*offset),
                })
            })
        })
    }

    /// The records that fail are elsewhere now: the next transaction writes these rows and moves past them.
    pub fn bury(&mut self, dead: Vec<(i32, DeadRecord)>) {
        for part in &mut self.parts {
            part.poison.clear();
        }
        for slice in &mut self.slices {
            slice.stop = None;
            let own = dead.iter().filter(|(partition, _)| *partition == slice.partition);
            slice.dead = own.map(|(_, record)| record.clone()).collect();
        }
    }
}

fn add_order(slice: &mut LandingSlice, record: &Record, event: OrderEvent) {
    if let Some(origin) = Origin::read(&record.headers) {
        slice.returned.push((record.offset, record_id(origin)));
    }
    slice.orders.push((record.offset, event));
}

/// Leaves out everything from an offset on.
fn cut(slice: &mut LandingSlice, part: &mut Part, offset: i64) {
    slice.next = offset;
    slice.returned.retain(|(at, _)| *at < offset);
    slice.forged.retain(|record| record.offset < offset);
    part.records.retain(|record| record.offset < offset);
    part.poison.split_off(&offset);
}

pub(super) fn record_id(origin: Origin) -> store::Origin {
    store::Origin {
        topic: origin.topic,
        partition: origin.partition,
        offset: origin.offset,
    }
}

fn decode(record: &Record) -> Result<OrderEvent, Box<Poison>> {
    let poison = |class, error: String, event| Box::new(Poison { class, error, event });
    let event = OrderEvent::decode(&record.payload).map_err(|error| {
        let class = match error {
            EventError::Json(_) => Class::Undecodable,
            EventError::Version(_) => Class::UnknownVersion,
        };
        poison(class, error.to_string(), None)
    })?;
    match check_event(&event) {
        Ok(()) => Ok(event),
        Err(error) => Err(poison(Class::Invalid, error, None)),
    }
}

/// Records are in order of offset.
fn find(records: &[Record], offset: i64) -> Option<&Record> {
    let at = records.binary_search_by_key(&offset, |record| record.offset);
    records.get(at.ok()?)
}

/// Sums up the transactions of one batch.
pub(super) fn add(sum: &mut Landed, part: &Landed) {
    sum.confirmed += part.confirmed;
    sum.revoked += part.revoked;
    sum.duplicates += part.duplicates;
    sum.recovered += part.recovered;
    sum.dead += part.dead;
    sum.forged += part.forged;
    sum.forged_kept += part.forged_kept;
    sum.fenced.extend(&part.fenced);
}

#[cfg(test)]
mod tests;
