//! The orders of one poll on their way into the database: decoded, and those that fail kept apart. Pure.

mod class;
mod decode;
mod portions;

use std::collections::{BTreeMap, BTreeSet};

use crate::bus::{Record, Slice};
use crate::order::OrderEvent;
use crate::store::{At, DeadRecord, Failed, Landed, LandingSlice, StoreError};
pub(super) use class::Class;
use decode::add_order;
pub(super) use decode::{Claim, Packed, record_id};
pub(super) use portions::portions;

/// An order that does not land, or a record that holds none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Poison {
    pub class: Class,
    pub error: String,
    /// The order, where it is one that may be tried again, or whose record holds others.
    pub event: Option<OrderEvent>,
}

/// One partition's records: what is left of them to land, and what fails.
#[derive(Debug)]
pub(super) struct Part {
    pub partition: i32,
    /// Without the forged ones.
    records: Vec<Record>,
    /// What is known of those of many orders besides the orders, by offset.
    packed: BTreeMap<i64, Packed>,
    /// Orders that carry no seal, ascending.
    unsealed: Vec<At>,
    pub poison: BTreeMap<At, Poison>,
}

impl Part {
    fn is_sealed(&self, at: At) -> bool {
        self.unsealed.binary_search(&at).is_err()
    }

    /// Where the first of its orders that fail stands, of which the offset must not move past the record.
    fn stop(&self) -> Option<i64> {
        self.poison.keys().next().map(|at| at.offset)
    }

    /// Orders, and records that hold none, without the forged ones.
    fn size(&self) -> usize {
        let of_record = |record: &Record| self.packed.get(&record.offset).map_or(1, |packed| packed.orders);
        self.records.iter().map(of_record).sum()
    }
}

/// One partition's part of a poll, its seals looked at.
#[derive(Debug, PartialEq)]
pub(super) struct Sorted {
    /// Without the records that are forged whole.
    pub slice: Slice,
    /// Orders without a seal, ascending.
    pub unsealed: Vec<At>,
    /// In order of offset and position.
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

/// An order that fails, or a record that holds none: where it is, and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Poisoned<'a> {
    pub partition: i32,
    pub at: At,
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
                ..LandingSlice::default()
            };
            let (mut poison, mut packed) = (BTreeMap::new(), BTreeMap::new());
            for record in &slice.records {
                let first = forged.partition_point(|forged| forged.at.offset < record.offset);
                let forged = forged[first..]
                    .iter()
                    .take_while(|forged| forged.at.offset == record.offset);
                let forged: BTreeSet<u32> = forged.map(|forged| forged.at.position).collect();
                let decoded = decode::record(record, &forged);
                packed.extend(decoded.packed.map(|packed| (record.offset, packed)));
                for (position, order) in decoded.orders {
                    let at = At {
                        offset: record.offset,
                        position,
                    };
                    match order {
                        Ok(event) => add_order(&mut landing, record, at, event),
                        Err(bad) => drop(poison.insert(at, *bad)),
                    }
                }
            }
            landing.forged = forged;
            let part = Part {
                partition: slice.partition,
                records: slice.records,
                packed,
                unsealed,
                poison,
            };
            landing.stop = part.stop();
            batch.slices.push(landing);
            batch.parts.push(part);
        }
        batch
    }

    /// The orders that are to be landed, each with whether it is sealed and what its record claims: those that are
    /// implausible become poison, and from the record of the first that is not known on its partition waits. Partition,
    /// offset and what of these.
    pub fn weigh(
        &mut self,
        mut weigh: impl FnMut(&mut OrderEvent, bool, Option<Claim<'_>>) -> Weight,
    ) -> Vec<(i32, i64, String)> {
        let mut waits = Vec::new();
        for (slice, part) in self.slices.iter_mut().zip(&mut self.parts) {
            let orders = std::mem::take(&mut slice.orders);
            for (at, mut event) in orders {
                let packed = part.packed.get(&at.offset);
                let claim = packed.map(|packed| packed.claim(at.position));
                match weigh(&mut event, part.is_sealed(at), claim) {
                    Weight::Plausible => slice.orders.push((at, event)),
                    Weight::Implausible(error) => {
                        let (class, event) = (Class::Implausible, packed.map(|_| event));
                        part.poison.insert(at, Poison { class, error, event });
                    }
                    Weight::Unknown(what) => {
                        waits.push((slice.partition, at.offset, what));
                        cut(slice, part, at.offset);
                        break;
                    }
                }
            }
            slice.stop = part.stop();
        }
        waits
    }

    /// Orders, and those of them that fail as far as is known; a record that holds none counts as one. Forged ones are
    /// none of ours.
    pub fn size(&self) -> (usize, usize) {
        let records = self.parts.iter().map(Part::size).sum();
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

    /// The orders that are to be landed, each with what its record claims.
    pub fn orders(&self) -> impl Iterator<Item = (&OrderEvent, Option<Claim<'_>>)> {
        let parts = self.slices.iter().zip(&self.parts);
        parts.flat_map(|(slice, part)| {
            let orders = slice.orders.iter();
            orders.map(|(at, event)| {
                let packed = part.packed.get(&at.offset);
                (event, packed.map(|packed| packed.claim(at.position)))
            })
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
            let failed: BTreeMap<At, &StoreError> = landed
                .failed
                .iter()
                .filter(failed)
                .map(|failed| (failed.at, &failed.error))
                .collect();
            for (at, event) in orders {
                if let Some(error) = failed.get(&at) {
                    let poison = Poison {
                        class: Class::of(error),
                        error: error.to_string(),
                        event: Some(event),
                    };
                    part.poison.insert(at, poison);
                }
            }
            slice.returned.clear();
            slice.dead.clear();
            slice.forged.clear();
            slice.stop = part.stop();
            slice.from = slice.stop.unwrap_or(slice.next);
        }
    }

    /// Takes out those of the orders that fail and carry no seal which turn out to be forged: the next transaction
    /// keeps them and moves past them.
    pub fn set_apart(&mut self, forged: impl Fn(i32, At, &Record) -> Option<DeadRecord>) {
        for (slice, part) in self.slices.iter_mut().zip(&mut self.parts) {
            let failing = part.poison.keys().filter(|at| !part.is_sealed(**at));
            let records = failing.filter_map(|at| Some((*at, find(&part.records, at.offset)?)));
            let found: Vec<DeadRecord> = records
                .filter_map(|(at, record)| forged(part.partition, at, record))
                .collect();
            for At { offset, position } in found.iter().map(|record| record.at) {
                part.poison.remove(&At { offset, position });
                match part.packed.get_mut(&offset) {
                    Some(packed) => packed.orders = packed.orders.saturating_sub(1),
                    None => part.records.retain(|record| record.offset != offset),
                }
            }
            slice.forged.extend(found);
            slice.stop = part.stop();
        }
    }

    /// Gives orders that failed another chance.
    pub fn again(&mut self) {
        for (slice, part) in self.slices.iter_mut().zip(&mut self.parts) {
            for (at, poison) in &mut part.poison {
                let record = find(&part.records, at.offset).filter(|_| poison.class.is_of_database());
                if let Some((record, event)) = record.and_then(|record| Some((record, poison.event.take()?)))
                {
                    add_order(slice, record, *at, event);
                }
            }
            let orders = &slice.orders;
            part.poison
                .retain(|at, _| orders.binary_search_by_key(at, |(at, _)| *at).is_err());
            slice.stop = part.stop();
        }
    }

    /// Everything that fails.
    pub fn poison(&self) -> impl Iterator<Item = Poisoned<'_>> {
        self.parts.iter().flat_map(|part| {
            let poison = part.poison.iter();
            poison.filter_map(|(at, poison)| {
                Some(Poisoned {
                    partition: part.partition,
                    at: *at,
                    record: find(&part.records, at.offset)?,
                    poison,
                    sealed: part.is_sealed(*at),
                })
            })
        })
    }

    /// What fails is elsewhere now: the next transaction writes these rows and moves past them.
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

/// Leaves out everything from an offset on.
fn cut(slice: &mut LandingSlice, part: &mut Part, offset: i64) {
    slice.next = offset;
    slice.orders.retain(|(at, _)| at.offset < offset);
    slice.returned.retain(|(at, _)| at.offset < offset);
    slice.forged.retain(|record| record.at.offset < offset);
    part.records.retain(|record| record.offset < offset);
    part.packed.split_off(&offset);
    part.poison.split_off(&offset.into());
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
