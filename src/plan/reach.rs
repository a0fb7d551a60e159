//! What a plan's constraints, costs and early access reach: the slots a script needs per attempt,
//! the attributes a gateway must collect, and the bound on what one attempt costs.

use std::collections::BTreeSet;

use super::check::{CheckedPlan, PlanCost, Slot};
use super::{ATTRIBUTE_NAME_BYTES_MAX, Attribute, Counter, Expr, Node, Plan};
use crate::campaign::ID_BYTES_MAX;
use crate::order::VALUE_BYTES_MAX;

/// Most bytes one argument takes besides its content: `$<length>\r\n…\r\n`.
const ARGUMENT_BYTES: usize = 12;
/// Digits of a bucket or of a quantity.
const NUMBER_BYTES: usize = 7;
/// Order id in hex.
const ORDER_BYTES: usize = 32;
const FINGERPRINT_BYTES: usize = 16;
/// A byte of a value in the payload's JSON: `\u001f` at worst.
const JSON_BYTES: usize = 6;

/// Which nodes are needed: those reachable from a constraint, an early access, a cost or a measure.
pub(super) fn reachable(plan: &Plan) -> Vec<bool> {
    reachable_from(plan, roots(plan))
}

/// Which nodes the roots are computed from, themselves included. Every index is known to be valid.
pub(super) fn reachable_from(plan: &Plan, roots: impl Iterator<Item = Node>) -> Vec<bool> {
    let mut reached = vec![false; plan.nodes.len()];
    for root in roots {
        reached[root as usize] = true;
    }
    for (index, expr) in plan.nodes.iter().enumerate().rev() {
        if reached[index] {
            for operand in expr.operands() {
                reached[operand as usize] = true;
            }
        }
    }
    reached
}

fn roots(plan: &Plan) -> impl Iterator<Item = Node> + '_ {
    let constraints = plan.constraints.iter().flat_map(|constraint| {
        let limit = constraint.measure.map(|measure| measure.limit);
        [constraint.when, Some(constraint.require), limit]
            .into_iter()
            .flatten()
    });
    let early = plan.early_access.iter().map(|early| early.when);
    let costs = plan.counters.iter().map(|counter| counter.cost);
    constraints.chain(early).chain(costs)
}

/// Slots in the order the script receives them: attributes, then subject and bucket of each
/// counter key in the order of the counters, then member buckets.
pub(super) fn slots(plan: &Plan, reached: &[bool]) -> Vec<Slot> {
    let mut attributes = BTreeSet::new();
    let mut members = BTreeSet::new();
    for expr in needed(plan, reached) {
        match expr {
            Expr::Attribute(attribute) => {
                attributes.insert(attribute.clone());
            }
            Expr::Member { audience, of } => {
                attributes.insert(of.clone());
                members.insert((audience.clone(), of.clone()));
            }
            _ => {}
        }
    }
    // SKU and quantity are arguments of every attempt.
    attributes.remove(&Attribute::Sku);
    attributes.remove(&Attribute::Quantity);

    let mut slots: Vec<Slot> = attributes.into_iter().map(Slot::Attribute).collect();
    let mut keys = BTreeSet::new();
    for Counter { key, .. } in &plan.counters {
        if keys.insert(key) {
            slots.push(Slot::Subject(key.clone()));
            slots.push(Slot::Bucket(key.clone()));
        }
    }
    slots.extend(
        members
            .into_iter()
            .map(|(audience, of)| Slot::MemberBucket { audience, of }),
    );
    slots
}

pub(super) fn needed<'a>(plan: &'a Plan, reached: &'a [bool]) -> impl Iterator<Item = &'a Expr> {
    plan.nodes
        .iter()
        .zip(reached)
        .filter_map(|(expr, reached)| reached.then_some(expr))
}

/// Attributes besides user, SKU and quantity that an attempt must bring along.
pub(super) fn attributes(plan: &Plan, reached: &[bool]) -> BTreeSet<Attribute> {
    let read = needed(plan, reached).filter_map(|expr| match expr {
        Expr::Attribute(attribute) | Expr::Member { of: attribute, .. } => Some(attribute),
        _ => None,
    });
    let keys = plan.counters.iter().flat_map(|counter| &counter.key);
    read.chain(keys)
        .chain(&plan.required)
        .filter(|attribute| !matches!(attribute, Attribute::User | Attribute::Sku | Attribute::Quantity))
        .cloned()
        .collect()
}

/// Bounds of one attempt: see [`PlanCost`].
pub(super) fn cost(plan: &Plan, reached: &[bool], slots: &[Slot], attributes: usize) -> PlanCost {
    let members = needed(plan, reached)
        .filter(|expr| matches!(expr, Expr::Member { .. }))
        .count();
    // Reads: the buyer's bucket, stock, counters, members. What counts by user alone lies in that bucket, and counts as if it
    // did not: that is the bound for the shadow, too. Every counter counts as read and as charged: a counter
    // that is neither is a plan's mistake, not worth a rule. Writes of an admitted order: the buyer's bucket, stock,
    // counters, and where it is the first of its bucket in a window, the bucket's marks and expiry. A
    // rejected one writes nothing, but may ask whether there is any stock.
    let reads = 2 + plan.counters.len() + members;
    let windowed = plan
        .counters
        .iter()
        .filter(|counter| !counter.is_lasting())
        .count();
    let writes = 2 + plan.counters.len() + 2 * windowed;
    let commands = reads + writes;

    let attempt = VALUE_BYTES_MAX + ID_BYTES_MAX + NUMBER_BYTES;
    let record = attempt + FINGERPRINT_BYTES + 3;
    let payload = ORDER_BYTES
        + FINGERPRINT_BYTES
        + JSON_BYTES * (attempt + attributes * (ATTRIBUTE_NAME_BYTES_MAX + VALUE_BYTES_MAX));
    let fixed = ORDER_BYTES + NUMBER_BYTES + ID_BYTES_MAX + record + payload + 5 * ARGUMENT_BYTES;
    // The fields of the buyer's counts.
    let buyers = plan.counters.iter().filter(|counter| counter.is_of_buyer());
    let counts = buyers.map(|counter| ARGUMENT_BYTES + counter.id.len() + 1 + VALUE_BYTES_MAX);
    let per_slot = slots.iter().map(|slot| ARGUMENT_BYTES + slot_bytes(slot));
    PlanCost {
        commands: u32::try_from(commands).unwrap_or(u32::MAX),
        bytes: u32::try_from(fixed + counts.chain(per_slot).sum::<usize>()).unwrap_or(u32::MAX),
        nodes: u32::try_from(plan.nodes.len()).unwrap_or(u32::MAX),
    }
}

/// Bounds of one attempt that a shadow decides too, with the slots of both.
pub(super) fn cost_with_shadow(plan: &CheckedPlan, shadow: &CheckedPlan, slots: &[Slot]) -> PlanCost {
    let (live, other) = (plan.cost(), shadow.cost());
    // The shadow does without order, stock and record, and adds to a figure, which may get an expiry.
    // It makes the buckets of lasting counters too.
    let counters = &shadow.plan().counters;
    let lasting = counters.iter().filter(|counter| counter.is_lasting()).count();
    let more = slots[plan.slots().len()..].iter();
    let bytes: usize = more.map(|slot| ARGUMENT_BYTES + slot_bytes(slot)).sum();
    PlanCost {
        commands: live.commands + other.commands + u32::try_from(2 * lasting).unwrap_or(u32::MAX),
        bytes: live.bytes + u32::try_from(bytes).unwrap_or(u32::MAX),
        nodes: live.nodes + other.nodes,
    }
}

fn slot_bytes(slot: &Slot) -> usize {
    match slot {
        Slot::Attribute(_) => VALUE_BYTES_MAX,
        // `<length>:<text>` for each attribute.
        Slot::Subject(key) => key.len() * (VALUE_BYTES_MAX + 4),
        Slot::Bucket(_) | Slot::MemberBucket { .. } => NUMBER_BYTES,
    }
}
