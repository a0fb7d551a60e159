//! Lua: keys, the scripts generated from a plan, the hand-written fragments, and the codec between
//! them and Rust. `lua/README.md` is the ABI.

pub mod activate;
mod args;
mod asked;
pub mod audiences;
pub mod calls;
pub mod codec;
pub mod emit;
mod facts;
pub mod fence;
pub mod fixed;
pub mod keys;
pub mod pause;
pub mod places;
pub mod prolong;
pub mod pulse;
pub mod record;
pub mod repair;
pub mod reply;
pub mod restock;
pub mod restore;

pub use args::Args;

use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha1::{Digest, Sha1};

use crate::plan::CheckedPlan;
use crate::plan::cost::PlanCost;
use crate::plan::slots::Slot;

/// Bytes of one generated script.
pub const SCRIPT_BYTES_MAX: usize = 512 * 1024;

/// Text of a Lua script with the SHA-1 that Redis knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// `admit`, `settle`, …: for logs and errors.
    pub name: &'static str,
    pub text: String,
    /// 40 lower-case hex digits.
    pub sha1: String,
}

impl Script {
    pub fn new(name: &'static str, text: String) -> Self {
        let digest = Sha1::digest(text.as_bytes());
        let sha1 = HEXLOWER.encode(&digest);
        Self { name, text, sha1 }
    }
}

/// The scripts generated from one plan.
#[derive(Clone, Debug)]
pub struct Family {
    pub plan: Arc<CheckedPlan>,
    /// Rules that decide every attempt a second time and admit or reject nobody.
    pub shadow: Option<Arc<CheckedPlan>>,
    /// The values `admit` receives per attempt, in order: those of the plan, then what the shadow needs
    /// besides.
    pub slots: Vec<Slot>,
    /// How many of them, from the first, are the plan's: not all that [`CheckedPlan::slots`] names is read by `admit`.
    pub own_slots: usize,
    /// Upper bounds of one attempt, the shadow's part included.
    pub cost: PlanCost,
    pub revision: u32,
    /// Decides a batch of attempts: see [`codec::admit_args`] and [`codec::admit_reply`].
    pub admit: Script,
    /// What a user has used and still has: see [`codec::inspect_args`].
    pub inspect: Script,
}
