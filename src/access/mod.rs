//! Who may do what on the control plane: scopes and roles, the text of keys, and whoever asks. Nothing here knows a database, a
//! route or a clock.

mod actor;
mod key;
mod lineage;
mod scope;

pub use actor::{Actor, KeyHead};
pub use key::{KeyDigest, KeyText, digest};
pub use lineage::{Lineage, is_same_person};
pub use scope::{Role, Scope, Scopes};

/// The merchant of everything that was there before merchants were.
pub const DEFAULT_MERCHANT: &str = "default";
