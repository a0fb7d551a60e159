//! How many streams are open: in all, of a buyer, and of an address. They are counted apart from requests and connections,
//! so that neither starves the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::serving::PeerKey;
use crate::wire::Problem;
use crate::wire::problem::TOO_MANY_STREAMS;

/// Streams end with orders, in seconds or minutes.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Streams at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub all: usize,
    pub of_buyer: usize,
    pub of_peer: usize,
}

#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    buyers: HashMap<Box<str>, usize>,
    peers: HashMap<PeerKey, usize>,
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self) -> usize {
        self.taken().all
    }

    /// A place for a stream of this buyer; `peer` is the address that has a share, where it has one.
    pub(super) fn take(
        self: &Arc<Self>,
        user: &str,
        peer: Option<PeerKey>,
        bounds: Bounds,
    ) -> Result<Place, Problem> {
        let mut taken = self.taken();
        let of_buyer = taken.buyers.get(user).copied().unwrap_or(0);
        let of_peer = peer.map_or(0, |peer| taken.peers.get(&peer).copied().unwrap_or(0));
        let full = |who: &str, most: usize| {
            let detail =
                format!("{who} as many streams open as it may have, {most}; ask with GET, or close one");
            Err(Problem::new(&TOO_MANY_STREAMS, detail).retry_after(RETRY_AFTER))
        };
        if of_buyer >= bounds.of_buyer {
            return full("this buyer has", bounds.of_buyer);
        }
        if peer.is_some() && of_peer >= bounds.of_peer {
            return full("this address has", bounds.of_peer);
        }
        if taken.all >= bounds.all {
            return full("the gateway has", bounds.all);
        }
        taken.all += 1;
        taken.buyers.insert(user.into(), of_buyer + 1);
        if let Some(peer) = peer {
            taken.peers.insert(peer, of_peer + 1);
        }
        drop(taken);
        Ok(Place {
            places: self.clone(),
            user: user.into(),
            peer,
        })
    }
}

/// The place of one stream; it is free when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    user: Box<str>,
    peer: Option<PeerKey>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        let is_last = |count: Option<&mut usize>| {
            count.is_none_or(|count| {
                *count -= 1;
                *count == 0
            })
        };
        if is_last(taken.buyers.get_mut(&self.user)) {
            taken.buyers.remove(&self.user);
        }
        if let Some(peer) = self.peer
            && is_last(taken.peers.get_mut(&peer))
        {
            taken.peers.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        all: 4,
        of_buyer: 2,
        of_peer: 3,
    };

    fn peer(last: u8) -> Option<PeerKey> {
        Some(PeerKey::of([192, 0, 2, last].into()))
    }

    #[test]
    fn each_bound_counts_and_what_ends_makes_room() {
        let places = Arc::new(Places::default());
        let take = |user: &str, of: Option<PeerKey>| places.take(user, of, BOUNDS);
        let first = take("ada", peer(1)).expect("the first");
        let _second = take("ada", peer(1)).expect("the second");
        let refused = take("ada", peer(2)).expect_err("a third of the buyer");
        assert_eq!((refused.status(), refused.retry_after_seconds()), (429, Some(5)));
        let third = take("eve", peer(1)).expect("the third of the address");
        assert!(take("bob", peer(1)).is_err(), "a fourth");
        let _fourth = take("bob", None).expect("who has no share");
        assert!(take("cat", peer(3)).is_err(), "the gateway is full");
        drop(first);
        assert!(take("ada", peer(1)).is_ok());
        drop(third);
        assert_eq!(places.open(), 2);
    }

    #[test]
    fn nothing_is_left_of_those_who_went() {
        let places = Arc::new(Places::default());
        let taken: Vec<_> = ["ada", "bob"]
            .map(|user| places.take(user, peer(1), BOUNDS))
            .into();
        assert!(taken.iter().all(Result::is_ok));
        drop(taken);
        let left = places.taken();
        assert_eq!((left.all, left.buyers.len(), left.peers.len()), (0, 0, 0));
    }
}
