//! The audit trail: who asked for what, from where, and the chain that the lines of a merchant are in. Pure: `src/store/audit`
//! keeps it, docs/AUDIT.md says what it shows.

mod chain;
mod check;
mod condition;
mod line;
mod view;

pub use chain::{AuditEntry, Head, MASK, SEAL};
pub use check::{Check, Checked, Finding};
pub use condition::{Condition, Only, Stale};
pub use line::{AskedBy, Asker, AuditLine, HERE, OWN};
pub use view::{AuditView, HeadView};
