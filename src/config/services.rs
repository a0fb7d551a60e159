//! Where an operator's command finds the services: the same file, environment and flags as a role's.

use std::path::PathBuf;

use super::{Config, ConfigError, Log, Source, load};
use crate::wire::secret::Hidden;

/// Statements over a whole campaign are slow, and no news.
const QUIET: &str = "warn,sqlx::query=error";

/// What a command of an operator takes; other keys stand in the file or the environment.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Services {
    /// TOML file; rushgate.example.toml documents every key [env: RUSHGATE_CONFIG].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// MySQL or MariaDB [env: RUSHGATE_DATABASE_URL].
    #[arg(long, value_name = "URL")]
    pub database_url: Option<Hidden>,
    /// Comma-separated host:port [env: RUSHGATE_KAFKA_BROKERS].
    #[arg(long, value_name = "LIST")]
    pub kafka_brokers: Option<String>,
    /// error, warn, info, debug, trace, or directives [env: RUSHGATE_LOG_LEVEL] [default: warn].
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl Services {
    /// Settles the configuration as a role's would be, only quieter: the command itself says what it does.
    pub fn settle(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        self.settle_with(env, Vec::new())
    }

    /// With flags of the command's own: flag as typed, key, value.
    pub fn settle_with(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        more: Vec<(&'static str, &'static str, String)>,
    ) -> Result<Config, ConfigError> {
        let file = self
            .config
            .clone()
            .or_else(|| env("RUSHGATE_CONFIG").map(PathBuf::from));
        let own = [
            (
                "--database-url",
                "database.url",
                self.database_url.as_ref().map(|url| &url.0),
            ),
            ("--kafka-brokers", "kafka.brokers", self.kafka_brokers.as_ref()),
            ("--log-level", "log.level", self.log_level.as_ref()),
        ];
        let own = own
            .into_iter()
            .filter_map(|(flag, key, value)| Some((flag, key, value?.clone())));
        let mut config = load(&Source {
            file: file.as_deref(),
            env,
            flags: own.chain(more).collect(),
        })?;
        if self.log_level.is_none() && config.log == Log::default() {
            config.log.level = QUIET.to_owned();
        }
        Ok(config)
    }
}
