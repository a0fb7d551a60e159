//! The control plane's listener: the keys of `[admin]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::limits::Limits;
use crate::serving::tls::{self, Files};
use crate::wire::Unfit;

/// How the control plane treats connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "struct Admin")]
pub struct Config {
    /// Open connections at most.
    pub connections: usize,
    /// Certificate and key of the listener; without them it speaks plain HTTP.
    pub tls_cert_file: Option<PathBuf>,
    pub tls_key_file: Option<PathBuf>,
    /// Authorities of the certificates that clients have to show.
    pub tls_client_ca_file: Option<PathBuf>,
    /// Requests a second of one key, and of one address; ten times as many at once. 0: no limit.
    pub requests_per_second: u32,
    /// Wrong tokens and keys a minute from one address. 0: no limit.
    pub failed_log_ins_per_minute: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections: 256,
            tls_cert_file: None,
            tls_key_file: None,
            tls_client_ca_file: None,
            requests_per_second: 200,
            failed_log_ins_per_minute: 30,
        }
    }
}

impl Config {
    /// How often whom may ask.
    pub fn limits(&self) -> Limits {
        Limits::new(self.requests_per_second, self.failed_log_ins_per_minute)
    }

    /// The listener's TLS; `None`: plain HTTP.
    pub fn tls(&self) -> Option<Files> {
        Some(Files {
            cert: self.tls_cert_file.clone()?,
            key: self.tls_key_file.clone()?,
            client_ca: self.tls_client_ca_file.clone(),
        })
    }

    /// Whether what is set fits together.
    pub fn check(&self) -> Result<(), Unfit> {
        tls::check_pair(
            ("admin.tls_cert_file", &self.tls_cert_file),
            ("admin.tls_key_file", &self.tls_key_file),
        )?;
        match (&self.tls_client_ca_file, &self.tls_cert_file) {
            (Some(_), None) => Err(Unfit::new(
                "admin.tls_cert_file",
                "certificates of clients (admin.tls_client_ca_file) need TLS: name the listener's own certificate and key",
            )),
            _ => Ok(()),
        }
    }
}
