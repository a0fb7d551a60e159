//! A polled record, its form told once: for its seals, its size, its orders, and the copy of one that does not land.

use crate::bus::Record;
use crate::record::{self, RecordError};

/// A record as it was polled, and what it is.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::landing) struct Polled<'a> {
    pub record: &'a Record,
    pub form: Form<'a>,
    /// Its orders, once they are decoded without the forged ones; a record that holds none counts as one.
    pub orders: usize,
    /// When each of its orders was asked for, by position, once they are decoded; 0 where that cannot be read.
    pub(super) asked_at: Vec<i64>,
}

/// What a record is.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::landing) enum Form<'a> {
    /// One order as JSON, not looked into.
    One,
    Many(record::Record<'a>),
    /// It begins as a record of many, and is none.
    Odd(RecordError),
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

impl<'a> Polled<'a> {
    pub fn read(record: &'a Record) -> Self {
        let form = match record::is_record(&record.payload) {
            false => Form::One,
            true => record::decode(&record.payload).map_or_else(Form::Odd, Form::Many),
        };
        let orders = match &form {
            Form::Many(many) => many.payloads.len(),
            Form::One | Form::Odd(_) => 1,
        };
        Self {
            record,
            form,
            orders,
            asked_at: Vec::new(),
        }
    }

    pub fn offset(&self) -> i64 {
        self.record.offset
    }

    /// Of the order at a position, where its record is one of many.
    pub fn claim(&self, position: u32) -> Option<Claim<'a>> {
        let Form::Many(many) = &self.form else { return None };
        Some(Claim {
            uid: many.header.uid,
            evaluator: many.header.evaluator,
            asked_at: self.asked_at.get(position as usize).copied().unwrap_or(0),
        })
    }

    /// Whether it begins as a record of many orders does.
    pub fn is_of_many(&self) -> bool {
        !matches!(self.form, Form::One)
    }

    /// The order at a position in a record of its own; `None` where it is alone, or not to be told from the others.
    pub fn alone(&self, position: u32) -> Option<Vec<u8>> {
        match &self.form {
            Form::Many(many) => many.alone(position),
            Form::One | Form::Odd(_) => None,
        }
    }
}

/// Records are in order of offset.
pub(super) fn find<'p, 'a>(records: &'p [Polled<'a>], offset: i64) -> Option<&'p Polled<'a>> {
    let at = records.binary_search_by_key(&offset, Polled::offset);
    records.get(at.ok()?)
}
