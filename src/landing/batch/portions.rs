//! What one poll gave, in portions of bounded size: a record may hold a thousand orders, and a transaction a few thousand.

use super::{Polled, Sorted};

/// Cuts between records, so that no portion has more orders than `most` unless one record has; each partition's records
/// stay in order. What stands between two records, or behind the last one, goes with what is before it.
pub(in crate::landing) fn portions(sorted: Vec<Sorted<'_>>, most: usize) -> Vec<Vec<Sorted<'_>>> {
    let (mut portions, mut portion, mut size) = (Vec::new(), Vec::new(), 0);
    for mut rest in sorted {
        loop {
            let (fits, orders) = fitting(&rest.records, most.saturating_sub(size));
            if fits == rest.records.len() {
                size += orders;
                portion.push(rest);
                break;
            }
            if fits == 0 && size > 0 {
                portions.push(std::mem::take(&mut portion));
                size = 0;
                continue;
            }
            let behind = split(&mut rest, fits.max(1));
            portion.push(rest);
            portions.push(std::mem::take(&mut portion));
            size = 0;
            match behind {
                Some(behind) => rest = behind,
                None => break,
            }
        }
    }
    if !portion.is_empty() {
        portions.push(portion);
    }
    portions
}

/// How many of the first records fit, and how many orders these hold.
fn fitting(records: &[Polled<'_>], room: usize) -> (usize, usize) {
    let (mut fits, mut sum) = (0, 0);
    for record in records {
        if sum + record.orders > room {
            break;
        }
        (fits, sum) = (fits + 1, sum + record.orders);
    }
    (fits, sum)
}

/// Leaves the first so many records, and gives what is behind them, if anything is.
fn split<'a>(part: &mut Sorted<'a>, first: usize) -> Option<Sorted<'a>> {
    let at = part.records.get(first)?.offset();
    let unsealed = part.unsealed.partition_point(|unsealed| unsealed.offset < at);
    let forged = part.forged.partition_point(|forged| forged.at.offset < at);
    let behind = Sorted {
        partition: part.partition,
        from: at,
        next: part.next,
        records: part.records.split_off(first),
        unsealed: part.unsealed.split_off(unsealed),
        forged: part.forged.split_off(forged),
    };
    part.next = at;
    Some(behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{Record, Slice};
    use crate::record::{self, DeadRecord};

    fn record(offset: i64, orders: usize) -> Record {
        let payload = match orders {
            1 => b"{}".to_vec(),
            orders => {
                let header = record::Header {
                    campaign: "spring",
                    uid: "u",
                    shard: 0,
                    epoch: 1,
                    revision: 1,
                    plan: "p",
                    evaluator: 1,
                    at: 1,
                    entry: Default::default(),
                    first: 0,
                };
                record::encode(&header, vec![&b"x"[..]; orders].into_iter()).expect("it fits")
            }
        };
        Record {
            offset,
            key: Vec::new(),
            payload,
            headers: Vec::new(),
            timestamp: 0,
        }
    }

    fn slice(partition: i32, orders: &[usize]) -> Slice {
        let records: Vec<Record> = (0..)
            .zip(orders)
            .map(|(n, orders)| record(n * 2, *orders))
            .collect();
        Slice {
            partition,
            from: 0,
            next: records.len() as i64 * 2,
            records,
        }
    }

    fn sorted(slice: &Slice) -> Sorted<'_> {
        Sorted {
            partition: slice.partition,
            from: slice.from,
            next: slice.next,
            records: slice.records.iter().map(Polled::read).collect(),
            unsealed: vec![2.into(), 4.into()],
            forged: vec![DeadRecord {
                at: 3.into(),
                ..DeadRecord::default()
            }],
        }
    }

    /// (partition, from, next) of each part of each portion.
    fn cut(slices: &[Slice], most: usize) -> Vec<Vec<(i32, i64, i64)>> {
        let part = |part: &Sorted<'_>| (part.partition, part.from, part.next);
        let portions = portions(slices.iter().map(sorted).collect(), most);
        portions
            .iter()
            .map(|portion| portion.iter().map(part).collect())
            .collect()
    }

    #[test]
    fn a_portion_ends_between_records_and_nothing_is_left_out() {
        assert_eq!(cut(&[slice(0, &[1, 1, 1])], 3), [[(0, 0, 6)]]);
        assert_eq!(
            cut(&[slice(0, &[200, 200, 200])], 400),
            [[(0, 0, 4)], [(0, 4, 6)]]
        );
        assert_eq!(
            cut(&[slice(0, &[300]), slice(1, &[1, 300, 1])], 302),
            [vec![(0, 0, 2), (1, 0, 2)], vec![(1, 2, 6)]]
        );
        assert_eq!(
            cut(&[slice(0, &[2]), slice(1, &[900, 900])], 500),
            [[(0, 0, 2)], [(1, 0, 2)], [(1, 2, 4)]],
            "a record is never cut"
        );
        assert_eq!(cut(&[slice(3, &[])], 500), [[(3, 0, 0)]]);
        assert!(cut(&[], 500).is_empty());
    }

    #[test]
    fn what_is_known_of_records_goes_with_them() {
        let slice = slice(0, &[200, 200, 200]);
        let portions = portions(vec![sorted(&slice)], 200);
        let known: Vec<(usize, usize)> = portions
            .iter()
            .map(|portion| (portion[0].unsealed.len(), portion[0].forged.len()))
            .collect();
        // The forged record behind the second one is passed over with it.
        assert_eq!(known, [(0, 0), (1, 1), (1, 0)]);
    }
}
