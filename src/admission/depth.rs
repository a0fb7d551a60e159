//! How deep a lane is: the batches it has on their way to Kafka. While there are enough of them, the next one gathers.
//!
//! A call, a record and a landing cost about as much with one order as with twenty, and an order that is to be answered after
//! Kafka's acknowledgement gains nothing from a record that queues behind others. So orders wait for the acknowledgement
//! that is due next, and go together. A lane with nothing on its way never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;

/// Batches on their way at which the next one gathers.
const DEEP: usize = 2;
/// How long it gathers at most, whatever Kafka does.
const GATHER_MAX: Duration = Duration::from_millis(5);

/// Of one lane.
#[derive(Debug, Default)]
pub(super) struct Depth {
    batches: AtomicUsize,
    left: Notify,
}

/// A batch on its way, until it is dropped.
#[derive(Debug)]
pub(super) struct Entered(Arc<Depth>);

impl Depth {
    pub(super) fn enter(self: &Arc<Self>) -> Entered {
        self.batches.fetch_add(1, Relaxed);
        Entered(self.clone())
    }

    fn is_deep(&self) -> bool {
        self.batches.load(Relaxed) >= DEEP
    }

    /// Waits while the lane is deep, for [`GATHER_MAX`] at most.
    pub(super) async fn gather(&self) {
        if !self.is_deep() {
            return;
        }
        let left = async {
            while self.is_deep() {
                self.left.notified().await;
            }
        };
        // Gone on with after the time, too.
        let _ = tokio::time::timeout(GATHER_MAX, left).await;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.batches.fetch_sub(1, Relaxed);
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn deep() -> (Arc<Depth>, Vec<Entered>) {
        let depth = Arc::new(Depth::default());
        let entered = (0..DEEP).map(|_| depth.enter()).collect();
        (depth, entered)
    }

    #[tokio::test]
    async fn nobody_waits_where_little_is_on_its_way() {
        let (depth, mut entered) = deep();
        entered.pop();
        assert!(depth.gather().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_batch_gathers_until_one_is_answered() {
        let (depth, mut entered) = deep();
        let gathering = depth.gather();
        tokio::pin!(gathering);
        assert!((&mut gathering).now_or_never().is_none());
        entered.push(depth.enter());
        entered.pop();
        assert!(
            (&mut gathering).now_or_never().is_none(),
            "there are as many as before"
        );
        entered.pop();
        assert!((&mut gathering).now_or_never().is_some());
    }

    #[tokio::test]
    async fn silence_holds_nobody_up() {
        let (depth, _entered) = deep();
        let begun = tokio::time::Instant::now();
        depth.gather().await;
        assert!(begun.elapsed() >= GATHER_MAX);
    }
}
