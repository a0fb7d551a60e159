//! Connections to places that somebody else named: endpoints of webhooks, and issuers of merchants. Only public addresses are reached,
//! and networks that the configuration names.

mod address;
mod connect;
mod target;

pub use connect::{Guarded, Resolve, System};
pub use target::{Named, Target};
