//! The halt: from some moment on a process may send nothing any more, because what it sends would be taken for forged.
//!
//! All producers of a process share one. It stays: whoever may send again is started anew. What was handed over before
//! is counted until it is answered, so that somebody can wait for the last of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::{Acknowledge, BusError};

/// Shared by the producers of one process.
#[derive(Clone, Debug, Default)]
pub struct Halt(Arc<State>);

#[derive(Debug, Default)]
struct State {
    why: OnceLock<String>,
    /// Batches that are not answered.
    under_way: AtomicUsize,
}

/// Equal where the same was said: of two that have stopped nothing, nobody can tell which is which.
impl PartialEq for Halt {
    fn eq(&self, other: &Self) -> bool {
        self.why() == other.why()
    }
}

/// A batch on its way, until it is dropped.
struct UnderWay(Arc<State>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Halt {
    /// Nothing more is sent, for the reason that was given first.
    pub fn halt(&self, why: String) {
        let _ = self.0.why.set(why);
    }

    /// Why nothing is sent any more.
    pub fn why(&self) -> Option<&str> {
        self.0.why.get().map(String::as_str)
    }

    /// Whether nothing is sent any more, and everything from before is answered.
    pub fn is_still(&self) -> bool {
        // In this order: whoever is counted after the halt is refused.
        self.why().is_some() && self.0.under_way.load(Ordering::SeqCst) == 0
    }

    /// Counts a batch until it is answered. `None`: it may not be sent, and was answered so.
    pub(super) fn enter(&self, acknowledge: Acknowledge) -> Option<Acknowledge> {
        self.0.under_way.fetch_add(1, Ordering::SeqCst);
        let under_way = UnderWay(self.0.clone());
        if let Some(why) = self.why() {
            drop(under_way);
            acknowledge(Err(BusError::Halted(why.to_owned())));
            return None;
        }
        Some(Box::new(move |result| {
            acknowledge(result);
            drop(under_way);
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_was_under_way_is_waited_for_and_nothing_follows() {
        let (halt, (sender, answers)) = (Halt::default(), mpsc::channel());
        let answer = |sender: &mpsc::Sender<_>| -> Acknowledge {
            let sender = sender.clone();
            Box::new(move |result| drop(sender.send(result)))
        };
        let before = halt.enter(answer(&sender)).expect("nothing is wrong");
        assert!(!halt.is_still() && halt.why().is_none());
        halt.halt("no key".to_owned());
        halt.halt("another reason".to_owned());
        assert!(!halt.is_still(), "one is under way");
        assert!(halt.clone().enter(answer(&sender)).is_none());
        assert_eq!(answers.recv(), Ok(Err(BusError::Halted("no key".to_owned()))));
        assert!(!halt.is_still());
        before(Ok(()));
        assert_eq!(answers.recv(), Ok(Ok(())));
        assert!(halt.is_still());
    }

    #[test]
    fn a_batch_that_nobody_answers_is_no_longer_under_way() {
        let halt = Halt::default();
        drop(halt.enter(Box::new(|_| ())));
        halt.halt("no key".to_owned());
        assert!(halt.is_still());
    }
}
