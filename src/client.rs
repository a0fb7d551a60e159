//! A client of the control plane, for the command line: JSON and uploads over HTTP, problem documents readable.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri, header};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Http, Error as HttpError};
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::{ConfigError, admin_token};
use crate::wire::secret::shown_url;

/// A service on the same network answers a connection in far less.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
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

/// Where the control plane is. The token comes from the environment, or from a file that it names.
#[derive(Clone, Debug, clap::Args)]
pub struct Connection {
    /// The control plane; its token is read from RUSHGATE_ADMIN_TOKEN, or from the file that RUSHGATE_ADMIN_TOKEN_FILE names.
    #[arg(
        long,
        value_name = "URL",
        env = "RUSHGATE_ADMIN_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8081"
    )]
    pub admin_url: String,
}

impl Connection {
    /// A client for this control plane, with the token of the environment.
    pub fn client(&self) -> Result<Client, ClientError> {
        Client::new(&self.admin_url, admin_token(&|name| std::env::var(name).ok())?)
    }
}

/// Why there is no good answer. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("--admin-url {url:?} {why}; write it as http://127.0.0.1:8081")]
    Url { url: String, why: String },
    #[error(
        "{TOKEN_VARIABLE} holds a character that no HTTP header may carry; it must be the token alone, in ASCII"
    )]
    Token,
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
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A client that keeps its connections. Clones share them.
#[derive(Clone)]
pub struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    /// Without a slash at its end.
    base: String,
    authorization: Option<header::HeaderValue>,
}

impl Client {
    /// `admin_url` is `http://host:port`; a path in it stands before `/admin/v1` (a proxy may want one).
    pub fn new(admin_url: &str, token: Option<String>) -> Result<Self, ClientError> {
        check_url(admin_url)?;
        let authorization = token
            .map(|token| header::HeaderValue::try_from(format!("Bearer {token}")))
            .transpose()
            .map_err(|_| ClientError::Token)?
            .map(|mut value| {
                value.set_sensitive(true);
                value
            });
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIME_MAX));
        connector.set_nodelay(true);
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

    /// GET of a path below `/admin/v1`: `/campaigns/demo`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.send(Method::GET, path, None, Bytes::new()).await?;
        self.read(path, &answer)
    }

    /// POST of a JSON body to a path below `/admin/v1`.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, ClientError> {
        let body = Bytes::from(body.to_string());
        let answer = self
            .send(Method::POST, path, Some("application/json"), body)
            .await?;
        self.read(path, &answer)
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
        match serde_json::from_slice(&answer.body) {
            Ok(document) => Err(ClientError::Refused {
                method,
                path: format!("{API}{path}"),
                document: Box::new(document),
            }),
            Err(_) => {
                let what = format!("{method} got {}: {}", answer.status, shown(&answer.body));
                Err(self.strange(path, what))
            }
        }
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
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(value) = &self.authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let request = request.body(Full::new(body)).map_err(|error| ClientError::Url {
            url: url.clone(),
            why: format!("makes no request: {error}"),
        })?;
        let exchange = async {
            let response = self.http.request(request).await.map_err(|e| self.unsent(e))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| ClientError::Broken {
                url: url.clone(),
                cause: causes(error.as_ref()),
            })?;
            Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            })
        };
        let slow = |_| ClientError::Slow {
            url: url.clone(),
            time: ANSWER_TIME_MAX,
        };
        tokio::time::timeout(ANSWER_TIME_MAX, exchange)
            .await
            .map_err(slow)?
    }

    fn unsent(&self, error: HttpError) -> ClientError {
        let (url, cause) = (self.base.clone(), causes(&error));
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

fn check_url(url: &str) -> Result<(), ClientError> {
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
    match parsed.scheme() {
        None => return wrong("has no scheme"),
        Some(scheme) if *scheme == Scheme::HTTPS => {
            return wrong("asks for TLS, which the control plane does not speak; go through a tunnel");
        }
        Some(scheme) if *scheme != Scheme::HTTP => return wrong("has an unknown scheme"),
        Some(_) => {}
    }
    match parsed.path_and_query().and_then(PathAndQuery::query) {
        Some(_) => wrong("has a query"),
        None => Ok(()),
    }
}

/// The innermost causes say what happened: "Connection refused".
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = cause.to_string();
        next = cause.source();
    }
    text
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
