//! Partitions that have something to land, and of which nothing lands.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Partition;

/// Remembers how far each partition had landed, and since when.
#[derive(Debug, Default)]
pub struct Standstill {
    seen: BTreeMap<(String, i32), (i64, Instant)>,
}

impl Standstill {
    /// Takes in how far every partition has landed; says which of them have stood still for so long, with lag.
    pub fn find(&mut self, partitions: Vec<Partition>, now: Instant, long: Duration) -> Vec<Partition> {
        let mut still = Vec::new();
        for partition in partitions {
            let key = (partition.topic.clone(), partition.number);
            let (landed, since) = self.seen.entry(key).or_insert((partition.landed, now));
            if *landed != partition.landed || partition.lag == 0 {
                (*landed, *since) = (partition.landed, now);
            } else if now.duration_since(*since) >= long {
                still.push(partition);
            }
        }
        still
    }

    /// Counts a topic's time from now on.
    pub fn restart(&mut self, topic: &str) {
        self.seen.retain(|(name, _), _| name != topic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn partition(number: i32, landed: i64, lag: u64) -> Partition {
        Partition {
            topic: "orders".to_owned(),
            number,
            lag,
            landed,
        }
    }

    #[test]
    fn what_stands_still_with_lag_is_found() {
        let begun = Instant::now();
        let mut standstill = Standstill::default();
        let mut find = |second, landed: [i64; 3]| {
            let lags = [5, 5, 0];
            let partitions = (0..3).map(|n| partition(n as i32, landed[n], lags[n])).collect();
            let found = standstill.find(partitions, begun + Duration::from_secs(second), LONG);
            found.iter().map(|found| found.number).collect::<Vec<_>>()
        };
        assert_eq!(find(0, [7, 7, 7]), [0; 0]);
        assert_eq!(find(9, [7, 8, 7]), [0; 0]);
        assert_eq!(find(10, [7, 8, 7]), [0], "the second moved, the third has no lag");
        assert_eq!(find(19, [8, 8, 7]), [1]);
        standstill.restart("orders");
        let again = |seconds, standstill: &mut Standstill| {
            let now = begun + Duration::from_secs(seconds);
            standstill.find(vec![partition(1, 8, 5)], now, LONG).len()
        };
        assert_eq!(again(20, &mut standstill), 0);
        assert_eq!(again(30, &mut standstill), 1);
    }
}
