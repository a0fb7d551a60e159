//! The records of one poll, by partition.

use std::collections::BTreeMap;

use rdkafka::message::{BorrowedMessage, Headers as _, Message};

use super::rebalance::Assignment;
use crate::bus::{Headers, Record, Slice};

/// Bytes of one poll's payloads, from which on it takes no more: a record may hold a thousand orders.
pub(super) const POLL_BYTES_MAX: usize = 8 << 20;

/// A header without a value is as good as an empty one.
fn headers(message: &BorrowedMessage<'_>) -> Headers {
    let each = message.headers().into_iter().flat_map(|headers| headers.iter());
    each.map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
        .collect()
}

/// The slices of one poll.
#[derive(Default)]
pub(super) struct Gathered {
    pub slices: BTreeMap<i32, Slice>,
    pub records: usize,
    /// Of their payloads.
    bytes: usize,
}

impl Gathered {
    /// Whether there is as much as one poll may give.
    pub fn is_full(&self, max: usize) -> bool {
        self.records >= max || self.bytes >= POLL_BYTES_MAX
    }

    /// Copies the record: holding the message would pin the whole fetched buffer.
    pub fn add(&mut self, assignment: &mut Assignment, message: &BorrowedMessage<'_>) {
        let (partition, offset) = (message.partition(), message.offset());
        if assignment.ignores(partition) {
            return;
        }
        let Some(position) = assignment.positions.get_mut(&partition) else {
            return;
        };
        let from = position.unwrap_or(offset);
        let slice = self.slices.entry(partition).or_insert_with(|| Slice {
            partition,
            from,
            next: from,
            records: Vec::new(),
        });
        slice.records.push(Record {
            offset,
            key: message.key().unwrap_or_default().to_vec(),
            payload: message.payload().unwrap_or_default().to_vec(),
            headers: headers(message),
            timestamp: message.timestamp().to_millis().unwrap_or(0),
        });
        slice.next = offset + 1;
        self.bytes += message.payload_len();
        *position = Some(offset + 1);
        self.records += 1;
    }

    pub fn drop_revoked(&mut self, assignment: &mut Assignment) {
        for partition in std::mem::take(&mut assignment.revoked) {
            if let Some(slice) = self.slices.remove(&partition) {
                self.records -= slice.records.len();
            }
        }
    }
}
