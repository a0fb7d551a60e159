//! The composition root: configuration in, running roles out; drains when asked to stop.

mod adapters;
mod banner;
mod dev;
mod dlt;
mod fronts;
mod land;
mod metrics;
mod migrate;
mod parts;
mod rebuild;
mod reconcile;
mod redrive;
mod schedule;
mod seals;
mod serve;
mod shutdown;
mod unassigned;

pub use dev::dev;
pub use dlt::dlt;
pub use land::land;
pub use migrate::migrate;
pub use rebuild::rebuild;
pub use reconcile::{Exit, ReconcileArgs, reconcile};
pub use seals::{Seal, seal};
pub use serve::serve;
