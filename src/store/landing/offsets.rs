//! The offsets of partitions: how far each has landed, which fences landers, and how far its orders were told to everybody
//! else, which follows.

use std::collections::BTreeMap;

use crate::record::LandingSlice;
use crate::record::fence::ToWrite;
use crate::store::StoreResult;
use crate::store::dialect::{Dialect, placeholders};
use crate::store::landing::lane::{self, Lane, Value, narrow};

/// A partition's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Offsets {
    /// The first that has neither landed nor been moved.
    pub next: i64,
    /// The events of all orders below were published.
    pub told: i64,
    /// No order that has landed and is not told was placed before, milliseconds since 1970-01-01 UTC; 0: nobody knows.
    pub since: i64,
}

impl Offsets {
    /// Of a partition that has landed up to here, and of which nothing is to be told.
    fn told(next: i64) -> Self {
        Self {
            next,
            told: next,
            since: 0,
        }
    }
}

/// What landing expects of each partition.
pub(in crate::store) fn expected(stored: &BTreeMap<i32, Offsets>) -> BTreeMap<i32, i64> {
    let next = stored.iter().map(|(partition, stored)| (*partition, stored.next));
    next.collect()
}

/// The rows of the partitions that move. What was told moves on with what Kafka has acknowledged, as the slices say; where
/// orders have landed below the offset, because the log was made anew, it goes back to before them.
pub(in crate::store) fn after(
    stored: &BTreeMap<i32, Offsets>,
    slices: &[LandingSlice],
    work: &ToWrite<'_>,
) -> BTreeMap<i32, Offsets> {
    let moved = work.advance.iter().map(|(partition, next)| {
        let own = slices.iter().filter(|slice| slice.partition == *partition);
        let mut row = stored
            .get(partition)
            .copied()
            .unwrap_or_else(|| Offsets::told(*next));
        let (mut first, mut placed) = (*next, i64::MAX);
        for slice in own {
            if work.recovered == 0 {
                for (from, next) in &slice.told {
                    row.told = if row.told >= *from {
                        row.told.max(*next)
                    } else {
                        row.told
                    };
                }
            }
            first = first.min(slice.from);
            placed = slice
                .orders
                .iter()
                .map(|(_, order)| order.placed_at)
                .fold(placed, i64::min);
        }
        // Those before are told: from here on it counts anew.
        let since = if row.told >= row.next { i64::MAX } else { row.since };
        if work.recovered > 0 {
            row.told = row.told.min(first);
        }
        let told = row.told.min(*next);
        let since = since.min(placed);
        (
            *partition,
            Offsets {
                next: *next,
                told,
                since,
            },
        )
    });
    moved.collect()
}

/// Locks the offset rows of the slices' partitions, after adding those that are missing.
pub(in crate::store) async fn lock_offsets(
    lane: &mut Lane<'_>,
    dialect: Dialect,
    topic: &str,
    slices: &[LandingSlice],
) -> StoreResult<BTreeMap<i32, Offsets>> {
    let mut first = BTreeMap::new();
    for slice in slices {
        let from = first.entry(slice.partition).or_insert(slice.from);
        *from = slice.from.min(*from);
    }
    let stored = select_offsets(lane, dialect, topic, &first).await?;
    if stored.len() == first.len() {
        return Ok(stored);
    }
    let missing: BTreeMap<i32, Offsets> = first
        .iter()
        .filter(|(partition, _)| !stored.contains_key(partition))
        .map(|(partition, from)| (*partition, Offsets::told(*from)))
        .collect();
    let unchanged = ["next_offset", "reached", "told", "told_since"];
    upsert_offsets(lane, dialect, topic, &missing, unchanged).await?;
    select_offsets(lane, dialect, topic, &first).await
}

async fn select_offsets(
    lane: &mut Lane<'_>,
    dialect: Dialect,
    topic: &str,
    partitions: &BTreeMap<i32, i64>,
) -> StoreResult<BTreeMap<i32, Offsets>> {
    let (marks, lock) = (placeholders(1, partitions.len()), dialect.for_update());
    let sql = format!(
        "SELECT `partition`, next_offset, told, told_since FROM landing_offsets \
         WHERE topic = ? AND `partition` IN {marks} ORDER BY `partition`{lock}"
    );
    let partitions = partitions
        .keys()
        .map(|partition| Value::Int(i64::from(*partition)));
    let values: Vec<Value<'_>> = [Value::Text(topic)].into_iter().chain(partitions).collect();
    let offsets = |row: &lane::Row<'_>| {
        let (next, told, since) = (row.int(1)?, row.int(2)?, row.int(3)?);
        Ok((narrow(row, 0)?, Offsets { next, told, since }))
    };
    Ok(lane.fetch(sql, &values, offsets).await?.into_iter().collect())
}

pub(in crate::store) async fn write_offsets(
    lane: &mut Lane<'_>,
    dialect: Dialect,
    topic: &str,
    next: &BTreeMap<i32, Offsets>,
) -> StoreResult<()> {
    let further = "CASE WHEN {new} > reached THEN {new} ELSE reached END";
    upsert_offsets(lane, dialect, topic, next, ["{new}", further, "{new}", "{new}"]).await
}

/// Inserts offsets; a row that exists gets these values for `next_offset`, `reached`, `told` and `told_since`.
async fn upsert_offsets(
    lane: &mut Lane<'_>,
    dialect: Dialect,
    topic: &str,
    offsets: &BTreeMap<i32, Offsets>,
    [next_offset, reached, told, since]: [&str; 4],
) -> StoreResult<()> {
    let marks = placeholders(offsets.len(), 6);
    let changes = [
        ("next_offset", next_offset),
        ("reached", reached),
        ("told", told),
        ("told_since", since),
    ];
    let clause = dialect.on_conflict_all("topic, `partition`", &changes);
    let sql = format!(
        "INSERT INTO landing_offsets (topic, `partition`, next_offset, reached, told, told_since) VALUES {marks}{clause}"
    );
    let values = offsets.iter().flat_map(|(partition, row)| {
        [
            Value::Text(topic),
            Value::Int(i64::from(*partition)),
            Value::Int(row.next),
            Value::Int(row.next),
            Value::Int(row.told),
            Value::Int(row.since),
        ]
    });
    let values: Vec<Value<'_>> = values.collect();
    lane.execute(sql, &values, true).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::fixture::event;
    use crate::record::fence;

    fn slice(from: i64, orders: u8, placed_at: i64, told: &[(i64, i64)]) -> LandingSlice {
        let order = |n: u8| {
            let mut order = event(n);
            order.placed_at = placed_at + i64::from(n);
            ((from + i64::from(n)).into(), order)
        };
        LandingSlice {
            from,
            next: from + i64::from(orders),
            orders: (0..orders).map(order).collect(),
            told: told.to_vec(),
            ..LandingSlice::default()
        }
    }

    /// The row of the partition after a slice, from (next, told, since).
    fn row(before: (i64, i64, i64), slice: LandingSlice) -> (i64, i64, i64) {
        let (next, told, since) = before;
        let stored = BTreeMap::from([(0, Offsets { next, told, since })]);
        let slices = [slice];
        let mut work = fence::compare(&slices, &expected(&stored));
        fence::recover(&mut work, |_| false);
        let row = after(&stored, &slices, &work)[&0];
        (row.next, row.told, row.since)
    }

    #[test]
    fn what_was_told_moves_on_with_what_was_acknowledged_without_a_gap() {
        let landed = |told: &[(i64, i64)]| row((10, 4, 900), slice(10, 3, 1000, told));
        assert_eq!(landed(&[]), (13, 4, 900));
        assert_eq!(landed(&[(4, 8)]), (13, 8, 900));
        assert_eq!(landed(&[(2, 6), (6, 9)]), (13, 9, 900));
        assert_eq!(landed(&[(5, 8)]), (13, 4, 900), "what lies before it is not told");
        assert_eq!(landed(&[(1, 3)]), (13, 4, 900));
        // All of what had landed: the moment counts from this slice on.
        assert_eq!(landed(&[(4, 10)]), (13, 10, 1000));
        assert_eq!(row((10, 10, 0), slice(10, 3, 1000, &[])), (13, 10, 1000));
        assert_eq!(
            row((10, 4, 2000), slice(10, 3, 1000, &[])).2,
            1000,
            "placed earlier"
        );
    }

    #[test]
    fn orders_that_land_below_the_offset_are_to_be_told() {
        let landed = |told: &[(i64, i64)]| row((100, 100, 0), slice(0, 5, 7, told));
        assert_eq!(landed(&[]), (5, 0, 7));
        assert_eq!(landed(&[(0, 100)]), (5, 0, 7), "of other records");
    }
}
