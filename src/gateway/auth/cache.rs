//! Remembers verified tokens until they expire: an EdDSA or RS256 signature costs tens of
//! microseconds, and buyers come back with the same token.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use super::Identity;

/// Locks that tokens are spread over.
const SHARDS: usize = 16;
/// Tokens of one generation of one shard: about 16,384 over all, twice that at most.
const GENERATION: usize = 1024;

type Entries = HashMap<Box<str>, (u64, Arc<Identity>)>;

/// Two generations per shard: the older one is dropped whole when the younger is full, so nothing is
/// ever searched for a victim.
#[derive(Default)]
struct Shard {
    young: Entries,
    old: Entries,
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
    /// The identity of a token that was verified and has not expired at `now` (seconds).
    pub(super) fn get(&self, token: &str, now: u64) -> Option<Arc<Identity>> {
        let shard = self.shard(token);
        let (expires, identity) = shard.young.get(token).or_else(|| shard.old.get(token))?;
        (*expires > now).then(|| identity.clone())
    }

    pub(super) fn put(&self, token: &str, identity: Arc<Identity>, expires: u64) {
        let mut shard = self.shard(token);
        if shard.young.len() >= GENERATION {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(token.into(), (expires, identity));
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
        let held: usize = cache
            .shards
            .iter()
            .map(|s| s.lock().map_or(0, |s| s.young.len() + s.old.len()))
            .sum();
        assert!(held <= 2 * SHARDS * GENERATION, "{held}");
        assert!(cache.get("99999", 0).is_some());
    }
}
