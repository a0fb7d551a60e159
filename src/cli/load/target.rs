//! A gateway that buyers are sent to: where it is, and whether it is spoken to over TLS.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::http::uri::Authority;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{LoadConfig, LoadError};
use crate::cli::client::tls::{Trust, trouble};

/// Sends requests, one after another.
pub(super) type Sender = SendRequest<Full<Bytes>>;

#[derive(Clone)]
pub(super) struct Target {
    /// `host:port`.
    pub(super) address: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// The targets of a run, in the order of the configuration.
pub(super) fn targets(config: &LoadConfig) -> Result<Arc<[Target]>, LoadError> {
    let places: Result<Vec<Place>, LoadError> = config.targets.iter().map(|text| Place::read(text)).collect();
    let places = places?;
    let encrypted = places.iter().any(|place| place.encrypted);
    if config.ca.is_some() && !encrypted {
        let why = "the authorities' file (--ca) is for a target of https, and there is none";
        return Err(LoadError::Config(why.to_owned()));
    }
    let connector = match encrypted {
        true => {
            let trust = Trust {
                ca: config.ca.clone(),
                identity: None,
            };
            Some(TlsConnector::from(Arc::new(trust.config()?)))
        }
        false => None,
    };
    places.into_iter().map(|place| place.target(&connector)).collect()
}

/// A target as it is written.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    encrypted: bool,
    /// An address of IPv6 without its brackets.
    host: String,
    address: String,
}

impl Place {
    /// `host:port`, or a URL of http or https with nothing behind the port.
    fn read(text: &str) -> Result<Self, LoadError> {
        let wrong = |why: &str| {
            // What may be a password is not shown.
            let shown = text.rsplit_once('@').map_or(text, |(_, host)| host);
            Err(LoadError::Config(format!(
                "the target {shown:?} {why}; write it as host:port, http://host:port or https://host:port"
            )))
        };
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (encrypted, port) = match scheme {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return wrong("is neither http nor https"),
        };
        if rest.contains('@') {
            return wrong("holds a user or password, which are not sent");
        }
        let Ok(authority) = rest.trim_end_matches('/').parse::<Authority>() else {
            return wrong("is no address");
        };
        let (host, port) = (authority.host(), authority.port_u16().unwrap_or(port));
        Ok(Self {
            encrypted,
            address: format!("{host}:{port}"),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        })
    }

    fn target(self, connector: &Option<TlsConnector>) -> Result<Target, LoadError> {
        let tls = match connector {
            Some(connector) if self.encrypted => {
                let name = ServerName::try_from(self.host)
                    .map_err(|error| LoadError::Config(format!("the target {}: {error}", self.address)))?;
                Some((connector.clone(), name))
            }
            _ => None,
        };
        Ok(Target {
            address: self.address,
            tls,
        })
    }
}

impl Target {
    /// Whether a gateway can be reached there; otherwise why not, and what to do.
    pub(super) async fn reach(&self) -> Result<(), String> {
        let reached = async {
            let stream = TcpStream::connect(&self.address).await?;
            match &self.tls {
                Some((connector, name)) => connector.connect(name.clone(), stream).await.map(drop),
                None => Ok(()),
            }
        };
        reached.await.map_err(|error: io::Error| {
            let why = trouble(&error).unwrap_or_else(|| error.to_string());
            format!("{}: {why}", self.address)
        })
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Result<Sender, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            Some((connector, name)) => speak(connector.connect(name.clone(), stream).await?).await,
            None => speak(stream).await,
        }
    }
}

async fn speak<S>(stream: S) -> Result<Sender, Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender, or when the server closes; the sender then says so.
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_address_or_a_url() {
        for (text, encrypted, host, address) in [
            ("http://127.0.0.1:8080/", false, "127.0.0.1", "127.0.0.1:8080"),
            ("gate:81", false, "gate", "gate:81"),
            ("https://gate.example", true, "gate.example", "gate.example:443"),
            ("https://[::1]:8443/", true, "::1", "[::1]:8443"),
        ] {
            let place = Place::read(text).expect(text);
            assert_eq!(
                (place.encrypted, place.host.as_str(), place.address.as_str()),
                (encrypted, host, address)
            );
        }
        for (text, words) in [
            ("ftp://gate:1", "neither http nor https"),
            ("https://gate/orders", "is no address"),
            ("", "is no address"),
            ("https://me:s3cret@gate", "not sent"),
        ] {
            let error = Place::read(text).expect_err(text).to_string();
            assert!(error.contains(words) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn authorities_that_nobody_would_be_held_against_are_refused() {
        let config = |target: &str| LoadConfig {
            targets: vec![target.to_owned()],
            ca: Some("/there/is/none.pem".into()),
            ..LoadConfig::default()
        };
        let refused = |target| {
            let refused = targets(&config(target)).err();
            refused.expect("refused").to_string()
        };
        assert!(refused("gate:80").contains("there is none"));
        assert!(refused("https://gate").contains("cannot read /there/is/none.pem"));
    }
}
