//! The command line: one subcommand per role, and which flags each takes.

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{Config, ConfigError, Source, load};
use crate::wire::secret::Hidden;

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
    Migrate(Settings),
    /// Plays the buyers of a sale against gateways, and reports every answer.
    Load(crate::load::Args),
    /// Replays recorded attempts under other rules, and says what would change.
    Simulate(crate::simulate::Args),
    /// Compares what Redis and the database know of each campaign, and puts differences right.
    Reconcile(crate::app::ReconcileArgs),
    /// Looks after the seals of records: which keys were used, and from where on a seal is required.
    #[command(subcommand)]
    Seal(crate::app::Seal),
    /// Looks after dead letters: lists, replays, exports, imports and discards them.
    #[command(subcommand)]
    Dlt(crate::dlt::Dlt),
    /// Makes, builds, tries and uploads rule modules.
    #[command(subcommand)]
    Module(crate::module::Module),
}

/// Flags of [`Settings`] that a command has no use for, and why. A flag that does nothing would hide that somebody took the
/// wrong command.
const UNUSED: &[(&str, &[&str], &str)] = &[
    (
        "dev",
        &["redis_url", "kafka_brokers", "database_url", "insecure_dev_auth"],
        DEV,
    ),
    ("serve", &[], ""),
    ("land", &["listen", "redis_url", "insecure_dev_auth"], LAND),
    (
        "rebuild",
        &["listen", "admin_listen", "insecure_dev_auth"],
        LISTENS_NOWHERE,
    ),
    (
        "migrate",
        &["listen", "admin_listen", "redis_url", "insecure_dev_auth"],
        LISTENS_NOWHERE,
    ),
];

const DEV: &str = "rushgate dev has engine, bus and database in the process, and takes development tokens anyway; rushgate serve \
                   connects";
const LAND: &str = "rushgate land takes orders from Kafka into the database, and nothing else";
const LISTENS_NOWHERE: &str =
    "this command does its work and ends: it takes no orders, and uses only the services its help names";

/// The command line of this process; ends the process where it is wrong.
pub fn parse() -> Cli {
    parse_from(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

/// A command line; the error shows no value that may be a secret.
pub fn parse_from(
    args: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>,
) -> Result<Cli, clap::Error> {
    let mut command = command();
    let mut matches = command.try_get_matches_from_mut(args).map_err(discreet)?;
    refuse_unused(&mut command, &matches)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(discreet)
}

/// The help of a command names what it uses.
fn command() -> clap::Command {
    UNUSED.iter().fold(Cli::command(), |command, (name, flags, _)| {
        command.mut_subcommand(*name, |role| {
            let hide = |role: clap::Command, flag: &&'static str| role.mut_arg(*flag, |arg| arg.hide(true));
            flags.iter().fold(role, hide)
        })
    })
}

fn refuse_unused(command: &mut clap::Command, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
    let Some((name, given)) = matches.subcommand() else {
        return Ok(());
    };
    let Some((_, flags, why)) = UNUSED.iter().find(|(unused, ..)| *unused == name) else {
        return Ok(());
    };
    let typed = |flag: &&&str| given.value_source(flag) == Some(clap::parser::ValueSource::CommandLine);
    match flags.iter().find(typed) {
        Some(flag) => Err(command.error(
            ErrorKind::ArgumentConflict,
            format!("rushgate {name} does not use --{}: {why}", flag.replace('_', "-")),
        )),
        None => Ok(()),
    }
}

/// What was typed in the place of a flag or a command may be a secret whose flag was mistyped: only names are shown.
fn discreet(mut error: clap::Error) -> clap::Error {
    let suggested = error.get(ContextKind::SuggestedSubcommand).is_some();
    let (kind, shown) = match error.kind() {
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, name_of as fn(&str) -> Option<String>),
        ErrorKind::InvalidSubcommand if !suggested => (
            ContextKind::InvalidSubcommand,
            (|_| None) as fn(&str) -> Option<String>,
        ),
        _ => return error,
    };
    let Some(ContextValue::String(typed)) = error.get(kind) else {
        return error;
    };
    match shown(typed) {
        Some(name) => error.insert(kind, ContextValue::String(name)),
        None => {
            error.remove(ContextKind::Suggested);
            error.insert(
                kind,
                ContextValue::String("(a text that is not shown)".to_owned()),
            )
        }
    };
    error
}

/// `--flag` of `--flag=value`, `-f` of `-fvalue`.
fn name_of(typed: &str) -> Option<String> {
    match typed.strip_prefix("--") {
        Some(_) => typed.split('=').next().map(str::to_owned),
        None if typed.starts_with('-') => Some(typed.chars().take(2).collect()),
        None => None,
    }
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
    /// Settles the configuration from file, environment and these flags.
    pub fn settle(self, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let file = self
            .config
            .clone()
            .or_else(|| env("RUSHGATE_CONFIG").map(PathBuf::from));
        load(&Source {
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
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    /// A role with the flags of every role has its row in the table.
    #[test]
    fn every_command_says_which_flags_it_takes() {
        let takes_all = |role: &&clap::Command| {
            role.get_arguments()
                .any(|arg| arg.get_id() == "insecure_dev_auth")
        };
        let command = command();
        let roles: Vec<&str> = command
            .get_subcommands()
            .filter(takes_all)
            .map(clap::Command::get_name)
            .collect();
        let table: Vec<&str> = UNUSED.iter().map(|(name, ..)| *name).collect();
        assert_eq!(roles, table);
    }

    #[test]
    fn a_flag_without_use_is_refused_and_not_in_the_help() {
        let flags = [
            ("listen", "127.0.0.1:0"),
            ("admin_listen", "127.0.0.1:0"),
            ("redis_url", "redis://:s3cret@r"),
            ("kafka_brokers", "k:9092"),
            ("database_url", "mysql://me:s3cret@db/x"),
            ("insecure_dev_auth", ""),
            ("log_level", "info"),
        ];
        for (name, unused, _) in UNUSED {
            for (flag, value) in flags {
                let typed = format!("--{}", flag.replace('_', "-"));
                let mut line = vec!["rushgate", name, &typed];
                line.extend(Some(value).filter(|value| !value.is_empty()));
                line.extend((*name == "rebuild").then_some("--campaign=demo"));
                let parsed = parse_from(line).map_err(|error| error.to_string());
                let role = command()
                    .find_subcommand_mut(name)
                    .expect("a role")
                    .render_long_help()
                    .to_string();
                assert_eq!(
                    role.contains(&format!("{typed} ")) || role.contains(&format!("{typed}\n")),
                    !unused.contains(&flag),
                    "{role}"
                );
                match parsed {
                    Err(error) => {
                        assert!(unused.contains(&flag), "{name} {typed}: {error}");
                        let said = format!("rushgate {name} does not use {typed}: ");
                        assert!(error.contains(&said) && !error.contains("s3cret"), "{error}");
                    }
                    Ok(_) => assert!(!unused.contains(&flag), "{name} takes {typed}"),
                }
            }
        }
        assert!(parse_from(["rushgate", "serve", "--data", "d"]).is_err());
    }

    #[test]
    fn what_was_mistyped_is_never_shown() {
        for line in [
            &["serve", "--redis-pasword", "s3cret"][..],
            &["serve", "--redis-pasword=s3cret"],
            &["serve", "s3cret"],
            &["serve", "--insecure-dev-auth", "s3cret"],
            &["serve", "-ps3cret"],
            &["serve", "--", "s3cret"],
            &["dlt", "s3cret"],
            &["5e7s3cret"],
        ] {
            let line = ["rushgate"].iter().chain(line).copied().collect::<Vec<_>>();
            let error = parse_from(&line).expect_err("wrong");
            assert!(
                !error.to_string().contains("s3cret")
                    && !error.render().ansi().to_string().contains("s3cret"),
                "{error}"
            );
        }
        let error = parse_from(["rushgate", "serve", "--redis-pasword=s3cret"])
            .expect_err("wrong")
            .to_string();
        assert!(error.contains("--redis-pasword"), "{error}");
        let error = parse_from(["rushgate", "sevre"]).expect_err("wrong").to_string();
        assert!(
            error.contains("sevre") && error.contains("serve"),
            "a slip of a command's name is shown: {error}"
        );
        let cli = parse_from([
            "rushgate",
            "serve",
            "--redis-url",
            "redis://:s3cret@r",
            "--database-url",
            "mysql://me:s3cret@db/x",
        ]);
        assert!(!format!("{cli:?}").contains("s3cret"));
    }

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
