//! A connection's turn: how much of it is taken up each time it is polled, before other connections have their turns.
//!
//! A byte of h2 may stand for a whole field of a head, and forty for a request, so what a turn costs is a multiple of its
//! bytes. Who sends without a pause gets shorter turns: nobody's order waits for all that another one sends.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A turn after one that was used up is so many times shorter.
const SHORTER: usize = 4;

pub(super) struct Turn {
    /// Bytes of a turn.
    bytes: usize,
    left: AtomicUsize,
    /// Requests that began in it.
    requests: AtomicUsize,
}

impl Turn {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            left: AtomicUsize::new(bytes),
            requests: AtomicUsize::new(0),
        }
    }

    /// The next turn begins.
    pub(super) fn begin(&self) {
        let next = match self.left() {
            0 => self.bytes / SHORTER,
            _ => self.bytes,
        };
        self.left.store(next, Ordering::Relaxed);
        self.requests.store(0, Ordering::Relaxed);
    }

    /// Bytes that may still be read in it.
    pub(super) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    pub(super) fn read(&self, bytes: usize) {
        let left = self.left().saturating_sub(bytes);
        self.left.store(left, Ordering::Relaxed);
    }

    /// A request begins: whether it has to let others go first, as another one had this turn.
    pub(super) fn asked(&self) -> bool {
        self.requests.fetch_add(1, Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_without_a_pause_gets_shorter_turns() {
        let turn = Turn::new(2048);
        turn.read(300);
        assert_eq!(turn.left(), 1748);
        turn.begin();
        assert_eq!(turn.left(), 2048);
        turn.read(2048);
        turn.begin();
        assert_eq!(turn.left(), 512);
        turn.read(512);
        turn.begin();
        assert_eq!(turn.left(), 512, "as long as it does");
        turn.read(511);
        turn.begin();
        assert_eq!(turn.left(), 2048);
    }

    #[test]
    fn one_request_a_turn_goes_at_once() {
        let turn = Turn::new(2048);
        assert!(!turn.asked());
        assert!(turn.asked() && turn.asked());
        turn.begin();
        assert!(!turn.asked());
    }
}
