//! TLS on both listeners: protocols, certificates that change while they are served, clients that must show one.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rushgate::serving::tls::Files;
use rushgate::serving::{Door, Limits, Tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::fronts::control;
use crate::fronts::stage::Running;
use crate::fronts::wire::{connect, rest, send};

const GET: &[u8] = b"GET /v1/campaigns/spring HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Certificate and key of `name` in PEM.
    pub fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let cert = params.signed_by(&key, &self.0).expect("signed");
        (cert.pem(), key.serialize_pem())
    }

    /// Its own certificate in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("an authority");
        roots
    }
}

pub fn write(folder: &Path, (cert, key): &(String, String)) -> Files {
    let files = Files {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
        client_ca: None,
    };
    std::fs::write(&files.cert, cert).expect("written");
    std::fs::write(&files.key, key).expect("written");
    files
}

fn client(authority: &Authority, own: Option<(String, String)>, protocol: &[u8]) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(authority.roots());
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let cert = CertificateDer::from_pem_slice(cert.as_bytes()).expect("PEM");
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
            builder.with_client_auth_cert(vec![cert], key).expect("a pair")
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn greet(
    connector: &TlsConnector,
    address: std::net::SocketAddr,
) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let name = ServerName::try_from("localhost").expect("a name");
    connector.connect(name, connect(address).await).await
}

/// The answer's beginning, or why there is none.
async fn get(
    connector: &TlsConnector,
    address: std::net::SocketAddr,
    request: &[u8],
) -> Result<String, String> {
    let mut stream = greet(connector, address)
        .await
        .map_err(|error| error.to_string())?;
    stream
        .write_all(request)
        .await
        .map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .await
        .map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&answer).chars().take(12).collect())
}

#[tokio::test]
async fn orders_come_over_tls_in_either_protocol_and_plain_http_is_told() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let tls = Tls::load(write(folder.path(), &authority.issue("localhost"))).expect("loaded");
    let running = Running::over(Some(tls));
    let h1 = client(&authority, None, b"http/1.1");
    assert_eq!(
        get(&h1, running.address, GET).await.as_deref(),
        Ok("HTTP/1.1 200")
    );

    let h2 = client(&authority, None, b"h2");
    let stream = greet(&h2, running.address).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .expect("h2");
    let driver = tokio::spawn(connection);
    let request = hyper::Request::get("https://localhost/v1/campaigns/spring")
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .expect("a request");
    assert_eq!(
        sender.send_request(request).await.expect("answered").status(),
        200
    );
    driver.abort();

    let plain = send(running.address, GET).await;
    assert_eq!(plain.status, 400);
    assert!(plain.body.contains("speaks TLS"), "{plain:?}");
    let stranger = client(&Authority::new(), None, b"h2");
    assert!(get(&stranger, running.address, GET).await.is_err());
}

#[tokio::test]
async fn a_slow_handshake_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let tls = Tls::load(write(folder.path(), &Authority::new().issue("localhost"))).expect("loaded");
    let running = Running::over(Some(tls));
    // What is said first decides what comes next, and each of it may never come.
    for begun in [&b""[..], &[0x16], &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]] {
        let mut stream = connect(running.address).await;
        stream.write_all(begun).await.expect("sent");
        assert_eq!(rest(&mut stream).await, b"", "{begun:?}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_served_to_new_connections() {
    let (old, new) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let tls = Tls::load(write(folder.path(), &old.issue("localhost"))).expect("loaded");
    let running = Running::over(Some(tls.clone()));
    let (knows_old, knows_new) = (client(&old, None, b"http/1.1"), client(&new, None, b"http/1.1"));
    let mut kept = greet(&knows_old, running.address).await.expect("a handshake");
    assert!(get(&knows_new, running.address, GET).await.is_err());
    write(folder.path(), &new.issue("localhost"));
    assert!(tls.reread().expect("a pair"));
    assert_eq!(
        get(&knows_new, running.address, GET).await.as_deref(),
        Ok("HTTP/1.1 200")
    );
    assert!(get(&knows_old, running.address, GET).await.is_err());
    std::fs::write(folder.path().join("cert.pem"), "half a f").expect("written");
    assert!(tls.reread().is_err());
    assert_eq!(
        get(&knows_new, running.address, GET).await.as_deref(),
        Ok("HTTP/1.1 200")
    );
    kept.write_all(GET).await.expect("still open");
    let mut answer = [0; 12];
    kept.read_exact(&mut answer).await.expect("answered");
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn clients_of_the_control_plane_show_a_certificate_where_they_must() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let client_ca = folder.path().join("clients.pem");
    std::fs::write(&client_ca, clients.0.pem()).expect("written");
    let files = Files {
        client_ca: Some(client_ca),
        ..write(folder.path(), &servers.issue("localhost"))
    };
    let tls = Tls::load(files).expect("loaded");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("bound");
    let door = Door::new(listener, Limits::for_few(8)).tls(Some(tls));
    tokio::spawn(control::plane(Some("secret")).serve(door, std::future::pending()));
    let livez = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    for (own, is_let_in) in [
        (Some(clients.issue("operator")), true),
        (None, false),
        (Some(Authority::new().issue("operator")), false),
    ] {
        let connector = client(&servers, own, b"http/1.1");
        let answered = get(&connector, address, livez).await;
        assert_eq!(
            answered.as_deref() == Ok("HTTP/1.1 200"),
            is_let_in,
            "{answered:?}"
        );
    }
}
