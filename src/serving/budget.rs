//! How many bytes connections hold: charges take their part of what is allowed, and give it back when they are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of bytes, of which charges take their part.
#[derive(Debug, Default)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    pub(super) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes `bytes`, unless more than `limit` would be taken then.
    fn take(&self, bytes: usize, limit: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= limit);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok()
    }

    fn give(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one connection holds, counted for itself, its peer and in all, and what the latter two may.
pub(super) struct Account {
    own: Budget,
    peer: (Arc<Budget>, usize),
    all: (Arc<Budget>, usize),
}

impl Account {
    /// `peer` and `all` with the most bytes of each.
    pub(super) fn new(peer: (Arc<Budget>, usize), all: (Arc<Budget>, usize)) -> Self {
        let own = Budget::default();
        Self { own, peer, all }
    }

    /// Bytes that the connection itself holds.
    pub(super) fn used(&self) -> usize {
        self.own.used()
    }
}

/// Bytes that something of a connection holds.
pub(super) struct Charge {
    account: Arc<Account>,
    bytes: usize,
}

impl Charge {
    /// `None` where one of the three has not so much left; of the connection, `limit` is all.
    pub(super) fn take(account: &Arc<Account>, bytes: usize, limit: usize) -> Option<Self> {
        let Account { own, peer, all } = &**account;
        if !own.take(bytes, limit) {
            return None;
        }
        if !peer.0.take(bytes, peer.1) {
            own.give(bytes);
            return None;
        }
        if !all.0.take(bytes, all.1) {
            own.give(bytes);
            peer.0.give(bytes);
            return None;
        }
        let account = account.clone();
        Some(Self { account, bytes })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Account { own, peer, all } = &*self.account;
        own.give(self.bytes);
        peer.0.give(self.bytes);
        all.0.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_takes_nothing() {
        let budget = Budget::default();
        assert!(budget.take(6, 10) && budget.take(4, 10));
        assert!(!budget.take(1, 10) && !budget.take(usize::MAX, 10));
        assert_eq!(budget.used(), 10);
        budget.give(4);
        assert!(budget.take(4, 10));
    }
}
