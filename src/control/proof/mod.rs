//! Proof before a rule counts: what the interpreter says, held against what the generated script does.
//!
//! ```text
//!  golden examples of a module ──┐
//!                                ├─▶ interpreter (oracle) ═?═ script in the embedded engine
//!  random attempts at a plan ────┘
//! ```

mod candidates;
mod counterexample;
pub mod differential;
mod episode;
pub mod examples;
mod held;
mod scripted;

pub use counterexample::{Counterexample, Shown};
pub use scripted::{Scripted, compact};
