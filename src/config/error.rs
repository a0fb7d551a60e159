//! What can be wrong with a configuration.

use std::path::PathBuf;

use crate::wire::Unfit;

/// What is wrong with the configuration, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {cause}", path = path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    /// Line and column count from 1.
    #[error("{path}:{line}:{column}: {message}", path = path.display())]
    File {
        path: PathBuf,
        line: usize,
        column: usize,
        message: String,
    },
    /// `at` is an environment variable or a flag.
    #[error("{at}: {message}")]
    Value { at: String, message: String },
    /// `at` names the option; `path` is as it may be shown.
    #[error("{at}: cannot read {path}: {cause}")]
    UnreadableSecret {
        at: String,
        path: String,
        cause: std::io::Error,
    },
    /// Where both were found.
    #[error("{one} and {other} are both given; leave one of them out")]
    Both { one: String, other: String },
    #[error("{key} must be at least 1")]
    Zero { key: &'static str },
    #[error(
        "listen and admin_listen are both {0}: the control plane needs an address of its own (--admin-listen)"
    )]
    SameAddress(std::net::SocketAddr),
}

impl From<Unfit> for ConfigError {
    fn from(Unfit { key, message }: Unfit) -> Self {
        let at = key.to_owned();
        Self::Value { at, message }
    }
}
