//! The records of one poll, by partition.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::message::{BorrowedMessage, Headers as _, Message};

use super::rebalance::Assignment;
use crate::bus::{Headers, Record, Slice};

/// Bytes of one poll's payloads, from which on it takes no more: a record may hold a thousand orders.
pub(super) const POLL_BYTES_MAX: usize = 8 << 20;

/// So many records within a wait are more than somebody's lone order.
const BUSY_RECORDS: usize = 4;

/// How long a batch waits for more records after its first.
///
/// A transaction costs the database about as much as twenty orders, so while orders keep coming it is worth waiting
/// for company. Where brokers let fetches wait, each with many records, a lone order has waited there. The end of a rush
/// waits no longer than for the fetch that would have been next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Whatever comes.
    pub lone: Duration,
    /// For the next ones, while records keep coming.
    pub next: Duration,
    /// At most, while records keep coming.
    pub busy: Duration,
}

impl Patience {
    /// When a batch of so many records has waited long enough: its first came at `first`, its last one at `last`.
    pub fn until(self, records: usize, first: Instant, last: Instant) -> Instant {
        let lone = first + self.lone;
        match records < BUSY_RECORDS {
            true => lone,
            false => (last + self.next).clamp(lone, first + self.busy.max(self.lone)),
        }
    }
}

/// A header without a value is as good as an empty one.
pub(super) fn headers(message: &BorrowedMessage<'_>) -> Headers {
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

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn only_a_rush_waits_longer_and_never_beyond_its_bound() {
        let patience = Patience {
            lone: 20 * MS,
            next: 10 * MS,
            busy: 60 * MS,
        };
        let first = Instant::now();
        let wait = |records, last: u32| patience.until(records, first, first + last * MS) - first;
        assert_eq!(wait(1, 0), 20 * MS);
        assert_eq!(wait(3, 19), 20 * MS, "a few are no rush");
        assert_eq!(wait(50, 2), 20 * MS, "a rush that was over at once");
        assert_eq!(wait(50, 19), 29 * MS, "it goes on");
        assert_eq!(wait(500, 58), 60 * MS, "and is not waited out");
    }

    #[test]
    fn what_waited_at_the_broker_waits_no_more_and_a_rush_for_the_next_fetch() {
        let patience = Patience {
            lone: MS,
            next: 30 * MS,
            busy: 60 * MS,
        };
        let first = Instant::now();
        let wait = |records, last: u32| patience.until(records, first, first + last * MS) - first;
        assert_eq!(wait(1, 0), MS);
        assert_eq!(wait(9, 0), 30 * MS);
        assert_eq!(wait(90, 22), 52 * MS);
        assert_eq!(wait(200, 44), 60 * MS);
    }

    #[test]
    fn without_a_longer_wait_every_batch_waits_the_same() {
        let patience = Patience {
            lone: 20 * MS,
            next: 10 * MS,
            busy: Duration::ZERO,
        };
        let first = Instant::now();
        assert_eq!(patience.until(900, first, first + 19 * MS), first + 20 * MS);
    }
}
