//! The engine's clock as this gateway knows it: buyers are told times and states by the clock that decides, whatever
//! this machine's says.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

/// No reading yet.
const UNKNOWN: i64 = i64::MIN;

/// How far the engine's clock is from this process's steady one.
///
/// A reading says only that the engine's clock showed `now` at some moment between question and answer. What is known
/// already is kept where it agrees with that, and moved as little as possible where it does not: a reply that took long
/// spoils nothing, and a clock that was set is followed at once.
#[derive(Debug)]
pub(super) struct EngineClock {
    begun: Instant,
    /// The engine's clock at `begun`, milliseconds since 1970-01-01 UTC.
    begun_at: AtomicI64,
}

impl Default for EngineClock {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            begun_at: AtomicI64::new(UNKNOWN),
        }
    }
}

impl EngineClock {
    /// The engine, asked at `asked`, has just answered that it is `now`.
    pub(super) fn seen(&self, now: i64, asked: Instant) {
        self.seen_between(now, asked, Instant::now());
    }

    fn seen_between(&self, now: i64, asked: Instant, answered: Instant) {
        let since = |moment: Instant| moment.saturating_duration_since(self.begun).as_millis() as i64;
        // `now` has no parts of a millisecond.
        let (earliest, latest) = (now - since(answered) - 1, now + 1 - since(asked));
        let kept = |there: i64| match there {
            UNKNOWN => earliest.midpoint(latest),
            there => there.clamp(earliest, latest),
        };
        let changed = |there| Some(kept(there));
        let _ = self
            .begun_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
    }

    /// Milliseconds since 1970-01-01 UTC; `None` until the engine has said it once.
    pub(super) fn now(&self) -> Option<i64> {
        match self.begun_at.load(Ordering::Relaxed) {
            UNKNOWN => None,
            begun_at => Some(begun_at + self.begun.elapsed().as_millis() as i64),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The engine's clock at the beginning of the steady one.
    const AHEAD: i64 = 1_795_255_200_000;

    fn after(clock: &EngineClock, ms: u64) -> Instant {
        clock.begun + Duration::from_millis(ms)
    }

    /// What is believed about the beginning, less what is right.
    fn error(clock: &EngineClock) -> i64 {
        clock.begun_at.load(Ordering::Relaxed) - AHEAD
    }

    #[test]
    fn nothing_is_known_before_the_engine_has_said_it() {
        assert_eq!(EngineClock::default().now(), None);
    }

    #[test]
    fn a_quick_reply_mends_what_a_slow_one_said_and_a_slow_one_spoils_nothing() {
        let clock = EngineClock::default();
        let seen = |at: i64, asked, answered| {
            clock.seen_between(AHEAD + at, after(&clock, asked), after(&clock, answered));
        };
        seen(10, 0, 2000);
        assert!(error(&clock).abs() <= 1000, "{}", error(&clock));
        seen(3002, 3000, 3004);
        assert!(error(&clock).abs() <= 5, "{}", error(&clock));
        let before = error(&clock);
        seen(4001, 4000, 6000);
        assert_eq!(error(&clock), before);
    }

    #[test]
    fn a_clock_that_is_set_is_followed_at_once() {
        let clock = EngineClock::default();
        for moved in [0, 120_000, -120_000] {
            clock.seen_between(AHEAD + moved + 5002, after(&clock, 5000), after(&clock, 5004));
            let error = error(&clock) - moved;
            assert!(error.abs() <= 5, "{moved}: {error}");
        }
    }
}
