//! A number of bytes of which charges take their part and give it back when they are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::conn::Conn;

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

/// Bytes that something of a connection holds, counted for the connection, its peer and in all.
pub(super) struct Charge {
    conn: Arc<Conn>,
    bytes: usize,
}

impl Charge {
    /// `None` where one of the three has not so much left; of the connection, `limit` is all.
    pub(super) fn take(conn: &Arc<Conn>, bytes: usize, limit: usize) -> Option<Self> {
        let limits = &conn.shared.limits;
        if !conn.bytes.take(bytes, limit) {
            return None;
        }
        let of_peer = if conn.has_share {
            limits.peer_bytes
        } else {
            limits.bytes
        };
        if !conn.peer.bytes.take(bytes, of_peer) {
            conn.bytes.give(bytes);
            return None;
        }
        if !conn.shared.bytes.take(bytes, limits.bytes) {
            conn.bytes.give(bytes);
            conn.peer.bytes.give(bytes);
            return None;
        }
        let conn = conn.clone();
        Some(Self { conn, bytes })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.conn.bytes.give(self.bytes);
        self.conn.peer.bytes.give(self.bytes);
        self.conn.shared.bytes.give(self.bytes);
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
