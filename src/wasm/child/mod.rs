//! A child: this binary once more, which compiles one module and asks it for its descriptor inside limits of
//! memory and time that the system keeps. No list of what makes a compiler slow is ever complete.
//!
//! ```text
//!  gateway ── order, module ──▶ child: limits itself, wraps, compiles into the folder, describe, checks
//!  gateway ◀── phases, answer ──┘                   gateway: loads the machine code from the folder
//! ```
//!
//! The child has no connection, no secret in its environment, and a lower priority than orders. Limits are hard
//! on Linux; elsewhere the gateway's clock is the only one.

mod death;
mod inside;
mod limits;
mod output;
mod parent;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use inside::work;
pub(super) use limits::Limits;
pub(super) use output::TaskOutput;
pub(super) use parent::Children;

/// The subcommand that makes a process a child; its one argument is an [`Order`].
pub const COMMAND: &str = "module-child";

/// What a child does with the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Task {
    /// Compiles it for `describe` and `compile`, asks for the descriptor and checks that.
    Inspect,
    /// Compiles it for `compile`.
    Rule,
    /// Compiles it for its precheck.
    Precheck,
}

/// What a child is doing; the last word of one that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    Begin,
    Wrap,
    Compile,
    Describe,
    Check,
}

impl Phase {
    /// As the subject of a sentence.
    fn doing(self) -> &'static str {
        match self {
            Self::Begin => "reading it",
            Self::Wrap => "wrapping it into a component",
            Self::Compile => "compiling it",
            Self::Describe => "asking it for its descriptor",
            Self::Check => "checking its schema and its examples",
        }
    }
}

/// What a child is started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    task: Task,
    /// Where machine code goes.
    folder: PathBuf,
    limits: Limits,
}
