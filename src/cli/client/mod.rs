//! A client of the control plane, for the command line: JSON and uploads over HTTP, problem documents readable.

mod change;
mod connection;
mod download;
pub mod tls;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Http, Error as HttpError};
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::ConfigError;
use crate::wire::innermost;
use serde_json::Value;
use tls::{Trust, TrustError};

pub use change::key_or_own;
pub use connection::Connection;

/// One request with its answer: compiling a module of 32 MiB and proving a revision fit well.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(300);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Characters shown of an answer that is no problem document.
const SHOWN_CHARS_MAX: usize = 200;
/// Every path of the control plane's API starts with it.
const API: &str = "/admin/v1";
/// The token has no flag: a secret has no place in a list of processes.
const TOKEN_VARIABLE: &str = "RUSHGATE_ADMIN_TOKEN";

/// Why there is no good answer. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("--admin-url {url:?} {why}; write it as http://127.0.0.1:8081 or https://gate.example:8081")]
    Url { url: String, why: String },
    #[error(
        "--ca and --client-certificate are for an https URL, and --admin-url is {url:?}: write https://, or leave them out \
         (RUSHGATE_ADMIN_CA_FILE and RUSHGATE_ADMIN_CLIENT_CERTIFICATE_FILE say the same)"
    )]
    Unencrypted { url: String },
    #[error(transparent)]
    Files(#[from] TrustError),
    /// Encryption does not come about.
    #[error("no encrypted connection to {url}: {why}")]
    Untrusted { url: String, why: String },
    #[error(
        "{TOKEN_VARIABLE} holds a character that no HTTP header may carry; it must be the token alone, in ASCII"
    )]
    Token,
    #[error("--key is no Idempotency-Key: it is 1 to 255 visible ASCII characters")]
    Key,
    #[error(transparent)]
    TokenFile(#[from] ConfigError),
    #[error(
        "no control plane answers at {url}: {cause}. Is rushgate running there (`rushgate dev` or \
         `rushgate serve`)? --admin-url names its --admin-listen address"
    )]
    Unreachable { url: String, cause: String },
    #[error("{url} did not answer within {} s", .time.as_secs())]
    Slow { url: String, time: Duration },
    #[error("the connection to {url} broke: {cause}; whether the request was carried out is unknown")]
    Broken { url: String, cause: String },
    /// A problem document of the control plane.
    #[error("{method} {path} was refused: {document}{}", hint(.document))]
    Refused {
        method: Method,
        path: String,
        document: Box<Document>,
    },
    /// The control plane has no such path, or not with this method.
    #[error("the control plane at {url} is of a release that cannot do this: it has no {method} {path}")]
    Older {
        url: String,
        method: Method,
        path: String,
    },
    /// Something answers there that is no rushgate.
    #[error("{url} does not answer like rushgate's control plane: {what}")]
    Strange { url: String, what: String },
}

/// What to do about a refusal, where this side of the wire knows it.
fn hint(document: &Document) -> String {
    match document.status {
        401 => format!("\n  set {TOKEN_VARIABLE} to the token the gateway was started with"),
        _ => String::new(),
    }
}

/// A problem document as received (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Document {
    pub title: String,
    pub status: u16,
    pub detail: String,
    pub reason: String,
    #[serde(default)]
    pub retryable: bool,
    #[serde(default)]
    pub pointer: Option<String>,
    #[serde(default)]
    pub errors: Vec<Fault>,
}

impl Document {
    /// Whether it is this problem.
    pub fn is(&self, status: StatusCode, reason: &str) -> bool {
        self.status == status.as_u16() && self.reason == reason
    }
}

/// One of several things wrong in a body.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Fault {
    pub pointer: String,
    pub detail: String,
    #[serde(default)]
    pub hint: Option<String>,
}

/// `Invalid request (422 invalid): …`, then one line per fault.
impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({} {}): {}",
            self.title, self.status, self.reason, self.detail
        )?;
        match (self.errors.as_slice(), &self.pointer) {
            ([], Some(pointer)) => write!(f, "\n  at {pointer:?} of the body")?,
            (faults, _) => {
                for fault in faults {
                    write!(f, "\n  at {:?}: {}", fault.pointer, fault.detail)?;
                    if let Some(hint) = &fault.hint {
                        write!(f, " ({hint})")?;
                    }
                }
            }
        }
        match self.retryable {
            true => f.write_str("\n  the same request may succeed later"),
            false => Ok(()),
        }
    }
}

/// A good answer: 2xx.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// A client that keeps its connections. Clones share them.
#[derive(Clone)]
pub struct Client {
    http: Http<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Without a slash at its end.
    base: String,
    authorization: Option<header::HeaderValue>,
}

impl Client {
    /// `admin_url` is `http://host:port` or `https://host:port`; a path in it stands before `/admin/v1` (a proxy may want one).
    pub fn new(admin_url: &str, token: Option<String>, trust: &Trust) -> Result<Self, ClientError> {
        let encrypted = connection::asks_for_tls(admin_url)?;
        if !encrypted && *trust != Trust::default() {
            return Err(ClientError::Unencrypted {
                url: admin_url.to_owned(),
            });
        }
        let authorization = token
            .map(|token| header::HeaderValue::try_from(format!("Bearer {token}")))
            .transpose()
            .map_err(|_| ClientError::Token)?
            .map(|mut value| {
                value.set_sensitive(true);
                value
            });
        let connector = tls::connector(encrypted.then_some(trust))?;
        Ok(Self {
            http: Http::builder(TokioExecutor::new()).build(connector),
            base: admin_url.trim_end_matches('/').to_owned(),
            authorization,
        })
    }

    /// The control plane this client speaks to.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Any request below `/admin/v1`; an answer that is not 2xx is an error.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<Answer, ClientError> {
        let answer = self.exchange(method.clone(), path, content_type, body).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(self.refused(method, path, &answer))
    }

    fn refused(&self, method: Method, path: &str, answer: &Answer) -> ClientError {
        match serde_json::from_slice(&answer.body) {
            Ok(document) => ClientError::Refused {
                method,
                path: format!("{API}{path}"),
                document: Box::new(document),
            },
            Err(_) => {
                let what = format!("{method} got {}: {}", answer.status, shown(&answer.body));
                self.strange(path, what)
            }
        }
    }

    /// The JSON that a path answers.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.send(Method::GET, path, None, Bytes::new()).await?;
        self.read(path, &answer)
    }

    /// Sends JSON; the JSON that is answered.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| {
            let what = format!("the request cannot be written: {error}");
            self.strange(path, what)
        })?;
        let answer = self
            .send(Method::POST, path, Some("application/json"), body.into())
            .await?;
        self.read(path, &answer)
    }

    /// The answer's JSON.
    pub fn read<T: DeserializeOwned>(&self, path: &str, answer: &Answer) -> Result<T, ClientError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            let what = format!("{} with a body that does not fit: {error}", answer.status);
            self.strange(path, what)
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<Answer, ClientError> {
        let url = format!("{}{API}{path}", self.base);
        let request = self.request(method, &url, content_type, body)?;
        self.answer(&url, request).await
    }

    async fn answer(&self, url: &str, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let exchange = async {
            let response = self.http.request(request).await.map_err(|e| self.unsent(e))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| ClientError::Broken {
                url: url.to_owned(),
                cause: innermost(error.as_ref()),
            })?;
            Ok(Answer {
                status: parts.status,
                body: body.to_bytes(),
            })
        };
        let slow = |_| ClientError::Slow {
            url: url.to_owned(),
            time: ANSWER_TIME_MAX,
        };
        tokio::time::timeout(ANSWER_TIME_MAX, exchange)
            .await
            .map_err(slow)?
    }

    fn request(
        &self,
        method: Method,
        url: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder().method(method).uri(url);
        if let Some(value) = &self.authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        request.body(Full::new(body)).map_err(|error| ClientError::Url {
            url: url.to_owned(),
            why: format!("makes no request: {error}"),
        })
    }

    fn unsent(&self, error: HttpError) -> ClientError {
        let url = self.base.clone();
        if let Some(why) = tls::trouble(&error) {
            return ClientError::Untrusted { url, why };
        }
        let cause = innermost(&error);
        match error.is_connect() {
            true => ClientError::Unreachable { url, cause },
            false => ClientError::Broken { url, cause },
        }
    }

    fn strange(&self, path: &str, what: String) -> ClientError {
        let url = format!("{}{API}{path}", self.base);
        ClientError::Strange { url, what }
    }
}

/// Entries of one page that is asked for.
const PAGE: usize = 100;

impl Client {
    /// At most so many entries of a list in pages: its first ones, and those behind `next` of each page. `member` is the list's name
    /// in an answer; `path` may have a query.
    pub async fn pages(&self, path: &str, member: &str, most: usize) -> Result<Vec<Value>, ClientError> {
        let sign = if path.contains('?') { '&' } else { '?' };
        let (mut found, mut before) = (Vec::new(), String::new());
        while found.len() < most {
            let limit = (most - found.len()).min(PAGE);
            let mut page: Value = self.get(&format!("{path}{sign}limit={limit}{before}")).await?;
            if let Value::Array(more) = page[member].take() {
                found.extend(more);
            }
            match page["next"].as_str() {
                Some(next) => before = format!("&before={}", segment(next)),
                None => break,
            }
        }
        Ok(found)
    }
}

/// What a person named, as a part of a path. What is no id there, the control plane refuses.
pub fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The beginning of a body, in one line.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN_CHARS_MAX)]);
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.is_empty() {
        true => "an empty body".to_owned(),
        false => line.chars().take(SHOWN_CHARS_MAX).collect(),
    }
}

#[cfg(test)]
mod tests;
