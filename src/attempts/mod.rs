//! Recorded attempts: what buyers asked for, when it was decided and how, rejected attempts included.
//!
//! A sample is taken by *buyer* ([`share`]), so that whole histories are kept and counters stay meaningful.

pub mod lines;
pub mod pieces;
pub mod replay;
pub mod share;
pub mod tally;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::order::array::is_array;
use crate::order::{Attempt, LandedOrder, UNREADABLE};
use crate::plan::CheckedPlan;
use crate::plan::decision::{Decision, Rejection};
use crate::rejection::Own;
use crate::ruleset::Compiled;

/// The name of the outcome of an admitted attempt.
pub use crate::plan::outcome::ADMITTED;

/// One decided attempt. Of its attributes it has those the plan that decided read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedAttempt {
    /// Moment of the decision, milliseconds since 1970-01-01 UTC.
    pub at: i64,
    pub attempt: Attempt,
    /// The revision that decided; `None` where nobody knows.
    pub revision: Option<u32>,
    /// Name of the [`Outcome`]; `None` where nobody knows.
    pub outcome: Option<String>,
}

impl From<LandedOrder> for DecidedAttempt {
    fn from(order: LandedOrder) -> Self {
        Self {
            at: order.placed_at,
            attempt: order.attempt,
            revision: Some(order.revision),
            outcome: Some(ADMITTED.to_owned()),
        }
    }
}

/// How an attempt was decided. Cheap to make where orders wait; the plan knows its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Admitted,
    Own(Own),
    /// Index into the constraints of the plan.
    Constraint(u32),
    /// `<rule>/<reason>` of what the plan does not know.
    Named(String),
}

impl Outcome {
    /// `None` for a retry of an admitted order, which is the same order, not another attempt; and for one that came while the
    /// sale was paused: no rule was asked about it.
    pub fn of(decision: &Decision) -> Option<Self> {
        match decision {
            Decision::Admitted => Some(Self::Admitted),
            Decision::Existing(_) | Decision::Rejected(Rejection::Paused(_)) => None,
            Decision::Rejected(rejection) => Some(Self::rejected(rejection)),
        }
    }

    fn rejected(rejection: &Rejection) -> Self {
        match rejection.own() {
            Ok(own) => Self::Own(own),
            Err(index) => Self::Constraint(index),
        }
    }

    /// Whether an attribute could not be read.
    fn is_unfit(&self) -> bool {
        let unfit = [Own::AttributeUnreadable, Own::ClaimNotSingle];
        match self {
            Self::Own(own) => unfit.contains(own),
            Self::Named(name) => unfit.iter().any(|own| own.name() == name),
            Self::Admitted | Self::Constraint(_) => false,
        }
    }

    /// `admitted`, the name of an own reason, or `<rule>/<reason>`.
    pub fn name<'a>(&'a self, plan: &CheckedPlan) -> Cow<'a, str> {
        match self {
            Self::Admitted => ADMITTED.into(),
            Self::Own(own) => own.name().into(),
            Self::Named(name) => name.as_str().into(),
            Self::Constraint(index) => match plan.plan().constraints.get(*index as usize) {
                Some(constraint) => constraint.name().into(),
                None => format!("constraint/{index}").into(),
            },
        }
    }
}

/// What one batch decided, in the order of the decisions.
#[derive(Clone, Debug)]
pub struct Decided {
    /// What decided.
    pub compiled: Arc<Compiled>,
    /// Milliseconds since 1970-01-01 UTC by the engine's clock.
    pub at: i64,
    pub attempts: Vec<(Attempt, Outcome)>,
}

impl Decided {
    /// With names, and with those attributes alone that the plan reads, or would if they could be read.
    pub fn into_attempts(self) -> impl Iterator<Item = DecidedAttempt> {
        let Self {
            compiled,
            at,
            attempts,
        } = self;
        attempts.into_iter().map(move |(mut attempt, outcome)| {
            let is_unfit = outcome.is_unfit();
            attempt.attributes.retain(|name, value| {
                let mark = name.strip_prefix(UNREADABLE);
                let is_odd = mark.is_some() || is_array(value);
                let name = mark.unwrap_or(name);
                // What a precheck alone would have been handed is kept where it refused the order.
                (is_odd && is_unfit) || compiled.reads.iter().any(|read| read == name)
            });
            DecidedAttempt {
                at,
                attempt,
                revision: Some(compiled.revision.number),
                outcome: Some(outcome.name(&compiled.family.plan).into_owned()),
            }
        })
    }
}

/// Keeps what was decided, for simulations. Called where orders wait: it returns at once.
pub trait Recorder: Send + Sync + 'static {
    /// Whether attempts of a buyer are kept; counts one that is not. Asked once for each attempt that was decided, before
    /// anything of it is copied.
    fn keeps(&self, campaign: &str, user: &str) -> bool;

    /// Attempts of buyers that it keeps.
    fn record(&self, decided: Decided);
}

/// The attributes of an order as a text map.
pub type Attributes = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Paused;

    #[test]
    fn an_attempt_of_a_paused_sale_is_not_kept() {
        let paused = Paused { resume_at: Some(5) };
        let of = |rejection| Outcome::of(&Decision::Rejected(rejection));
        assert_eq!(of(Rejection::Paused(paused)), None);
        assert_eq!(of(Rejection::Closed), Some(Outcome::Own(Own::Closed)));
    }
}
