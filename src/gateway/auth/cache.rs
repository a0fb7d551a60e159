//! Remembers verified tokens until they expire: an EdDSA or RS256 signature costs tens of
//! microseconds, and buyers come back with the same token.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use super::Identity;
use crate::gateway::generations::Generations;

/// Locks that tokens are spread over.
const SHARDS: usize = 16;
/// Tokens of one generation of one shard: about 16,384 over all, twice that at most.
const GENERATION: usize = 1024;

/// By token: until when its identity is good, seconds.
type Shard = Generations<Box<str>, (u64, Arc<Identity>), GENERATION>;

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
    /// The identity of a token that was verified and has not expired at `now` (seconds).
    pub(super) fn get(&self, token: &str, now: u64) -> Option<Arc<Identity>> {
        let shard = self.shard(token);
        let (expires, identity) = shard.get(token)?;
        (*expires > now).then(|| identity.clone())
    }

    pub(super) fn put(&self, token: &str, identity: Arc<Identity>, expires: u64) {
        self.shard(token).insert(token.into(), (expires, identity));
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
        let cache = Cache::default();
        cache.put("t", identity("ada"), 100);
        assert_eq!(cache.get("t", 99).map(|i| i.user.clone()).as_deref(), Some("ada"));
        assert_eq!(cache.get("t", 100), None);
        assert_eq!(cache.get("u", 0), None);
    }

    #[test]
    fn stays_bounded() {
        let cache = Cache::default();
        for n in 0..100_000 {
            cache.put(&n.to_string(), identity("ada"), 100);
        }
        let held: usize = cache.shards.iter().map(|s| s.lock().map_or(0, |s| s.len())).sum();
        assert!(held <= 2 * SHARDS * GENERATION, "{held}");
        assert!(cache.get("99999", 0).is_some());
    }
}
