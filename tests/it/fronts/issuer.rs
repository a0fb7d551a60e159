//! An issuer of tokens that publishes its keys over HTTPS, with an authority of its own, and that does as it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ED25519};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A key of the issuer.
pub struct SigningKey {
    id: Option<&'static str>,
    signing: EncodingKey,
    /// As it is published.
    pub jwk: Value,
    /// As it is in a PEM file.
    pub public_pem: String,
}

impl SigningKey {
    pub fn new(id: impl Into<Option<&'static str>>) -> Self {
        let id = id.into();
        let pair = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
        let mut jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
        if let Some(id) = id {
            jwk["kid"] = id.into();
        }
        Self {
            id,
            signing: EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).expect("a key"),
            jwk,
            public_pem: pair.public_key_pem(),
        }
    }

    /// A token of a buyer, good for an hour.
    pub fn token(&self, user: &str) -> String {
        self.token_with(user, json!({}))
    }

    /// The same with more claims.
    pub fn token_with(&self, user: &str, more: Value) -> String {
        let header = Header {
            kid: self.id.map(str::to_owned),
            ..Header::new(Algorithm::EdDSA)
        };
        let exp = jsonwebtoken::get_current_timestamp() + 3600;
        let mut claims = json!({"sub": user, "exp": exp});
        for (name, value) in more.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        encode(&header, &claims, &self.signing).expect("a token")
    }
}

pub fn set(keys: &[&SigningKey]) -> String {
    let keys: Vec<&Value> = keys.iter().map(|key| &key.jwk).collect();
    json!({ "keys": keys }).to_string()
}

/// What the issuer answers.
#[derive(Clone)]
pub enum Says {
    /// 200, with an `ETag` that follows from the text, and 304 to who has it.
    Text(String),
    Status(u16),
    /// A redirect to a path that publishes the keys.
    Elsewhere(String),
    Nothing,
}

struct Told {
    says: Mutex<Says>,
    asked: AtomicUsize,
    unchanged: AtomicUsize,
    elsewhere: AtomicUsize,
}

pub struct Issuer {
    pub address: SocketAddr,
    scheme: &'static str,
    told: Arc<Told>,
    folder: tempfile::TempDir,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// An authority, and a server's certificate by it.
fn certified(name: &str) -> (String, ServerConfig) {
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .expect("a server");
    (authority.pem(), server)
}

impl Issuer {
    pub async fn start(says: Says) -> Self {
        Self::named("127.0.0.1", says).await
    }

    /// With a certificate for this name.
    pub async fn named(name: &str, says: Says) -> Self {
        let (authority, server) = certified(name);
        let tls = TlsAcceptor::from(Arc::new(server));
        Self::serving(Some(tls), authority, says).await
    }

    /// Over plain HTTP.
    pub async fn plain(says: Says) -> Self {
        Self::serving(None, String::new(), says).await
    }

    async fn serving(tls: Option<TlsAcceptor>, authority: String, says: Says) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), authority).expect("written");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let told = Arc::new(Told {
            says: Mutex::new(says),
            asked: AtomicUsize::new(0),
            unchanged: AtomicUsize::new(0),
            elsewhere: AtomicUsize::new(0),
        });
        let serving = tokio::spawn(serve(listener, tls, told.clone()));
        Self {
            address,
            scheme,
            told,
            folder,
            serving,
        }
    }

    pub fn says(&self, says: Says) {
        *self.told.says.lock().expect("no panic") = says;
    }

    pub fn publishes(&self, keys: &[&SigningKey]) {
        self.says(Says::Text(set(keys)));
    }

    pub fn url(&self) -> String {
        format!("{}://{}/keys", self.scheme, self.address)
    }

    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Requests so far.
    pub fn asked(&self) -> usize {
        self.told.asked.load(Ordering::SeqCst)
    }

    /// Requests that were answered 304.
    pub fn unchanged(&self) -> usize {
        self.told.unchanged.load(Ordering::SeqCst)
    }

    /// Requests to where a redirect leads.
    pub fn elsewhere(&self) -> usize {
        self.told.elsewhere.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, told: Arc<Told>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, told) = (tls.clone(), told.clone());
        tokio::spawn(async move {
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve_one(stream, told).await;
                    }
                }
                None => serve_one(stream, told).await,
            }
        });
    }
}

async fn serve_one(stream: impl AsyncRead + AsyncWrite + Unpin, told: Arc<Told>) {
    let service = service_fn(move |request| answer(request, told.clone()));
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, told: Arc<Told>) -> Result<Response<Full<Bytes>>, Infallible> {
    let says = told.says.lock().expect("no panic").clone();
    if request.uri().path() != "/keys" {
        told.elsewhere.fetch_add(1, Ordering::SeqCst);
    }
    told.asked.fetch_add(1, Ordering::SeqCst);
    let respond = |status, headers: &[(&str, &str)], body: String| {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        Ok(response.body(Full::new(Bytes::from(body))).expect("a response"))
    };
    match says {
        Says::Text(text) => {
            let tag = format!(
                "\"{}\"",
                URL_SAFE_NO_PAD.encode(text.as_bytes().iter().fold([0_u8; 8], folded))
            );
            if request
                .headers()
                .get("if-none-match")
                .is_some_and(|known| known.as_bytes() == tag.as_bytes())
            {
                told.unchanged.fetch_add(1, Ordering::SeqCst);
                return respond(304, &[("etag", &tag)], String::new());
            }
            respond(200, &[("etag", &tag)], text)
        }
        Says::Status(status) => respond(status, &[], String::new()),
        Says::Elsewhere(text) if request.uri().path() == "/elsewhere" => respond(200, &[], text),
        Says::Elsewhere(_) => respond(302, &[("location", "/elsewhere")], String::new()),
        Says::Nothing => std::future::pending().await,
    }
}

/// Tells texts from each other, no more.
fn folded(mut sum: [u8; 8], byte: &u8) -> [u8; 8] {
    sum = u64::from_le_bytes(sum)
        .wrapping_mul(0x100_0000_01b3)
        .wrapping_add(u64::from(*byte))
        .to_le_bytes();
    sum
}
