//! Logs and the metrics registry.

mod sparing;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use sparing::Sparing;

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
    /// A level, or directives of `tracing`.
    pub level: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            format: Format::Text,
            level: "info".to_owned(),
        }
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
    EnvFilter::try_new(level).map_err(|error| {
        anyhow::anyhow!(
            "log.level {level:?}: {error}; write error, warn, info, debug or trace, or directives such as \
             info,rushgate::relay=debug"
        )
    })
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
    fn wrong_levels_say_what_is_right() {
        assert!(filter("info,rushgate::relay=debug").is_ok());
        let error = filter("rushgate=loud").expect_err("no such level").to_string();
        assert!(
            error.contains("log.level \"rushgate=loud\"") && error.contains("write error"),
            "{error}"
        );
    }
}
