//! Arguments and replies of `restock`, which readies a shard for a change of its stock, or takes units off it.
//! `lua/README.md` is the ABI.

use super::Args;
use super::args::text;
use super::fence::Fence;
use super::reply::{CodecError, Reader, Reply};

/// What a shard is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Before units are added: the change before is the last that it has. `is_new`: it does not have the SKU.
    Ready { is_new: bool },
    /// Give up so many units, or those that are left.
    Take { units: u64 },
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restocked {
    Done {
        /// Units that were given up, by this call or an earlier one for the same change.
        taken: u64,
        /// Units left of the SKU.
        left: i64,
    },
    /// The caller's fence is not the shard's; this one is there.
    Fenced(Option<Fence>),
    /// The shard does not have the SKU.
    Lost,
    /// The shard has a later change.
    Late,
}

/// `number`: of the change, among those of the campaign.
pub fn restock_args(fence: &Fence, number: u64, sku: &str, step: Step) -> Args {
    let (name, units) = match step {
        Step::Ready { is_new: true } => ("ready", "0".to_owned()),
        Step::Ready { is_new: false } => ("ready", String::new()),
        Step::Take { units } => ("take", units.to_string()),
    };
    Args::from([text(fence), text(name), text(number), text(sku), text(units)])
}

pub fn restock_reply(reply: Reply) -> Result<Restocked, CodecError> {
    let mut reader = Reader::new("restock", reply)?;
    Ok(match reader.word()?.as_str() {
        "ok" => Restocked::Done {
            taken: reader.number()?,
            left: reader.number()?,
        },
        "fence" => Restocked::Fenced(Fence::parse(&reader.bytes()?)),
        "lost" => Restocked::Lost,
        "late" => Restocked::Late,
        other => return Err(CodecError::new("restock", format!("it starts with {other:?}"))),
    })
}
