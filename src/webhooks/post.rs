//! One message sent to one endpoint, bounded in time and size: redirects are not followed, and of the answer little is read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::OnceCell;

use super::sign;
use crate::pem;
use crate::reaching::{Guarded, Named, Resolve, Target};
use crate::serving::Networks;
use crate::store::{Attempted, WebhookRow};
use crate::wire::innermost;

/// From the look-up of the name to the answer.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer that are kept.
const ANSWER_BYTES_MAX: usize = 1024;
/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Connections that are kept open for the next message.
const IDLE_MAX: usize = 8;
const IDLE_FOR: Duration = Duration::from_secs(30);

type Plain = Client<HttpConnector<Guarded>, Full<Bytes>>;
type Secure = Client<HttpsConnector<HttpConnector<Guarded>>, Full<Bytes>>;

/// Sends messages. Clones share connections.
#[derive(Clone)]
pub struct Poster {
    guarded: Guarded,
    plain: Plain,
    /// Made when the first message is sent over it: the authorities of the machine are read from its files.
    secure: Arc<OnceCell<Secure>>,
}

/// An attempt, and how long it took.
pub(super) struct Posted {
    pub attempted: Attempted,
    pub took: Duration,
}

impl Posted {
    pub(super) fn is_delivered(&self) -> bool {
        self.attempted.error.is_none()
    }

    /// The endpoint says that it is gone for good.
    pub(super) fn is_gone(&self) -> bool {
        self.attempted.status == Some(StatusCode::GONE.as_u16())
    }
}

impl Poster {
    /// One that reaches public addresses and these networks.
    pub fn new(private: Networks, resolve: Arc<dyn Resolve>) -> Self {
        let guarded = Guarded::new("webhooks.private", private, resolve);
        Self {
            plain: client(connector(guarded.plain(true))),
            guarded,
            secure: Arc::default(),
        }
    }

    /// Whether an endpoint may have this URL now; `Err` says what is wrong with it.
    pub(super) async fn check(&self, url: &str) -> Result<Target, String> {
        let target = Target::parse(url)?;
        self.guarded.check_target(&target).await?;
        Ok(target)
    }

    /// Sends a message, once. Whatever is not 2xx is an error.
    pub(super) async fn post(&self, hook: &WebhookRow, id: &str, body: &str, now: i64) -> Posted {
        let begun = Instant::now();
        let attempt = tokio::time::timeout(TIME_MAX, self.exchange(hook, id, body, now)).await;
        let attempted = match attempt {
            Ok(Ok(response)) => read(response, TIME_MAX.saturating_sub(begun.elapsed())).await,
            Ok(Err(why)) => failed(why),
            Err(_) => failed(format!("no answer within {} s", TIME_MAX.as_secs())),
        };
        let took = begun.elapsed();
        Posted { attempted, took }
    }

    async fn exchange(
        &self,
        hook: &WebhookRow,
        id: &str,
        body: &str,
        now: i64,
    ) -> Result<Response<Incoming>, String> {
        let target = Target::parse(&hook.url).map_err(|why| format!("the URL {why}"))?;
        // Addresses are not looked up, so they pass nobody else who would check them.
        if let Named::Address(address) = target.host {
            let checked = self.guarded.plain(target.is_plain).check(address);
            checked.map_err(|why| format!("the URL leads to {why}"))?;
        }
        let mut request = Request::post(target.uri)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("rushgate/", env!("CARGO_PKG_VERSION")));
        for (name, value) in sign::headers(hook, id, body, now)? {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let request = request.body(body).map_err(|error| error.to_string())?;
        let response = match target.is_plain {
            true => self.plain.request(request).await,
            false => {
                let secure = self.secure.get_or_try_init(|| self.connect()).await?;
                secure.request(request).await
            }
        };
        response.map_err(|error| innermost(&error))
    }

    async fn connect(&self) -> Result<Secure, String> {
        let tls = tokio::task::spawn_blocking(|| {
            let builder = pem::client().map_err(|error| error.to_string())?;
            let builder = builder.with_native_roots();
            let unread = |error| format!("the authorities of this machine cannot be read: {error}");
            Ok::<_, String>(builder.map_err(unread)?.with_no_client_auth())
        });
        let tls = tls.await.map_err(|error| error.to_string())??;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .wrap_connector(connector(self.guarded.clone()));
        Ok(client(connector))
    }
}

fn connector(guarded: Guarded) -> HttpConnector<Guarded> {
    let mut http = HttpConnector::new_with_resolver(guarded);
    http.enforce_http(false);
    http.set_nodelay(true);
    http
}

fn client<C: Connect + Clone>(connector: C) -> Client<C, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(IDLE_FOR)
        .http1_max_buf_size(HEAD_BYTES_MAX)
        .build(connector)
}

fn failed(why: String) -> Attempted {
    Attempted {
        error: Some(shown(&why)),
        ..Attempted::default()
    }
}

/// What an answer says. Its status counts; of its body as much is read as comes in time.
async fn read(response: Response<Incoming>, limit: Duration) -> Attempted {
    let status = response.status();
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    let reading = async {
        while bytes.len() < ANSWER_BYTES_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            if let Some(data) = frame.data_ref() {
                let left = ANSWER_BYTES_MAX - bytes.len();
                bytes.extend_from_slice(&data[..data.len().min(left)]);
            }
        }
    };
    // What has not come by then is not missed.
    let _ = tokio::time::timeout(limit, reading).await;
    let error = match status {
        status if status.is_success() => None,
        status if status.is_redirection() => Some(format!(
            "answered {}: redirects are not followed; give the endpoint the URL that it leads to",
            status.as_u16()
        )),
        status => Some(format!("answered {}", status.as_u16())),
    };
    let answer = shown(&String::from_utf8_lossy(&bytes));
    Attempted {
        status: Some(status.as_u16()),
        error,
        answer: Some(answer).filter(|answer| !answer.is_empty()),
    }
}

/// Foreign text as it may be stored and shown in a terminal.
fn shown(text: &str) -> String {
    let plain = |c: char| if crate::wire::is_hidden(c) { ' ' } else { c };
    let text: String = text.chars().map(plain).collect();
    text.trim().to_owned()
}
