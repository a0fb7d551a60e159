//! Turns: of the records of one key only one is on its way at a time, the others wait behind it.
//!
//! Without idempotence a request that a broker refused is sent again after the one behind it was taken. A key whose
//! next record is handed over only when the last one has been answered cannot be turned round by that, however many
//! requests of its partition are on their way.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Parts with a lock of their own.
const PARTS: usize = 64;

/// Stands for a key: keys that share one share their turns, which costs time and nothing else.
pub(super) type Turn = u64;

type Behind<T> = HashMap<Turn, VecDeque<T>>;

/// Who waits behind whom. A key that has an entry has a record that is not answered yet.
#[derive(Debug)]
pub(super) struct Turns<T> {
    hasher: RandomState,
    parts: Vec<Mutex<Behind<T>>>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl<T> Turns<T> {
    /// The turn of a key; `None` for a record without one, which has no order to keep.
    pub(super) fn of(&self, key: &[u8]) -> Option<Turn> {
        (!key.is_empty()).then(|| self.hasher.hash_one(key))
    }

    fn part(&self, turn: Turn) -> MutexGuard<'_, Behind<T>> {
        let part = &self.parts[turn as usize % PARTS];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the record back where it may go on now; otherwise it waits.
    pub(super) fn take(&self, turn: Turn, record: T) -> Option<T> {
        let mut part = self.part(turn);
        if let Some(behind) = part.get_mut(&turn) {
            behind.push_back(record);
            return None;
        }
        // Without a record behind it, an entry costs no allocation of its own.
        part.insert(turn, VecDeque::new());
        Some(record)
    }

    /// A record is answered: the next one whose turn it is.
    pub(super) fn pass(&self, turn: Turn) -> Option<T> {
        let mut part = self.part(turn);
        let next = part.get_mut(&turn)?.pop_front();
        if next.is_none() {
            part.remove(&turn);
        }
        next
    }

    /// Everybody who waits.
    pub(super) fn clear(&self) -> Vec<T> {
        let parts = self.parts.iter();
        let taken = parts.flat_map(|part| {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *part)
        });
        taken.flat_map(|(_, behind)| behind).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_one_key_go_one_after_the_other_and_others_at_once() {
        let turns = Turns::default();
        let ada = turns.of(b"spring/ada").expect("a key");
        let bob = turns.of(b"spring/bob").expect("a key");
        assert_ne!(ada, bob);
        assert_eq!(turns.of(b""), None);
        assert_eq!(turns.take(ada, 1), Some(1));
        assert_eq!(turns.take(ada, 2), None);
        assert_eq!(turns.take(ada, 3), None);
        assert_eq!(turns.take(bob, 4), Some(4));
        assert_eq!(turns.pass(ada), Some(2));
        assert_eq!(turns.take(ada, 5), None, "nobody overtakes");
        assert_eq!(turns.pass(ada), Some(3));
        assert_eq!(turns.pass(bob), None);
        assert_eq!(turns.pass(ada), Some(5));
        assert_eq!(turns.pass(ada), None);
        assert!(
            turns
                .parts
                .iter()
                .all(|part| part.lock().expect("whole").is_empty())
        );
        assert_eq!(turns.take(ada, 6), Some(6));
    }

    #[test]
    fn what_waits_can_be_taken_back() {
        let turns = Turns::default();
        let ada = turns.of(b"spring/ada").expect("a key");
        for record in 1..=3 {
            turns.take(ada, record);
        }
        assert_eq!(turns.clear(), [2, 3]);
        assert_eq!(turns.pass(ada), None, "answered afterwards");
    }
}
