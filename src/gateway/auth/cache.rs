//! Remembers verified tokens until they expire: an EdDSA or RS256 signature costs tens of
//! microseconds, and buyers come back with the same token.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Identity;
use crate::gateway::generations::Generations;

/// Locks that tokens are spread over.
const SHARDS: usize = 16;
/// Tokens of one generation of one shard: about 16,384 over all, twice that at most.
const GENERATION: usize = 1024;

/// By token: the keys that verified it, and until when its identity is good, seconds.
type Shard = Generations<Box<str>, (KeysId, u64, Arc<Identity>), GENERATION>;

/// Names keys that were read together. Nobody else's share it: a token that others verified counts as not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeysId(u64);

impl KeysId {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Keyed by the token itself, not by a digest of it: two tokens can never share an entry.
pub(super) struct Cache {
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Cache {
    /// The identity of a token that these keys verified and that has not expired at `now` (seconds).
    pub(super) fn get(&self, keys: KeysId, token: &str, now: u64) -> Option<Arc<Identity>> {
        let shard = self.shard(token);
        let (by, expires, identity) = shard.get(token)?;
        (*by == keys && *expires > now).then(|| identity.clone())
    }

    pub(super) fn put(&self, keys: KeysId, token: &str, identity: Arc<Identity>, expires: u64) {
        self.shard(token).insert(token.into(), (keys, expires, identity));
    }

    /// A shard is whole after every statement on it, so a panic elsewhere leaves it usable.
    fn shard(&self, token: &str) -> std::sync::MutexGuard<'_, Shard> {
        let index = self.hasher.hash_one(token) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(user: &str) -> Arc<Identity> {
        Arc::new(Identity {
            user: user.into(),
            claims: Vec::new(),
            expires: None,
        })
    }

    #[test]
    fn remembers_until_expiry() {
        let (cache, keys) = (Cache::default(), KeysId::new());
        cache.put(keys, "t", identity("ada"), 100);
        let user = |keys, token, now| cache.get(keys, token, now).map(|identity| identity.user.clone());
        assert_eq!(user(keys, "t", 99).as_deref(), Some("ada"));
        assert_eq!(user(keys, "t", 100), None);
        assert_eq!(user(keys, "u", 0), None);
    }

    #[test]
    fn what_others_verified_is_not_remembered() {
        let (cache, one, other) = (Cache::default(), KeysId::new(), KeysId::new());
        cache.put(one, "t", identity("ada"), 100);
        assert_eq!(cache.get(other, "t", 0), None);
        cache.put(other, "t", identity("eve"), 100);
        assert_eq!(cache.get(one, "t", 0), None);
        assert!(cache.get(other, "t", 0).is_some());
    }

    #[test]
    fn stays_bounded() {
        let (cache, keys) = (Cache::default(), KeysId::new());
        for n in 0..100_000 {
            cache.put(keys, &n.to_string(), identity("ada"), 100);
        }
        let held: usize = cache.shards.iter().map(|s| s.lock().map_or(0, |s| s.len())).sum();
        assert!(held <= 2 * SHARDS * GENERATION, "{held}");
        assert!(cache.get(keys, "99999", 0).is_some());
    }
}
