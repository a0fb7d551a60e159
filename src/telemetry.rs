//! Logs and the metrics registry.

mod sparing;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::wire::Unfit;
use sparing::Sparing;

/// The built-in level.
const LEVEL: &str = "info";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Text,
    Json,
}

/// How a process logs: the keys of `[log]`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "struct Log")]
pub struct Config {
    pub format: Format,
    /// A level, or directives of `tracing`; what none of them speaks of is logged at the built-in level.
    pub level: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            format: Format::Text,
            level: LEVEL.to_owned(),
        }
    }
}

impl Config {
    /// Whether the level is one.
    pub fn check(&self) -> Result<(), Unfit> {
        directives(&self.level).map(drop)
    }
}

/// Puts another filter in force; set once logging has started.
static RELOAD: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();

/// Whether this process serves: its log may be filled by whoever it serves.
static SERVES: AtomicBool = AtomicBool::new(false);

/// From the start of logging on, of warnings and errors of one kind a line comes once a minute, with the number of those
/// left out. For roles that run without end: what a command says of each order is its answer.
pub fn spare_lines() {
    SERVES.store(true, Ordering::Relaxed);
}

/// Sends logs to stderr, so that stdout stays for what a command answers.
pub fn init(log: &Config) -> anyhow::Result<()> {
    let filter = filter(&log.level)?;
    let sparing = SERVES.load(Ordering::Relaxed).then(Sparing::new);
    if let Some(sparing) = &sparing {
        sparing.tell()?;
    }
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        // Where stderr is gone with whoever read it, a complaint about that would be a panic.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let started = match log.format {
        Format::Text => {
            let subscriber = subscriber.with_filter_reloading();
            let handle = subscriber.reload_handle();
            let _ = RELOAD.set(Box::new(move |filter| drop(handle.reload(filter))));
            subscriber.finish().with(sparing).try_init()
        }
        Format::Json => {
            let subscriber = subscriber.json().flatten_event(true).with_filter_reloading();
            let handle = subscriber.reload_handle();
            let _ = RELOAD.set(Box::new(move |filter| drop(handle.reload(filter))));
            subscriber.finish().with(sparing).try_init()
        }
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}

/// From now on logs what `filter` lets pass; without effect where logging has not started.
pub fn put_in_force(filter: EnvFilter) {
    if let Some(reload) = RELOAD.get() {
        reload(filter);
    }
}

/// What a value of `log.level` means.
pub fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    let directives = directives(level)?;
    EnvFilter::try_new(directives).map_err(|error| anyhow::anyhow!("log.level {level:?}: {error}; {LEVELS}"))
}

const LEVELS: &str =
    "write error, warn, info, debug or trace, or directives such as info,rushgate::relay=debug";

/// The directives of a value, checked: `tracing` takes a word that is no level for the name of a module, and then logs nothing
/// else. What no directive speaks of is logged at the built-in level, so that warnings are not lost to a directive about one
/// module.
fn directives(level: &str) -> Result<String, Unfit> {
    let wrong = |what: String| Unfit::new("log.level", format!("{what}; {LEVELS}"));
    let is_level = |text: &str| !text.is_empty() && text.parse::<LevelFilter>().is_ok();
    let mut directives: Vec<&str> = Vec::new();
    let mut is_general = false;
    for directive in level.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        match directive.rsplit_once('=') {
            None if is_level(directive) => is_general = true,
            None => return Err(wrong(format!("{directive:?} is not a level"))),
            Some((_, level)) if !is_level(level) => {
                return Err(wrong(format!("{level:?} in {directive:?} is not a level")));
            }
            Some((target, _)) if target.is_empty() || target.contains(char::is_whitespace) => {
                return Err(wrong(format!("{directive:?} names no module")));
            }
            Some(_) => {}
        }
        directives.push(directive);
    }
    if directives.is_empty() {
        return Err(wrong("it names no level".to_owned()));
    }
    if !is_general {
        directives.insert(0, LEVEL);
    }
    Ok(directives.join(","))
}

/// An empty registry under the prefix `rushgate_`, with `rushgate_build_info`.
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix("rushgate");
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The build that runs", build);
    registry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_names_the_build() {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry()).expect("text");
        let line = format!(
            "rushgate_build_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        );
        assert!(text.contains(&line), "{text}");
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        for (level, said) in [
            ("verbose", "\"verbose\" is not a level"),
            ("warning", "\"warning\" is not a level"),
            ("inof,rushgate::relay=debug", "\"inof\" is not a level"),
            ("rushgate", "\"rushgate\" is not a level"),
            ("rushgate=loud", "\"loud\" in \"rushgate=loud\" is not a level"),
            ("info,rushgate=", "\"\" in \"rushgate=\" is not a level"),
            ("=debug", "\"=debug\" names no module"),
            ("info debug", "\"info debug\" is not a level"),
            ("info rushgate=debug", "names no module"),
            ("9", "\"9\" is not a level"),
            ("", "it names no level"),
            (" , ", "it names no level"),
        ] {
            let error = filter(level).expect_err(level).to_string();
            assert!(
                error.starts_with("log.level: ") && error.contains(said) && error.contains("write error"),
                "{level:?}: {error}"
            );
        }
    }

    #[test]
    fn what_no_directive_speaks_of_is_logged_at_the_built_in_level() {
        for (level, means) in [
            ("INFO", "INFO"),
            (" warn , sqlx::query=error,", "warn,sqlx::query=error"),
            ("off", "off"),
            ("rushgate::relay=debug", "info,rushgate::relay=debug"),
            ("off,rushgate::relay=debug", "off,rushgate::relay=debug"),
            ("[order{sku=mug}]=trace", "info,[order{sku=mug}]=trace"),
        ] {
            assert_eq!(directives(level).expect(level), means);
            assert!(filter(level).is_ok(), "{level}");
        }
    }
}
