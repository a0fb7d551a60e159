//! The composition root: configuration in, running roles out; drains when asked to stop.

pub(crate) mod adapters;
mod banner;
pub(crate) mod beginning;
pub(crate) mod cut_over;
mod dev;
pub(crate) mod ending;
mod events;
mod fronts;
mod land;
mod leftovers;
mod levels;
mod listeners;
mod migration;
mod missing;
pub(crate) mod parts;
mod private;
pub(crate) mod reach;
mod ready;
mod redrive;
mod reload;
mod schedule;
pub(crate) mod sealing;
pub(crate) mod seals;
mod serve;
pub(crate) mod shutdown;
mod standstill;
mod tail;
mod waiting;
mod webhooks;

pub use dev::dev;
pub use land::land;
pub use reload::Sources;
pub use serve::serve;
