//! The checker: turns an untrusted [`Plan`] into a [`CheckedPlan`], or says what is wrong and where.

use serde::{Deserialize, Serialize};

use super::calendar::Periods;
use super::{Attribute, Audiences, Node, Plan};
use crate::campaign::{Schedule, Sku};

/// What a plan is checked against: the campaign as the revision sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckContext {
    pub campaign: String,
    pub schedule: Schedule,
    pub skus: Vec<Sku>,
    /// Uploaded lists the plan may ask for.
    pub audiences: Audiences,
    /// Hash buckets of the campaign's keys.
    pub buckets: u32,
}

/// Type of a node, with the bounds no run can leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int { low: i64, high: i64 },
    Bool,
    Text,
}

/// A value the host computes per attempt and hands to the script.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The text of an attribute an expression reads.
    Attribute(Attribute),
    /// The composed subject of a counter key: [`crate::lua::codec::subject`]. A key of exactly one
    /// attribute has the same text as that attribute but still its own slot.
    Subject(Vec<Attribute>),
    /// The hash bucket of that subject.
    Bucket(Vec<Attribute>),
    /// The bucket of an audience's sets a value would be in.
    MemberBucket { audience: String, of: Attribute },
}

/// Upper bounds of what one attempt costs Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanCost {
    /// Commands for one admitted order, the share of the batch's own commands not counted.
    pub commands: u32,
    /// Bytes sent to Redis for one attempt, subjects and attributes at their longest.
    pub bytes: u32,
    /// Nodes of the merged plan.
    pub nodes: u32,
}

/// A plan that is safe to run: references point backwards, types fit, integers stay within
/// ±(2^53−1), cost is within budget. Only [`check`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedPlan {
    pub(super) plan: Plan,
    pub(super) context: CheckContext,
    /// One per node.
    pub(super) kinds: Vec<Kind>,
    /// One per counter: the boundaries of a calendar window over the campaign.
    pub(super) periods: Vec<Option<Periods>>,
    pub(super) slots: Vec<Slot>,
    pub(super) cost: PlanCost,
    pub(super) digest: String,
}

impl CheckedPlan {
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn context(&self) -> &CheckContext {
        &self.context
    }

    pub fn kind(&self, node: Node) -> Kind {
        self.kinds[node as usize]
    }

    /// Boundaries of a counter's calendar window; `None` for every other window.
    pub fn periods(&self, counter: u32) -> Option<&Periods> {
        self.periods[counter as usize].as_ref()
    }

    /// The values the script receives per attempt, in order.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub fn cost(&self) -> PlanCost {
        self.cost
    }

    /// Lower-case hex SHA-256 of the plan's canonical JSON.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Every attribute the plan reads or requires besides user, SKU and quantity.
    pub fn attributes(&self) -> Vec<Attribute> {
        todo!("plan::check")
    }
}

/// What is wrong with a plan. `at` names the part: `nodes/7`, `counters/0/cost`, `constraints/2`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{at}: {message}")]
pub struct PlanError {
    pub at: String,
    /// `index`, `bound`, `type`, `attribute`, `number`, `cost`, `name`, `window`, `audience`.
    pub code: &'static str,
    pub message: String,
}

/// Checks everything; the first problem found is the answer.
pub fn check(_plan: Plan, _context: CheckContext) -> Result<CheckedPlan, PlanError> {
    todo!("plan::check")
}
