//! PEM files of encrypted connections, read and checked, so that a wrong one is named before anybody connects with it.
//!
//! Also the one provider of cryptography (ring): whoever makes a connection with rustls names it or calls
//! [`install_provider`] before.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as Unreadable, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ConfigBuilder, Error as TlsError, InconsistentKeys, RootCertStore, WantsVerifier,
};

/// A file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    #[error("cannot read {path}: {cause}", path = path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("{path} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)", path = path.display())]
    NoCertificate { path: PathBuf },
    #[error("{path} holds a certificate that cannot be read: {cause}", path = path.display())]
    BadCertificate { path: PathBuf, cause: String },
    #[error(
        "{path} holds no unencrypted private key in PEM (-----BEGIN PRIVATE KEY-----)",
        path = path.display()
    )]
    NoKey { path: PathBuf },
    #[error("the key in {key} cannot be used: {cause}", key = key.display())]
    BadKey { key: PathBuf, cause: String },
    #[error(
        "the key in {key} does not belong to the certificate in {certificate}",
        key = key.display(),
        certificate = certificate.display()
    )]
    OtherKey { key: PathBuf, certificate: PathBuf },
}

/// The bytes of a file with certificates of authorities: one at least, each of them readable.
pub fn authorities(path: &Path) -> Result<Vec<u8>, PemError> {
    let bytes = read(path)?;
    roots_of(path, &bytes)?;
    Ok(bytes)
}

/// The authorities of a file: one at least.
pub fn roots(path: &Path) -> Result<RootCertStore, PemError> {
    roots_of(path, &read(path)?)
}

fn roots_of(path: &Path, bytes: &[u8]) -> Result<RootCertStore, PemError> {
    let mut store = RootCertStore::empty();
    for certificate in chain(path, bytes)? {
        store.add(certificate).map_err(|cause| PemError::BadCertificate {
            path: path.to_owned(),
            cause: cause.to_string(),
        })?;
    }
    Ok(store)
}

/// The bytes of a certificate's file and of its key's, which belong together.
pub fn identity(certificate: &Path, key: &Path) -> Result<(Vec<u8>, Vec<u8>), PemError> {
    let (certificate_bytes, key_bytes) = (read(certificate)?, read(key)?);
    let chain = chain(certificate, &certificate_bytes)?;
    let private =
        PrivateKeyDer::from_pem_slice(&key_bytes).map_err(|_| PemError::NoKey { path: key.to_owned() })?;
    match CertifiedKey::from_der(chain, private, &ring::default_provider()) {
        Ok(_) => Ok((certificate_bytes, key_bytes)),
        Err(TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(PemError::OtherKey {
            key: key.to_owned(),
            certificate: certificate.to_owned(),
        }),
        Err(TlsError::InvalidCertificate(cause)) => Err(PemError::BadCertificate {
            path: certificate.to_owned(),
            cause: format!("{cause:?}"),
        }),
        Err(cause) => Err(PemError::BadKey {
            key: key.to_owned(),
            cause: cause.to_string(),
        }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PemError> {
    std::fs::read(path).map_err(|cause| PemError::Unreadable {
        path: path.to_owned(),
        cause,
    })
}

fn chain(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let read: Result<Vec<_>, Unreadable> = CertificateDer::pem_slice_iter(bytes).collect();
    let chain = read.map_err(|cause| PemError::BadCertificate {
        path: path.to_owned(),
        cause: cause.to_string(),
    })?;
    match chain.is_empty() {
        true => Err(PemError::NoCertificate {
            path: path.to_owned(),
        }),
        false => Ok(chain),
    }
}

/// A client of TLS, to be told whom it believes.
pub fn client() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

/// Makes ring the process's provider, for crates that ask for the process's. A second call changes nothing.
pub fn install_provider() {
    // An error says that there is one already.
    let _ = ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A folder with a certificate, its key, another key, and files that hold neither.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let (key, other) = (
            KeyPair::generate().expect("a key"),
            KeyPair::generate().expect("a key"),
        );
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        for (name, text) in [
            ("cert.pem", certificate.pem()),
            ("key.pem", key.serialize_pem()),
            ("other.pem", other.serialize_pem()),
            ("text", "no PEM at all".to_owned()),
            (
                "cut.pem",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            ),
        ] {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        folder
    }

    #[test]
    fn files_are_checked_and_named() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        authorities(&at("cert.pem")).expect("certificates");
        identity(&at("cert.pem"), &at("key.pem")).expect("they belong together");
        for (name, words) in [
            ("none.pem", "cannot read"),
            ("text", "holds no certificate"),
            ("key.pem", "holds no certificate"),
            ("cut.pem", "cannot be read"),
        ] {
            let error = authorities(&at(name)).expect_err(name).to_string();
            assert!(error.contains(words) && error.contains(name), "{error}");
        }
        for (certificate, key, words) in [
            ("cert.pem", "other.pem", "does not belong to"),
            ("cert.pem", "text", "holds no unencrypted private key"),
            ("cert.pem", "cert.pem", "holds no unencrypted private key"),
            ("text", "key.pem", "holds no certificate"),
            ("cert.pem", "none.pem", "cannot read"),
        ] {
            let error = identity(&at(certificate), &at(key)).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
