//! The authority of a stack that was started with `--tls`: gateways and landers listen with its certificates, and their
//! clients believe nobody else.

use std::env;
use std::path::PathBuf;

use rushgate::cli::client::tls::Trust;

/// The folder that `./x stack env` names.
const VARIABLE: &str = "RUSHGATE_STACK_TLS";

#[derive(Clone, Debug)]
pub struct Authority(PathBuf);

impl Authority {
    /// Of the stack in the environment, if it has one.
    pub fn from_env() -> Option<Self> {
        env::var_os(VARIABLE).map(|folder| Self(folder.into()))
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// What makes both listeners of a process speak TLS, and its control plane ask for a certificate.
    pub fn listeners(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("RUSHGATE_GATEWAY_TLS_CERT_FILE", self.file("server.pem")),
            ("RUSHGATE_GATEWAY_TLS_KEY_FILE", self.file("server-key.pem")),
            ("RUSHGATE_ADMIN_TLS_CERT_FILE", self.file("server.pem")),
            ("RUSHGATE_ADMIN_TLS_KEY_FILE", self.file("server-key.pem")),
            ("RUSHGATE_ADMIN_TLS_CLIENT_CA_FILE", self.ca()),
        ]
    }

    /// What an operator believes and shows.
    pub fn trust(&self) -> Trust {
        Trust {
            ca: Some(self.ca()),
            identity: Some((self.file("client.pem"), self.file("client-key.pem"))),
        }
    }
}
