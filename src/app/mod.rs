//! The composition root: configuration in, running roles out; drains when asked to stop.

mod adapters;
mod banner;
mod dev;
mod dlt;
mod fronts;
mod land;
mod leftovers;
mod letters;
mod listeners;
mod metrics;
mod migrate;
mod migration;
mod missing;
mod parts;
mod ready;
mod rebuild;
mod reconcile;
mod redrive;
mod reload;
mod schedule;
mod seals;
mod serve;
mod shutdown;
mod standstill;
mod waiting;

pub use dev::dev;
pub use dlt::dlt;
pub use land::land;
pub use migrate::migrate;
pub use rebuild::rebuild;
pub use reconcile::{Exit, ReconcileArgs, reconcile};
pub use reload::Sources;
pub use seals::{Seal, seal};
pub use serve::serve;
