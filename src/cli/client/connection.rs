//! Where the control plane is, from flags and the environment.

use std::path::PathBuf;

use hyper::Uri;
use hyper::http::uri::{PathAndQuery, Scheme};

use super::tls::Trust;
use super::{Client, ClientError, TOKEN_VARIABLE};
use crate::config::admin_token;
use crate::wire::secret::shown_url;

/// Where the control plane is. The token comes from the environment, or from a file that it names.
#[derive(Clone, Debug, clap::Args)]
pub struct Connection {
    /// The control plane; its token is read from RUSHGATE_ADMIN_TOKEN, or from the file that RUSHGATE_ADMIN_TOKEN_FILE names.
    #[arg(
        long,
        value_name = "URL",
        env = "RUSHGATE_ADMIN_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8081"
    )]
    pub admin_url: String,
    /// PEM certificates of the only authorities that are believed about an https URL; without, those of the machine.
    #[arg(long, value_name = "FILE", env = "RUSHGATE_ADMIN_CA_FILE")]
    pub ca: Option<PathBuf>,
    /// The certificate to show where the control plane asks for one (admin.tls_client_ca_file), in PEM.
    #[arg(
        long,
        value_name = "FILE",
        env = "RUSHGATE_ADMIN_CLIENT_CERTIFICATE_FILE",
        requires = "client_key"
    )]
    pub client_certificate: Option<PathBuf>,
    /// Its private key.
    #[arg(
        long,
        value_name = "FILE",
        env = "RUSHGATE_ADMIN_CLIENT_KEY_FILE",
        requires = "client_certificate"
    )]
    pub client_key: Option<PathBuf>,
}

impl Connection {
    /// A client for this control plane, with the token of the environment.
    pub fn client(&self) -> Result<Client, ClientError> {
        let identity = self.client_certificate.clone().zip(self.client_key.clone());
        let trust = Trust {
            ca: self.ca.clone(),
            identity,
        };
        let token = admin_token(&|name| std::env::var(name).ok())?;
        Client::new(&self.admin_url, token, &trust)
    }
}

/// Whether this is a control plane's URL, and one of https.
pub(super) fn asks_for_tls(url: &str) -> Result<bool, ClientError> {
    let wrong = |why: &str| {
        Err(ClientError::Url {
            url: url.to_owned(),
            why: why.to_owned(),
        })
    };
    // All others may be shown as they are.
    if url.contains('@') {
        return Err(ClientError::Url {
            url: shown_url(url),
            why: format!(
                "holds a user or password, which are not sent (the token is read from {TOKEN_VARIABLE})"
            ),
        });
    }
    let Ok(parsed) = url.parse::<Uri>() else {
        return wrong("is not a URL");
    };
    if parsed.path_and_query().and_then(PathAndQuery::query).is_some() {
        return wrong("has a query");
    }
    match parsed.scheme() {
        None => wrong("has no scheme"),
        Some(scheme) if *scheme == Scheme::HTTPS => Ok(true),
        Some(scheme) if *scheme == Scheme::HTTP => Ok(false),
        Some(_) => wrong("has an unknown scheme"),
    }
}
