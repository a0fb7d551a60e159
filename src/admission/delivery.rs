//! Whether acknowledgements come at all: while none do, no order waits for one.
//!
//! Delivery fails when a batch came back without one, or when batches are under way and for as long as an order would
//! wait none was acknowledged. The first acknowledgement ends it; time alone never does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::Instant;

use super::lane::{Acknowledgement, Answerer, LaneAnswer};
use super::{Admission, AnswerWhen, Config, Shared};
use crate::order::OrderState;
use crate::plan::decision::Placed;

/// Shared by the lanes of all campaigns: they have one bus.
#[derive(Debug, Default)]
pub(super) struct Delivery(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Batches without an answer.
    under_way: usize,
    /// Since when batches were under way and none was acknowledged.
    quiet_since: Option<Instant>,
    /// The last answer was a failure.
    failed: bool,
}

/// A batch on its way to Kafka. One that is dropped without an answer no longer counts.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Delivery>);

impl Delivery {
    pub(super) fn sent(self: &Arc<Self>, now: Instant) -> UnderWay {
        let mut state = self.state();
        state.under_way += 1;
        state.quiet_since.get_or_insert(now);
        UnderWay(self.clone())
    }

    /// Whether it would be in vain to wait up to `wait` for an acknowledgement.
    pub(super) fn is_failing(&self, now: Instant, wait: Duration) -> bool {
        let state = self.state();
        let quiet = |since: Instant| now.duration_since(since) >= wait;
        state.failed || state.quiet_since.is_some_and(quiet)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// The bus answered: all of the batch is acknowledged, or not.
    pub(super) fn answered(self, now: Instant, acknowledged: bool) {
        let mut state = self.0.state();
        state.failed = !acknowledged;
        if acknowledged {
            state.quiet_since = Some(now);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.under_way -= 1;
        if state.under_way == 0 {
            state.quiet_since = None;
        }
    }
}

impl Admission {
    /// Puts the answer, its wait and the deadline of `config` in force; the rest stays as it was at the start.
    pub fn put_in_force(&self, config: &Config) {
        let there = self.shared.config.load();
        self.shared.config.store(Arc::new(Config {
            answer: config.answer,
            accept_wait: config.accept_wait,
            deadline: config.deadline,
            ..Config::clone(&there)
        }));
    }

    /// Whether orders are answered `pending` at once, because no acknowledgement comes.
    pub fn delivery_fails(&self) -> bool {
        let wait = self.shared.config.load().accept_wait;
        self.shared.delivery.is_failing(Instant::now(), wait)
    }
}

/// Buyers of one batch whose orders were admitted.
pub(super) type Buyers = Vec<(Placed, Answerer)>;

impl Shared {
    /// Answers the buyers `accepted` when Kafka acknowledged their batch in time; they do not wait while no acknowledgement
    /// comes at all. One task waits for all of them.
    pub(super) fn promise(&self, buyers: Buyers, mut acknowledged: Acknowledgement) {
        let (answer, accept_wait) = {
            let config = self.config.load();
            (config.answer, config.accept_wait)
        };
        let there = acknowledged.try_recv();
        let in_vain = || self.delivery.is_failing(Instant::now(), accept_wait);
        if answer == AnswerWhen::Accepted && there == Err(TryRecvError::Empty) && !in_vain() {
            tokio::spawn(async move {
                let answer = tokio::time::timeout(accept_wait, acknowledged).await;
                answer_all(buyers, matches!(answer, Ok(Ok(true))));
            });
            return;
        }
        answer_all(buyers, answer == AnswerWhen::Accepted && there == Ok(true));
    }
}

fn answer_all(buyers: Buyers, accepted: bool) {
    let state = match accepted {
        true => OrderState::Accepted,
        false => OrderState::Pending,
    };
    for (placed, answer) in buyers {
        // A caller that went away does not read its answer; the order goes on.
        let _ = answer.send(Ok(LaneAnswer::Admitted(placed, state)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(200);

    fn at(begun: Instant, ms: u64) -> Instant {
        begun + Duration::from_millis(ms)
    }

    #[test]
    fn nobody_waits_while_batches_are_under_way_and_none_is_acknowledged() {
        let (delivery, begun) = (Arc::new(Delivery::default()), Instant::now());
        let failing = |ms| delivery.is_failing(at(begun, ms), WAIT);
        assert!(!failing(0), "nothing was sent");
        let first = delivery.sent(begun);
        let second = delivery.sent(at(begun, 150));
        assert!(!failing(199));
        assert!(failing(200));
        assert!(failing(3_600_000), "time does not end it");
        first.answered(at(begun, 4_000_000), true);
        assert!(!failing(4_000_199), "the first acknowledgement does");
        assert!(failing(4_000_200), "the other one is still under way");
        second.answered(at(begun, 4_000_300), true);
        assert!(!failing(9_000_000), "nothing is under way");
    }

    #[test]
    fn a_batch_that_came_back_says_so_for_the_next_ones() {
        let (delivery, begun) = (Arc::new(Delivery::default()), Instant::now());
        let failing = |ms| delivery.is_failing(at(begun, ms), WAIT);
        delivery.sent(begun).answered(at(begun, 1), false);
        assert!(failing(2) && failing(1_000_000));
        let next = delivery.sent(at(begun, 1_000_000));
        assert!(failing(1_000_001));
        next.answered(at(begun, 1_000_002), true);
        assert!(!failing(1_000_003));
    }

    #[test]
    fn slow_acknowledgements_that_keep_coming_are_waited_for() {
        let (delivery, begun) = (Arc::new(Delivery::default()), Instant::now());
        let mut under_way = std::collections::VecDeque::new();
        for ms in (0..5000).step_by(50) {
            under_way.push_back(delivery.sent(at(begun, ms)));
            // Each takes 150 ms.
            if under_way.len() > 3 {
                let oldest = under_way.pop_front().expect("four");
                oldest.answered(at(begun, ms), true);
            }
            assert!(!delivery.is_failing(at(begun, ms), WAIT), "{ms}");
        }
    }

    #[test]
    fn a_batch_that_nobody_answers_for_does_not_count() {
        let (delivery, begun) = (Arc::new(Delivery::default()), Instant::now());
        drop(delivery.sent(begun));
        assert!(!delivery.is_failing(at(begun, 1_000_000), WAIT));
    }
}
