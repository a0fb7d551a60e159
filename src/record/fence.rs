//! Decides, from the offsets the database holds, which records of a landing batch are still to be
//! written. Pure: the store takes the locks.

use std::collections::{BTreeMap, HashMap};

use super::{At, DeadRecord, LandingSlice, LetterId};
use crate::order::{OrderEvent, OrderId};

/// An order that was moved before, and where it stood then.
#[derive(Debug)]
pub struct Returned<'a> {
    pub order: &'a OrderEvent,
    pub origin: &'a LetterId,
}

/// An order below the offset the database holds: it landed before, or was moved.
#[derive(Debug)]
pub struct Replayed<'a> {
    pub slice: &'a LandingSlice,
    pub at: At,
    pub order: &'a OrderEvent,
}

/// A record that does not land, below the offset the database holds: it has its row, or its order has landed.
#[derive(Debug)]
pub struct Passed<'a> {
    pub slice: &'a LandingSlice,
    pub record: &'a DeadRecord,
}

/// What is left to write, in order of partition and offset.
#[derive(Debug, Default)]
pub struct ToWrite<'a> {
    pub orders: Vec<&'a OrderEvent>,
    /// Orders of this batch whose id another order of it has.
    pub contradicted: Vec<&'a OrderEvent>,
    pub dead: Vec<(i32, &'a DeadRecord)>,
    pub forged: Vec<(i32, &'a DeadRecord)>,
    /// Also the copies of one order: each may come from elsewhere, and whether it has landed is known of the order.
    pub returned: Vec<Returned<'a>>,
    /// Counted as duplicates.
    pub replayed: Vec<Replayed<'a>>,
    pub passed: Vec<Passed<'a>>,
    /// Next offset of every partition that moves.
    pub advance: BTreeMap<i32, i64>,
    /// Orders that are in the database already, as far as the offsets tell.
    pub duplicates: u64,
    /// Orders and dead records below the stored offset that the database did not know.
    pub recovered: u64,
    /// Partitions whose stored offset is another one, with that.
    pub fenced: BTreeMap<i32, i64>,
}

/// Compares each slice with the offset stored for its partition; a partition without one has never
/// landed anything and starts where its slice does.
pub fn compare<'a>(slices: &'a [LandingSlice], stored: &BTreeMap<i32, i64>) -> ToWrite<'a> {
    let mut work = ToWrite::default();
    let orders = slices.iter().map(|slice| slice.orders.len()).sum();
    let mut seen: HashMap<(&str, OrderId), &OrderEvent> = HashMap::with_capacity(orders);
    let mut ascending: Vec<&LandingSlice> = slices.iter().collect();
    ascending.sort_by_key(|slice| (slice.partition, slice.from));
    for slice in ascending {
        let partition = slice.partition;
        let expected = work
            .advance
            .get(&partition)
            .or_else(|| stored.get(&partition))
            .copied()
            .unwrap_or(slice.from);
        if expected < slice.from {
            work.fenced.insert(partition, expected);
            continue;
        }
        for (at, order) in &slice.orders {
            let first = *seen.entry(order.identity()).or_insert(order);
            if !std::ptr::eq(first, order) {
                if at.offset >= expected && !first.is_same(order) {
                    work.contradicted.push(order);
                } else {
                    work.duplicates += 1;
                }
            } else if at.offset < expected {
                work.duplicates += 1;
                let at = *at;
                work.replayed.push(Replayed { slice, at, order });
            } else {
                work.orders.push(order);
            }
        }
        for record in &slice.dead {
            match record.at.offset < expected {
                true => work.passed.push(Passed { slice, record }),
                false => work.dead.push((partition, record)),
            }
        }
        let forged = slice.forged.iter().filter(|record| record.at.offset >= expected);
        work.forged.extend(forged.map(|record| (partition, record)));
        let returned = slice.returned.iter().filter(|(at, _)| at.offset >= expected);
        work.returned.extend(returned.filter_map(|(at, origin)| {
            let found = slice.orders.binary_search_by_key(at, |(at, _)| *at).ok()?;
            let order = &slice.orders[found].1;
            Some(Returned { order, origin })
        }));
        if expected > slice.next {
            work.fenced.insert(partition, expected);
        }
        if expected < slice.next {
            work.advance.insert(partition, end(slice).max(expected));
        }
    }
    in_turn(&mut work.orders);
    work
}

/// Puts the orders of each shard into the order in which they were admitted, in the places that they have together: a
/// sweep sends entries late, and where units or counts run out, those that were admitted last do not fit. Orders
/// without an ordinal stay where they are.
fn in_turn(orders: &mut [&OrderEvent]) {
    let mut shards: HashMap<(&str, u32), Vec<usize>> = HashMap::new();
    for (place, order) in orders.iter().enumerate() {
        if order.ordinal.is_some() {
            let shard = (order.campaign.as_str(), order.shard);
            shards.entry(shard).or_default().push(place);
        }
    }
    for places in shards.into_values() {
        let mut own: Vec<&OrderEvent> = places.iter().map(|place| orders[*place]).collect();
        own.sort_by_key(|order| order.ordinal);
        for (place, order) in places.into_iter().zip(own) {
            orders[place] = order;
        }
    }
}

/// Takes up replayed orders that the database does not know after all: the log was rewritten (a topic
/// made anew, a tail lost by the brokers), so the stored offset belongs to other records. Its
/// partition goes back to where the slice ends.
pub fn recover<'a>(work: &mut ToWrite<'a>, is_known: impl Fn(&Replayed<'a>) -> bool) {
    for replayed in std::mem::take(&mut work.replayed) {
        if is_known(&replayed) {
            continue;
        }
        work.orders.push(replayed.order);
        work.duplicates -= 1;
        go_back(work, replayed.slice);
    }
    in_turn(&mut work.orders);
}

/// The same for records that do not land and that the database does not know.
pub fn recover_passed<'a>(work: &mut ToWrite<'a>, unknown: Vec<Passed<'a>>) {
    for Passed { slice, record } in unknown {
        work.dead.push((slice.partition, record));
        go_back(work, slice);
    }
}

fn go_back(work: &mut ToWrite<'_>, slice: &LandingSlice) {
    work.recovered += 1;
    work.fenced.remove(&slice.partition);
    work.advance.insert(slice.partition, end(slice));
}

/// How far a slice moves its partition's offset.
fn end(slice: &LandingSlice) -> i64 {
    slice.stop.map_or(slice.next, |stop| stop.min(slice.next))
}

/// Where an order of the slices stands, and in which partition.
pub fn place(slices: &[LandingSlice], order: &OrderEvent) -> Option<(i32, At)> {
    slices.iter().find_map(|slice| {
        let mut orders = slice.orders.iter();
        let found = orders.find(|(_, each)| std::ptr::eq(each, order));
        found.map(|(at, _)| (slice.partition, *at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::fixture::event as order;

    fn slice(partition: i32, from: i64, orders: u8) -> LandingSlice {
        LandingSlice {
            partition,
            from,
            next: from + i64::from(orders),
            orders: (0..orders)
                .map(|n| ((from + i64::from(n)).into(), order(n)))
                .collect(),
            ..LandingSlice::default()
        }
    }

    #[test]
    fn a_record_that_is_still_to_be_moved_stops_the_offset_and_nothing_else() {
        let mut stopped = slice(0, 5, 3);
        stopped.stop = Some(6);
        let slices = [stopped];
        let work = compare(&slices, &BTreeMap::from([(0, 5)]));
        assert_eq!((work.orders.len(), &work.advance), (3, &BTreeMap::from([(0, 6)])));
        assert_eq!(place(&slices, work.orders[2]), Some((0, 7.into())));
        // Somebody else has moved it: the offset does not go back.
        let work = compare(&slices, &BTreeMap::from([(0, 7)]));
        assert_eq!((work.orders.len(), &work.advance), (1, &BTreeMap::from([(0, 7)])));
    }

    #[test]
    fn a_record_that_does_not_land_below_the_offset_is_looked_for_and_takes_it_back() {
        let dead = |offset: i64| DeadRecord {
            at: offset.into(),
            ..DeadRecord::default()
        };
        let mut buried = slice(0, 5, 2);
        buried.next = 9;
        buried.dead = vec![dead(7), dead(8)];
        let slices = [buried];
        let mut work = compare(&slices, &BTreeMap::from([(0, 20)]));
        assert_eq!((work.passed.len(), work.dead.len(), work.fenced[&0]), (2, 0, 20));
        let unknown = work.passed.drain(1..).collect();
        recover_passed(&mut work, unknown);
        assert_eq!(
            (work.dead[0].1.at.offset, &work.advance),
            (8, &BTreeMap::from([(0, 9)]))
        );
        assert!(work.fenced.is_empty());
        assert_eq!((work.duplicates, work.recovered), (2, 1));
        // One that is there already keeps its place, and the offset only passes what follows.
        let work = compare(&slices, &BTreeMap::from([(0, 8)]));
        assert_eq!((work.passed.len(), work.dead.len()), (1, 1));
    }

    #[test]
    fn a_slice_at_the_stored_offset_is_written_whole() {
        let slices = [slice(0, 5, 3)];
        let work = compare(&slices, &BTreeMap::from([(0, 5)]));
        assert_eq!(work.orders.len(), 3);
        assert_eq!(work.advance, BTreeMap::from([(0, 8)]));
        assert!(work.duplicates == 0 && work.fenced.is_empty());
        assert_eq!(
            compare(&slices, &BTreeMap::new()).advance,
            BTreeMap::from([(0, 8)])
        );
    }

    #[test]
    fn a_prefix_that_landed_before_is_dropped() {
        let slices = [slice(0, 5, 3)];
        let work = compare(&slices, &BTreeMap::from([(0, 7)]));
        assert_eq!(work.orders, [&slices[0].orders[2].1]);
        assert_eq!(work.duplicates, 2);
    }

    #[test]
    fn a_slice_that_landed_whole_writes_nothing() {
        let slices = [slice(0, 5, 3)];
        let level = compare(&slices, &BTreeMap::from([(0, 8)]));
        assert!(level.orders.is_empty() && level.advance.is_empty() && level.fenced.is_empty());
        assert_eq!(level.duplicates, 3);
        let behind = compare(&slices, &BTreeMap::from([(0, 20)]));
        assert_eq!(behind.fenced, BTreeMap::from([(0, 20)]));
    }

    #[test]
    fn a_rewritten_log_is_found_out_and_lands() {
        let slices = [slice(0, 5, 3)];
        let mut work = compare(&slices, &BTreeMap::from([(0, 20)]));
        recover(&mut work, |replayed| replayed.order.user != "u1");
        assert_eq!(work.orders, [&slices[0].orders[1].1]);
        assert_eq!(work.advance, BTreeMap::from([(0, 8)]));
        assert_eq!((work.duplicates, work.recovered), (2, 1));
        assert!(work.fenced.is_empty());
    }

    #[test]
    fn orders_of_a_shard_have_their_turn_whenever_their_entry_was_sent() {
        let ordinal = |epoch, number| Some(crate::order::Ordinal { epoch, number });
        let mut slices = [slice(0, 0, 5)];
        let given = [ordinal(2, 0), ordinal(1, 9), None, ordinal(1, 8), ordinal(1, 1)];
        for ((_, order), ordinal) in slices[0].orders.iter_mut().zip(given) {
            order.ordinal = ordinal;
        }
        slices[0].orders[3].1.shard = 1;
        let work = compare(&slices, &BTreeMap::new());
        let users: Vec<&str> = work.orders.iter().map(|order| order.user.as_str()).collect();
        assert_eq!(users, ["u4", "u1", "u2", "u3", "u0"]);
    }

    #[test]
    fn an_order_in_the_midst_of_a_record_stops_the_offset_at_its_record() {
        let at = |position| At { offset: 5, position };
        let slices = [LandingSlice {
            partition: 0,
            from: 5,
            next: 6,
            stop: Some(5),
            orders: vec![(at(0), order(0)), (at(2), order(2))],
            ..LandingSlice::default()
        }];
        let work = compare(&slices, &BTreeMap::from([(0, 5)]));
        assert_eq!((work.orders.len(), &work.advance), (2, &BTreeMap::from([(0, 5)])));
        assert_eq!(place(&slices, work.orders[1]), Some((0, at(2))));
        // It was moved meanwhile: what landed of the record is known.
        let work = compare(&slices, &BTreeMap::from([(0, 6)]));
        assert_eq!((work.orders.len(), work.replayed.len()), (0, 2));
    }

    #[test]
    fn a_gap_fences_only_its_partition() {
        let slices = [slice(1, 9, 1), slice(0, 5, 1)];
        let work = compare(&slices, &BTreeMap::from([(0, 5), (1, 7)]));
        assert_eq!(work.advance, BTreeMap::from([(0, 6)]));
        assert_eq!(work.fenced, BTreeMap::from([(1, 7)]));
    }

    #[test]
    fn an_order_twice_in_one_batch_counts_once() {
        let slices = [slice(0, 0, 2), slice(1, 0, 1)];
        let work = compare(&slices, &BTreeMap::new());
        assert_eq!((work.orders.len(), work.duplicates), (2, 1));
    }

    #[test]
    fn another_order_of_the_same_id_is_no_duplicate() {
        let mut slices = [slice(0, 0, 1), slice(1, 0, 1)];
        slices[1].orders[0].1.user = "eve".into();
        let work = compare(&slices, &BTreeMap::new());
        assert_eq!((work.orders.len(), work.duplicates), (1, 0));
        assert_eq!(work.contradicted, [&slices[1].orders[0].1]);
        // It was dealt with before.
        let work = compare(&slices, &BTreeMap::from([(1, 1)]));
        assert_eq!((work.contradicted.len(), work.duplicates), (0, 1));
    }
}
