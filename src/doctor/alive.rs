//! Whether the rushgate that this configuration describes runs already and has its ports.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::net::{GREETING_LIMIT, plain_answer};
use crate::pem;
use crate::serving::tls::Files;

const LIVE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Whether a rushgate answers there.
pub(super) async fn lives(listen: SocketAddr, tls: Option<&Files>) -> bool {
    let Some(files) = tls else {
        return is_alive(&plain_answer(listen, LIVE).await);
    };
    let asked = tokio::time::timeout(GREETING_LIMIT, encrypted_answer(listen, files));
    match asked.await {
        // Whoever has the key is the one; it answers only those who show a certificate.
        Ok(Some(_)) if files.client_ca.is_some() => true,
        Ok(Some(answer)) => is_alive(&answer),
        _ => false,
    }
}

fn is_alive(answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer);
    answer.starts_with("HTTP/1.1 200") && answer.trim_end().ends_with("ok")
}

/// What it answers, where it has the key of the certificate in the files.
async fn encrypted_answer(listen: SocketAddr, files: &Files) -> Option<Vec<u8>> {
    let own = pem::certificates(&files.cert).ok()?.into_iter().next()?;
    let provider = Arc::new(ring::default_provider());
    let pinned = Pinned {
        own,
        provider: provider.clone(),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned))
        .with_no_client_auth();
    let stream = TcpStream::connect(listen).await.ok()?;
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector
        .connect(ServerName::from(listen.ip()), stream)
        .await
        .ok()?;
    let mut answer = Vec::new();
    if stream.write_all(LIVE).await.is_ok() {
        // Whatever it says before it hangs up.
        let _ = stream.take(1024).read_to_end(&mut answer).await;
    }
    Some(answer)
}

/// Believes one certificate, whatever names and times it has, and only whoever has its key.
#[derive(Debug)]
struct Pinned {
    own: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match shown.as_ref() == self.own.as_ref() {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, shown, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, shown, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
