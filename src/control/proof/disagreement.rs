//! Where interpreter and script part: the first decision they differ in, or the first thing they leave differently.

use std::collections::BTreeMap;

use super::episode::{Batch, Episode, Interpreted, Plans};
use super::scripted::Scripted;
use crate::lua::Family;
use crate::plan::state::State;
use crate::plan::{CheckedPlan, Window};

/// Where interpreter and script part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disagreement {
    /// Index of the batch after which nothing more needs to be looked at.
    pub(super) batch: usize,
    pub(super) interpreter: String,
    pub(super) script: String,
}

/// Plays an episode through the script; where it parts from what the interpreter answered.
pub(super) fn disagreement(
    family: &Family,
    episode: &Episode,
    interpreted: &Interpreted,
) -> Option<Disagreement> {
    let here = |batch, interpreter: String, script: String| {
        Some(Disagreement {
            batch,
            interpreter,
            script,
        })
    };
    let scripted = match Scripted::open(family.clone(), &episode.start) {
        Ok(scripted) => scripted,
        Err(error) => return here(0, "a shard that opens".into(), error),
    };
    for (index, (batch, expected)) in episode.batches.iter().zip(&interpreted.decisions).enumerate() {
        match scripted.admit(batch.now, &batch.attempts) {
            Ok(found) if found == *expected => {}
            Ok(found) => {
                let differ = expected.iter().zip(&found).position(|(a, b)| a != b).unwrap_or(0);
                return here(
                    index,
                    format!("{:?}", expected[differ]),
                    format!("{:?}", found[differ]),
                );
            }
            Err(error) => return here(index, format!("{expected:?}"), error),
        }
    }
    let last = episode.batches.len().saturating_sub(1);
    let now = episode.batches.last().map_or(0, |Batch { now, .. }| *now);
    let left = comparable(Plans::of(family), interpreted.end.clone(), now);
    match scripted.state() {
        Ok(found) => {
            let found = comparable(Plans::of(family), found, now);
            let (interpreter, script) = first_difference(&left, &found)?;
            here(last, interpreter, script)
        }
        Err(error) => here(last, "what it decided".into(), error),
    }
}

/// Without what no longer counts: entries that left a rolling window are dropped when their subject orders
/// again, by each reader in its own time.
fn comparable(plans: Plans<'_>, mut state: State, now: i64) -> State {
    drop_past(plans.live, &mut state.rolling, now);
    state.counters.retain(|_, used| *used != 0);
    if let Some(shadow) = plans.shadow {
        drop_past(shadow, &mut state.shadow.rolling, now);
    }
    state.shadow.counters.retain(|_, used| *used != 0);
    state.audiences.clear();
    state
}

fn drop_past(plan: &CheckedPlan, rolling: &mut BTreeMap<(String, String), Vec<(i64, i64)>>, now: i64) {
    for counter in &plan.plan().counters {
        let Window::Rolling { length_ms } = counter.window else {
            continue;
        };
        for ((id, _), entries) in rolling.iter_mut() {
            if *id == counter.id {
                entries.retain(|(moment, _)| *moment > now.saturating_sub(length_ms));
            }
        }
    }
    rolling.retain(|_, entries| !entries.is_empty());
}

/// The first thing two states hold differently, in words for each.
fn first_difference(one: &State, other: &State) -> Option<(String, String)> {
    fn differ<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
        what: &str,
        one: &BTreeMap<K, V>,
        other: &BTreeMap<K, V>,
    ) -> Option<(String, String)> {
        let keys = one.keys().chain(other.keys());
        let key = keys.into_iter().find(|key| one.get(key) != other.get(key))?;
        let word = |value: Option<&V>| match value {
            None => format!("{what} {key:?} is not there"),
            Some(value) => format!("{what} {key:?} is {value:?}"),
        };
        Some((word(one.get(key)), word(other.get(key))))
    }
    differ("the stock of", &one.stock, &other.stock)
        .or_else(|| differ("the counter", &one.counters, &other.counters))
        .or_else(|| differ("the rolling counter", &one.rolling, &other.rolling))
        .or_else(|| differ("the order", &one.orders, &other.orders))
        .or_else(|| {
            differ(
                "the shadow's counter",
                &one.shadow.counters,
                &other.shadow.counters,
            )
        })
        .or_else(|| {
            differ(
                "the shadow's rolling counter",
                &one.shadow.rolling,
                &other.shadow.rolling,
            )
        })
        .or_else(|| differ("the shadow's figure", &one.shadow.figures, &other.shadow.figures))
}
