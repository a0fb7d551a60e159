//! Decodes records: those of one order, which are JSON, and those of many.

use std::collections::BTreeSet;

use super::{Class, Poison};
use crate::bus::Record;
use crate::bus::origin::Origin;
use crate::order::{EventError, OrderEvent};
use crate::record::{self, Payload, PayloadError, RecordError};
use crate::store::{self, At, LandingSlice, check_event};

/// What a record of many orders says besides them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::landing) struct Packed {
    uid: String,
    evaluator: u32,
    /// When each of its orders was asked for, by position; 0 where that cannot be read.
    asked_at: Vec<i64>,
    /// Without the forged ones.
    pub orders: usize,
}

/// What a record of many orders claims of one of them: its charges are left to whoever lands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::landing) struct Claim<'a> {
    /// Of its campaign.
    pub uid: &'a str,
    pub evaluator: u32,
    /// When its gateway asked for it, milliseconds since 1970-01-01 UTC by that one's clock.
    pub asked_at: i64,
}

impl Packed {
    pub(super) fn claim(&self, position: u32) -> Claim<'_> {
        Claim {
            uid: &self.uid,
            evaluator: self.evaluator,
            asked_at: self.asked_at.get(position as usize).copied().unwrap_or(0),
        }
    }
}

/// An order, or what is wrong with it.
type Order = Result<OrderEvent, Box<Poison>>;

/// A record's orders by position, and what else it says where it is one of many.
#[derive(Debug)]
pub(super) struct Decoded {
    pub packed: Option<Packed>,
    pub orders: Vec<(u32, Order)>,
}

impl Decoded {
    /// A record of one order, or of none that can be told.
    fn one(order: Order) -> Self {
        Self {
            packed: None,
            orders: vec![(0, order)],
        }
    }
}

/// Decodes a record without the orders at the forged positions.
pub(super) fn record(record: &Record, forged: &BTreeSet<u32>) -> Decoded {
    if !record::is_record(&record.payload) {
        return Decoded::one(event(record));
    }
    let read = match record::decode(&record.payload) {
        Ok(read) => read,
        Err(error) => {
            let class = match error {
                RecordError::Version(_) => Class::UnknownVersion,
                _ => Class::Undecodable,
            };
            return Decoded::one(Err(poison(class, error.to_string(), None)));
        }
    };
    let mut asked_at = Vec::with_capacity(read.payloads.len());
    let mut orders = Vec::with_capacity(read.payloads.len());
    for (position, bytes) in (0..).zip(&read.payloads) {
        let payload = Payload::read(bytes);
        asked_at.push(payload.as_ref().map_or(0, |payload| payload.asked_at));
        if !forged.contains(&position) {
            let attempt = payload.and_then(|payload| payload.attempt());
            let order = attempt.map(|attempt| read.header.event(position, attempt));
            orders.push((position, order.map_err(unreadable).and_then(checked)));
        }
    }
    let packed = Packed {
        uid: read.header.uid.to_owned(),
        evaluator: read.header.evaluator,
        asked_at,
        orders: orders.len(),
    };
    Decoded {
        packed: Some(packed),
        orders,
    }
}

fn event(record: &Record) -> Order {
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

fn unreadable(error: PayloadError) -> Box<Poison> {
    let class = match error {
        PayloadError::Kind { .. } => Class::UnknownVersion,
        _ => Class::Undecodable,
    };
    poison(class, error.to_string(), None)
}

/// The order goes on by itself, whatever is wrong with it: what others it came with says nothing of it.
fn checked(event: OrderEvent) -> Order {
    match check_event(&event) {
        Ok(()) => Ok(event),
        Err(error) => Err(poison(Class::Invalid, error, Some(event))),
    }
}

fn poison(class: Class, error: String, event: Option<OrderEvent>) -> Box<Poison> {
    Box::new(Poison { class, error, event })
}

pub(super) fn add_order(slice: &mut LandingSlice, record: &Record, at: At, event: OrderEvent) {
    if let Some(origin) = Origin::read(&record.headers) {
        slice.returned.push((at, record_id(origin, at.position)));
    }
    slice.orders.push((at, event));
}

/// Where an order was first that is at a position of a record which comes from there.
pub(in crate::landing) fn record_id(origin: Origin, position: u32) -> store::Origin {
    store::Origin {
        topic: origin.topic,
        partition: origin.partition,
        offset: origin.offset,
        position: origin.position.saturating_add(position),
    }
}
