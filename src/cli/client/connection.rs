//! Where the control plane is, from flags and the environment.

use std::path::PathBuf;

use hyper::Uri;
use hyper::http::uri::{PathAndQuery, Scheme};

use super::tls::Trust;
use super::{Client, ClientError, TOKEN_VARIABLE};
use crate::cli::settings::{Local, Settings, variable};
use crate::config::{ConfigError, admin_token};
use crate::wire::secret::shown_url;

/// Where the control plane is. The token comes from the environment, or from a file that this or the configuration names.
#[derive(Clone, Debug, clap::Args)]
pub struct Connection {
    /// The control plane; its token is read from RUSHGATE_ADMIN_TOKEN, or from the file that RUSHGATE_ADMIN_TOKEN_FILE or
    /// admin_token_file of the configuration names.
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
    #[command(flatten)]
    pub settings: Settings<Local>,
}

impl Connection {
    /// A client for this control plane.
    pub fn client(&self) -> Result<Client, ClientError> {
        let identity = self.client_certificate.clone().zip(self.client_key.clone());
        let trust = Trust {
            ca: self.ca.clone(),
            identity,
        };
        Client::new(&self.admin_url, self.token(&variable)?, &trust)
    }

    /// That of the environment; the configuration is read only where this names none, because it may name files that
    /// are none of this user's.
    fn token(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, ConfigError> {
        match (admin_token(env)?, self.settings.file(env)) {
            (None, Some(_)) => Ok(self.settings.resolve(env)?.admin_token),
            (token, _) => Ok(token),
        }
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        connection: Connection,
    }

    #[test]
    fn the_token_stands_where_a_gateway_finds_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        let secret = write("token", "of the configuration\n");
        let file = write("rushgate.toml", &format!("admin_token_file = {secret:?}\n"));
        let token = |args: &[&str], variables: &[(&str, &str)]| {
            let args = ["rushgate"].iter().chain(args);
            let connection = Command::try_parse_from(args).expect("valid").connection;
            let env = |name: &str| {
                let named = variables.iter().find(|(known, _)| *known == name);
                named.map(|(_, value)| (*value).to_owned())
            };
            connection.token(&env).map_err(|error| error.to_string())
        };
        let of_file = Ok(Some("of the configuration".to_owned()));
        assert_eq!(token(&[], &[]), Ok(None));
        assert_eq!(token(&["--config", &file], &[]), of_file);
        assert_eq!(token(&[], &[("RUSHGATE_CONFIG", &file)]), of_file);
        let both = [
            ("RUSHGATE_CONFIG", file.as_str()),
            ("RUSHGATE_ADMIN_TOKEN", "of the environment"),
        ];
        assert_eq!(token(&[], &both), Ok(Some("of the environment".to_owned())));
        let missing = token(&["--config", "/nowhere.toml"], &[]).expect_err("no such file");
        assert!(
            missing.starts_with("cannot read the configuration /nowhere.toml"),
            "{missing}"
        );
    }
}
