//! The differential run: random attempts at a plan, decided by the interpreter and by the generated
//! script; decisions and what is left in the shard must be the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde::Serialize;

use super::candidates::Candidates;
use super::counterexample::{Counterexample, shrink};
use super::episode::{self, Answered, Batch, Episode, Plans, REVISION};
use super::scripted::{Scripted, compact};
use crate::lua::Family;
use crate::lua::emit::emit_with_shadow;
use crate::plan::eval::{Decision, State};
use crate::plan::{CheckedPlan, PlanError, Window};
use crate::wasm::examples::outcome;

/// Attempts of one run.
pub const ATTEMPTS: usize = 2000;
/// A run of a plan that makes everything slow ends after this, with fewer attempts.
pub const TIME_MAX: Duration = Duration::from_secs(5);

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Differential {
    pub attempts: usize,
    /// From the plan's digest, so that the run can be repeated.
    pub seed: String,
    pub admitted: usize,
    /// Reason → attempts rejected with it: what the run has seen at work.
    pub rejected: BTreeMap<String, usize>,
    /// Outcome by the rules in shadow → attempts, where there are some.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub shadow: BTreeMap<String, u64>,
    pub disagreements: usize,
    /// The first disagreement, made as short as it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterexample: Option<Counterexample>,
}

/// Where interpreter and script part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disagreement {
    /// Index of the batch after which nothing more needs to be looked at.
    pub(super) batch: usize,
    pub(super) interpreter: String,
    pub(super) script: String,
}

/// The script of a plan, with another in shadow, over few buckets, as a run wants it.
pub fn family(plan: &CheckedPlan, shadow: Option<&CheckedPlan>) -> Result<Family, PlanError> {
    let shadow = shadow.map(compact).transpose()?.map(Arc::new);
    emit_with_shadow(Arc::new(compact(plan)?), shadow, REVISION)
}

/// Runs so many attempts against a family from [`family`]. Stops at the first disagreement and after
/// [`TIME_MAX`].
pub fn run(family: &Family, attempts: usize) -> Differential {
    let plan = &*family.plan;
    let seed = plan.digest().get(..16).unwrap_or_default().to_owned();
    let mut rng = Rng::with_seed(u64::from_str_radix(&seed, 16).unwrap_or_default());
    let mut report = Differential {
        attempts: 0,
        seed,
        admitted: 0,
        rejected: BTreeMap::new(),
        shadow: BTreeMap::new(),
        disagreements: 0,
        counterexample: None,
    };
    let plans = Plans::of(family);
    let candidates = Candidates::of(&plans.all().collect::<Vec<_>>());
    let deadline = Instant::now() + TIME_MAX;
    while report.attempts < attempts && (report.attempts == 0 || Instant::now() < deadline) {
        let (episode, answered) = episode::draw(plans, &candidates, attempts - report.attempts, &mut rng);
        for decision in answered.decisions.iter().flatten() {
            report.count(plan, decision);
        }
        for ((_, shadow), attempts) in &answered.end.shadow.figures {
            *report.shadow.entry(shadow.clone()).or_default() += attempts;
        }
        if let Some(found) = disagreement(family, &episode, &answered) {
            report.disagreements = 1;
            report.counterexample = Some(shrink(family, episode, found, deadline));
            break;
        }
    }
    report
}

impl Differential {
    fn count(&mut self, plan: &CheckedPlan, decision: &Decision) {
        self.attempts += 1;
        match outcome(plan, decision) {
            crate::wasm::Expected::Admitted => self.admitted += 1,
            crate::wasm::Expected::Rejected(reason) => *self.rejected.entry(reason).or_default() += 1,
        }
    }
}

/// Plays an episode through the script; where it parts from what the interpreter answered.
pub(super) fn disagreement(family: &Family, episode: &Episode, answered: &Answered) -> Option<Disagreement> {
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
    for (index, (batch, expected)) in episode.batches.iter().zip(&answered.decisions).enumerate() {
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
    let left = comparable(Plans::of(family), answered.end.clone(), now);
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

#[cfg(test)]
mod tests;
