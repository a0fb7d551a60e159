//! Arguments and reply of `activate`, and what the last step of a restore takes of them. `lua/README.md` is the ABI.

use super::Args;
use super::args::text;
use super::fence::Fence;
use super::keys::LASTING_FAMILIES;
use super::reply::{CodecError, Reply};
use crate::campaign::{Restock, Schedule};
use crate::plan::CheckedPlan;

pub(super) fn family_args(buckets: u32) -> impl Iterator<Item = Vec<u8>> {
    LASTING_FAMILIES
        .into_iter()
        .flat_map(move |family| [text(family), text(buckets)])
}

/// `fence`, `revision` and times, as `activate` and the last step of `restore` take them.
pub(super) fn state_args(fence: &Fence, revision: u32, schedule: Schedule) -> Args {
    Args::from([
        text(fence),
        text(revision),
        text(schedule.opens_at),
        text(schedule.closes_at),
        text(schedule.expires_at()),
    ])
}

/// `restock`: the units that were added last, where that was the last change of the campaign's stock. A shard that has them
/// already does nothing about them.
pub fn activate_args(fence: &Fence, revision: u32, plan: &CheckedPlan, restock: Option<&Restock>) -> Args {
    let mut args = state_args(fence, revision, plan.context().schedule);
    match restock {
        None => args.extend([""; 4]),
        Some(Restock {
            number,
            epoch,
            sku,
            units,
        }) => args.extend([text(number), text(epoch), text(sku), text(units)]),
    }
    args.extend(family_args(plan.context().buckets));
    args
}

/// `Ok(None)` when the fence moved; the shard's own fence (or none) when it did not.
pub fn activate_reply(reply: Reply) -> Result<Option<Option<Fence>>, CodecError> {
    let odd = || CodecError {
        script: "activate",
        what: "not an answer".into(),
    };
    let Reply::Array(parts) = reply else {
        return Err(odd());
    };
    match parts.as_slice() {
        [Reply::Bulk(word), ..] if word == b"ok" => Ok(None),
        [Reply::Bulk(word), Reply::Bulk(fence)] if word == b"fence" => Ok(Some(Fence::parse(fence))),
        _ => Err(odd()),
    }
}
