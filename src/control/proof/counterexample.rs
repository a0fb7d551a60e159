//! A disagreement made as short as it goes: the fewest attempts, the emptiest start.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use super::disagreement::{Disagreement, disagreement};
use super::episode::{Batch, Episode, Plans, decided};
use crate::lua::Family;
use crate::wire::Moment;

/// Shorter episodes tried at most.
const TRIES_MAX: usize = 400;

/// What one has to do to see interpreter and script part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Counterexample {
    /// SKU → units before the first attempt.
    pub stock: BTreeMap<String, i64>,
    /// What counters hold before the first attempt, one line each; mostly nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub used: Vec<String>,
    /// List → members among the buyers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub audiences: BTreeMap<String, Vec<String>>,
    /// In order; those with the same number of `call` go into one.
    pub attempts: Vec<Shown>,
    /// What the interpreter says to the last attempt, or holds after it.
    pub interpreter: String,
    /// What the script does, or leaves.
    pub script: String,
}

/// One attempt of a counterexample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = CounterexampleAttempt)]
pub struct Shown {
    pub call: usize,
    pub at: String,
    pub user: String,
    pub sku: String,
    pub quantity: u32,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

struct Shrinking<'a> {
    family: &'a Family,
    episode: Episode,
    found: Disagreement,
    tries: usize,
    deadline: Instant,
}

/// Shortens until nothing more can be left out, or time or tries are over.
pub(super) fn shrink(
    family: &Family,
    mut episode: Episode,
    found: Disagreement,
    deadline: Instant,
) -> Counterexample {
    episode.batches.truncate(found.batch + 1);
    let mut shrinking = Shrinking {
        family,
        episode,
        found,
        tries: 0,
        deadline,
    };
    shrinking.empty_start();
    shrinking.fewer_attempts();
    shrinking.empty_start();
    let Shrinking { episode, found, .. } = shrinking;
    shown(&episode, found)
}

impl Shrinking<'_> {
    /// Keeps a shorter episode if it still parts them.
    fn keep(&mut self, shorter: Episode) -> bool {
        if self.tries >= TRIES_MAX || Instant::now() >= self.deadline || shorter.batches.is_empty() {
            return false;
        }
        self.tries += 1;
        let interpreted = decided(Plans::of(self.family), &shorter);
        let Some(found) = disagreement(self.family, &shorter, &interpreted) else {
            return false;
        };
        self.episode = shorter;
        self.episode.batches.truncate(found.batch + 1);
        self.found = found;
        true
    }

    fn empty_start(&mut self) {
        let mut bare = self.episode.clone();
        bare.start.counters.clear();
        bare.start.rolling.clear();
        bare.start.shadow = Default::default();
        if !self.keep(bare) {
            for key in self.episode.start.counters.clone().into_keys() {
                let mut without = self.episode.clone();
                without.start.counters.remove(&key);
                self.keep(without);
            }
            for key in self.episode.start.rolling.clone().into_keys() {
                let mut without = self.episode.clone();
                without.start.rolling.remove(&key);
                self.keep(without);
            }
        }
        let mut alone = self.episode.clone();
        alone.start.audiences.clear();
        self.keep(alone);
    }

    /// Leaves out ever smaller runs of attempts, from the end to the beginning.
    fn fewer_attempts(&mut self) {
        let mut run = self.attempts();
        while run > 0 {
            let mut from = self.attempts();
            while from > 0 {
                from = from.saturating_sub(run).min(self.attempts());
                let without = self.without(from, run);
                self.keep(without);
            }
            run /= 2;
        }
    }

    fn attempts(&self) -> usize {
        self.episode
            .batches
            .iter()
            .map(|batch| batch.attempts.len())
            .sum()
    }

    fn without(&self, from: usize, count: usize) -> Episode {
        let mut index = 0;
        let batches = self.episode.batches.iter().map(|batch| {
            let mut kept = Vec::new();
            for attempt in &batch.attempts {
                if !(from..from + count).contains(&index) {
                    kept.push(attempt.clone());
                }
                index += 1;
            }
            Batch {
                now: batch.now,
                attempts: kept,
            }
        });
        Episode {
            start: self.episode.start.clone(),
            batches: batches.filter(|batch| !batch.attempts.is_empty()).collect(),
        }
    }
}

fn shown(episode: &Episode, found: Disagreement) -> Counterexample {
    let attempts = episode.batches.iter().enumerate().flat_map(|(call, batch)| {
        batch.attempts.iter().map(move |attempt| Shown {
            call,
            at: Moment(batch.now).to_string(),
            user: attempt.user.clone(),
            sku: attempt.sku.clone(),
            quantity: attempt.quantity,
            attributes: attempt.attributes.clone(),
        })
    });
    let start = &episode.start;
    let counted = start.counters.iter().map(|((id, window, subject), used)| {
        format!("{id}, window from {}, {subject:?}: {used}", Moment(*window))
    });
    let rolling = start
        .rolling
        .iter()
        .map(|((id, subject), entries)| format!("{id}, {subject:?}: {} orders", entries.len()));
    Counterexample {
        stock: start.stock.clone(),
        used: counted.chain(rolling).collect(),
        audiences: start
            .audiences
            .iter()
            .map(|(id, members)| (id.clone(), members.iter().cloned().collect()))
            .collect(),
        attempts: attempts.collect(),
        interpreter: found.interpreter,
        script: found.script,
    }
}
