//! Round trips to the engine: lanes that have something to ask while others' calls are on their way ask together when those
//! are answered.
//!
//! The engine does one call after the other, so nobody is answered later for it; but many calls that are written and read at
//! once cost both sides less than as many that come one by one, and more orders are in each. A lane that is alone never
//! waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::Notify;

/// How long a lane waits for others' calls at most, whatever the engine does.
const WAIT_MAX: Duration = Duration::from_millis(5);

/// Shared by the lanes of all campaigns: they have one engine.
#[derive(Debug, Default)]
pub(super) struct Trips {
    /// Calls on their way.
    calls: AtomicUsize,
    back: Notify,
}

/// A call's place in a round trip, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Trips>);

impl Trips {
    /// Waits until the calls on their way are answered, if there are any.
    pub(super) async fn back(&self) {
        let back = self.back.notified();
        tokio::pin!(back);
        // Whoever comes back from here on is heard.
        back.as_mut().enable();
        if self.calls.load(SeqCst) > 0 {
            // Gone on with after the time, too.
            let _ = tokio::time::timeout(WAIT_MAX, back).await;
        }
    }

    /// A call begins, however many are on their way.
    pub(super) fn board(self: &Arc<Self>) -> Seat {
        self.calls.fetch_add(1, SeqCst);
        Seat(self.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.0.calls.fetch_sub(1, SeqCst) == 1 {
            self.0.back.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    async fn board(trips: &Arc<Trips>) -> Seat {
        trips.back().await;
        trips.board()
    }

    #[tokio::test]
    async fn who_comes_while_calls_are_on_their_way_goes_with_the_next_ones() {
        let trips = Arc::new(Trips::default());
        let alone = board(&trips).now_or_never().expect("nobody is on the way");
        let (one, other) = (board(&trips), board(&trips));
        tokio::pin!(one, other);
        assert!((&mut one).now_or_never().is_none());
        assert!((&mut other).now_or_never().is_none());
        drop(alone);
        let one = (&mut one).now_or_never().expect("they are back");
        let other = (&mut other).now_or_never().expect("it goes at the same time");
        let next = board(&trips);
        tokio::pin!(next);
        assert!((&mut next).now_or_never().is_none());
        drop(one);
        assert!((&mut next).now_or_never().is_none(), "the other is on its way");
        drop(other);
        assert!((&mut next).now_or_never().is_some());
    }

    #[tokio::test]
    async fn silence_holds_nobody_up() {
        let trips = Arc::new(Trips::default());
        let _silent = board(&trips).await;
        let begun = tokio::time::Instant::now();
        let _next = board(&trips).await;
        assert!(begun.elapsed() >= WAIT_MAX);
    }
}
