//! How fast a peer makes connections: so many at once, and so many a second after that. What it makes the listener do in
//! vain it pays for with the connections that it may make. Pure but for its lock.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::judge::Stamp;
use super::limits::Limits;
use super::peer::PeerKey;

/// Connections that one which was closed for asking in vain costs its peer.
const IN_VAIN_COSTS: u64 = 32;
/// No peer is shut out for longer, whatever it owes: others may live at the same address.
const OWED_MAX: Stamp = 30_000_000;
/// Peers that are remembered; when more owe something, all is forgotten, for who has so many addresses is not kept out by
/// one of them.
const PEERS_MAX: usize = 1 << 16;
const SECOND: Stamp = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Accounts>);

#[derive(Debug, Default)]
struct Accounts {
    /// When each peer owes nothing any more; one that is missing owes nothing.
    even_at: HashMap<PeerKey, Stamp>,
    /// As soon as there are so many, those who owe nothing are dropped.
    sweep_at: usize,
}

/// Microseconds that a connection costs, and what may be owed at once.
fn terms(limits: &Limits) -> (Stamp, Stamp) {
    let each = SECOND / u64::from(limits.peer_connects.max(1));
    (each, each * limits.burst() as u64)
}

impl Pace {
    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the peer may make a connection now, which is charged to it then.
    pub(super) fn admits(&self, peer: PeerKey, now: Stamp, limits: &Limits) -> bool {
        let (each, at_once) = terms(limits);
        let mut accounts = self.accounts();
        let even_at = accounts.of(peer, now);
        let after = (*even_at).max(now) + each;
        let fits = after - now <= at_once;
        if fits {
            *even_at = after;
        }
        fits
    }

    /// One of its connections was closed for asking in vain.
    pub(super) fn asked_in_vain(&self, peer: PeerKey, now: Stamp, limits: &Limits) {
        let (each, at_once) = terms(limits);
        let mut accounts = self.accounts();
        let even_at = accounts.of(peer, now);
        let after = (*even_at).max(now) + each * IN_VAIN_COSTS;
        *even_at = after.min(now + at_once + OWED_MAX);
    }
}

impl Accounts {
    fn of(&mut self, peer: PeerKey, now: Stamp) -> &mut Stamp {
        if self.even_at.len() >= self.sweep_at.max(64) {
            self.even_at.retain(|_, even_at| *even_at > now);
            if self.even_at.len() >= PEERS_MAX {
                self.even_at.clear();
            }
            self.sweep_at = (2 * self.even_at.len()).min(PEERS_MAX);
        }
        self.even_at.entry(peer).or_insert(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            peer_connections: 8,
            peer_connects: 2,
            ..Limits::for_many(100, 1)
        }
    }

    fn peer(number: u32) -> PeerKey {
        PeerKey::of(std::net::Ipv4Addr::from(number).into())
    }

    fn admitted(pace: &Pace, of: PeerKey, now: Stamp) -> usize {
        (0..1_000).take_while(|_| pace.admits(of, now, &limits())).count()
    }

    #[test]
    fn so_many_at_once_and_then_so_many_a_second() {
        let pace = Pace::default();
        assert_eq!(admitted(&pace, peer(1), 0), 8);
        assert_eq!(admitted(&pace, peer(1), SECOND / 2), 1);
        assert_eq!(admitted(&pace, peer(1), 3 * SECOND), 5);
        assert_eq!(admitted(&pace, peer(2), 3 * SECOND), 8, "nobody pays for another");
        assert_eq!(
            admitted(&pace, peer(1), 100 * SECOND),
            8,
            "what is not used does not add up"
        );
    }

    #[test]
    fn asking_in_vain_is_paid_for_and_forgiven() {
        let pace = Pace::default();
        pace.asked_in_vain(peer(1), 0, &limits());
        assert_eq!(admitted(&pace, peer(1), 12 * SECOND), 0);
        assert_eq!(admitted(&pace, peer(1), 16 * SECOND), 8);
        for _ in 0..1_000 {
            pace.asked_in_vain(peer(1), 20 * SECOND, &limits());
        }
        assert_eq!(admitted(&pace, peer(1), 50 * SECOND), 0);
        assert_eq!(admitted(&pace, peer(1), 20 * SECOND + OWED_MAX + SECOND / 2), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let pace = Pace::default();
        for number in 0..3 * PEERS_MAX as u32 {
            pace.admits(peer(number), 0, &limits());
        }
        assert!(pace.accounts().even_at.len() <= PEERS_MAX);
        for number in 0..1_000 {
            pace.admits(peer(number), 100 * SECOND * u64::from(number), &limits());
        }
        assert!(pace.accounts().even_at.len() <= 64, "who owes nothing is dropped");
    }
}
