//! The resolved configuration: built-in values < TOML file < environment < flags.
//!
//! Every key has one dotted name, `admission.accept_wait_ms`; the environment calls it
//! `RUSHGATE_ADMISSION_ACCEPT_WAIT_MS`. `rushgate.example.toml` documents them all. A section is the `Config` of the
//! module that it is for; here stands what belongs to none, and what one module's needs of another's section.

mod derived;
mod environment;
mod error;
mod keys;
mod load;
mod origin;
mod reread;
mod seal;
mod secrets;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use environment::{check_environment, unread};
pub use error::ConfigError;
pub use keys::{KEYS, Key, env_name};
pub use load::{Flag, Source, load};
pub use origin::{HIDDEN, Setting, SettingOrigin, Shown, settings};
pub use reread::Reread;
pub use seal::Seal;
pub use secrets::admin_token;

use crate::bus::kafka;
use crate::campaign::RETENTION_DAYS;
use crate::engine::redis;
use crate::gateway::{auth, cors};
use crate::seal::Keyring;
use crate::wire::millis;
use crate::{
    admin, admission, events, flow, gateway, landing, reconcile, relay, sampling, store, telemetry, wasm,
    webhooks,
};

/// Everything a role needs.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Data plane.
    pub listen: SocketAddr,
    /// Control plane.
    pub admin_listen: SocketAddr,
    /// How long a gateway that was asked to stop goes on as before, only no longer ready.
    #[serde(rename = "drain_delay_ms", with = "millis")]
    pub drain_delay: Duration,
    /// How long a process that was asked to stop may then take to finish what it began.
    #[serde(rename = "drain_ms", with = "millis")]
    pub drain: Duration,
    pub redis: redis::Config,
    pub kafka: kafka::Config,
    pub seal: Seal,
    pub database: store::Config,
    pub auth: auth::Config,
    pub gateway: gateway::Config,
    pub cors: cors::Config,
    pub admin: admin::Config,
    pub campaigns: Campaigns,
    pub admission: admission::Config,
    pub relay: relay::Config,
    pub reconcile: reconcile::Config,
    pub landing: landing::Config,
    pub events: events::Config,
    pub webhooks: webhooks::Config,
    pub flow: flow::Config,
    pub ready: Ready,
    pub sample: sampling::Config,
    pub wasm: wasm::Config,
    pub log: telemetry::Config,
    /// File with the bearer token of the control plane.
    pub admin_token_file: Option<PathBuf>,
    /// Bearer token of the control plane. Only from its file or `RUSHGATE_ADMIN_TOKEN`: a secret has no place in
    /// a file that is shared, or on a command line that others can list.
    #[serde(skip)]
    pub admin_token: Option<String>,
    /// File with the bearer token of a payment system.
    pub payment_token_file: Option<PathBuf>,
    /// Bearer token of a payment system, which may do no more than look at orders, and have them paid, refunded and cancelled.
    /// Only from its file or `RUSHGATE_PAYMENT_TOKEN`, as the other.
    #[serde(skip)]
    pub payment_token: Option<String>,
    /// What is to be logged about the files of secrets.
    #[serde(skip)]
    pub warnings: Vec<String>,
    /// Files that a secret was read from, each with where it is named.
    #[serde(skip)]
    pub secret_files: Vec<(String, PathBuf)>,
    /// The keys that `seal.keys` names, read from their files.
    #[serde(skip)]
    pub keyring: Option<Arc<Keyring>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            admin_listen: ([127, 0, 0, 1], 8081).into(),
            drain_delay: Duration::from_secs(5),
            drain: Duration::from_secs(15),
            redis: redis::Config::default(),
            kafka: kafka::Config::default(),
            seal: Seal::default(),
            database: store::Config::default(),
            auth: auth::Config::default(),
            gateway: gateway::Config::default(),
            cors: cors::Config::default(),
            admin: admin::Config::default(),
            campaigns: Campaigns::default(),
            admission: admission::Config::default(),
            relay: relay::Config::default(),
            reconcile: reconcile::Config::default(),
            landing: landing::Config::default(),
            events: events::Config::default(),
            webhooks: webhooks::Config::default(),
            flow: flow::Config::default(),
            ready: Ready::default(),
            sample: sampling::Config::default(),
            wasm: wasm::Config::default(),
            log: telemetry::Config::default(),
            admin_token_file: None,
            admin_token: None,
            payment_token_file: None,
            payment_token: None,
            warnings: Vec::new(),
            secret_files: Vec::new(),
            keyring: None,
        }
    }
}

impl Config {
    /// Logs what was found about the files of secrets.
    pub fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Campaigns {
    /// For how many days a campaign that says nothing else is kept after it closed.
    pub retention_days: u32,
}

impl Default for Campaigns {
    fn default() -> Self {
        Self {
            retention_days: RETENTION_DAYS,
        }
    }
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ready {
    /// Orders that may wait in the outboxes of all campaigns before a gateway is no longer ready.
    pub outbox_max: u64,
}

impl Default for Ready {
    fn default() -> Self {
        Self { outbox_max: 500_000 }
    }
}

#[cfg(test)]
mod tests;
