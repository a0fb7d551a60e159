//! Dead letters that go back: what a replay is, where it may go, and which ones landers make without being asked.
//!
//! Operators ask for replays with `rushgate dlt`. Landers make those that were scheduled, send again what is gone while it
//! waited to be tried again, and, where it is configured, replay classes whose cause has passed.

mod astray;
mod headers;
pub mod metrics;
pub mod redrive;
mod replay;
mod route;
mod scheduled;

pub use astray::Astray;
pub(crate) use headers::{of_replay, readable};
pub use metrics::Metrics;
pub use redrive::StoredLetters;
pub use replay::{Item, Replayer, Report};
pub use route::Route;
pub use scheduled::Scheduled;
