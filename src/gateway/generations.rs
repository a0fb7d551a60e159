//! A map of what came last, in bounded memory: two generations, of which the older is dropped whole when the younger is full, so that
//! nothing is ever searched for a victim.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// `SIZE` entries of one generation: twice as many are kept at most.
#[derive(Debug)]
pub(super) struct Generations<K, V, const SIZE: usize> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V, const SIZE: usize> Default for Generations<K, V, SIZE> {
    fn default() -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash, V, const SIZE: usize> Generations<K, V, SIZE> {
    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.make_room();
        self.young.insert(key, value);
    }

    /// What there is, as an entry of the younger generation; `fresh` where there is nothing.
    pub(super) fn entry(&mut self, key: K, fresh: V) -> &mut V {
        self.make_room();
        let there = self.old.remove(&key).unwrap_or(fresh);
        self.young.entry(key).or_insert(there)
    }

    pub(super) fn remove_if(&mut self, key: &K, is: impl Fn(&mut V) -> bool) {
        for generation in [&mut self.young, &mut self.old] {
            if generation.get_mut(key).is_some_and(&is) {
                generation.remove(key);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn make_room(&mut self) {
        if self.young.len() >= SIZE {
            self.old = std::mem::take(&mut self.young);
        }
    }
}
