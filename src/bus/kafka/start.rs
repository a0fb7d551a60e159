//! Where reading of a partition begins: what the database expects, held against what the log holds. Pure.

use crate::bus::Gap;

/// Looks in a row after which a log that ends too early is believed to: for a moment it seems so whenever the leader
/// has changed, and reading a whole log again takes hours.
pub(super) const BEHIND_LOOKS: u32 = 8;

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// At the database's offset.
    At(i64),
    /// At the log's beginning: nothing has landed yet.
    Beginning,
    /// At the log's beginning, although the database expects a later offset: the topic was made anew or lost its
    /// tail. Orders are known by their id.
    Rewritten(Gap),
    /// Not now: the log ends before the offset, and is looked at again.
    Wait,
    /// Not before the database expects another offset.
    Blocked(Gap),
}

/// `stored` is what the database expects, `log` the first offset and one past the last, where they are known; `looks`
/// counts how often in a row, this one included, the log seemed to end too early.
pub(super) fn start(partition: i32, stored: Option<i64>, log: Option<(i64, i64)>, looks: u32) -> Start {
    let Some((low, high)) = log else {
        // Nobody can say: the fetch will.
        return stored.map_or(Start::Beginning, Start::At);
    };
    let expected = stored.unwrap_or(0);
    let gap = Gap {
        partition,
        expected,
        low,
        high,
    };
    if expected < low {
        Start::Blocked(gap)
    } else if !is_behind(stored, log) {
        stored.map_or(Start::Beginning, Start::At)
    } else if looks < BEHIND_LOOKS {
        Start::Wait
    } else if low == high {
        Start::Blocked(gap)
    } else {
        Start::Rewritten(gap)
    }
}

/// Whether the log ends before the offset.
pub(super) fn is_behind(stored: Option<i64>, log: Option<(i64, i64)>) -> bool {
    stored.zip(log).is_some_and(|(stored, (_, high))| stored > high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked(expected: i64, low: i64, high: i64) -> Start {
        Start::Blocked(Gap {
            partition: 3,
            expected,
            low,
            high,
        })
    }

    #[test]
    fn what_the_log_holds_is_read_from_where_the_database_is() {
        for (stored, log, expected) in [
            (None, Some((0, 0)), Start::Beginning),
            (None, Some((0, 9)), Start::Beginning),
            (Some(0), Some((0, 9)), Start::At(0)),
            (Some(4), Some((4, 9)), Start::At(4)),
            (Some(9), Some((4, 9)), Start::At(9)),
            (Some(9), Some((9, 9)), Start::At(9)),
            (Some(9), None, Start::At(9)),
            (None, None, Start::Beginning),
        ] {
            assert_eq!(start(3, stored, log, 0), expected, "{stored:?} {log:?}");
        }
    }

    #[test]
    fn records_that_were_removed_before_they_landed_are_a_gap() {
        assert_eq!(start(3, Some(5), Some((9, 20)), 0), blocked(5, 9, 20));
        assert_eq!(start(3, Some(0), Some((20, 20)), 0), blocked(0, 20, 20));
        // Nothing has landed yet, and the first records are gone already.
        assert_eq!(start(3, None, Some((20, 20)), 0), blocked(0, 20, 20));
        let Start::Blocked(gap) = start(3, Some(5), Some((9, 20)), 0) else {
            panic!("a gap");
        };
        assert_eq!(gap.next(), 9);
    }

    #[test]
    fn a_log_that_ends_too_early_is_looked_at_again_before_it_is_believed() {
        let log = Some((0, 9));
        for looks in 1..BEHIND_LOOKS {
            assert_eq!(start(3, Some(10), log, looks), Start::Wait, "{looks}");
        }
        let Start::Rewritten(gap) = start(3, Some(10), log, BEHIND_LOOKS) else {
            panic!("believed");
        };
        assert_eq!((gap.expected, gap.next()), (10, 9));
        // There is nothing to read again.
        let Start::Blocked(gap) = start(3, Some(10), Some((4, 4)), BEHIND_LOOKS) else {
            panic!("a gap");
        };
        assert_eq!(gap.next(), 4);
    }
}
