//! The flags that set keys of the configuration, and how a command resolves it: built-in values < file < environment <
//! these flags. What a command takes is a list of them; how they are read is the same for all.

use std::marker::PhantomData;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, value_parser};

use crate::config::{self, Config, ConfigError, Flag, Setting, Source, env_name};
use crate::telemetry;
use crate::wire::secret::Hidden;

/// A flag, as help shows it.
#[derive(Clone, Copy)]
pub struct Row {
    flag: Flag,
    sets: Sets,
    help: &'static str,
    /// The built-in value, where help says it.
    default: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Sets {
    /// Which file is read.
    File,
    /// The key to what is written behind the flag, which help calls so.
    Value(&'static str),
    /// The key to `true`.
    True,
}

const CONFIG: Row = Row {
    sets: Sets::File,
    ..row(
        "--config",
        "config",
        "FILE",
        "TOML file; rushgate.example.toml documents every key",
    )
};
const LISTEN: Row = row("--listen", "listen", "ADDRESS", "Data plane: orders").built_in("127.0.0.1:8080");
const ADMIN_LISTEN: Row = row(
    "--admin-listen",
    "admin_listen",
    "ADDRESS",
    "Control plane, metrics and health",
)
.built_in("127.0.0.1:8081");
const REDIS_URL: Row = row("--redis-url", "redis.url", "URL", "Redis or Valkey");
const KAFKA_BROKERS: Row = row(
    "--kafka-brokers",
    "kafka.brokers",
    "LIST",
    "Comma-separated host:port",
);
const DATABASE_URL: Row = row("--database-url", "database.url", "URL", "MySQL or MariaDB");
const INSECURE_DEV_AUTH: Row = Row {
    sets: Sets::True,
    ..row(
        "--insecure-dev-auth",
        "auth.insecure_dev_auth",
        "",
        "For trying only: take `Bearer dev:<user>` from anybody",
    )
};
const LOG_FORMAT: Row = row("--log-format", "log.format", "FORMAT", "text or json");
const LOG_LEVEL: Row = row(
    "--log-level",
    "log.level",
    "LEVEL",
    "error, warn, info, debug, trace, or directives",
);

const fn row(name: &'static str, key: &'static str, value: &'static str, help: &'static str) -> Row {
    Row {
        flag: Flag { name, key },
        sets: Sets::Value(value),
        help,
        default: None,
    }
}

impl Row {
    const fn built_in(self, default: &'static str) -> Self {
        Self {
            default: Some(default),
            ..self
        }
    }

    /// The flag without its hyphens, which is how matches know it.
    fn id(&self) -> &'static str {
        self.flag.name.trim_start_matches('-')
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.id()).long(self.id());
        let arg = match self.sets {
            Sets::File => arg.value_name("FILE").value_parser(value_parser!(PathBuf)),
            Sets::Value(name) => arg.value_name(name),
            Sets::True => return arg.action(ArgAction::SetTrue).help(self.help),
        };
        let default = self.default.map(|value| format!(" [default: {value}]"));
        let from = env_name(self.flag.key);
        arg.help(format!(
            "{} [env: {from}]{}",
            self.help,
            default.unwrap_or_default()
        ))
    }

    /// What the key is set to, where the flag was typed.
    fn value(&self, matches: &ArgMatches) -> Option<Hidden> {
        match self.sets {
            Sets::File => None,
            Sets::Value(_) => matches.get_one::<String>(self.id()).cloned().map(Hidden),
            Sets::True => matches.get_flag(self.id()).then(|| Hidden("true".to_owned())),
        }
    }
}

/// Which flags a kind of commands takes, in the order of its help.
pub trait Takes: Default {
    const ROWS: &'static [Row];
    /// The log's level where nobody says one, if it is another than the built-in one.
    const LEVEL: Option<&'static str> = None;
}

/// A role, and what examines, sets up or mends the services of one. `flags.rs` says which of these flags a command
/// refuses.
#[derive(Clone, Debug, Default)]
pub struct Role;

impl Takes for Role {
    const ROWS: &'static [Row] = &[
        CONFIG,
        LISTEN,
        ADMIN_LISTEN,
        REDIS_URL,
        KAFKA_BROKERS,
        DATABASE_URL,
        INSECURE_DEV_AUTH,
        LOG_FORMAT,
        LOG_LEVEL,
    ];
}

/// An operator's command: its log is quieter than a role's, because it says itself what it does.
#[derive(Clone, Debug, Default)]
pub struct Operator;

impl Takes for Operator {
    const ROWS: &'static [Row] = &[CONFIG, DATABASE_URL, KAFKA_BROKERS, LOG_LEVEL.built_in("warn")];
    const LEVEL: Option<&'static str> = Some(QUIET);
}

/// One that asks Redis, too.
#[derive(Clone, Debug, Default)]
pub struct OperatorWithRedis;

impl Takes for OperatorWithRedis {
    const ROWS: &'static [Row] = &[
        REDIS_URL,
        CONFIG,
        DATABASE_URL,
        KAFKA_BROKERS,
        LOG_LEVEL.built_in("warn"),
    ];
    const LEVEL: Option<&'static str> = Some(QUIET);
}

/// A command without a service of its own: of the configuration it needs what belongs to this machine, such as where
/// compiled modules are kept.
#[derive(Clone, Debug, Default)]
pub struct Local;

impl Takes for Local {
    const ROWS: &'static [Row] = &[CONFIG];
}

/// Statements over a whole campaign are slow, and no news.
const QUIET: &str = "warn,sqlx::query=error";

/// What was typed; other keys stand in the file or the environment.
#[derive(Clone, Debug, Default)]
pub struct Settings<C = Role> {
    config: Option<PathBuf>,
    given: Vec<(Flag, Hidden)>,
    command: PhantomData<C>,
}

impl<C: Takes> Args for Settings<C> {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(C::ROWS.iter().map(Row::arg))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<C: Takes> FromArgMatches for Settings<C> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = C::ROWS
            .iter()
            .filter_map(|row| Some((row.flag, row.value(matches)?)));
        Ok(Self {
            config: matches.get_one::<PathBuf>(CONFIG.id()).cloned(),
            given: given.collect(),
            command: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<C: Takes> Settings<C> {
    /// The file that is read, if one is.
    pub fn file(&self, env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let named = self.config.clone();
        named.or_else(|| env(&env_name(CONFIG.flag.key)).map(PathBuf::from))
    }

    /// What is wrong, with the variable that names the file where none was typed.
    fn placed(&self, error: ConfigError) -> ConfigError {
        let at = env_name(CONFIG.flag.key);
        match error {
            ConfigError::Unreadable { path, .. } if self.config.is_none() && path.as_os_str().is_empty() => {
                let message = "is empty: name a file, or leave the variable out".to_owned();
                ConfigError::Value { at, message }
            }
            ConfigError::Unreadable { .. } if self.config.is_none() => {
                let message = error.to_string();
                ConfigError::Value { at, message }
            }
            error => error,
        }
    }

    fn flags(&self) -> Vec<(Flag, String)> {
        let given = self.given.iter();
        given.map(|(flag, value)| (*flag, value.0.clone())).collect()
    }

    /// What each key is, and where it was said.
    pub fn origins(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Setting>, ConfigError> {
        config::settings(&Source {
            file: self.file(env).as_deref(),
            env,
            flags: self.flags(),
        })
        .map_err(|error| self.placed(error))
    }

    /// Settles the configuration from file, environment and these flags.
    pub fn resolve(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut config = config::load(&Source {
            file: self.file(env).as_deref(),
            env,
            flags: self.flags(),
        })
        .map_err(|error| self.placed(error))?;
        let typed = self.given.iter().any(|(flag, _)| *flag == LOG_LEVEL.flag);
        if let Some(level) = C::LEVEL
            && !typed
            && config.log == telemetry::Config::default()
        {
            config.log.level = level.to_owned();
        }
        Ok(config)
    }

    /// Settles the configuration of this process, and starts its log.
    pub fn begin(&self) -> anyhow::Result<Config> {
        let config = self.resolve(&variable)?;
        telemetry::init(&config.log)?;
        config.warn();
        Ok(config)
    }
}

/// A variable of this process's environment.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
