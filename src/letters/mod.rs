//! Dead letters that go back: what a replay is, where it may go, and who does it by himself.
//!
//! People ask for replays with `rushgate dlt`; landers make those that were scheduled, those whose topic is read by
//! nobody any more, and, where it is configured, those of classes whose cause has passed.

mod astray;
mod headers;
pub mod redrive;
mod replay;
mod route;
mod scheduled;

pub use astray::Astray;
pub(crate) use headers::{of_replay, readable};
pub use redrive::StoredLetters;
pub use replay::{Item, Replayer, Report};
pub use route::Route;
pub use scheduled::Scheduled;
