//! The checker: turns an untrusted [`Plan`] into a [`CheckedPlan`], or says what is wrong and where.

mod campaign;
mod counters;
mod parts;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::campaign::check_context;
use self::counters::check_counters;
pub(super) use self::parts::{check_attribute, is_name};
use self::parts::{check_attributes, check_constraint, check_early};
use super::calendar::Periods;
use super::ceiling::{self, Ceiling};
use super::facts::{Needs, Wanted};
use super::nodes::check_nodes;
use super::possible::Certain;
use super::{
    Attribute, Audiences, Node, PLAN_ATTRIBUTES_MAX, PLAN_COMMANDS_MAX, PLAN_CONSTRAINTS_MAX,
    PLAN_COUNTERS_MAX, PLAN_EARLY_ACCESS_MAX, PLAN_NODES_MAX, PLAN_TEXTS_BYTES_MAX, Plan, reach,
};
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
    pub(super) wanted: Wanted,
    pub(super) ceilings: Vec<Ceiling>,
    pub(super) certain: Certain,
    pub(super) attributes: Vec<Attribute>,
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

    /// What a rejection by a constraint answers.
    pub fn needs(&self, constraint: u32) -> &Needs {
        &self.wanted.constraints[constraint as usize]
    }

    /// Whether the passing of time alone can change a constraint.
    pub fn changes_with_time(&self, constraint: u32) -> bool {
        self.wanted.timed[constraint as usize]
    }

    /// What a rejection before the opening answers.
    pub fn early_needs(&self) -> &Needs {
        &self.wanted.early
    }

    /// What `inspect` answers.
    pub fn quota_needs(&self) -> &Needs {
        &self.wanted.quota
    }

    pub fn cost(&self) -> PlanCost {
        self.cost
    }

    /// The same for attempts that a shadow decides too; `slots` are those of both, its own first.
    pub fn cost_with_shadow(&self, shadow: Option<&CheckedPlan>, slots: &[Slot]) -> PlanCost {
        shadow.map_or(self.cost, |shadow| reach::cost_with_shadow(self, shadow, slots))
    }

    /// Lower-case hex SHA-256 of the plan's canonical JSON.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Every attribute the plan reads or requires besides user, SKU and quantity, in order.
    pub fn attributes(&self) -> Vec<Attribute> {
        self.attributes.clone()
    }
}

/// What is wrong with a plan. `at` names the part: `nodes/7`, `counters/0/cost`, `constraints/2`,
/// `context/skus`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{at}: {message}")]
pub struct PlanError {
    pub at: String,
    /// `index`, `bound`, `type`, `attribute`, `number`, `cost`, `name`, `window`, `audience`.
    pub code: &'static str,
    pub message: String,
}

impl PlanError {
    pub(super) fn new(at: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            code,
            message: message.into(),
        }
    }

    /// The same error inside `<part>/<index>`.
    fn under(self, part: &str, index: usize) -> Self {
        let at = match self.at.as_str() {
            "" => format!("{part}/{index}"),
            inner => format!("{part}/{index}/{inner}"),
        };
        Self { at, ..self }
    }
}

/// Checks everything; the first problem found is the answer.
pub fn check(plan: Plan, context: CheckContext) -> Result<CheckedPlan, PlanError> {
    check_context(&context)?;
    check_sizes(&plan)?;
    let nodes = check_nodes(&plan, &context)?;
    let periods = check_counters(&plan, &context, &nodes)?;
    let mut text_bytes = nodes.text_bytes;
    for (index, constraint) in plan.constraints.iter().enumerate() {
        check_constraint(&plan, constraint, &nodes).map_err(|error| error.under("constraints", index))?;
        text_bytes += constraint.sentence.len();
    }
    for (index, early) in plan.early_access.iter().enumerate() {
        check_early(early, &nodes).map_err(|error| error.under("early_access", index))?;
        text_bytes += early.sentence.len();
    }
    if text_bytes > PLAN_TEXTS_BYTES_MAX {
        let message =
            format!("the plan's texts take {text_bytes} bytes; at most {PLAN_TEXTS_BYTES_MAX} are allowed");
        return Err(PlanError::new("nodes", "bound", message));
    }
    let reached = reach::reachable(&plan);
    let attributes = check_attributes(&plan, &reached)?;
    let slots = reach::slots(&plan, &reached);
    let wanted = Wanted::of(&plan);
    let ceilings = ceiling::ceilings(&plan);
    let certain = Certain::of(&plan, &nodes);
    let cost = reach::cost(&plan, &reached, &slots, attributes.len());
    if cost.commands > PLAN_COMMANDS_MAX {
        let message = format!(
            "one attempt could cause {} Redis commands; at most {PLAN_COMMANDS_MAX} are allowed",
            cost.commands
        );
        return Err(PlanError::new("nodes", "cost", message));
    }
    let digest = digest(&plan, &context);
    Ok(CheckedPlan {
        plan,
        context,
        kinds: nodes.kinds,
        periods,
        slots,
        wanted,
        ceilings,
        certain,
        attributes,
        cost,
        digest,
    })
}

/// SHA-256 over what decides: the plan, the schedule and the versions of the uploaded lists.
fn digest(plan: &Plan, context: &CheckContext) -> String {
    let json = serde_json::to_vec(&(plan, context.schedule, &context.audiences))
        .expect("a plan is plain data with text keys");
    HEXLOWER.encode(&Sha256::digest(json))
}

fn check_sizes(plan: &Plan) -> Result<(), PlanError> {
    for (at, count, most) in [
        ("nodes", plan.nodes.len(), PLAN_NODES_MAX),
        ("counters", plan.counters.len(), PLAN_COUNTERS_MAX),
        ("constraints", plan.constraints.len(), PLAN_CONSTRAINTS_MAX),
        ("early_access", plan.early_access.len(), PLAN_EARLY_ACCESS_MAX),
        ("required", plan.required.len(), PLAN_ATTRIBUTES_MAX),
    ] {
        if count > most {
            return Err(PlanError::new(
                at,
                "bound",
                format!("{count} {at}; at most {most} are allowed"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wild;
