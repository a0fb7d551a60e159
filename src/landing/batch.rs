//! The orders of one poll on their way into the database: decoded, and those that fail kept apart. Pure.

mod class;
mod decode;
mod polled;
mod portions;

use std::collections::{BTreeMap, BTreeSet};

use crate::order::OrderEvent;
use crate::record::{At, DeadRecord, LandingSlice};
use crate::store::{Failed, Landed, StoreError};
pub(super) use class::Class;
use decode::add_order;
pub(super) use decode::record_id;
use polled::find;
pub(super) use polled::{Claim, Form, Polled};
pub(super) use portions::portions;

/// An order that does not land, or a record that holds none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Poison {
    pub class: Class,
    pub error: String,
    /// The order, where it can be read.
    pub event: Option<OrderEvent>,
}

/// One partition's records: what is left of them to land, and what fails.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub partition: i32,
    /// Without the forged ones, in order of offset.
    records: Vec<Polled<'a>>,
    /// Orders that carry no seal, ascending.
    unsealed: Vec<At>,
    pub poison: BTreeMap<At, Poison>,
}

impl<'a> Part<'a> {
    fn is_sealed(&self, at: At) -> bool {
        self.unsealed.binary_search(&at).is_err()
    }

    fn claim(&self, at: At) -> Option<Claim<'a>> {
        find(&self.records, at.offset)?.claim(at.position)
    }

    /// One order of a record turned out to be forged; a record of one goes with it.
    fn leave_out(&mut self, offset: i64) {
        let Ok(found) = self.records.binary_search_by_key(&offset, Polled::offset) else {
            return;
        };
        match self.records[found].form {
            Form::Many(_) => self.records[found].orders = self.records[found].orders.saturating_sub(1),
            Form::One | Form::Odd(_) => drop(self.records.remove(found)),
        }
    }

    /// Where the first of its orders that fail stands, of which the offset must not move past the record.
    fn stop(&self) -> Option<i64> {
        self.poison.keys().next().map(|at| at.offset)
    }

    /// Orders, and records that hold none, without the forged ones.
    fn size(&self) -> usize {
        self.records.iter().map(|record| record.orders).sum()
    }
}

/// One partition's part of a poll, its seals looked at.
#[derive(Debug, PartialEq)]
pub(super) struct Sorted<'a> {
    pub partition: i32,
    /// Offset of the first record, and one past the last that was polled: see [`Slice`](crate::bus::Slice).
    pub from: i64,
    pub next: i64,
    /// Without those that are forged whole.
    pub records: Vec<Polled<'a>>,
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
    pub record: &'a Polled<'a>,
    pub poison: &'a Poison,
    pub sealed: bool,
}

/// The records of one poll.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    /// What the next transaction writes, in the order of `parts`.
    pub slices: Vec<LandingSlice>,
    pub parts: Vec<Part<'a>>,
}

impl<'a> Batch<'a> {
    pub fn decode(sorted: Vec<Sorted<'a>>) -> Self {
        let mut batch = Self::default();
        for sorted in sorted {
            let mut landing = LandingSlice {
                partition: sorted.partition,
                from: sorted.from,
                next: sorted.next,
                orders: Vec::with_capacity(sorted.records.iter().map(|polled| polled.orders).sum()),
                ..LandingSlice::default()
            };
            let (mut records, forged) = (sorted.records, sorted.forged);
            let mut poison = BTreeMap::new();
            for polled in &mut records {
                let offset = polled.offset();
                let first = forged.partition_point(|forged| forged.at.offset < offset);
                let forged = forged[first..]
                    .iter()
                    .take_while(|forged| forged.at.offset == offset);
                let forged: BTreeSet<u32> = forged.map(|forged| forged.at.position).collect();
                for (position, order) in decode::orders(polled, &forged) {
                    let at = At { offset, position };
                    match order {
                        Ok(event) => add_order(&mut landing, polled.record, at, event),
                        Err(bad) => drop(poison.insert(at, *bad)),
                    }
                }
            }
            landing.forged = forged;
            let part = Part {
                partition: sorted.partition,
                records,
                unsealed: sorted.unsealed,
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
                let claim = part.claim(at);
                match weigh(&mut event, part.is_sealed(at), claim) {
                    Weight::Plausible => slice.orders.push((at, event)),
                    Weight::Implausible(error) => {
                        let (class, event) = (Class::Implausible, Some(event));
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
            orders.map(|(at, event)| (event, part.claim(*at)))
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

    /// Takes in what a transaction did: orders have landed or are poison now, and offsets have moved. Gives out those that
    /// landed.
    pub fn take_in(&mut self, landed: &Landed) -> Vec<OrderEvent> {
        self.forget(&landed.fenced.keys().copied().collect());
        let mut taken = Vec::new();
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
                let Some(error) = failed.get(&at) else {
                    taken.push(event);
                    continue;
                };
                let poison = Poison {
                    class: Class::of(error),
                    error: error.to_string(),
                    event: Some(event),
                };
                part.poison.insert(at, poison);
            }
            slice.returned.clear();
            slice.dead.clear();
            slice.forged.clear();
            slice.stop = part.stop();
            slice.from = slice.stop.unwrap_or(slice.next);
        }
        taken
    }

    /// Takes out those of the orders that fail and carry no seal which turn out to be forged: the next transaction
    /// keeps them and moves past them.
    pub fn set_apart(&mut self, forged: impl Fn(i32, At, &Polled<'_>) -> Option<DeadRecord>) {
        for (slice, part) in self.slices.iter_mut().zip(&mut self.parts) {
            let failing = part.poison.keys().filter(|at| !part.is_sealed(**at));
            let records = failing.filter_map(|at| Some((*at, find(&part.records, at.offset)?)));
            let found: Vec<DeadRecord> = records
                .filter_map(|(at, record)| forged(part.partition, at, record))
                .collect();
            for At { offset, position } in found.iter().map(|record| record.at) {
                part.poison.remove(&At { offset, position });
                part.leave_out(offset);
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
                    add_order(slice, record.record, *at, event);
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
    pub fn bury(&mut self, mut dead: BTreeMap<i32, Vec<DeadRecord>>) {
        for part in &mut self.parts {
            part.poison.clear();
        }
        for slice in &mut self.slices {
            slice.stop = None;
            slice.dead = dead.remove(&slice.partition).unwrap_or_default();
        }
    }
}

/// Leaves out everything from an offset on.
fn cut(slice: &mut LandingSlice, part: &mut Part<'_>, offset: i64) {
    slice.next = offset;
    slice.orders.retain(|(at, _)| at.offset < offset);
    slice.returned.retain(|(at, _)| at.offset < offset);
    slice.forged.retain(|record| record.at.offset < offset);
    part.records.retain(|record| record.offset() < offset);
    part.poison.split_off(&offset.into());
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
