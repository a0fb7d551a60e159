//! What waits for the database, by campaign, and the share of buyers as far as this gateway knows it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use crate::attempts::share::Share;
use crate::attempts::{Decided, DecidedAttempt};
use crate::order::Attempt;

/// What an attempt takes besides its texts, about.
const ATTEMPT_BYTES: usize = 256;

/// Bytes that attempts take in memory, about.
pub(super) fn bytes(decided: &Decided) -> usize {
    let texts = |attempt: &Attempt| {
        let attributes = attempt
            .attributes
            .iter()
            .map(|(name, value)| 64 + name.len() + value.len());
        attempt.user.len() + attempt.sku.len() + attributes.sum::<usize>()
    };
    decided
        .attempts
        .iter()
        .map(|(attempt, _)| ATTEMPT_BYTES + texts(attempt))
        .sum()
}

/// One campaign.
#[derive(Default)]
struct Spool {
    /// Of [`Share`]; known once this gateway has written.
    halvings: AtomicU32,
    before: AtomicU32,
    /// Since the database was last told.
    skipped: AtomicU64,
    dropped: AtomicU64,
    /// In the order in which they were decided, with their bytes.
    batches: Mutex<VecDeque<(Decided, usize)>>,
}

impl Spool {
    fn share(&self) -> Share {
        Share {
            halvings: self.halvings.load(Ordering::Relaxed),
            before: self.before.load(Ordering::Relaxed),
        }
    }
}

/// All campaigns.
#[derive(Default)]
pub(super) struct Spools(ArcSwap<HashMap<String, Arc<Spool>>>);

/// What is to be written of one campaign.
pub(super) struct Taken {
    pub(super) campaign: String,
    pub(super) batches: Vec<Decided>,
    pub(super) attempts: usize,
    pub(super) bytes: usize,
    pub(super) skipped: u64,
    pub(super) dropped: u64,
}

impl Taken {
    /// In the order in which they were decided, with names.
    pub(super) fn recorded(&mut self) -> impl Iterator<Item = DecidedAttempt> + use<> {
        std::mem::take(&mut self.batches)
            .into_iter()
            .flat_map(Decided::into_attempts)
    }
}

impl Spools {
    /// Whether attempts of a buyer are kept; counts one that is not.
    pub(super) fn keeps(&self, campaign: &str, user: &str) -> bool {
        let spools = self.0.load();
        // Nobody knows better yet: the database leaves out whoever is not kept.
        let Some(spool) = spools.get(campaign) else {
            return true;
        };
        let keeps = spool.share().holds(campaign, user);
        if !keeps {
            spool.skipped.fetch_add(1, Ordering::Relaxed);
        }
        keeps
    }

    pub(super) fn add(&self, decided: Decided) {
        let bytes = bytes(&decided);
        let spool = self.of(&decided.compiled.campaign.id);
        let mut batches = spool.batches.lock().expect("no panic holds this lock");
        batches.push_back((decided, bytes));
    }

    pub(super) fn count_dropped(&self, campaign: &str, count: u64) {
        self.of(campaign).dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts again what could not be told.
    pub(super) fn put_back(&self, campaign: &str, skipped: u64, dropped: u64) {
        let spool = self.of(campaign);
        spool.skipped.fetch_add(skipped, Ordering::Relaxed);
        spool.dropped.fetch_add(dropped, Ordering::Relaxed);
    }

    pub(super) fn set_share(&self, campaign: &str, share: Share) {
        let spool = self.of(campaign);
        spool.halvings.store(share.halvings, Ordering::Relaxed);
        spool.before.store(share.before, Ordering::Relaxed);
    }

    /// Whether something is counted that the database has not been told.
    pub(super) fn has_counts(&self) -> bool {
        let told = |spool: &Arc<Spool>| {
            spool.skipped.load(Ordering::Relaxed) + spool.dropped.load(Ordering::Relaxed) == 0
        };
        !self.0.load().values().all(told)
    }

    /// Takes about `attempts` and `bytes` at most, campaign by campaign, the oldest first; nothing where nothing waits.
    /// Says whether there may be more than was taken.
    pub(super) fn take(&self, attempts: usize, bytes: usize) -> (Vec<Taken>, bool) {
        // In one order, whoever writes: no two wait for each other in the database.
        let spools: BTreeMap<String, Arc<Spool>> = HashMap::clone(&self.0.load()).into_iter().collect();
        let (mut attempts_left, mut bytes_left) = (attempts, bytes);
        let mut all = Vec::new();
        for (campaign, spool) in spools {
            let mut taken = Taken {
                campaign,
                batches: Vec::new(),
                attempts: 0,
                bytes: 0,
                skipped: spool.skipped.swap(0, Ordering::Relaxed),
                dropped: spool.dropped.swap(0, Ordering::Relaxed),
            };
            let mut batches = spool.batches.lock().expect("no panic holds this lock");
            while attempts_left > 0 && bytes_left > 0 {
                let Some((decided, bytes)) = batches.pop_front() else {
                    break;
                };
                attempts_left = attempts_left.saturating_sub(decided.attempts.len());
                bytes_left = bytes_left.saturating_sub(bytes);
                taken.attempts += decided.attempts.len();
                taken.bytes += bytes;
                taken.batches.push(decided);
            }
            drop(batches);
            if taken.attempts > 0 || taken.skipped + taken.dropped > 0 {
                all.push(taken);
            }
        }
        (all, attempts_left == 0 || bytes_left == 0)
    }

    fn of(&self, campaign: &str) -> Arc<Spool> {
        if let Some(spool) = self.0.load().get(campaign) {
            return spool.clone();
        }
        self.0.rcu(|spools| {
            let mut spools = HashMap::clone(spools);
            spools.entry(campaign.to_owned()).or_default();
            spools
        });
        self.0.load().get(campaign).cloned().unwrap_or_default()
    }
}
