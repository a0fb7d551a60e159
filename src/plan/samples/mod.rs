//! The kinds of limits merchants ask for, each as a plan with attempts and what they must be
//! answered. One table for every engine: the interpreter, the embedded one and Redis.

mod limits;
mod others;
mod story;

use std::collections::{BTreeMap, BTreeSet};

use super::decision::Decision;
use super::{CheckContext, CheckedPlan, Plan};
use crate::order::Attempt;

/// A plan, the campaign it is for, and a story of attempts.
#[derive(Clone, Debug)]
pub struct Sample {
    pub name: &'static str,
    pub plan: Plan,
    pub context: CheckContext,
    /// Members of the uploaded lists, by audience id.
    pub audiences: BTreeMap<String, BTreeSet<String>>,
    /// In the order of their moments.
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub struct Step {
    /// Milliseconds after the opening of the campaign; negative is before it.
    pub at_ms: i64,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Attempt {
        attempt: Attempt,
        expect: Expected,
    },
    /// Takes back the order of an earlier step, which was admitted.
    Release {
        step: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Admitted,
    /// The same order was admitted by an earlier step.
    Existing,
    /// Reason code of a constraint or of the gateway.
    Rejected(String),
}

impl Expected {
    /// What a decision is, in the words of a sample.
    pub fn of(plan: &CheckedPlan, decision: &Decision) -> Self {
        let reason = match decision {
            Decision::Admitted => return Self::Admitted,
            Decision::Existing(_) => return Self::Existing,
            Decision::Rejected(rejection) => rejection.reason(plan),
        };
        Self::Rejected(reason.to_owned())
    }
}

/// Every sample, each with a name of its own.
pub fn samples() -> Vec<Sample> {
    let mut samples = limits::samples();
    samples.extend(others::samples());
    samples
}
