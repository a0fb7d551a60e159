//! Which flags each command takes, and errors that show none of their values.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};

use super::Cli;
use super::order::check_named;

/// Flags of [`super::Settings`] that a command has no use for, and why. A flag that does nothing would hide that somebody took the
/// wrong command.
const UNUSED: &[(&str, &[&str], &str)] = &[
    (
        "dev",
        &["redis-url", "kafka-brokers", "database-url", "insecure-dev-auth"],
        DEV,
    ),
    ("serve", &[], ""),
    ("doctor", &[], ""),
    ("land", &["listen", "redis-url", "insecure-dev-auth"], LAND),
    (
        "rebuild",
        &["listen", "admin-listen", "insecure-dev-auth"],
        LISTENS_NOWHERE,
    ),
    (
        "migrate",
        &["listen", "admin-listen", "insecure-dev-auth"],
        LISTENS_NOWHERE,
    ),
];

/// Command, the flag that it uses only with another one, that one, and why.
const TOGETHER: &[(&str, &str, &str, &str)] = &[(
    "migrate",
    "redis-url",
    "cut_over",
    "the schema is the database's and the topics are Kafka's",
)];

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
    check_named(&mut command, &matches)?;
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
    let mut refused = |flag: &str, more: String| {
        let text = format!("rushgate {name} does not use --{flag}{more}");
        Err(command.error(ErrorKind::ArgumentConflict, text))
    };
    if let Some(flag) = flags.iter().find(typed) {
        return refused(flag, format!(": {why}"));
    }
    let alone = |(of, flag, with, _): &&(&str, &str, &str, &str)| {
        *of == name && typed(&flag) && !given.get_flag(with)
    };
    match TOGETHER.iter().find(alone) {
        Some((_, flag, with, why)) => refused(flag, format!(" without --{}: {why}", with.replace('_', "-"))),
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
                .any(|arg| arg.get_id() == "insecure-dev-auth")
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
            ("admin-listen", "127.0.0.1:0"),
            ("redis-url", "redis://:s3cret@r"),
            ("kafka-brokers", "k:9092"),
            ("database-url", "mysql://me:s3cret@db/x"),
            ("insecure-dev-auth", ""),
            ("log-level", "info"),
        ];
        for (name, unused, _) in UNUSED {
            for (flag, value) in flags {
                let typed = format!("--{flag}");
                let mut line = vec!["rushgate", name, &typed];
                line.extend(Some(value).filter(|value| !value.is_empty()));
                line.extend((*name == "rebuild").then_some("--campaign=demo"));
                line.extend((*name == "migrate").then_some("--cut-over"));
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
    fn a_flag_that_needs_another_one_is_refused_alone() {
        let line = ["rushgate", "migrate", "--redis-url", "redis://:s3cret@r"];
        let error = parse_from(line).expect_err("alone").to_string();
        assert!(
            error.contains("does not use --redis-url without --cut-over") && !error.contains("s3cret"),
            "{error}"
        );
        assert!(parse_from(line.iter().chain(&["--cut-over"])).is_ok());
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
}
