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
    records: Vec<Record>,
    pub poison: BTreeMap<i64, Poison>,
}

/// The records of one poll.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What the next transaction writes, in the order of `parts`.
    pub slices: Vec<LandingSlice>,
    pub parts: Vec<Part>,
}

impl Batch {
    pub fn decode(slices: Vec<Slice>) -> Self {
        let mut batch = Self::default();
        for slice in slices {
            let mut landing = LandingSlice {
                partition: slice.partition,
                from: slice.from,
                next: slice.next,
                orders: Vec::with_capacity(slice.records.len()),
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
                poison,
            });
        }
        batch
    }

    /// Records, and those of them that fail as far as is known.
    pub fn size(&self) -> (usize, usize) {
        let records = self.parts.iter().map(|part| part.records.len()).sum();
        let poison = self.parts.iter().map(|part| part.poison.len()).sum();
        (records, poison)
    }

    /// Whether a transaction has anything to write.
    pub fn has_work(&self) -> bool {
        let mut slices = self.slices.iter();
        slices.any(|slice| !slice.orders.is_empty() || !slice.dead.is_empty() || slice.stop.is_none())
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
            slice.stop = part.poison.keys().next().copied();
            slice.from = slice.stop.unwrap_or(slice.next);
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
    pub fn poison(&self) -> impl Iterator<Item = (i32, &Record, &Poison)> {
        self.parts.iter().flat_map(|part| {
            let poison = part.poison.iter();
            poison
                .filter_map(|(offset, poison)| Some((part.partition, find(&part.records, *offset)?, poison)))
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
    sum.fenced.extend(&part.fenced);
}

#[cfg(test)]
mod tests;
