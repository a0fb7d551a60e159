//! Decodes the orders of records: of those of one order, which are JSON, and of those of many.

use std::collections::BTreeSet;

use super::polled::{Form, Polled};
use super::{Class, Poison};
use crate::bus::Record;
use crate::bus::origin::Origin;
use crate::order::{EventError, OrderEvent, check_event};
use crate::record::{self, At, LandingSlice, Payload, PayloadError, RecordError};

/// An order, or what is wrong with it.
type Order = Result<OrderEvent, Box<Poison>>;

/// Decodes a record without the orders at the forged positions: its orders by position.
pub(super) fn orders(polled: &mut Polled<'_>, forged: &BTreeSet<u32>) -> Vec<(u32, Order)> {
    let many = match &polled.form {
        Form::One => return vec![(0, one(polled.record))],
        Form::Odd(error) => {
            let class = match error {
                RecordError::Version(_) => Class::UnknownVersion,
                _ => Class::Undecodable,
            };
            return vec![(0, Err(poison(class, error.to_string(), None)))];
        }
        Form::Many(many) => many,
    };
    let mut asked_at = Vec::with_capacity(many.payloads.len());
    let mut orders = Vec::with_capacity(many.payloads.len());
    for (position, bytes) in (0..).zip(&many.payloads) {
        let payload = Payload::read(bytes);
        asked_at.push(payload.as_ref().map_or(0, |payload| payload.asked_at));
        if !forged.contains(&position) {
            let attempt = payload.and_then(|payload| payload.attempt());
            let order = attempt.map(|attempt| many.header.event(position, attempt));
            orders.push((position, order.map_err(unreadable).and_then(checked)));
        }
    }
    (polled.asked_at, polled.orders) = (asked_at, orders.len());
    orders
}

fn one(record: &Record) -> Order {
    let event = OrderEvent::decode(&record.payload).map_err(|error| {
        let class = match error {
            EventError::Json(_) => Class::Undecodable,
            EventError::Version(_) => Class::UnknownVersion,
        };
        poison(class, error.to_string(), None)
    })?;
    checked(event)
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
pub(in crate::landing) fn record_id(origin: Origin, position: u32) -> record::LetterId {
    record::LetterId {
        topic: origin.topic,
        partition: origin.partition,
        offset: origin.offset,
        position: origin.position.saturating_add(position),
    }
}
