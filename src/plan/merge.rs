//! Merging the plans of several rules into one: counters are namespaced by the rule's name, node
//! indices shifted, constraints kept in the order of the rules.

use super::{Attribute, Plan, PlanError};

/// One rule's part of a merged plan.
#[derive(Clone, Debug)]
pub struct RulePlan {
    /// The rule's name: prefix of its counters and constraints.
    pub name: String,
    pub plan: Plan,
    /// The descriptor's closed list: (code, retryable).
    pub reasons: Vec<(String, bool)>,
    /// The descriptor's attributes: (attribute, required). A plan may read only these.
    pub attributes: Vec<(Attribute, bool)>,
}

/// Refuses reasons that are not declared and attributes that are not declared; `at` starts with
/// `rules/<index>/`.
pub fn merge(_rules: Vec<RulePlan>) -> Result<Plan, PlanError> {
    todo!("plan::merge")
}
