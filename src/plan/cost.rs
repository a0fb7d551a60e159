//! The bound on what one attempt costs Redis.

use super::context::CheckContext;
use super::reach::needed;
use super::slots::Slot;
use super::{ATTRIBUTE_NAME_BYTES_MAX, Expr, Plan};
use crate::audience::ListKind;
use crate::campaign::ID_BYTES_MAX;
use crate::order::VALUE_BYTES_MAX;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanCost {
    /// Commands for one admitted order, the share of the batch's own commands not counted.
    pub commands: u32,
    /// Bytes sent to Redis for one attempt, subjects and attributes at their longest.
    pub bytes: u32,
    /// Nodes of the merged plan.
    pub nodes: u32,
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

    let attempt = VALUE_BYTES_MAX + ID_BYTES_MAX + NUMBER_BYTES;
    let record = attempt + FINGERPRINT_BYTES + 3;
    let payload = ORDER_BYTES
        + FINGERPRINT_BYTES
        + JSON_BYTES * (attempt + attributes * (ATTRIBUTE_NAME_BYTES_MAX + VALUE_BYTES_MAX));
    let fixed = ORDER_BYTES + NUMBER_BYTES + ID_BYTES_MAX + record + payload + 5 * ARGUMENT_BYTES;
    // The fields of the buyer's counts.
    let buyers = plan.counters.iter().filter(|counter| counter.is_of_buyer());
    let counts = buyers.map(|counter| ARGUMENT_BYTES + counter.id.len() + 1 + VALUE_BYTES_MAX);
    let per_slot = slots
        .iter()
        .map(|slot| ARGUMENT_BYTES + slot_bytes(slot, context));
    PlanCost {
        commands: u32::try_from(commands).unwrap_or(u32::MAX),
        bytes: u32::try_from(fixed + counts.chain(per_slot).sum::<usize>()).unwrap_or(u32::MAX),
        nodes: u32::try_from(plan.nodes.len()).unwrap_or(u32::MAX),
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
    PlanCost {
        commands: live.commands + other.commands + u32::try_from(2 * lasting).unwrap_or(u32::MAX),
        bytes: live.bytes + u32::try_from(bytes).unwrap_or(u32::MAX),
        nodes: live.nodes + other.nodes,
    }
}

fn slot_bytes(slot: &Slot, context: &CheckContext) -> usize {
    match slot {
        Slot::Attribute(_) => VALUE_BYTES_MAX,
        // `<length>:<text>` for each attribute.
        Slot::Subject(key) => key.len() * (VALUE_BYTES_MAX + 4),
        Slot::Bucket(_) => NUMBER_BYTES,
        Slot::MemberBucket { audience, .. } => match context.kind_of(audience) {
            ListKind::Texts => MEMBER_BUCKET_BYTES,
            ListKind::Addresses(lengths) => lengths.most() * (MEMBER_BUCKET_BYTES + RANGE_BYTES + 2),
        },
    }
}
