//! Whose tokens the buyers show: an issuer that publishes its keys, and replaces them while orders flow.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use rushgate::cli::load::Tokens;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use testkit::authority::Authority;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const AUDIENCE: &str = "e2e";
/// A set is read again after this, so that a run sees that the old key went.
const READ_EVERY_MS: u64 = 1_000;
const TOKEN_SECONDS: u64 = 600;

/// A key with the name that tokens carry.
struct SigningKey {
    id: &'static str,
    algorithm: Algorithm,
    signing: EncodingKey,
    jwk: Value,
}

impl SigningKey {
    fn ed25519(id: &'static str) -> Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_ED25519)?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
        Ok(Self {
            id,
            algorithm: Algorithm::EdDSA,
            signing: EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes())?,
            jwk: json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "use": "sig", "alg": "EdDSA", "x": x}),
        })
    }

    fn p256(id: &'static str) -> Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        // A point that is not compressed: 4, x, y.
        let point = pair.public_key_raw();
        let (x, y) = point.get(1..).context("no point")?.split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        Ok(Self {
            id,
            algorithm: Algorithm::ES256,
            signing: EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes())?,
            jwk: json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "alg": "ES256", "x": x, "y": y}),
        })
    }

    fn token(&self, user: &str, issuer: &str) -> String {
        let header = Header {
            kid: Some(self.id.to_owned()),
            ..Header::new(self.algorithm)
        };
        let exp = get_current_timestamp() + TOKEN_SECONDS;
        let claims = json!({"sub": user, "iss": issuer, "aud": AUDIENCE, "exp": exp});
        encode(&header, &claims, &self.signing).expect("the key is good for its algorithm")
    }
}

/// How far the replacement of the old key by the new one is.
struct Rotation {
    /// Tokens that were made.
    tokens: u64,
    /// As it is published.
    set: String,
}

struct Shared {
    url: String,
    old: SigningKey,
    new: SigningKey,
    rotation: Mutex<Rotation>,
    /// Times that the set was asked for.
    asked: AtomicU64,
}

/// Publishes keys until dropped.
pub struct Issuer {
    shared: Arc<Shared>,
    ca: Option<std::path::PathBuf>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn set(keys: &[&SigningKey]) -> String {
    let keys: Vec<&Value> = keys.iter().map(|key| &key.jwk).collect();
    json!({ "keys": keys }).to_string()
}

impl Issuer {
    /// Over https with a certificate of the authority, or over http on the loopback.
    pub async fn start(authority: Option<&Authority>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address: SocketAddr = listener.local_addr()?;
        let tls = authority.map(acceptor).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let old = SigningKey::ed25519("old")?;
        let rotation = Rotation {
            tokens: 0,
            set: set(&[&old]),
        };
        let shared = Arc::new(Shared {
            url: format!("{scheme}://{address}/jwks.json"),
            old,
            new: SigningKey::p256("new")?,
            rotation: Mutex::new(rotation),
            asked: AtomicU64::new(0),
        });
        let serving = tokio::spawn(serve(listener, tls, shared.clone()));
        Ok(Self {
            shared,
            ca: authority.map(Authority::ca),
            serving,
        })
    }

    /// What makes a gateway take its tokens.
    pub fn env(&self) -> Vec<(String, String)> {
        let mut env = vec![
            ("RUSHGATE_AUTH_JWKS_URL".to_owned(), self.shared.url.clone()),
            (
                "RUSHGATE_AUTH_JWKS_EVERY_MS".to_owned(),
                READ_EVERY_MS.to_string(),
            ),
            ("RUSHGATE_AUTH_ISSUER".to_owned(), self.shared.url.clone()),
            ("RUSHGATE_AUTH_AUDIENCE".to_owned(), AUDIENCE.to_owned()),
        ];
        if let Some(ca) = &self.ca {
            env.push(("RUSHGATE_AUTH_JWKS_CA_FILE".to_owned(), ca.display().to_string()));
        }
        env
    }

    /// Tokens of buyers. After `each` of them the new key is published and signs from the same moment on; after as many
    /// again the old one is taken away.
    pub fn tokens(&self, each: u64) -> Tokens {
        let shared = self.shared.clone();
        Tokens::new(move |user| {
            let key = shared.next(each.max(1));
            key.token(user, &shared.url)
        })
    }

    /// One of the key that is no longer published.
    pub fn old_token(&self, user: &str) -> String {
        self.shared.old.token(user, &self.shared.url)
    }

    /// Tokens that were made, and times that the set was asked for.
    pub fn figures(&self) -> (u64, u64) {
        let tokens = self.shared.rotation().tokens;
        (tokens, self.shared.asked.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn rotation(&self) -> std::sync::MutexGuard<'_, Rotation> {
        self.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of the next token; published before anybody signs with it.
    fn next(&self, each: u64) -> &SigningKey {
        let mut rotation = self.rotation();
        let number = rotation.tokens;
        rotation.tokens += 1;
        if number == each {
            rotation.set = set(&[&self.old, &self.new]);
        } else if number == 2 * each {
            rotation.set = set(&[&self.new]);
        }
        if number < each { &self.old } else { &self.new }
    }
}

fn acceptor(authority: &Authority) -> Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(authority.file("server.pem"))?.collect();
    let key = PrivateKeyDer::from_pem_file(authority.file("server-key.pem"))?;
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain?, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, tls.clone(), shared.clone()));
    }
}

async fn answer(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let service = service_fn(move |_| {
        shared.asked.fetch_add(1, Ordering::Relaxed);
        let set = shared.rotation().set.clone();
        async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(set)))) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    // Whoever breaks off asks again.
    let _ = match tls {
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => http.serve_connection(TokioIo::new(stream), service).await,
            Err(_) => return,
        },
        None => http.serve_connection(TokioIo::new(stream), service).await,
    };
}
