//! What is said once and again rarely, however often it is met: a loop that fails at every turn would fill a log. Pure.

use std::time::{Duration, Instant};

/// Between two times that the same is said.
const AGAIN_EVERY: Duration = Duration::from_secs(60);
/// Something else is said sooner, and still not at every turn.
const CHANGED_EVERY: Duration = Duration::from_secs(5);

/// One thing that may go wrong again and again. `what` tells one cause from another: it is no place for ids.
#[derive(Debug, Default)]
pub struct Seldom {
    last: Option<(Instant, String)>,
    /// Times it was met since it was said.
    unsaid: u64,
}

impl Seldom {
    /// It is met: `Some` where it is to be said now, with the times it was met since it was last said, this one
    /// included.
    pub fn met(&mut self, what: &str, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if let Some((at, said)) = &self.last {
            let quiet = if said == what { AGAIN_EVERY } else { CHANGED_EVERY };
            if now.duration_since(*at) < quiet {
                return None;
            }
        }
        self.last = Some((now, what.to_owned()));
        Some(std::mem::take(&mut self.unsaid))
    }

    /// It is over: when it is met again, it is said at once.
    pub fn over(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_a_minute_and_something_else_sooner() {
        let (mut seldom, begun) = (Seldom::default(), Instant::now());
        let mut met = |what, second| seldom.met(what, begun + Duration::from_secs(second));
        assert_eq!(met("away", 0), Some(1));
        for second in 1..60 {
            assert_eq!(met("away", second), None, "{second}");
        }
        assert_eq!(met("away", 60), Some(60));
        assert_eq!(met("refused", 61), None);
        assert_eq!(met("refused", 65), Some(2));
    }

    #[test]
    fn what_was_over_is_said_at_once() {
        let (mut seldom, now) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.met("away", now), Some(1));
        assert_eq!(seldom.met("away", now), None);
        seldom.over();
        assert_eq!(seldom.met("away", now), Some(1));
    }
}
