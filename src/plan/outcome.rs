//! What became of an attempt, in a word: as figures compare two plans.

use super::CheckedPlan;
use super::decision::Rejection;

pub const ADMITTED: &str = "admitted";
/// The plan could not be asked: something it needs was not there.
pub const FAULT: &str = "fault";

/// `admitted`, the name of an own reason, or `<rule>/<reason>` of the constraint that failed.
pub fn of(plan: &CheckedPlan, judged: Result<(), &Rejection>) -> String {
    match judged.map_err(Rejection::own) {
        Ok(()) => ADMITTED.to_owned(),
        Err(Ok(own)) => own.name().to_owned(),
        Err(Err(index)) => plan.plan().constraints[index as usize].name(),
    }
}
