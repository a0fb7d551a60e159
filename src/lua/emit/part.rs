//! The plans of one script: the one that decides, and perhaps one in shadow. Their counters and large
//! tables share Lua tables, so the shadow's are numbered behind the others.

use super::groups::{Group, groups, is_rolling};
use super::text::literal;
use super::usage::{Root, Usage};
use crate::lua::keys;
use crate::plan::kind::Kind;
use crate::plan::slots::Slot;
use crate::plan::{Attribute, CheckedPlan, Counter, Expr, Node};

/// Variables that a decision may have where it stands in the loop.
const LARGE: usize = 60;
/// Counters whose counts are variables of their own: up to three each, and Lua has 200 a function. Where a plan has more,
/// they are fields of one table.
const COUNTERS_LOCAL_MAX: usize = 32;

/// Whose decision a plan makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Decides,
    /// Decides a second time and admits or rejects nobody.
    Shadow {
        revision: u32,
    },
}

/// One plan as a part of a script.
pub(super) struct Part<'a> {
    pub(super) plan: &'a CheckedPlan,
    pub(super) role: Role,
    pub(super) usage: Usage,
    /// Values the script receives per attempt, for all its plans.
    pub(super) slots: &'a [Slot],
    pub(super) groups: Vec<Group>,
    groups_from: u32,
    counters_from: u32,
    nodes_from: u32,
}

impl<'a> Part<'a> {
    pub(super) fn decides(plan: &'a CheckedPlan, slots: &'a [Slot]) -> Self {
        Self {
            plan,
            role: Role::Decides,
            usage: usage(plan),
            slots,
            groups: groups(plan, false),
            groups_from: 0,
            counters_from: 0,
            nodes_from: 0,
        }
    }

    /// The shadow behind the plan that decides.
    pub(super) fn shadow(plan: &'a CheckedPlan, of: &Self, revision: u32) -> Self {
        Self {
            plan,
            role: Role::Shadow { revision },
            usage: usage(plan),
            slots: of.slots,
            groups: groups(plan, true),
            groups_from: of.groups.len() as u32,
            counters_from: of.plan.plan().counters.len() as u32,
            nodes_from: of.plan.plan().nodes.len() as u32,
        }
    }

    /// The groups that do not lie in the buyers' buckets, with their numbers in the part.
    pub(super) fn others(&self) -> impl Iterator<Item = (usize, &Group)> {
        let groups = self.groups.iter().enumerate();
        groups.filter(|(_, group)| !group.of_buyer)
    }

    /// Whether a counter of buyers rolls.
    pub(super) fn rolls_for_buyers(&self) -> bool {
        self.of_buyers().any(is_rolling)
    }

    /// The counters that lie in the buyers' buckets, in the order in which they are asked for.
    fn of_buyers(&self) -> impl Iterator<Item = &Counter> {
        let groups = self.groups.iter().filter(|group| group.of_buyer);
        let counters = groups.flat_map(|group| &group.counters);
        counters.map(|counter| &self.plan.plan().counters[*counter as usize])
    }

    /// The place of a buyer's counter among what is read of his bucket, as an expression; `None` for every other counter.
    pub(super) fn place_of_buyer(&self, counter: u32) -> Option<String> {
        let group = self.groups.iter().find(|group| group.of_buyer)?;
        let place = group.counters.iter().position(|each| *each == counter)?;
        Some(match place {
            0 => "counts".to_owned(),
            place => format!("counts + {place}"),
        })
    }

    /// Values that an admitted order adds to the list of its bucket; `None` where that depends on the order.
    pub(super) fn stride(&self) -> Option<usize> {
        let mut charged = self.of_buyers().filter_map(|counter| self.charged(counter));
        charged.try_fold(2, |stride, always| always.then_some(stride + 2))
    }

    /// Whether its variables are so many that they are to be a function's own: Lua has 200 a function.
    pub(super) fn is_large(&self) -> bool {
        self.usage.variables() + 3 * self.plan.plan().counters.len() > LARGE
    }

    /// Whether its counts are fields of one table.
    pub(super) fn counts_in_table(&self) -> bool {
        self.plan.plan().counters.len() > COUNTERS_LOCAL_MAX
    }

    /// What has been used of a counter of this number, as the script names it.
    pub(super) fn used(&self, number: u32) -> String {
        self.counted(format!("used_{number}"))
    }

    /// The orders that a rolling counter of this number still counts.
    pub(super) fn live(&self, number: u32) -> String {
        self.counted(format!("live_{number}"))
    }

    /// The counts of one subject in this group.
    pub(super) fn row(&self, group: u32) -> String {
        self.counted(format!("row_{group}"))
    }

    fn counted(&self, name: String) -> String {
        match self.counts_in_table() {
            true => format!("counted.{name}"),
            false => name,
        }
    }

    /// The statement that gives one of these its value.
    pub(super) fn assignment(&self, name: &str, value: &str) -> String {
        let local = if self.counts_in_table() { "" } else { "local " };
        format!("{local}{name} = {value}")
    }

    /// Whether the SKU decides anything by its name.
    pub(super) fn reads_sku(&self) -> bool {
        self.plan.plan().nodes.iter().any(|expr| match expr {
            Expr::Attribute(of) | Expr::Member { of, .. } => *of == Attribute::Sku,
            expr => matches!(expr, Expr::Stock),
        })
    }

    pub(super) fn is_shadow(&self) -> bool {
        self.role != Role::Decides
    }

    /// Number of a counter in the script.
    pub(super) fn counter(&self, index: u32) -> u32 {
        self.counters_from + index
    }

    /// Number of a node's large table in the script.
    pub(super) fn table(&self, node: Node) -> u32 {
        self.nodes_from + node
    }

    /// The id a counter is kept under.
    pub(super) fn counter_id(&self, counter: &Counter) -> String {
        match self.role {
            Role::Decides => counter.id.clone(),
            Role::Shadow { revision } => keys::shadow_id(revision, &counter.id),
        }
    }

    /// Number of a group in the script.
    pub(super) fn group(&self, index: usize) -> u32 {
        self.groups_from + index as u32
    }

    /// The group of a counter, and its place in the group's rows.
    pub(super) fn place(&self, counter: u32) -> (u32, usize) {
        let place = |group: &Group| group.counters.iter().position(|each| *each == counter);
        let mut groups = self.groups.iter().enumerate();
        let found = groups.find_map(|(index, group)| Some((self.group(index), place(group)? + 1)));
        found.expect("every counter is in a group")
    }

    /// Whether an admitted order always charges the counter; `None` where it never does.
    pub(super) fn charged(&self, counter: &Counter) -> Option<bool> {
        match self.plan.kind(counter.cost) {
            Kind::Int { high, .. } if high <= 0 => None,
            Kind::Int { low, .. } => Some(low > 0),
            _ => None,
        }
    }

    /// The field of a subject's count, as an expression.
    pub(super) fn field(&self, group: &Group, counter: &Counter, subject: &str) -> String {
        match group.lasting {
            true => format!(
                "{} .. {subject}",
                literal(&keys::count_field(&self.counter_id(counter), ""))
            ),
            false => subject.to_owned(),
        }
    }
}

/// Of these slots, those that the script reads: subject and bucket of a buyer only where something else than his bucket
/// is counted by them.
pub(super) fn read(slots: &[Slot], plan: &CheckedPlan, shadow: Option<&CheckedPlan>) -> Vec<Slot> {
    let buyer = [Attribute::User];
    let shadow = shadow.map_or(&[][..], |shadow| &shadow.plan().counters);
    let mut others = plan
        .plan()
        .counters
        .iter()
        .filter(|counter| !counter.is_of_buyer())
        .chain(shadow);
    let needed = others.any(|counter| counter.key == buyer);
    let of_buyer = |slot: &&Slot| matches!(slot, Slot::Subject(key) | Slot::Bucket(key) if *key == buyer);
    slots
        .iter()
        .filter(|slot| needed || !of_buyer(slot))
        .cloned()
        .collect()
}

/// The slots of the first plan, then what the second needs besides.
pub(super) fn slots(plan: &CheckedPlan, shadow: Option<&CheckedPlan>) -> Vec<Slot> {
    let mut slots = plan.slots().to_vec();
    let mut add = |slot: &Slot| {
        if !slots.contains(slot) {
            slots.push(slot.clone());
        }
    };
    if let Some(shadow) = shadow {
        shadow.slots().iter().for_each(&mut add);
        // The gateway refuses an order that lacks what the deciding plan requires; for the shadow the
        // script has to look.
        let required = shadow.plan().required.iter();
        required.for_each(|attribute| add(&Slot::Attribute(attribute.clone())));
        let claims = shadow.attributes();
        if claims.iter().any(Attribute::may_be_array) {
            add(&Slot::ShadowUnfit);
        }
    }
    slots
}

/// Every place an expression is used from. Constraints come first, then early accesses, then the
/// charges all together.
fn usage(plan: &CheckedPlan) -> Usage {
    let parts = plan.plan();
    let constraints = parts.constraints.len() as Root;
    let charges = constraints + parts.early_access.len() as Root;
    let mut roots: Vec<(Root, Node)> = Vec::new();
    for (root, constraint) in (0..).zip(&parts.constraints) {
        roots.extend(constraint.condition().map(|node| (root, node)));
    }
    for (root, early) in (constraints..).zip(&parts.early_access) {
        roots.push((root, early.when));
    }
    roots.extend(parts.counters.iter().map(|counter| (charges, counter.cost)));
    let mut usage = Usage::of(plan, &roots);
    // What else a rejection answers is read where it is made: whoever is not rejected is not to pay for it.
    for (root, constraint) in (0..).zip(&parts.constraints) {
        if let Some(measure) = constraint.measure {
            usage.use_counter(root, measure.counter);
        }
    }
    let counters = (0..).zip(&parts.counters);
    for (counter, _) in counters.filter(|(_, counter)| is_rolling(counter)) {
        usage.use_counter(charges, counter);
    }
    usage
}
