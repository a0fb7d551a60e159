//! Headers of a replayed record: where it was first, so that landing finds its row.
//!
//! Attempts and errors are left out: the record begins anew.

use crate::bus::origin::{OFFSET, Origin, PARTITION, POSITION, TIMESTAMP};
use crate::bus::{Forward, Headers};
use crate::store::DeadLetter;

pub(crate) fn of_replay(letter: &DeadLetter, group: &str) -> Headers {
    let origin = Origin {
        topic: letter.origin.topic.clone(),
        partition: letter.origin.partition,
        offset: letter.origin.offset,
        position: letter.origin.position,
        timestamp: letter.recorded_at.unwrap_or(0),
        group: group.to_owned(),
    };
    origin.headers()
}

/// The record as it goes back: same topic, partition and key.
pub(super) fn record(letter: &DeadLetter, payload: Option<&[u8]>, group: &str) -> Forward {
    Forward {
        topic: letter.origin.topic.clone(),
        partition: Some(letter.origin.partition),
        key: letter.key.clone(),
        payload: payload.unwrap_or(&letter.payload).to_vec(),
        headers: of_replay(letter, group),
    }
}

/// A value as a person reads it: text, or the number its bytes are.
pub(crate) fn readable(name: &str, value: &[u8]) -> String {
    let number = match name {
        PARTITION | POSITION => value.try_into().map(|bytes| i64::from(i32::from_be_bytes(bytes))),
        OFFSET | TIMESTAMP => value.try_into().map(i64::from_be_bytes),
        _ => return String::from_utf8_lossy(value).into_owned(),
    };
    number.map_or_else(|_| value.escape_ascii().to_string(), |n| n.to_string())
}
