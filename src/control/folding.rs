//! How a request folds attributes: what may be folded, and what rules then compare in vain.

use super::places::places_of;
use super::requests::Problem;
use crate::plan::fold::never_met;
use crate::plan::{ANY_NAME, Folds, Plan};
use crate::wire::json::escape;

/// Attributes that one revision folds at most.
const FOLDED_MAX: usize = 16;

/// Everything that is wrong with what a request folds; its steps were read already.
pub(super) fn check_folds(folds: &Folds, problems: &mut Vec<Problem>) {
    let count = folds.iter().count();
    if count > FOLDED_MAX {
        let detail = format!("folds {count} attributes; at most {FOLDED_MAX} are allowed");
        problems.push(Problem::new("/fold", detail));
    }
    for (name, _) in folds.iter().filter(|(name, _)| !may_be_folded(name)) {
        let problem = Problem::new(
            format!("/fold/{}", escape(name)),
            format!("{name:?} is no attribute that can be folded"),
        );
        problems.push(problem.hint("use \"user\", \"claim:<name>\" or \"client:<name>\""));
    }
}

fn may_be_folded(name: &str) -> bool {
    match name.split_once(':') {
        None => name == "user",
        Some(("claim" | "client", name)) => !name.is_empty() && name != ANY_NAME,
        Some(_) => false,
    }
}

/// Problems for a text that the plan of the rule at `at` compares with a folded value that is never that text.
pub(super) fn never_met_problems(at: &str, plan: &Plan, params: &serde_json::Value) -> Vec<Problem> {
    let Some(found) = never_met(plan) else {
        return Vec::new();
    };
    let detail = format!(
        "no order meets {:?}: the revision folds {} before the rule reads it",
        found.text, found.attribute
    );
    let hint = format!("write {:?}", found.instead);
    let mut places = places_of(params, &found.text, &format!("{at}/params"));
    if places.is_empty() {
        places.push(at.to_owned());
    }
    let problem = |place| Problem::new(place, detail.clone()).hint(hint.clone());
    places.into_iter().map(problem).collect()
}
