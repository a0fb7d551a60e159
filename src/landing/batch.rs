//! Batches between bus and store: decoding, and halving around a value the database refuses. Pure.

use crate::bus::{Record, Slice};
use crate::order::OrderEvent;
use crate::store::{DeadRecord, Landed, LandingSlice, check_event};

/// Bytes of an error kept with a dead record.
const ERROR_BYTES_MAX: usize = 1000;

/// Splits the records into orders and those that can never land.
pub(super) fn decode(slice: Slice) -> LandingSlice {
    let mut landing = LandingSlice {
        partition: slice.partition,
        from: slice.from,
        next: slice.next,
        orders: Vec::with_capacity(slice.records.len()),
        dead: Vec::new(),
    };
    for record in slice.records {
        let decoded = OrderEvent::decode(&record.payload)
            .map_err(|error| error.to_string())
            .and_then(|event| check_event(&event).map(|()| event));
        match decoded {
            Ok(event) => landing.orders.push((record.offset, event)),
            Err(error) => landing.dead.push(bury(record, &error)),
        }
    }
    landing
}

fn bury(record: Record, error: &str) -> DeadRecord {
    let end = error.floor_char_boundary(ERROR_BYTES_MAX);
    DeadRecord {
        offset: record.offset,
        key: record.key,
        payload: record.payload,
        error: error[..end].to_owned(),
    }
}

/// A batch after the database refused a value in it.
pub(super) enum Halves {
    Two(Vec<LandingSlice>, Vec<LandingSlice>),
    /// The one order left was it: it is among the dead records now.
    Dead(Vec<LandingSlice>),
}

/// Cuts a batch in two halves of its orders, each partition's records staying in order; a batch
/// of one order has found the one to bury.
pub(super) fn halve(mut slices: Vec<LandingSlice>, error: &str) -> Halves {
    let orders: usize = slices.iter().map(|slice| slice.orders.len()).sum();
    if orders <= 1 {
        for slice in &mut slices {
            for (offset, event) in std::mem::take(&mut slice.orders) {
                let record = Record {
                    offset,
                    key: event.key().into_bytes(),
                    payload: event.encode(),
                    headers: Vec::new(),
                    timestamp: 0,
                };
                slice.dead.push(bury(record, error));
            }
            slice.dead.sort_by_key(|record| record.offset);
        }
        return Halves::Dead(slices);
    }
    let mut room = orders / 2;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for slice in slices {
        if slice.orders.len() <= room {
            room -= slice.orders.len();
            first.push(slice);
        } else if room == 0 {
            second.push(slice);
        } else {
            let (head, tail) = cut(slice, room);
            room = 0;
            first.push(head);
            second.push(tail);
        }
    }
    Halves::Two(first, second)
}

/// Cuts a slice before its order number `at`.
fn cut(mut slice: LandingSlice, at: usize) -> (LandingSlice, LandingSlice) {
    let orders = slice.orders.split_off(at);
    let middle = orders.first().map_or(slice.next, |(offset, _)| *offset);
    let (before, after) = slice.dead.into_iter().partition(|record| record.offset < middle);
    let head = LandingSlice {
        next: middle,
        dead: before,
        ..slice
    };
    let tail = LandingSlice {
        partition: head.partition,
        from: middle,
        next: slice.next,
        orders,
        dead: after,
    };
    (head, tail)
}

/// Sums up the transactions of one batch.
pub(super) fn add(sum: &mut Landed, part: Landed) {
    sum.confirmed += part.confirmed;
    sum.revoked += part.revoked;
    sum.duplicates += part.duplicates;
    sum.recovered += part.recovered;
    sum.dead += part.dead;
    sum.fenced.extend(part.fenced);
}

/// When the oldest order of a batch was placed.
pub(super) fn oldest(slices: &[LandingSlice]) -> Option<i64> {
    let orders = slices.iter().flat_map(|slice| &slice.orders);
    orders.map(|(_, order)| order.placed_at).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{EVENT_VERSION, OrderId};

    fn event(n: u8) -> OrderEvent {
        OrderEvent {
            v: EVENT_VERSION,
            order: OrderId::fresh(1, [n; 10]),
            campaign: "spring".into(),
            shard: 0,
            sku: "shoe".into(),
            user: format!("u{n}"),
            quantity: 1,
            revision: 1,
            plan: String::new(),
            modules: Vec::new(),
            placed_at: 1,
            fingerprint: String::new(),
            charges: Vec::new(),
            attributes: Default::default(),
        }
    }

    fn record(offset: i64, payload: Vec<u8>) -> Record {
        Record {
            offset,
            key: b"k".to_vec(),
            payload,
            headers: Vec::new(),
            timestamp: 0,
        }
    }

    #[test]
    fn records_that_are_no_orders_are_kept_apart() {
        let mut zero = event(3);
        zero.quantity = 0;
        let slice = Slice {
            partition: 2,
            from: 10,
            next: 14,
            records: vec![
                record(10, event(1).encode()),
                record(11, b"{".to_vec()),
                record(12, Vec::new()),
                record(13, zero.encode()),
            ],
        };
        let landing = decode(slice);
        assert_eq!(landing.orders, [(10, event(1))]);
        let offsets: Vec<i64> = landing.dead.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, [11, 12, 13]);
        assert!(
            landing.dead[2].error.contains("quantity 0"),
            "{}",
            landing.dead[2].error
        );
    }

    #[test]
    fn halving_ends_at_the_one_that_is_refused_and_keeps_every_offset() {
        let dead = DeadRecord {
            offset: 2,
            key: vec![],
            payload: vec![],
            error: "x".into(),
        };
        let slice = LandingSlice {
            partition: 0,
            from: 0,
            next: 4,
            orders: vec![(0, event(0)), (1, event(1)), (3, event(3))],
            dead: vec![dead.clone()],
        };
        let Halves::Two(first, second) = halve(vec![slice], "no") else {
            panic!("three orders make two halves");
        };
        assert_eq!((first[0].from, first[0].next, first[0].orders.len()), (0, 1, 1));
        assert_eq!((second[0].from, second[0].next, second[0].dead.len()), (1, 4, 1));
        let Halves::Dead(buried) = halve(first, "no") else {
            panic!("one order is buried");
        };
        assert!(buried[0].orders.is_empty());
        assert_eq!(
            (buried[0].dead[0].offset, buried[0].dead[0].error.as_str()),
            (0, "no")
        );
        assert_eq!(buried[0].dead[0].payload, event(0).encode());
    }
}
