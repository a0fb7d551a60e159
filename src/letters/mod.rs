//! Dead letters that go back: what a replay is, where it may go, and which ones landers make without being asked.
//!
//! Operators ask for replays with `rushgate dlt`, or at the control plane (`desk.rs`), which leaves the sending to landers. Landers make those that were scheduled, send again what is gone while it
//! waited to be tried again, and, where it is configured, replay classes whose cause has passed.

mod acts;
mod astray;
mod desk;
mod headers;
pub mod metrics;
pub mod redrive;
mod repair;
mod replay;
mod route;
mod scheduled;
mod view;

pub(crate) use acts::{hint, is_discardable, not_discardable, unpark};
pub use astray::Astray;
pub use desk::{Act, Asked, Desk, LetterError, LetterQuery, Page, no_letter};
pub(crate) use headers::{of_replay, readable};
pub use metrics::Metrics;
pub use redrive::StoredLetters;
pub(crate) use repair::{as_json, is_same_order, order_in};
pub use replay::{Item, Replayer, Report};
pub use route::Route;
pub use scheduled::Scheduled;
pub use view::{Done, LetterInFull, LetterView, TotalView};
