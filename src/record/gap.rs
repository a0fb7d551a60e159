//! Gaps: partitions whose log does not hold what the database expects next.

/// A partition whose log does not hold the offset that the database expects next. Nothing of it is read until the
/// database expects another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub partition: i32,
    /// What the database expects next; 0 where nothing has landed yet.
    pub expected: i64,
    /// The log's first offset.
    pub low: i64,
    /// One past the log's last record. Where that lies below `expected`, everything below it has been read again.
    pub high: i64,
}

impl Gap {
    /// Where landing goes on.
    pub fn next(&self) -> i64 {
        if self.expected < self.low {
            self.low
        } else {
            self.high
        }
    }

    /// Records that were removed before they landed: those that landing, which once came as far as `reached`, never
    /// took in. What lies below that was taken in, and somebody has set the offset back.
    pub fn missing(&self, reached: i64) -> u64 {
        // Landing cannot have come further than the log goes: it was another log, under the same name.
        let reached = if reached > self.high { 0 } else { reached };
        let from = self.expected.max(reached).max(0);
        u64::try_from(self.low - from).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_landing_had_taken_in_before_is_not_missing() {
        let missing = |expected, reached, (low, high)| {
            let gap = Gap {
                partition: 0,
                expected,
                low,
                high,
            };
            gap.missing(reached)
        };
        let log = (12, 20);
        for (expected, reached, lost) in [
            // Never further than expected: all between was removed before it landed.
            (0, 0, 12),
            (3, 3, 9),
            (3, 0, 9),
            // Set back, also to what is no offset.
            (0, 15, 0),
            (-7, 15, 0),
            (3, 12, 0),
            // Set back, and more was removed than had landed.
            (0, 10, 2),
            (-7, 0, 12),
            // It came further in another log of that name.
            (3, 400, 9),
        ] {
            assert_eq!(missing(expected, reached, log), lost, "{expected} {reached}");
        }
        // The log ends before the offset: nothing was removed from its beginning.
        assert_eq!(missing(100, 100, (0, 9)), 0);
    }
}
