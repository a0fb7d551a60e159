//! A plan that passed every check, with what the checks found out about it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::calendar::Periods;
use super::ceiling::Ceiling;
use super::certain::Certain;
use super::context::CheckContext;
use super::cost::{PlanCost, cost_with_shadow};
use super::facts::{Needs, Wanted};
use super::kind::Kind;
use super::slots::{Slot, compose_subject};
use super::unfit::Reads;
use super::{Attribute, Node, Plan, SkuTexts};
use crate::order::Attempt;

/// A plan that is safe to run: references point backwards, types fit, integers stay within
/// ±(2^53−1), cost is within budget. Only [`check`](super::check()) makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedPlan {
    pub(super) plan: Plan,
    pub(super) context: CheckContext,
    /// One per node.
    pub(super) kinds: Vec<Kind>,
    /// One per node: whether it is a text that may be an array.
    pub(super) arrays: Vec<bool>,
    /// One per counter: the boundaries of a calendar window over the campaign.
    pub(super) periods: Vec<Option<Periods>>,
    pub(super) slots: Vec<Slot>,
    pub(super) wanted: Wanted,
    pub(super) ceilings: Vec<Ceiling>,
    pub(super) certain: Certain,
    pub(super) attributes: Vec<Attribute>,
    pub(super) sku_texts: SkuTexts,
    pub(super) reads: Reads,
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

    /// Whether the node's text may be an [`array`](crate::order::array): it is a claim, or chosen from two texts of which
    /// one may be.
    pub fn may_be_array(&self, node: Node) -> bool {
        self.arrays[node as usize]
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
        match self.may_pass(constraint) {
            true => &self.wanted.retry,
            false => &self.wanted.numbers[constraint as usize],
        }
    }

    /// What a rejection answers where a retry may help: before the opening, by a full rolling window, and by constraints
    /// that may pass.
    pub fn retry_needs(&self) -> &Needs {
        &self.wanted.retry
    }

    /// Whether the passing of time alone can change a constraint.
    pub fn changes_with_time(&self, constraint: u32) -> bool {
        self.wanted.timed[constraint as usize]
    }

    /// Whether an order that a constraint refuses may fit later: time can change it, or its module says that something else
    /// can. Otherwise it is refused for good, and what else refuses it says no more.
    pub fn may_pass(&self, constraint: u32) -> bool {
        self.changes_with_time(constraint) || self.plan.constraints[constraint as usize].retryable
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

    /// The text of an attribute in an attempt; the empty text where it has none.
    pub fn text_of<'a>(&'a self, attribute: &Attribute, attempt: &'a Attempt) -> Cow<'a, str> {
        attribute.text_of(attempt, &self.sku_texts)
    }

    /// Whom a counter of this key counts an attempt for: [`compose_subject`].
    pub fn subject(&self, key: &[Attribute], attempt: &Attempt) -> String {
        compose_subject(key, attempt, &self.sku_texts)
    }

    /// The first attribute that every order must carry and the attempt does not.
    pub fn missing(&self, attempt: &Attempt) -> Option<&Attribute> {
        let mut required = self.plan.required.iter();
        required.find(|attribute| self.text_of(attribute, attempt).is_empty())
    }

    /// Every attribute the plan reads or requires besides user, quantity and what the SKU decides, in order.
    pub fn attributes(&self) -> Vec<Attribute> {
        self.attributes.clone()
    }

    /// The same with how it reads them.
    pub fn reads(&self) -> &Reads {
        &self.reads
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
