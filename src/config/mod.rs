//! The settled configuration: built-in values < TOML file < environment < flags.
//!
//! Every key has one dotted name, `admission.accept_wait_ms`; the environment calls it
//! `RUSHGATE_ADMISSION_ACCEPT_WAIT_MS`. `rushgate.example.toml` documents them all.

mod keys;
mod load;
mod reread;
mod seal;
mod secrets;
mod services;
mod stages;
mod tokens;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use keys::{KEYS, env_name};
pub use load::{ConfigError, Source, load};
pub use reread::{REREAD, Reread};
pub use secrets::{admin_token, check_environment};
pub use services::Services;

use crate::campaign::RETENTION_DAYS;
use crate::seal::Keyring;
use crate::{admission, flow, gateway, reconcile, relay, sampling};

/// Everything a role needs. Times are in milliseconds, as the names of the keys say.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Data plane.
    pub listen: SocketAddr,
    /// Control plane.
    pub admin_listen: SocketAddr,
    /// How long a gateway that was asked to stop goes on as before, only no longer ready.
    pub drain_delay_ms: u64,
    /// How long a process that was asked to stop may then take to finish what it began.
    pub drain_ms: u64,
    pub redis: Redis,
    pub kafka: Kafka,
    pub seal: Seal,
    pub database: Database,
    pub auth: Auth,
    pub gateway: gateway::Config,
    pub admin: Admin,
    pub campaigns: Campaigns,
    pub admission: admission::Config,
    pub relay: relay::Config,
    pub reconcile: reconcile::Config,
    pub landing: Landing,
    pub flow: flow::Config,
    pub ready: Ready,
    pub sample: sampling::Config,
    pub wasm: Wasm,
    pub log: Log,
    /// File with the bearer token of the control plane.
    pub admin_token_file: Option<PathBuf>,
    /// Bearer token of the control plane. Only from its file or `RUSHGATE_ADMIN_TOKEN`: a secret has no place in
    /// a file that is shared, or on a command line that others can list.
    #[serde(skip)]
    pub admin_token: Option<String>,
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
            drain_delay_ms: 5_000,
            drain_ms: 15_000,
            redis: Redis::default(),
            kafka: Kafka::default(),
            seal: Seal::default(),
            database: Database::default(),
            auth: Auth::default(),
            gateway: gateway::Config::default(),
            admin: Admin::default(),
            campaigns: Campaigns::default(),
            admission: admission::Config::default(),
            relay: relay::Config::default(),
            reconcile: reconcile::Config::default(),
            landing: Landing::default(),
            flow: flow::Config::default(),
            ready: Ready::default(),
            sample: sampling::Config::default(),
            wasm: Wasm::default(),
            log: Log::default(),
            admin_token_file: None,
            admin_token: None,
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
pub struct Redis {
    /// May hold a password: `redis://user:password@host:6379/0`. Once settled, it does where one is needed.
    pub url: String,
    pub url_file: Option<PathBuf>,
    /// Goes into the URL when the configuration is settled; so does the content of its file.
    pub password: Option<String>,
    pub password_file: Option<PathBuf>,
    /// The only authorities that are believed about a server at `rediss://`.
    pub ca_file: Option<PathBuf>,
    /// Certificate of this process and its key, for servers that ask for one.
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".into(),
            url_file: None,
            password: None,
            password_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
        }
    }
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// Comma-separated `host:port`.
    pub brokers: String,
    /// What the names of topics, groups and clients begin with: one per deployment.
    pub prefix: String,
    /// Partitions of every topic that `rushgate migrate` makes.
    pub partitions: u32,
    /// Replicas of every topic that `rushgate migrate` makes.
    pub replication: u16,
    /// Goes into the options as `sasl.password` when the configuration is settled; so does the content of its file.
    pub sasl_password: Option<String>,
    pub sasl_password_file: Option<PathBuf>,
    /// Further options of librdkafka, for producer and consumer.
    #[serde(deserialize_with = "load::options")]
    pub options: BTreeMap<String, String>,
    /// The same for the producer alone.
    #[serde(deserialize_with = "load::options")]
    pub producer: BTreeMap<String, String>,
    /// The same for the landers' consumers alone.
    #[serde(deserialize_with = "load::options")]
    pub consumer: BTreeMap<String, String>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            prefix: crate::bus::PREFIX.into(),
            partitions: 12,
            replication: 1,
            sasl_password: None,
            sasl_password_file: None,
            options: BTreeMap::new(),
            producer: BTreeMap::new(),
            consumer: BTreeMap::new(),
        }
    }
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seal {
    /// `id:path,id:path`: the first signs, all verify.
    pub keys: Option<String>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// May hold a password: `mysql://user:password@host:3306/rushgate`. Once settled, it does where one is needed.
    pub url: String,
    pub url_file: Option<PathBuf>,
    /// Goes into the URL when the configuration is settled; so does the content of its file.
    pub password: Option<String>,
    pub password_file: Option<PathBuf>,
    pub connections: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: "mysql://root@127.0.0.1:3306/rushgate".into(),
            url_file: None,
            password: None,
            password_file: None,
            connections: 8,
        }
    }
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    pub jwt_hs256_secret_file: Option<PathBuf>,
    pub jwt_public_key_file: Option<PathBuf>,
    pub jwks_file: Option<PathBuf>,
    pub jwks_url: Option<String>,
    pub jwks_ca_file: Option<PathBuf>,
    pub jwks_every_ms: u64,
    pub keys_keep_ms: u64,
    /// Joined by commas; those that the keys are for where empty.
    pub algorithms: String,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub insecure_dev_auth: bool,
}

/// The control plane's listener.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    pub connections: usize,
    pub tls_cert_file: Option<PathBuf>,
    pub tls_key_file: Option<PathBuf>,
    pub tls_client_ca_file: Option<PathBuf>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            connections: crate::admin::CONNECTIONS,
            tls_cert_file: None,
            tls_key_file: None,
            tls_client_ca_file: None,
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
pub struct Landing {
    /// Consumers of the orders topic in this process.
    pub consumers: usize,
    /// Orders of one transaction at most.
    pub batch: usize,
    /// How long a batch that is not full waits for more.
    pub wait_ms: u64,
    /// How long it waits at most while orders keep coming.
    pub busy_wait_ms: u64,
    /// Delays of the retry topics: `5s,30s,5m`, or empty.
    pub retry_delays: String,
    /// Share of recent records above which nothing is moved away.
    pub poison_share: f64,
    /// Records that count as recent.
    pub poison_window: usize,
    /// Name of this lander in its group.
    pub instance: Option<String>,
    /// Classes of dead letters that are replayed by themselves, joined by commas; none where empty.
    pub redrive: String,
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

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wasm {
    /// Where compiled modules are kept; the empty text keeps them in a private folder that goes with the process.
    pub cache_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: LogFormat,
    /// A level, or directives of `tracing`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".into(),
        }
    }
}

#[cfg(test)]
mod tests;
