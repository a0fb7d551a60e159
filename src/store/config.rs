//! How to reach the database.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::wire::Unfit;
use crate::wire::secret::shown_url;

/// What a URL begins with.
const SCHEMES: [&str; 3] = ["mysql://", "mariadb://", "sqlite:"];

/// How to reach it: the keys of `[database]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "struct Database")]
pub struct Config {
    /// May hold a password; once the configuration is settled, it does where one is needed.
    /// `mysql://user:password@host:port/name?ssl-mode=…`, `sqlite:///path`, or `sqlite::memory:`.
    pub url: String,
    pub url_file: Option<PathBuf>,
    /// Goes into the URL when the configuration is settled; so does the content of its file.
    pub password: Option<String>,
    pub password_file: Option<PathBuf>,
    pub connections: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "mysql://root@127.0.0.1:3306/rushgate".to_owned(),
            url_file: None,
            password: None,
            password_file: None,
            connections: 8,
        }
    }
}

impl Config {
    /// At this URL, over so many connections at most.
    pub fn new(url: impl Into<String>, connections: u32) -> Self {
        Self {
            url: url.into(),
            connections,
            ..Self::default()
        }
    }

    /// Whether the URL is one of a database that orders can be kept in; no file that it names is read.
    pub fn check(&self) -> Result<(), Unfit> {
        let url = self.url.to_ascii_lowercase();
        match SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
            true => super::check_url(&self.url).map_err(|error| Unfit::new("database.url", error)),
            false => {
                let wrong = format!(
                    "{:?} begins with none of {}",
                    shown_url(&self.url),
                    SCHEMES.join(", ")
                );
                Err(Unfit::new("database.url", wrong))
            }
        }
    }
}

/// Without the password.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("url", &shown_url(&self.url))
            .field("connections", &self.connections)
            .finish()
    }
}
