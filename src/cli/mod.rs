//! The command line: one subcommand per role.

pub mod client;
pub mod dlt;
mod doctor;
mod flags;
pub mod load;
mod migrate;
mod module;
mod out;
mod rebuild;
mod reconcile;
mod run;
mod seal;
mod simulate;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, ConfigError, Source};
use crate::wire::secret::Hidden;

pub use flags::{parse, parse_from};
pub use run::main;

/// A gateway for flash sales: rules in WebAssembly, decisions in one atomic Redis script, orders landed
/// exactly once.
///
/// Start with `rushgate dev`: it needs nothing installed.
#[derive(Debug, Parser)]
#[command(name = "rushgate", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Everything in one process, for trying out: no Redis, no Kafka, no database needed.
    Dev(Dev),
    /// The gateway: takes orders, decides them in Redis and sends them to Kafka.
    Serve(Settings),
    /// The lander: takes orders from Kafka and writes them into the database.
    Land(Settings),
    /// Restores a campaign in Redis from the database, as gateways do when Redis lost its memory.
    Rebuild(Rebuild),
    /// Brings the database's tables and Kafka's topics up to this build.
    Migrate(Migrate),
    /// Tries every connection a role stands on, and says which one fails and what to do.
    Doctor(Doctor),
    /// Plays the buyers of a sale against gateways, and reports every answer.
    Load(load::Args),
    /// Replays recorded attempts under other rules, and says what would change.
    Simulate(simulate::Args),
    /// Compares what Redis and the database know of each campaign, and puts differences right.
    Reconcile(reconcile::ReconcileArgs),
    /// Looks after the seals of records: which keys were used, and from where on a seal is required.
    #[command(subcommand)]
    Seal(seal::Seal),
    /// Looks after dead letters: lists, replays, exports, imports and discards them.
    #[command(subcommand)]
    Dlt(dlt::Dlt),
    /// Makes, builds, tries and uploads rule modules.
    #[command(subcommand)]
    Module(module::Module),
    /// Looks at one module within limits. A gateway starts this by itself for every upload.
    #[command(name = crate::wasm::child::COMMAND, hide = true)]
    Child {
        /// What to do, as JSON; the module comes over standard input.
        order: String,
    },
}

#[derive(Debug, Args)]
pub struct Dev {
    /// Keep orders, rules and limits in this folder and come back with them.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub args: doctor::DoctorArgs,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
pub struct Migrate {
    /// Also has campaigns go over to the newest form of records, which builds before this one cannot read: when all of
    /// them are replaced. Moves fences in Redis, and there is no way back.
    #[arg(long)]
    pub cut_over: bool,
    /// Although processes of older builds are listed: they are gone.
    #[arg(long, requires = "cut_over")]
    pub force: bool,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
pub struct Rebuild {
    /// The campaign's id.
    #[arg(long, value_name = "ID")]
    pub campaign: String,
    /// Also where the gate looks open: it is closed while its state is written anew.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub settings: Settings,
}

/// What every role takes; other keys stand in the file or the environment.
#[derive(Clone, Debug, Default, Args)]
pub struct Settings {
    /// TOML file; rushgate.example.toml documents every key [env: RUSHGATE_CONFIG].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data plane: orders [env: RUSHGATE_LISTEN] [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Control plane, metrics and health [env: RUSHGATE_ADMIN_LISTEN] [default: 127.0.0.1:8081].
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<String>,
    /// Redis or Valkey [env: RUSHGATE_REDIS_URL].
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<Hidden>,
    /// Comma-separated host:port [env: RUSHGATE_KAFKA_BROKERS].
    #[arg(long, value_name = "LIST")]
    pub kafka_brokers: Option<String>,
    /// MySQL or MariaDB [env: RUSHGATE_DATABASE_URL].
    #[arg(long, value_name = "URL")]
    pub database_url: Option<Hidden>,
    /// For trying only: take `Bearer dev:<user>` from anybody.
    #[arg(long)]
    pub insecure_dev_auth: bool,
    /// text or json [env: RUSHGATE_LOG_FORMAT].
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// error, warn, info, debug, trace, or directives [env: RUSHGATE_LOG_LEVEL].
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl Settings {
    /// The file that is read, if one is.
    pub fn file(&self, env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let named = self.config.clone();
        named.or_else(|| env("RUSHGATE_CONFIG").map(PathBuf::from))
    }

    /// Settles the configuration from file, environment and these flags.
    pub fn settle(self, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let file = self.file(env);
        config::load(&Source {
            file: file.as_deref(),
            env,
            flags: self.flags(),
        })
    }

    fn flags(self) -> Vec<(&'static str, &'static str, String)> {
        let dev_auth = self.insecure_dev_auth.then(|| "true".to_owned());
        [
            ("--listen", "listen", self.listen),
            ("--admin-listen", "admin_listen", self.admin_listen),
            ("--redis-url", "redis.url", self.redis_url.map(|url| url.0)),
            ("--kafka-brokers", "kafka.brokers", self.kafka_brokers),
            (
                "--database-url",
                "database.url",
                self.database_url.map(|url| url.0),
            ),
            ("--insecure-dev-auth", "auth.insecure_dev_auth", dev_auth),
            ("--log-format", "log.format", self.log_format),
            ("--log-level", "log.level", self.log_level),
        ]
        .into_iter()
        .filter_map(|(flag, key, value)| Some((flag, key, value?)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_reach_the_configuration() {
        let cli = parse_from([
            "rushgate",
            "dev",
            "--data",
            "d",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ])
        .expect("valid");
        let Command::Dev(dev) = cli.command else {
            panic!("not dev");
        };
        assert_eq!(dev.data, Some("d".into()));
        let config = dev.settings.settle(&|_| None).expect("valid");
        assert_eq!(config.listen.port(), 0);
        let cli = parse_from([
            "rushgate",
            "serve",
            "--redis-url",
            "redis://r",
            "--insecure-dev-auth",
        ])
        .expect("valid");
        let Command::Serve(settings) = cli.command else {
            panic!("not serve");
        };
        let gateway = settings.settle(&|_| None).expect("valid");
        assert_eq!(gateway.redis.url, "redis://r");
        assert!(gateway.auth.insecure_dev_auth);
        assert!(config.log.format == crate::config::LogFormat::Json);
    }

    #[test]
    fn the_file_may_come_from_the_environment() {
        let env = |name: &str| (name == "RUSHGATE_CONFIG").then(|| "/nowhere/rushgate.toml".to_owned());
        let error = Settings::default().settle(&env).err().expect("no such file");
        assert!(
            error
                .to_string()
                .starts_with("cannot read the configuration /nowhere/rushgate.toml")
        );
    }
}
