//! The open connections, so that the idlest gives way: of all where the listener is full, of its own peer where that has
//! its share.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::budget::Budget;
use super::conn::{Conn, Shared, Told};
use super::judge::{Stamp, Why};
use super::limits::LINGERING_MAX;
use super::peer::PeerKey;

/// Connections that are looked at for one that is idle. A busy one is put where it belongs on that occasion, so the next
/// look gets further.
const LOOKS: usize = 64;

/// By when a connection was idle last, as far as is known: the truth may only be later.
type Order = BTreeSet<(Stamp, u64)>;

pub(super) struct Book {
    shared: Arc<Shared>,
    pages: Mutex<Pages>,
    /// A connection went.
    pub freed: Notify,
}

#[derive(Default)]
struct Pages {
    next: u64,
    entries: HashMap<u64, Entry>,
    all: Order,
    peers: HashMap<PeerKey, OfPeer>,
    /// Told to go for another one, and not gone yet.
    lingering: usize,
}

struct Entry {
    conn: Arc<Conn>,
    /// Its stamps in `all` and in its peer's order.
    stamps: [Stamp; 2],
}

#[derive(Default)]
struct OfPeer {
    bytes: Arc<Budget>,
    order: Order,
}

const ALL: usize = 0;
const OF_PEER: usize = 1;

pub(super) enum Entrance {
    Open(Arc<Conn>),
    /// All of its peer's share is busy.
    Refused,
    /// The listener is full, and all are busy.
    Wait,
}

impl Book {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            pages: Mutex::default(),
            freed: Notify::new(),
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the address is a proxy's, and whether it has a share of the connections.
    fn terms_of(&self, address: IpAddr) -> (bool, bool) {
        let limits = &self.shared.limits;
        let is_proxy = limits.all_proxies || limits.proxies.contain(address);
        // Who may have all of them waits like everybody where all are busy.
        (
            is_proxy,
            !is_proxy && limits.peer_connections < limits.connections,
        )
    }

    /// Whether the address's peer may make one more connection so soon, which is charged to it then.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        let (_, has_share) = self.terms_of(address);
        let shared = &self.shared;
        let admits = || {
            shared
                .pace
                .admits(PeerKey::of(address), shared.now(), &shared.limits)
        };
        let admitted = !has_share || admits();
        if !admitted {
            shared.figures.closed(Why::Pace);
        }
        admitted
    }

    /// Lets a connection in, at the cost of another one where there must be.
    pub(super) fn enter(&self, address: IpAddr) -> Entrance {
        let limits = &self.shared.limits;
        let (is_proxy, has_share) = self.terms_of(address);
        let key = PeerKey::of(address);
        let mut pages = self.pages();
        let pages = &mut *pages;
        let now = self.shared.now();
        let of_peer = pages.peers.get_mut(&key).filter(|_| has_share);
        if let Some(of_peer) = of_peer.filter(|it| it.order.len() >= limits.peer_connections) {
            let Some(victim) = idlest(&mut of_peer.order, &mut pages.entries, OF_PEER, now) else {
                self.shared.figures.closed(Why::Share);
                return Entrance::Refused;
            };
            pages.expel(victim, Why::Share);
        }
        if pages.all.len() >= limits.connections {
            let Some(victim) = idlest(&mut pages.all, &mut pages.entries, ALL, now) else {
                return Entrance::Wait;
            };
            pages.expel(victim, Why::Idlest);
        }
        Entrance::Open(pages.add(key, address, (has_share, is_proxy), &self.shared))
    }

    /// Closes the idlest, for want of something else than places.
    pub(super) fn thin_out(&self) {
        let mut pages = self.pages();
        let pages = &mut *pages;
        if let Some(victim) = idlest(&mut pages.all, &mut pages.entries, ALL, self.shared.now()) {
            pages.expel(victim, Why::Idlest);
        }
    }

    /// The connection is gone.
    pub(super) fn gone(&self, conn: &Conn) {
        let mut pages = self.pages();
        if !pages.remove(conn.id) {
            pages.lingering -= 1;
        }
        drop(pages);
        self.freed.notify_one();
    }
}

impl Pages {
    fn add(&mut self, key: PeerKey, address: IpAddr, terms: (bool, bool), shared: &Arc<Shared>) -> Arc<Conn> {
        let id = self.next;
        self.next += 1;
        let of_peer = self.peers.entry(key).or_default();
        let conn = Arc::new(Conn::new(
            id,
            address,
            terms,
            of_peer.bytes.clone(),
            shared.clone(),
        ));
        let stamp = conn.idle_since().unwrap_or_default();
        of_peer.order.insert((stamp, id));
        self.all.insert((stamp, id));
        let entry = Entry {
            conn: conn.clone(),
            stamps: [stamp; 2],
        };
        self.entries.insert(id, entry);
        conn
    }

    fn expel(&mut self, id: u64, why: Why) {
        let Some(conn) = self.entries.get(&id).map(|entry| entry.conn.clone()) else {
            return;
        };
        self.remove(id);
        self.lingering += 1;
        let told = if self.lingering > LINGERING_MAX {
            Told::Close
        } else {
            Told::Leave
        };
        conn.tell(told, why);
    }

    /// Whether it was there.
    fn remove(&mut self, id: u64) -> bool {
        let Some(entry) = self.entries.remove(&id) else {
            return false;
        };
        self.all.remove(&(entry.stamps[ALL], id));
        let key = PeerKey::of(entry.conn.address);
        if let Some(of_peer) = self.peers.get_mut(&key) {
            of_peer.order.remove(&(entry.stamps[OF_PEER], id));
            if of_peer.order.is_empty() {
                self.peers.remove(&key);
            }
        }
        true
    }
}

/// The connection of `order` that has been idle longest, among those looked at.
fn idlest(order: &mut Order, entries: &mut HashMap<u64, Entry>, which: usize, now: Stamp) -> Option<u64> {
    for _ in 0..LOOKS {
        let (stamp, id) = *order.first()?;
        let entry = entries.get_mut(&id)?;
        let at = match entry.conn.idle_since() {
            Some(since) if since <= stamp => return Some(id),
            Some(since) => since,
            // It will not have been idle before now.
            None => now.max(stamp + 1),
        };
        order.remove(&(stamp, id));
        order.insert((at, id));
        entry.stamps[which] = at;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::{Figures, Limits};

    fn book(connections: usize, of_one: usize) -> Book {
        let limits = Limits {
            connections,
            peer_connections: of_one,
            proxies: "10.0.0.0/8".parse().expect("a network"),
            ..Limits::for_many(connections, 1 << 20)
        };
        Book::new(Shared::new(limits, Figures::default()))
    }

    /// No two moments of a test are the same.
    fn later(book: &Book) {
        let now = book.shared.now();
        while book.shared.now() == now {
            std::hint::spin_loop();
        }
    }

    fn enter(book: &Book, address: &str) -> Option<Arc<Conn>> {
        match book.enter(address.parse().expect("an address")) {
            Entrance::Open(conn) => Some(conn),
            _ => None,
        }
    }

    #[test]
    fn the_idlest_gives_way_and_one_that_is_busy_does_not() {
        let book = book(3, 3);
        let mut all = Vec::new();
        for host in 1..=3 {
            all.push(enter(&book, &format!("192.0.2.{host}")).expect("there is room"));
            later(&book);
        }
        // The first is busy, the second asked something since the third came.
        all[0].begin();
        all[1].begin();
        all[1].end();
        all.push(enter(&book, "192.0.2.4").expect("the third gives way"));
        let told: Vec<_> = all.iter().map(|conn| conn.told()).collect();
        assert_eq!(told, [Told::Nothing, Told::Nothing, Told::Leave, Told::Nothing]);
        book.gone(&all[2]);
        for conn in [&all[1], &all[3]] {
            conn.begin();
        }
        assert!(matches!(book.enter([192, 0, 2, 5].into()), Entrance::Wait));
        book.gone(&all[0]);
        assert!(enter(&book, "192.0.2.5").is_some());
        assert_eq!(book.pages().all.len(), 3);
    }

    #[test]
    fn a_peer_at_its_share_only_harms_itself() {
        let book = book(100, 2);
        let other = enter(&book, "192.0.2.9").expect("there is room");
        later(&book);
        let own: Vec<_> = (0..2).filter_map(|_| enter(&book, "2001:db8::1")).collect();
        later(&book);
        let third = enter(&book, "2001:db8::2").expect("the first of its network gives way");
        assert_eq!(own[0].told(), Told::Leave);
        assert_eq!(
            other.told(),
            Told::Nothing,
            "although it has been idle for longer"
        );
        own[1].begin();
        third.begin();
        assert!(matches!(
            book.enter("2001:db8::3".parse().expect("an address")),
            Entrance::Refused
        ));
        assert!(enter(&book, "2001:db8:0:1::3").is_some(), "another network");
        for _ in 0..10 {
            enter(&book, "10.1.1.1").expect("a proxy has no share").begin();
        }
        book.gone(&other);
        assert!(!book.pages().peers.contains_key(&PeerKey::of(other.address)));
    }

    #[test]
    fn who_lingers_too_long_with_others_is_cut_off() {
        let book = book(1, 1);
        let all: Vec<_> = (0..LINGERING_MAX + 2)
            .filter_map(|_| enter(&book, "192.0.2.1"))
            .collect();
        assert_eq!(all[LINGERING_MAX - 1].told(), Told::Leave);
        assert_eq!(all[LINGERING_MAX].told(), Told::Close);
        for conn in &all {
            book.gone(conn);
        }
        let pages = book.pages();
        assert_eq!((pages.lingering, pages.entries.len()), (0, 0));
    }
}
