//! A plan that passed every check, with what the checks found out about it.

use std::collections::BTreeSet;

use super::calendar::Periods;
use super::ceiling::Ceiling;
use super::certain::Certain;
use super::context::CheckContext;
use super::cost::{PlanCost, cost_with_shadow};
use super::facts::{Needs, Wanted};
use super::kind::Kind;
use super::slots::Slot;
use super::{Attribute, Node, Plan};

/// A plan that is safe to run: references point backwards, types fit, integers stay within
/// ±(2^53−1), cost is within budget. Only [`check`](super::check()) makes one.
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
        shadow.map_or(self.cost, |shadow| {
            cost_with_shadow(
                self.cost,
                shadow.cost,
                &shadow.plan,
                &shadow.context,
                &slots[self.slots.len()..],
            )
        })
    }

    /// Lower-case hex SHA-256 of the plan's canonical JSON.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Every attribute the plan reads or requires besides user, SKU and quantity, in order.
    pub fn attributes(&self) -> Vec<Attribute> {
        self.attributes.clone()
    }

    /// Counters whose ceilings follow from how many units there are: other ones after stock was added or taken.
    pub fn limited_by_stock(&self) -> BTreeSet<String> {
        let ceilings = self
            .ceilings
            .iter()
            .filter(|ceiling| ceiling.follows_stock(&self.plan));
        ceilings
            .map(|ceiling| self.plan.counters[ceiling.counter as usize].id.clone())
            .collect()
    }
}
