//! Partitions that have something to land, and of which nothing lands: for how long, and what is done about it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Partition;

/// A partition of which nothing lands though it has records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StalledPartition {
    pub partition: Partition,
    /// For how long, the time left out that a record of its topic has to wait anyway.
    pub still: Duration,
}

/// Remembers how far each partition had landed, and since when.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    seen: BTreeMap<(String, i32), (i64, Instant)>,
}

impl Standstill {
    /// Takes in how far partitions have landed.
    pub(super) fn note(&mut self, partitions: &[Partition], now: Instant) {
        for partition in partitions {
            let key = (partition.topic.clone(), partition.number);
            let (landed, since) = self.seen.entry(key).or_insert((partition.landed, now));
            if *landed != partition.landed || partition.lag == 0 {
                (*landed, *since) = (partition.landed, now);
            }
        }
    }

    /// Those that stand still for longer than their topic's records have to wait.
    pub(super) fn find(
        &self,
        partitions: Vec<Partition>,
        delays: &BTreeMap<String, Duration>,
        now: Instant,
    ) -> Vec<StalledPartition> {
        let still = |partition: &Partition| {
            let (_, since) = self.seen.get(&(partition.topic.clone(), partition.number))?;
            let delay = delays.get(&partition.topic).copied().unwrap_or_default();
            let still = now.saturating_duration_since(*since).saturating_sub(delay);
            (partition.lag > 0 && !still.is_zero()).then_some(still)
        };
        let found = partitions.into_iter().filter_map(|partition| {
            let still = still(&partition)?;
            Some(StalledPartition { partition, still })
        });
        found.collect()
    }
}

/// What is to be done about a topic whose partitions stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// They are read again from where the database is.
    Partitions,
    /// That did not help: their consumers are made anew.
    Consumers,
}

/// Of so many steps in a row one makes the consumers anew, the last.
const CONSUMERS_EVERY: u32 = 4;

/// Decides when something is done about one topic.
#[derive(Debug, Default)]
pub struct Ladder {
    /// When the last step was taken, and how many in a row.
    taken: Option<(Instant, u32)>,
}

impl Ladder {
    /// The next step, where partitions have stood still for `long`, and so long after the step before.
    pub fn step(&mut self, stillest: Option<Duration>, long: Duration, now: Instant) -> Option<Remedy> {
        if stillest.is_none_or(|still| still < long) {
            self.taken = None;
            return None;
        }
        let (before, steps) = match self.taken {
            Some((before, steps)) => (Some(before), steps),
            None => (None, 0),
        };
        if before.is_some_and(|before| now.saturating_duration_since(before) < long) {
            return None;
        }
        let steps = steps + 1;
        self.taken = Some((now, steps));
        Some(match steps % CONSUMERS_EVERY {
            0 => Remedy::Consumers,
            _ => Remedy::Partitions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn partition(topic: &str, number: i32, landed: i64, lag: u64) -> Partition {
        Partition {
            topic: topic.to_owned(),
            number,
            lag,
            landed,
        }
    }

    #[test]
    fn what_stands_still_with_lag_is_found() {
        let begun = Instant::now();
        let mut standstill = Standstill::default();
        let mut find = |second: u32, landed: [i64; 3], lags: [u64; 3]| {
            let now = begun + SECOND * second;
            let partitions = || (0..3).map(|n| partition("o", n as i32, landed[n], lags[n]));
            standstill.note(&partitions().collect::<Vec<_>>(), now);
            let found = standstill.find(partitions().collect(), &BTreeMap::new(), now);
            let told = found
                .iter()
                .map(|found| (found.partition.number, found.still.as_secs()));
            told.collect::<Vec<_>>()
        };
        assert_eq!(find(0, [7, 7, 7], [5, 5, 0]), []);
        assert_eq!(find(9, [7, 8, 7], [5, 5, 0]), [(0, 9)]);
        assert_eq!(find(10, [7, 8, 7], [5, 5, 3]), [(0, 10), (1, 1), (2, 1)]);
        assert_eq!(
            find(20, [8, 8, 7], [5, 0, 4]),
            [(2, 11)],
            "the second has no lag any more"
        );
        assert_eq!(
            find(30, [6, 8, 7], [5, 0, 0]),
            [],
            "an offset that was set back moves too"
        );
    }

    #[test]
    fn a_record_that_waits_for_its_time_is_no_standstill() {
        let begun = Instant::now();
        let mut standstill = Standstill::default();
        let delays = BTreeMap::from([("o.retry.5m".to_owned(), SECOND * 300)]);
        let all = || vec![partition("o", 0, 7, 1), partition("o.retry.5m", 0, 7, 1)];
        let mut find = |second: u32| {
            let now = begun + SECOND * second;
            standstill.note(&all(), now);
            let found = standstill.find(all(), &delays, now);
            let told = found
                .iter()
                .map(|found| (found.partition.topic.clone(), found.still.as_secs()));
            told.collect::<Vec<_>>()
        };
        assert_eq!(find(0), []);
        assert_eq!(find(299), [("o".to_owned(), 299)]);
        let both = [("o".to_owned(), 400), ("o.retry.5m".to_owned(), 100)];
        assert_eq!(find(400), both);
    }

    #[test]
    fn steps_are_apart_and_get_thorough() {
        let begun = Instant::now();
        let long = SECOND * 15;
        let mut ladder = Ladder::default();
        let mut step = |second: u32, still: Option<u32>| {
            ladder.step(still.map(|still| SECOND * still), long, begun + SECOND * second)
        };
        assert_eq!(step(0, Some(14)), None);
        assert_eq!(step(1, Some(15)), Some(Remedy::Partitions));
        assert_eq!(step(2, Some(16)), None, "too soon after the one before");
        assert_eq!(step(16, Some(30)), Some(Remedy::Partitions));
        assert_eq!(step(31, Some(45)), Some(Remedy::Partitions));
        assert_eq!(step(46, Some(60)), Some(Remedy::Consumers));
        assert_eq!(step(61, Some(75)), Some(Remedy::Partitions));
        assert_eq!(step(62, None), None);
        assert_eq!(step(63, Some(15)), Some(Remedy::Partitions), "from the start");
    }
}
