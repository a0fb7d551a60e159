//! What becomes of an order that does not say who it is from: the attributes of its subject are missing.

use alloc::format;
use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attribute::Subject;
use crate::expr::{Bool, Int, PerOrder, int, select};
use crate::plan::{Constraint, Plan};
use crate::rule::Reason;

/// What becomes of an order that lacks an attribute of the subject. An attribute that is there but empty is
/// missing too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema, Serialize)]
#[schemars(inline)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// It is rejected.
    #[default]
    Reject,
    /// It is admitted as far as this limit goes, and not counted.
    Allow,
}

impl Missing {
    /// Adds the constraint that rejects such an order, where it is to be.
    pub fn require(self, plan: &mut Plan, subject: &Subject, reason: &Reason) {
        self.require_of(plan, subject, reason, "", None);
    }

    /// The same for the orders that `when` holds for: ` of tee-s, tee-m`.
    pub fn require_of(
        self,
        plan: &mut Plan,
        subject: &Subject,
        reason: &Reason,
        of: &str,
        when: Option<Bool<PerOrder>>,
    ) {
        let (Self::Reject, Some(given)) = (self, subject.is_given()) else {
            return;
        };
        let sentence = format!("Every order{of} says its {}.", names(subject));
        let constraint = plan.require(given, reason, sentence);
        if let Some(when) = when {
            constraint.when(when);
        }
    }

    /// The cost of a counter of the subject.
    pub fn cost(self, subject: &Subject, cost: Int<PerOrder>) -> Int<PerOrder> {
        match (self, subject.is_given()) {
            (Self::Allow, Some(given)) => select(given, cost, int(0)),
            _ => cost,
        }
    }

    /// Makes a constraint apply only to orders that say who they are.
    pub fn only_given<'p>(self, constraint: &'p mut Constraint, subject: &Subject) -> &'p mut Constraint {
        match self.applies(subject) {
            Some(given) => constraint.when(given),
            None => constraint,
        }
    }

    /// Which orders a limit of the subject is for; `None` where for all.
    pub fn applies(self, subject: &Subject) -> Option<Bool<PerOrder>> {
        match self {
            Self::Allow => subject.is_given(),
            Self::Reject => None,
        }
    }
}

fn names(subject: &Subject) -> String {
    let missing = subject
        .attributes()
        .iter()
        .filter(|attribute| attribute.can_be_missing());
    let names: alloc::vec::Vec<&str> = missing.map(|attribute| attribute.noun()).collect();
    names.join(" and ")
}
