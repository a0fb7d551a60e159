//! How often somebody may ask: a bucket of tokens for each key and each address, which fills again as time goes by.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::access::{Actor, KeyDigest};
use crate::serving::PeerKey;
use crate::wire::Problem;
use crate::wire::problem::TOO_OFTEN;

/// Buckets that are remembered. When there are more, those that are full again are forgotten; where none is, nobody new is counted.
const BUCKETS_MAX: usize = 16_384;

/// A full bucket is worth so many seconds.
const BURST_SECONDS: f64 = 10.0;
/// For so long a token that was good is not taken for a guess.
const GOOD_FOR: Duration = Duration::from_secs(600);

struct Bucket {
    tokens: f64,
    at: Instant,
}

/// One bucket for each of those who ask.
pub(super) struct Buckets<K> {
    /// Tokens a second.
    rate: f64,
    /// Tokens of a full bucket.
    size: f64,
    of: Mutex<HashMap<K, Bucket>>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(super) fn new(rate: f64, size: f64) -> Self {
        Self {
            rate,
            size,
            of: Mutex::default(),
        }
    }

    /// Takes a token of this one's bucket; `Err`: it has none, and has one again after so long.
    pub(super) fn take(&self, who: K, now: Instant) -> Result<(), Duration> {
        self.spend(who, now, 1.0)
    }

    /// Whether there is one to be taken.
    pub(super) fn look(&self, who: K, now: Instant) -> Result<(), Duration> {
        self.spend(who, now, 0.0)
    }

    fn spend(&self, who: K, now: Instant, price: f64) -> Result<(), Duration> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.len() >= BUCKETS_MAX && !of.contains_key(&who) {
            of.retain(|_, bucket| self.filled(bucket, now) < self.size);
            if of.len() >= BUCKETS_MAX {
                return Ok(());
            }
        }
        let bucket = of.entry(who).or_insert(Bucket {
            tokens: self.size,
            at: now,
        });
        bucket.tokens = self.filled(bucket, now);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.rate));
        }
        bucket.tokens -= price;
        Ok(())
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.tokens + since * self.rate).min(self.size)
    }
}

/// How often whom may ask, and guess.
pub struct Limits {
    /// By key.
    keys: Option<Buckets<String>>,
    addresses: Option<Buckets<PeerKey>>,
    failures: Option<Buckets<PeerKey>>,
    /// Tokens and keys that were good lately: who holds one is not kept waiting by a neighbour who guesses.
    good: Mutex<HashMap<KeyDigest, Instant>>,
}

impl Limits {
    /// Zero stands for no limit.
    pub fn new(requests_a_second: u32, failures_a_minute: u32) -> Self {
        let (requests, failures) = (f64::from(requests_a_second), f64::from(failures_a_minute));
        Self {
            keys: (requests > 0.0).then(|| Buckets::new(requests, requests * BURST_SECONDS)),
            addresses: (requests > 0.0).then(|| Buckets::new(requests, requests * BURST_SECONDS)),
            failures: (failures > 0.0).then(|| Buckets::new(failures / 60.0, failures)),
            good: Mutex::default(),
        }
    }

    /// Counts a request of somebody who is known.
    pub(super) fn asked(&self, actor: &Actor, address: Option<PeerKey>, now: Instant) -> Result<(), Problem> {
        if let (Some(keys), Some(key)) = (&self.keys, actor.key()) {
            keys.take(key.id.clone(), now)
                .map_err(|wait| too_often("this key", wait))?;
        }
        match (&self.addresses, address) {
            (Some(addresses), Some(address)) => addresses
                .take(address, now)
                .map_err(|wait| too_often("this address", wait)),
            _ => Ok(()),
        }
    }

    /// Whether somebody may be asked for who they are: not after many wrong tokens, unless this one was good lately.
    pub(super) fn may_try(
        &self,
        of: &KeyDigest,
        address: Option<PeerKey>,
        now: Instant,
    ) -> Result<(), Problem> {
        let (Some(failures), Some(address)) = (&self.failures, address) else {
            return Ok(());
        };
        let good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        let was_good = good
            .get(of)
            .is_some_and(|at| now.saturating_duration_since(*at) < GOOD_FOR);
        drop(good);
        match was_good {
            true => Ok(()),
            false => {
                let tried = failures.look(address, now);
                tried.map_err(|wait| too_often("this address, with tokens that are none,", wait))
            }
        }
    }

    pub(super) fn failed(&self, address: Option<PeerKey>, now: Instant) {
        if let (Some(failures), Some(address)) = (&self.failures, address) {
            // It was looked at before.
            let _ = failures.take(address, now);
        }
    }

    pub(super) fn good(&self, of: KeyDigest, now: Instant) {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good.len() >= BUCKETS_MAX && !good.contains_key(&of) {
            good.retain(|_, at| now.saturating_duration_since(*at) < GOOD_FOR);
            if good.len() >= BUCKETS_MAX {
                return;
            }
        }
        good.insert(of, now);
    }
}

fn too_often(who: &str, wait: Duration) -> Problem {
    let detail = format!("{who} asked too often; nothing was begun");
    Problem::new(&TOO_OFTEN, detail).retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_empty_and_fills_again_and_is_nobody_elses() {
        let (buckets, begun) = (Buckets::new(2.0, 3.0), Instant::now());
        for _ in 0..3 {
            assert_eq!(buckets.take("a", begun), Ok(()));
        }
        assert_eq!(buckets.take("a", begun), Err(Duration::from_millis(500)));
        assert_eq!(buckets.look("b", begun), Ok(()));
        let later = begun + Duration::from_millis(500);
        assert_eq!(
            (buckets.look("a", later), buckets.take("a", later)),
            (Ok(()), Ok(()))
        );
        assert!(buckets.take("a", later).is_err());
        let much_later = begun + Duration::from_secs(3600);
        assert_eq!(
            (0..9).filter(|_| buckets.take("a", much_later).is_ok()).count(),
            3
        );
    }
}
