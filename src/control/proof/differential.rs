//! The differential run: random attempts at a plan, decided by the interpreter and by the generated
//! script; decisions and what is left in the shard must be the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde::Serialize;

use super::candidates::Candidates;
use super::counterexample::{Counterexample, shrink};
use super::disagreement::disagreement;
use super::episode::{self, Plans, REVISION};
use super::scripted::compact;
use crate::lua::Family;
use crate::lua::emit::emit_with_shadow;
use crate::plan::decision::Decision;
use crate::plan::{CheckedPlan, PlanError};
use crate::wasm::examples::outcome;

/// Attempts of one run.
pub const ATTEMPTS: usize = 2000;
/// A run of a plan that makes everything slow ends after this, with fewer attempts.
pub const TIME_MAX: Duration = Duration::from_secs(5);

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
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
        let (episode, interpreted) = episode::draw(plans, &candidates, attempts - report.attempts, &mut rng);
        for decision in interpreted.decisions.iter().flatten() {
            report.count(plan, decision);
        }
        for ((_, shadow), attempts) in &interpreted.end.shadow.figures {
            *report.shadow.entry(shadow.clone()).or_default() += attempts;
        }
        if let Some(found) = disagreement(family, &episode, &interpreted) {
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

#[cfg(test)]
mod tests;
