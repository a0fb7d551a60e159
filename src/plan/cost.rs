//! The bound on what one attempt costs Redis.

use super::context::CheckContext;
use super::reach::needed;
use super::slots::Slot;
use super::{ATTRIBUTE_NAME_BYTES_MAX, Expr, Plan};
use crate::audience::ListKind;
use crate::order::array::ELEMENTS_MAX;
use crate::order::{SKU_BYTES_MAX, VALUE_BYTES_MAX};

use serde::{Deserialize, Serialize};

/// Most bytes one argument takes besides its content: `$<length>\r\n…\r\n`.
const ARGUMENT_BYTES: usize = 12;
/// Digits of a bucket or of a quantity.
const NUMBER_BYTES: usize = 7;
/// `<version>:<bucket>:0`, the version at its longest.
const MEMBER_BUCKET_BYTES: usize = 10 + 1 + NUMBER_BYTES + 2;
/// A range of addresses of version 6.
const RANGE_BYTES: usize = 39 + 4;
/// Order id in hex.
const ORDER_BYTES: usize = 32;
const FINGERPRINT_BYTES: usize = 16;
/// A byte of a value in the payload's JSON: `\u001f` at worst.
const JSON_BYTES: usize = 6;

/// Upper bounds of what one attempt costs Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanCost {
    /// Commands for one admitted order, the share of the batch's own commands not counted.
    pub commands: u32,
    /// Bytes sent to Redis for one attempt, subjects and attributes at their longest.
    pub bytes: u32,
    /// Nodes of the merged plan.
    pub nodes: u32,
    /// Commands more, where claims are arrays of as many elements as there may be: a list is asked for each.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub array_commands: u32,
    /// Bytes more in that case.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub array_bytes: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Bounds of one attempt: see [`PlanCost`].
pub(super) fn cost(
    plan: &Plan,
    context: &CheckContext,
    reached: &[bool],
    slots: &[Slot],
    attributes: usize,
) -> PlanCost {
    let asked = |expr: &Expr| match expr {
        Expr::Member { audience, .. } => context.kind_of(audience).most_asked(),
        _ => 0,
    };
    let members: usize = needed(plan, reached).map(asked).sum();
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

    let attempt = VALUE_BYTES_MAX + SKU_BYTES_MAX + NUMBER_BYTES;
    let record = attempt + FINGERPRINT_BYTES + 3;
    let payload = ORDER_BYTES
        + FINGERPRINT_BYTES
        + JSON_BYTES * (attempt + attributes * (ATTRIBUTE_NAME_BYTES_MAX + VALUE_BYTES_MAX));
    let fixed = ORDER_BYTES + NUMBER_BYTES + SKU_BYTES_MAX + record + payload + 5 * ARGUMENT_BYTES;
    // The fields of the buyer's counts.
    let buyers = plan.counters.iter().filter(|counter| counter.is_of_buyer());
    let counts = buyers.map(|counter| ARGUMENT_BYTES + counter.id.len() + 1 + VALUE_BYTES_MAX);
    let per_slot = slots
        .iter()
        .map(|slot| ARGUMENT_BYTES + slot_bytes(slot, context));
    let (array_commands, array_bytes) = of_arrays(plan, context, reached, slots);
    PlanCost {
        commands: u32::try_from(commands).unwrap_or(u32::MAX),
        bytes: u32::try_from(fixed + counts.chain(per_slot).sum::<usize>()).unwrap_or(u32::MAX),
        nodes: u32::try_from(plan.nodes.len()).unwrap_or(u32::MAX),
        array_commands: u32::try_from(array_commands).unwrap_or(u32::MAX),
        array_bytes: u32::try_from(array_bytes).unwrap_or(u32::MAX),
    }
}

/// Commands and bytes that the elements of arrays behind the first add. They are not held against the bound on a plan's
/// commands: plans of before would be refused that are within it for buyers who have one value.
fn of_arrays(plan: &Plan, context: &CheckContext, reached: &[bool], slots: &[Slot]) -> (usize, usize) {
    let asked = |expr: &Expr| match expr {
        Expr::Member { audience, of } if of.may_be_array() => context.kind_of(audience).most_asked(),
        _ => 0,
    };
    let each: usize = needed(plan, reached).map(asked).sum();
    let bytes = slots.iter().map(|slot| array_slot_bytes(slot, context));
    ((ELEMENTS_MAX - 1) * each, bytes.sum())
}

/// Bytes more of a slot whose claim is an array, in the record and in the payload too.
fn array_slot_bytes(slot: &Slot, context: &CheckContext) -> usize {
    let more = ELEMENTS_MAX - 1;
    match slot {
        Slot::Attribute(of) if of.may_be_array() => more * (VALUE_BYTES_MAX + 1) * (1 + 2 * JSON_BYTES),
        Slot::MemberBucket { of, .. } if of.may_be_array() => more * (slot_bytes(slot, context) + 1),
        _ => 0,
    }
}

/// Bounds of one attempt that a shadow decides too: what each of both costs alone, and the slots that only the shadow needs.
pub(super) fn cost_with_shadow(
    live: PlanCost,
    other: PlanCost,
    shadow: &Plan,
    context: &CheckContext,
    more: &[Slot],
) -> PlanCost {
    // The shadow does without order, stock and record, and adds to a figure, which may get an expiry.
    // It makes the buckets of lasting counters too.
    let counters = shadow.counters.iter();
    let lasting = counters.filter(|counter| counter.is_lasting()).count();
    let bytes: usize = more
        .iter()
        .map(|slot| ARGUMENT_BYTES + slot_bytes(slot, context))
        .sum();
    let array_bytes: usize = more.iter().map(|slot| array_slot_bytes(slot, context)).sum();
    PlanCost {
        commands: live.commands + other.commands + u32::try_from(2 * lasting).unwrap_or(u32::MAX),
        bytes: live.bytes + u32::try_from(bytes).unwrap_or(u32::MAX),
        nodes: live.nodes + other.nodes,
        array_commands: live.array_commands + other.array_commands,
        array_bytes: live.array_bytes + u32::try_from(array_bytes).unwrap_or(u32::MAX),
    }
}

fn slot_bytes(slot: &Slot, context: &CheckContext) -> usize {
    match slot {
        Slot::Attribute(_) => VALUE_BYTES_MAX,
        // `<length>:<text>` for each attribute.
        Slot::Subject(key) => key.len() * (VALUE_BYTES_MAX + 4),
        Slot::Bucket(_) | Slot::ShadowUnfit => NUMBER_BYTES,
        Slot::MemberBucket { audience, .. } => match context.kind_of(audience) {
            ListKind::Texts => MEMBER_BUCKET_BYTES,
            ListKind::Addresses(lengths) => lengths.most() * (MEMBER_BUCKET_BYTES + RANGE_BYTES + 2),
        },
    }
}
