//! The guard: stops landing from moving records away when too many of them fail. Pure.
//!
//! A record here and there is the record's fault. When most of them fail, something else is at fault (a table that
//! was changed, a build that writes what this one cannot read), and emptying the topic into the dead letters would
//! only move the trouble to where it is harder to mend.

use std::collections::VecDeque;

/// Records that must have been seen before a share means anything.
const SEEN_MIN: usize = 100;

/// What made it trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tripped {
    /// Recent records that fail.
    pub failing: usize,
    /// Recent records.
    pub seen: usize,
}

/// The recent records of one lander.
#[derive(Debug)]
pub(super) struct Guard {
    /// Share of the recent records, 0 to 1, above which nothing is moved any more; 1 never trips.
    share: f64,
    /// Recent records that are looked at.
    window: usize,
    /// Whether each was moved away; the newest is last.
    recent: VecDeque<bool>,
    failing: usize,
}

impl Guard {
    pub fn new(share: f64, window: usize) -> Self {
        Self {
            share,
            window,
            recent: VecDeque::with_capacity(window),
            failing: 0,
        }
    }

    /// Whether a batch of so many records, of which so many fail, makes it trip.
    pub fn check(&self, records: usize, failing: usize) -> Option<Tripped> {
        let room = self.window.saturating_sub(records);
        let forgotten = self.recent.len().saturating_sub(room);
        let forgotten_failing = self.recent.iter().take(forgotten).filter(|failed| **failed);
        let tripped = Tripped {
            failing: self.failing - forgotten_failing.count() + failing,
            seen: self.recent.len() - forgotten + records,
        };
        let enough = tripped.seen >= SEEN_MIN.min(self.window);
        let above = tripped.failing as f64 > self.share * tripped.seen as f64;
        (enough && above).then_some(tripped)
    }

    /// Remembers a batch that is done with.
    pub fn record(&mut self, records: usize, moved: usize) {
        let window = self.window;
        for n in 0..records {
            let failed = n < moved;
            self.recent.push_back(failed);
            self.failing += usize::from(failed);
            if self.recent.len() > window
                && let Some(oldest) = self.recent.pop_front()
            {
                self.failing -= usize::from(oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(share: f64) -> Guard {
        Guard::new(share, 200)
    }

    #[test]
    fn it_trips_above_the_share_once_enough_was_seen() {
        let mut guard = guard(0.5);
        assert_eq!(guard.check(99, 99), None, "too few to tell");
        let (failing, seen) = (60, 100);
        assert_eq!(guard.check(100, 60), Some(Tripped { failing, seen }));
        assert_eq!(guard.check(100, 50), None, "at the share");
        guard.record(100, 0);
        assert_eq!(guard.check(100, 100), None);
        let (failing, seen) = (101, 200);
        assert_eq!(guard.check(150, 101), Some(Tripped { failing, seen }));
        assert!(
            guard.check(1000, 501).is_some(),
            "a batch beyond the window is all there is"
        );
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let mut guard = guard(0.5);
        guard.record(150, 90);
        guard.record(150, 0);
        assert_eq!((guard.recent.len(), guard.failing), (200, 0));
        guard.record(10, 10);
        assert_eq!(guard.failing, 10);
        assert_eq!(guard.check(90, 90), None);
    }

    #[test]
    fn a_share_of_one_never_trips() {
        assert_eq!(guard(1.0).check(1000, 1000), None);
        assert!(guard(0.0).check(100, 1).is_some());
    }
}
