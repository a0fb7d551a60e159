//! Where orders wait for their partition's turn, before librdkafka gets them.
//!
//! A partition that is given every order at once gets many small requests. And where librdkafka's idempotence is asked
//! for, its broker thread polls without waiting while more messages are due than it may send (librdkafka pull request
//! 4989), a whole core's worth, which slows down the answer it polls for. So an order waits here until its partition's
//! last request has been answered. That is a matter of load alone, and no barrier: below five orders another request
//! may begin, one that is gathered over the linger may be two, and while the partitions are unknown all share a lane.
//! That a key's orders stay in order is the business of its turn (`turns.rs`), which comes first.
//!
//! An order names its partition, and so its lane. One of a campaign from before goes where librdkafka finds that its key
//! belongs, and here a guess is enough.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SendError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::turns::{Turn, Turns};
use crate::bus::Outbound;

/// Below so many messages on their way, librdkafka begins another request even where it is idempotent.
const BUSY_FROM: usize = 5;
/// Partitions beyond share lanes.
const LANES_MAX: usize = 256;
/// The one lane of all orders that go by key while the partitions are unknown.
const UNKNOWN: usize = LANES_MAX;

/// Orders of one partition.
#[derive(Debug)]
pub(super) struct Lane<T> {
    on_their_way: usize,
    /// When the first order of the request that is being gathered was handed over.
    opened: Instant,
    waiting: VecDeque<T>,
    told: bool,
}

impl<T> Lane<T> {
    fn new(now: Instant) -> Self {
        Self {
            on_their_way: 0,
            opened: now,
            waiting: VecDeque::new(),
            told: false,
        }
    }

    /// Gives the order back where it may be handed over now; otherwise it waits. librdkafka gathers for `linger`.
    pub(super) fn enter(&mut self, order: T, now: Instant, linger: Duration) -> Option<T> {
        let is_free = self.on_their_way < BUSY_FROM;
        let gathers = now.saturating_duration_since(self.opened) < linger;
        if !self.waiting.is_empty() || !(is_free || gathers) {
            self.waiting.push_back(order);
            return None;
        }
        if is_free {
            self.opened = now;
        }
        self.on_their_way += 1;
        Some(order)
    }

    /// An order handed over is done: whether somebody is to release those who wait.
    pub(super) fn leave(&mut self) -> bool {
        self.on_their_way -= 1;
        let free = self.on_their_way < BUSY_FROM && !self.waiting.is_empty();
        free && !std::mem::replace(&mut self.told, true)
    }

    /// All who wait; they count as handed over.
    pub(super) fn release(&mut self, now: Instant) -> VecDeque<T> {
        self.told = false;
        self.opened = now;
        self.on_their_way += self.waiting.len();
        std::mem::take(&mut self.waiting)
    }
}

/// What may go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Free<T> {
    /// Those who wait in this lane.
    Lane(usize),
    /// The next record of a key.
    Next(T),
}

/// One lane per partition of the orders topic, behind the turns of the keys.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    turns: Turns<T>,
    lanes: Vec<Mutex<Lane<T>>>,
    /// How many partitions there are; 0 until that has been told.
    partitions: AtomicUsize,
    /// Takes what may go on.
    free: Sender<Free<T>>,
}

impl<T> Lanes<T> {
    pub(super) fn new(free: Sender<Free<T>>) -> Self {
        let now = Instant::now();
        Self {
            turns: Turns::default(),
            lanes: (0..=UNKNOWN).map(|_| Mutex::new(Lane::new(now))).collect(),
            partitions: AtomicUsize::new(0),
            free,
        }
    }

    pub(super) fn set_partitions(&self, partitions: usize) {
        if self.partitions.swap(partitions, Ordering::AcqRel) == 0 {
            // Those before it need not wait for the slowest partition any more.
            let _ = self.free.send(Free::Lane(UNKNOWN));
        }
    }

    /// How many partitions there are, as last told; `None` until it was.
    pub(super) fn partitions(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.partitions.load(Ordering::Acquire))
    }

    fn of(&self, order: &Outbound) -> usize {
        match (order.partition, self.partitions()) {
            (Some(partition), _) => partition as usize % LANES_MAX,
            (None, Some(partitions)) => guess(order.key.as_bytes(), partitions) % LANES_MAX,
            (None, None) => UNKNOWN,
        }
    }

    /// The lane of an order, with its number.
    pub(super) fn lock_of(&self, order: &Outbound) -> (usize, MutexGuard<'_, Lane<T>>) {
        loop {
            let number = self.of(order);
            let lane = self.lock(number);
            // The partitions may have been told meanwhile, and then nobody looks after those who wait for them.
            if self.of(order) == number {
                return (number, lane);
            }
        }
    }

    pub(super) fn lock(&self, lane: usize) -> MutexGuard<'_, Lane<T>> {
        self.lanes[lane].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn of a key; see [`Turns::of`].
    pub(super) fn turn(&self, key: &[u8]) -> Option<Turn> {
        self.turns.of(key)
    }

    /// Gives the record back where its turn has come; otherwise it waits for it.
    pub(super) fn take(&self, turn: Option<Turn>, record: T) -> Option<T> {
        match turn {
            Some(turn) => self.turns.take(turn, record),
            None => Some(record),
        }
    }

    /// A record has been answered: its lane and its key's turn are free for the next. Gives back one that nobody
    /// will take up any more, because the producer is gone.
    #[must_use]
    pub(super) fn leave(&self, lane: Option<usize>, turn: Option<Turn>) -> Option<T> {
        if let Some(lane) = lane.filter(|lane| self.lock(*lane).leave()) {
            // Nobody listens any more when the producer is gone; then nobody waits in a lane either.
            let _ = self.free.send(Free::Lane(lane));
        }
        let next = self.turns.pass(turn?)?;
        match self.free.send(Free::Next(next)) {
            Err(SendError(Free::Next(next))) => Some(next),
            _ => None,
        }
    }

    /// Everybody who waits, for a lane or a turn.
    pub(super) fn clear(&self) -> Vec<T> {
        let now = Instant::now();
        let lanes = 0..self.lanes.len();
        let waiting = lanes.flat_map(|lane| self.lock(lane).release(now));
        waiting.chain(self.turns.clear()).collect()
    }
}

/// The partition Kafka's clients choose for a key.
fn guess(key: &[u8], partitions: NonZeroUsize) -> usize {
    (murmur2(key) & 0x7fff_ffff) as usize % partitions
}

/// MurmurHash2 by Austin Appleby, 32 bits, with the seed Kafka's clients use.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    for (at, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * at);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LINGER: Duration = Duration::from_millis(2);

    fn order(partition: Option<i32>, key: &str) -> Outbound {
        Outbound {
            partition,
            key: key.to_owned(),
            payload: Vec::new(),
        }
    }

    fn by_key(key: &str) -> Outbound {
        order(None, key)
    }

    #[test]
    fn keys_hash_as_in_java() {
        // From the tests of Kafka's own client.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn orders_gather_for_as_long_as_librdkafka_does_and_then_wait_for_its_answer() {
        let begun = Instant::now();
        let mut lane = Lane::new(begun);
        for order in 0..20 {
            assert_eq!(lane.enter(order, begun, LINGER), Some(order));
        }
        let later = begun + LINGER;
        assert_eq!(lane.enter(20, later, LINGER), None);
        assert_eq!(lane.enter(21, later, LINGER), None);
        let told: Vec<usize> = (0..20).filter(|_| lane.leave()).collect();
        assert_eq!(told, [15], "once, when fewer than five are left");
        assert_eq!(lane.enter(22, later, LINGER), None, "nobody overtakes");
        assert_eq!(lane.release(later), [20, 21, 22]);
        assert_eq!(lane.enter(23, later, LINGER), Some(23), "they gather again");
    }

    #[test]
    fn a_quiet_partition_is_never_waited_for() {
        let begun = Instant::now();
        let mut lane = Lane::new(begun);
        for order in 0..100 {
            let now = begun + LINGER * (order + 1);
            assert_eq!(lane.enter(order, now, LINGER), Some(order));
            assert!(!lane.leave());
        }
    }

    #[test]
    fn a_lane_that_is_free_again_is_told_and_what_waits_can_be_taken_back() {
        let (free, told) = mpsc::channel();
        let lanes = Lanes::new(free);
        lanes.set_partitions(12);
        assert_eq!(
            told.try_recv(),
            Ok(Free::Lane(UNKNOWN)),
            "whoever waited for that goes on"
        );
        let (lane, guard) = lanes.lock_of(&order(Some(7), "spring/ada"));
        assert_eq!(lane, 7);
        drop(guard);
        let now = Instant::now();
        for order in 0..BUSY_FROM + 2 {
            lanes.lock(lane).enter(order, now, Duration::ZERO);
        }
        assert_eq!(lanes.leave(Some(lane), None), None);
        assert_eq!(told.try_recv(), Ok(Free::Lane(lane)));
        assert_eq!(lanes.leave(Some(lane), None), None);
        assert!(told.try_recv().is_err(), "told once");
        assert_eq!(lanes.clear(), [BUSY_FROM, BUSY_FROM + 1]);
    }

    #[test]
    fn all_that_go_by_key_share_a_lane_until_the_partitions_are_known() {
        let (free, told) = mpsc::channel();
        let lanes = Lanes::new(free);
        let now = Instant::now();
        for order in 0..=BUSY_FROM {
            let (number, mut lane) = lanes.lock_of(&by_key(&format!("spring/u{order}")));
            assert_eq!(number, UNKNOWN);
            lane.enter(order, now, Duration::ZERO);
        }
        lanes.set_partitions(12);
        lanes.set_partitions(24);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [Free::Lane(UNKNOWN)]);
        assert_eq!(
            lanes.lock(UNKNOWN).release(now),
            [BUSY_FROM],
            "without an answer to those before"
        );
        assert!(lanes.lock_of(&by_key("spring/ada")).0 < 24);
    }

    #[test]
    fn an_order_that_names_its_partition_is_in_its_lane_whatever_is_known() {
        let lanes = Lanes::<()>::new(mpsc::channel().0);
        let lane_of = |partition| lanes.lock_of(&order(Some(partition), "spring/ada")).0;
        assert_eq!((lane_of(3), lane_of(255), lane_of(256)), (3, 255, 0));
        lanes.set_partitions(12);
        assert_eq!((lane_of(3), lane_of(255), lane_of(256)), (3, 255, 0));
    }

    #[test]
    fn the_next_order_of_a_key_goes_on_when_the_last_one_is_answered() {
        let (free, told) = mpsc::channel();
        let lanes = Lanes::new(free);
        let turn = lanes.turn(b"spring/ada");
        assert_eq!(lanes.take(turn, 1), Some(1));
        assert_eq!(lanes.take(turn, 2), None);
        assert_eq!(lanes.take(turn, 3), None);
        assert_eq!(
            lanes.take(None, 4),
            Some(4),
            "without a key there is nothing to wait for"
        );
        assert_eq!(lanes.leave(None, turn), None);
        assert_eq!(told.try_recv(), Ok(Free::Next(2)));
        drop(told);
        assert_eq!(lanes.leave(None, turn), Some(3), "given back: nobody takes it up");
    }
}
