//! TLS of those who speak to a gateway's listeners: whom they believe, what they show, and what went wrong, in words.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error as Tls, InvalidMessage, RootCertStore};

use crate::pem::{self, PemError};

/// A service on the same network answers a connection in far less.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Files of a client, all in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Certificates of the only authorities that are believed; without, those of the machine are.
    pub ca: Option<PathBuf>,
    /// The client's own certificate and its key, for a listener that asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Why there can be no TLS. Files are named.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error(transparent)]
    Pem(#[from] PemError),
    #[error("the authorities of this machine cannot be read: {0}; --ca FILE names one to believe")]
    Machine(io::Error),
    #[error("TLS cannot be used: {0}")]
    Unusable(String),
}

impl Trust {
    /// As rustls wants it; reads the files.
    pub fn config(&self) -> Result<ClientConfig, TrustError> {
        let builder = pem::client().map_err(unusable)?;
        let builder = match &self.ca {
            Some(path) => builder.with_root_certificates(pem::roots(path)?),
            None => builder.with_native_roots().map_err(TrustError::Machine)?,
        };
        let Some((certificate, key)) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let (chain, key) = pem::identity(certificate, key)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain).collect();
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(unusable)?;
        builder
            .with_client_auth_cert(chain.map_err(unusable)?, key)
            .map_err(unusable)
    }
}

fn unusable(error: impl ToString) -> TrustError {
    TrustError::Unusable(error.to_string())
}

/// Connects to http:// and https:// URLs over HTTP/1.1. Without a `trust` nobody who speaks TLS is believed, and no file is read.
pub fn connector(trust: Option<&Trust>) -> Result<HttpsConnector<HttpConnector>, TrustError> {
    let config = match trust {
        Some(trust) => trust.config()?,
        None => pem::client()
            .map_err(unusable)?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
    };
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_TIME_MAX));
    http.set_nodelay(true);
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http))
}

/// What TLS has against a connection, and what to do; `None` where it broke for another reason.
pub fn trouble(error: &(dyn Error + 'static)) -> Option<String> {
    let text = match cause(error)? {
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "what answers there speaks no TLS: write http:// instead of https://"
        }
        Tls::AlertReceived(AlertDescription::CertificateRequired) => {
            "the listener asks for a client's certificate: give --client-certificate and --client-key"
        }
        Tls::AlertReceived(AlertDescription::UnknownCA | AlertDescription::DecryptError) => {
            "the listener does not believe the client's certificate: it has to be of the authority that \
             admin.tls_client_ca_file names"
        }
        // An authority that was made anew has the old one's name and another key.
        Tls::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is of an authority that is not believed here: --ca FILE names the right one"
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is not for the host in the URL: write the URL with a name that stands in it",
        Tls::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired: the listener needs a new one"
        }
        other => return Some(format!("TLS failed: {other}")),
    };
    Some(text.to_owned())
}

/// An error of I/O hides what it holds from `source`, and may hold another one.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Tls> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<Tls>() {
            return Some(found);
        }
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = held.and_then(|held| cause(held)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_found_however_deep_it_lies() {
        let untrusted = || Tls::InvalidCertificate(CertificateError::UnknownIssuer);
        let inner = io::Error::new(io::ErrorKind::InvalidData, untrusted());
        let deep = io::Error::other(io::Error::other(inner));
        assert!(trouble(&deep).expect("of TLS").contains("--ca FILE"));
        assert_eq!(trouble(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
    }

    #[test]
    fn files_are_checked_before_anybody_connects() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        let trust = Trust {
            ca: Some(path.clone()),
            identity: None,
        };
        let error = trust.config().expect_err("no file").to_string();
        assert!(
            error.contains("cannot read") && error.contains("ca.pem"),
            "{error}"
        );
        std::fs::write(&path, "no PEM").expect("written");
        let error = trust.config().expect_err("no PEM").to_string();
        assert!(error.contains("holds no certificate"), "{error}");
    }
}
