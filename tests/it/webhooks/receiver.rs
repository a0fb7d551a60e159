//! An endpoint under test: a little server that keeps what it is sent, and answers as it is told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use standardwebhooks::Webhook;
use testkit::database::until;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One message, as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn id(&self) -> String {
        self.header("webhook-id")
    }

    pub fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).map(|value| value.to_str().expect("text"));
        value.unwrap_or_default().to_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Whether a receiver with this secret takes it for genuine.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let receiver = Webhook::new(secret).expect("a secret");
        receiver.verify(&self.body, &self.headers).is_ok()
    }
}

#[derive(Clone, Debug)]
pub enum Answer {
    Status(u16, String),
    Redirect(String),
    /// It takes the message, and says nothing.
    Hang,
}

impl Answer {
    pub fn ok() -> Self {
        Self::Status(204, String::new())
    }

    fn response(self) -> Response<Full<Bytes>> {
        let (status, body, location) = match self {
            Self::Status(status, body) => (status, body, None),
            Self::Redirect(to) => (302, String::new(), Some(to)),
            Self::Hang => unreachable!("nothing is said"),
        };
        let response = Response::builder().status(status);
        let response = location
            .into_iter()
            .fold(response, |response, to| response.header("location", to));
        response.body(Full::new(body.into())).expect("a response")
    }
}

struct Shared {
    seen: Mutex<Vec<Seen>>,
    answer: Mutex<Answer>,
}

/// Ends with this value.
pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            answer: Mutex::new(Answer::ok()),
        });
        let task = tokio::spawn(serve(listener, shared.clone()));
        Self {
            address,
            shared,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    /// What every message from now on is answered.
    pub fn answer(&self, answer: Answer) {
        *self.shared.answer.lock().expect("no panic") = answer;
    }

    fn seen_so_far(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.shared.seen.lock().expect("no panic")
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen_so_far().clone()
    }

    /// `webhook-id` of each message, in the order in which they came.
    pub fn ids(&self) -> Vec<String> {
        self.seen_so_far().iter().map(Seen::id).collect()
    }

    pub async fn until_seen(&self, count: usize) {
        until("messages come", || self.seen_so_far().len() >= count).await;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("connections");
        let shared = shared.clone();
        connections.spawn(async move {
            let answer = service_fn(|request| answered(request, shared.clone()));
            let connection = hyper::server::conn::http1::Builder::new();
            // Whoever sends may go.
            let _ = connection.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answered(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let seen = Seen {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body,
    };
    // In one step with the message: whoever has seen it knows how it is answered.
    let answer = {
        let mut all = shared.seen.lock().expect("no panic");
        all.push(seen);
        shared.answer.lock().expect("no panic").clone()
    };
    match answer {
        Answer::Hang => std::future::pending().await,
        answer => Ok(answer.response()),
    }
}
