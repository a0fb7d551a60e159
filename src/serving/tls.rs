//! TLS of a listener: certificate, key and, for those who must show one, the authority of clients' certificates; read
//! again when the files change, while a broken new file leaves the old one serving.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::pem;
use crate::wire::Unfit;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What is offered; TLS 1.2 at least.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where a listener's TLS is, all in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The listener's own certificate first, then those between it and its authority.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Clients show a certificate of this authority.
    pub client_ca: Option<PathBuf>,
}

/// Certificate and key, each with the setting that names it, go together.
pub fn check_pair(
    (cert_key, cert): (&'static str, &Option<PathBuf>),
    (key_key, key): (&'static str, &Option<PathBuf>),
) -> Result<(), Unfit> {
    match (cert, key) {
        (Some(_), None) => Err(Unfit::new(key_key, "the certificate needs its key")),
        (None, Some(_)) => Err(Unfit::new(cert_key, "the key needs its certificate")),
        _ => Ok(()),
    }
}

/// What is wrong with one of the files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {path}: {cause}", path = path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("{path} holds no {what} in PEM: {cause}", path = path.display())]
    NoPem {
        path: PathBuf,
        what: &'static str,
        cause: String,
    },
    #[error("the key of {key} does not belong to the first certificate of {cert}", key = key.display(), cert = cert.display())]
    Apart { cert: PathBuf, key: PathBuf },
    #[error("{path} cannot be used: {cause}", path = path.display())]
    Unusable { path: PathBuf, cause: String },
}

/// The contents of the files.
#[derive(Clone, PartialEq, Eq)]
struct Read {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// TLS of a listener, as it is now.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: Files,
    /// What was read last, good or not.
    read: Mutex<Result<Read, String>>,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    pub fn load(files: Files) -> Result<Self, TlsError> {
        let read = files.read()?;
        let config = ArcSwap::from_pointee(files.config(&read)?);
        let read = Mutex::new(Ok(read));
        Ok(Self(Arc::new(Inner { files, read, config })))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.config.load_full())
    }

    /// Takes over what the files hold now; says whether that is something new. Connections that are open stay as they
    /// are. An error is told once for each state of the files, and changes nothing.
    pub fn reread(&self) -> Result<bool, TlsError> {
        let now = self.0.files.read();
        let known = now.as_ref().map(Read::clone).map_err(TlsError::to_string);
        {
            let mut last = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
            if *last == known {
                return Ok(false);
            }
            *last = known;
        }
        let config = self.0.files.config(&now?)?;
        self.0.config.store(Arc::new(config));
        Ok(true)
    }

    /// [`Tls::reread`], with its outcome in the log.
    pub fn refresh(&self) {
        let cert = self.0.files.cert.display();
        match self.reread() {
            Ok(false) => {}
            Ok(true) => tracing::info!(%cert, "a new certificate is served"),
            Err(error) => {
                tracing::error!(%error, "the certificate served before stays: mend the file, which is read again")
            }
        }
    }

    /// Looks at the files again and again, for ever.
    pub async fn watch(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let tls = self.clone();
            // A file may lie on a disk that is slow.
            let _ = tokio::task::spawn_blocking(move || tls.refresh()).await;
        }
    }
}

impl Files {
    fn read(&self) -> Result<Read, TlsError> {
        let read = |path: &Path| {
            pem::read_file(path).map_err(|cause| TlsError::Unreadable {
                path: path.to_owned(),
                cause,
            })
        };
        Ok(Read {
            cert: read(&self.cert)?,
            key: read(&self.key)?,
            client_ca: self.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn config(&self, read: &Read) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable = |path: &Path, cause: &dyn std::fmt::Display| TlsError::Unusable {
            path: path.to_owned(),
            cause: cause.to_string(),
        };
        let certs = certificates(&self.cert, &read.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&read.key).map_err(|cause| TlsError::NoPem {
            path: self.key.clone(),
            what: "private key",
            cause: cause.to_string(),
        })?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|cause| unusable(&self.cert, &cause))?;
        let builder = match (&self.client_ca, &read.client_ca) {
            (Some(path), Some(pem)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, pem)? {
                    roots.add(certificate).map_err(|cause| unusable(path, &cause))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|cause| unusable(path, &cause))?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(certs, key)
            .map_err(|cause| match cause {
                rustls::Error::InconsistentKeys(_) => TlsError::Apart {
                    cert: self.cert.clone(),
                    key: self.key.clone(),
                },
                cause => unusable(&self.cert, &cause),
            })?;
        config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
        // A buyer who comes back spares both sides the costly part of the handshake.
        config.ticketer =
            rustls::crypto::ring::Ticketer::new().map_err(|cause| unusable(&self.key, &cause))?;
        Ok(config)
    }
}

fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let none = |cause: String| TlsError::NoPem {
        path: path.to_owned(),
        what: "certificate",
        cause,
    };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let read = read.map_err(|cause| none(cause.to_string()))?;
    match read.is_empty() {
        true => Err(none("no section CERTIFICATE".to_owned())),
        false => Ok(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn files(&self) -> Files {
            Files {
                cert: self.0.path().join("cert.pem"),
                key: self.0.path().join("key.pem"),
                client_ca: None,
            }
        }

        fn write(&self, file: &str, text: &str) {
            std::fs::write(self.0.path().join(file), text).expect("written");
        }
    }

    fn certificate() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_broken_new_file_leaves_the_old_one_and_is_told_once() {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        let (cert, key) = certificate();
        folder.write("cert.pem", &cert);
        folder.write("key.pem", &key);
        let tls = Tls::load(folder.files()).expect("loaded");
        assert!(!tls.reread().expect("the same"));
        let (other_cert, other_key) = certificate();
        folder.write("cert.pem", &other_cert);
        let error = tls.reread().expect_err("the old key").to_string();
        assert!(error.contains("does not belong"), "{error}");
        assert!(!tls.reread().expect("told already"));
        folder.write("key.pem", &other_key);
        assert!(tls.reread().expect("both are new"));
        std::fs::remove_file(folder.0.path().join("key.pem")).expect("removed");
        assert!(tls.reread().is_err() && !tls.reread().expect("told already"));
        folder.write("key.pem", &other_key);
        assert!(tls.reread().expect("there again"));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named() {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        let (cert, key) = certificate();
        folder.write("key.pem", &key);
        for (text, said) in [
            (None, "cannot read"),
            (Some("rubbish"), "no certificate in PEM"),
            (Some(key.as_str()), "no certificate in PEM"),
            (
                Some("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n"),
                "no certificate in PEM",
            ),
        ] {
            if let Some(text) = text {
                folder.write("cert.pem", text);
            }
            let error = Tls::load(folder.files()).err().expect("refused").to_string();
            assert!(error.contains(said) && error.contains("cert.pem"), "{error}");
        }
        folder.write("cert.pem", &cert);
        folder.write("key.pem", &cert);
        let error = Tls::load(folder.files()).err().expect("refused").to_string();
        assert!(
            error.contains("no private key") && error.contains("key.pem"),
            "{error}"
        );
    }
}
