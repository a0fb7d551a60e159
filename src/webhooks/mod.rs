//! Webhooks: what becomes of orders, sent to endpoints over HTTP, signed, in order, and again until it is taken. README.md says
//! how; docs/WEBHOOKS.md what those who receive it may rely on.

mod backoff;
mod config;
mod desk;
mod disable;
mod error;
#[cfg(test)]
mod fixture;
mod intake;
mod message;
mod metrics;
mod post;
mod replay;
mod sending;
mod sign;
mod view;
mod worker;

pub use config::Config;
pub use desk::{Desk, NewWebhook, Rotation, WebhookChange};
pub use error::WebhookError;
pub use intake::Intake;
pub use message::events;
pub use metrics::{Metrics, register};
pub use post::Poster;
pub use replay::{Replay, Replayed};
pub use sending::{Needs, Sending};
pub use view::{Created, Rotated, Tried, WebhookView};
