//! How to reach Redis or Valkey.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How to reach Redis or Valkey: the keys of `[redis]`, and how long to wait.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "struct Redis")]
pub struct Config {
    /// May hold a password; once the configuration is resolved, it does where one is needed.
    /// `redis://[user:password@]host:port[/db]`, `rediss://…` where the connection is encrypted, or `redis+unix:///path`.
    pub url: String,
    pub url_file: Option<PathBuf>,
    /// Goes into the URL when the configuration is resolved; so does the content of its file.
    pub password: Option<String>,
    pub password_file: Option<PathBuf>,
    /// For `rediss://` alone, in PEM: the only authorities that are believed about the server; without it, those of the
    /// machine. A file that is named by the empty text is none, here and below.
    pub ca_file: Option<PathBuf>,
    /// What this process shows a server that asks for certificates.
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// How long a call may take before its outcome counts as unknown.
    #[serde(skip)]
    pub response_timeout: Duration,
    #[serde(skip)]
    pub connect_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            url_file: None,
            password: None,
            password_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            response_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(2),
        }
    }
}

impl Config {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    /// The files of the encryption; one that is named by the empty text is none.
    pub fn tls(&self) -> Tls {
        let named = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        Tls {
            ca_file: named(&self.ca_file),
            certificate_file: named(&self.certificate_file),
            key_file: named(&self.key_file),
        }
    }
}

/// Files for `rediss://`, all of them PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The only authorities that are believed about the server; without it, those of the machine.
    pub ca_file: Option<PathBuf>,
    /// What this process shows a server that asks for certificates.
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

/// Without the password.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("url", &without_secrets(&self.url))
            .field("tls", &self.tls())
            .field("response_timeout", &self.response_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish()
    }
}

/// A URL as it may be shown: what stands before the `@` is left out.
pub(super) fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let shown = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    // A unix URL carries its password as a query parameter.
    let shown = shown.split('?').next().unwrap_or_default();
    match scheme {
        "" => shown.to_owned(),
        _ => format!("{scheme}://{shown}"),
    }
}
