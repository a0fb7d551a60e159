//! Proof before a rule counts: what the interpreter says, held against what the generated script does.
//!
//! ```text
//!  golden examples of a module ──┐
//!                                ├─▶ interpreter (oracle) ═?═ script in the embedded engine
//!  random attempts at a plan ────┘
//! ```

pub mod examples;
mod scripted;

pub use scripted::{Scripted, compact};
