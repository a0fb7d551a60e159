//! Outbox entries that cannot be relayed: they stay where they are, are looked at again in a while, and are told once for
//! their campaign and rarely again. What counts them goes on counting them until they are gone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::lua::keys::Shard;
use crate::seldom::Seldom;

/// Between two looks at an entry whose revision the database did not have.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Entries of a shard that are remembered; further ones are looked at by every sweep, and counted as if they were new.
const REMEMBERED_MAX: usize = 10_000;

/// Of all shards.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    shards: HashMap<Shard, OfShard>,
}

#[derive(Debug, Default)]
struct OfShard {
    /// By id: when each was last looked at.
    entries: HashMap<String, Instant>,
    seldom: Seldom,
}

/// What is to be done about an entry that turned out to be stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// It was not known.
    pub(super) new: bool,
    /// Somebody is to be told now.
    pub(super) tell: bool,
}

impl Stuck {
    /// Whether the entry was found to be stuck a moment ago.
    pub(super) fn rests(&self, shard: &Shard, id: &str, now: Instant) -> bool {
        let known = self.shards.get(shard).and_then(|shard| shard.entries.get(id));
        known.is_some_and(|at| now.duration_since(*at) < LOOK_AGAIN)
    }

    pub(super) fn found(&mut self, shard: &Shard, id: &str, why: &str, now: Instant) -> Found {
        let there = self.shards.entry(shard.clone()).or_default();
        let new = !there.entries.contains_key(id);
        if !new || there.entries.len() < REMEMBERED_MAX {
            there.entries.insert(id.to_owned(), now);
        }
        let tell = there.seldom.met(why, now).is_some();
        Found { new, tell }
    }

    /// All entries of a shard were seen: those that are not among them, or are on their way now, are stuck no more.
    pub(super) fn keep(&mut self, shard: &Shard, stuck: &HashSet<String>) {
        if let Some(there) = self.shards.get_mut(shard) {
            there.entries.retain(|id, _| stuck.contains(id));
            if there.entries.is_empty() {
                self.shards.remove(shard);
            }
        }
    }

    /// Campaigns that are not served any more have nothing that is stuck.
    pub(super) fn keep_served(&mut self, served: impl Fn(&str) -> bool) {
        self.shards.retain(|shard, _| served(&shard.campaign));
    }

    /// Another gateway looks after the shard, and tells of it.
    pub(super) fn forget(&mut self, shard: &Shard) {
        self.shards.remove(shard);
    }

    /// Entries that are stuck, by campaign.
    pub(super) fn count(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for (shard, there) in &self.shards {
            *counts.entry(shard.campaign.clone()).or_default() += there.entries.len() as u64;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: &str = "its revision is not in the database";

    #[test]
    fn stuck_entries_are_told_once_and_counted_until_they_are_gone() {
        let (mut stuck, begun, shard) = (Stuck::default(), Instant::now(), Shard::new("spring", 0));
        let at = |second| begun + Duration::from_secs(second);
        let found = |new, tell| Found { new, tell };
        assert_eq!(stuck.found(&shard, "1-0", WHY, at(0)), found(true, true));
        assert_eq!(stuck.found(&shard, "2-0", WHY, at(0)), found(true, false));
        assert!(stuck.rests(&shard, "1-0", at(9)) && !stuck.rests(&shard, "1-0", at(10)));
        assert!(!stuck.rests(&shard, "3-0", at(0)));
        for second in (10..60).step_by(10) {
            assert_eq!(stuck.found(&shard, "1-0", WHY, at(second)), found(false, false));
        }
        assert_eq!(
            stuck.found(&shard, "1-0", WHY, at(60)),
            found(false, true),
            "a minute later"
        );
        assert_eq!(stuck.count(), [("spring".to_owned(), 2)].into());
        stuck.keep(&shard, &["2-0".to_owned()].into());
        assert_eq!(stuck.count(), [("spring".to_owned(), 1)].into());
        stuck.keep(&shard, &HashSet::new());
        assert_eq!(stuck.count(), BTreeMap::new());
        assert_eq!(
            stuck.found(&shard, "4-0", WHY, at(61)),
            found(true, true),
            "it was over"
        );
        stuck.keep_served(|campaign| campaign == "spring");
        assert_eq!(stuck.count().len(), 1);
        stuck.forget(&shard);
        assert_eq!(stuck.count(), BTreeMap::new());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut stuck, now, shard) = (Stuck::default(), Instant::now(), Shard::new("spring", 0));
        for entry in 0..=REMEMBERED_MAX {
            assert!(stuck.found(&shard, &entry.to_string(), WHY, now).new);
        }
        assert_eq!(stuck.count()["spring"], REMEMBERED_MAX as u64);
        assert!(!stuck.found(&shard, "0", WHY, now).new);
    }
}
