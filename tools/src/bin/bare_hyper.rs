//! The least an HTTP answer can cost with the gateway's own libraries: reads an order, answers 202, decides
//! nothing. The gateway's CPU per request is measured beside it.
//!
//! `bare_hyper [ADDRESS] [later]`: with `later`, answers are given as a gateway's are, by another task to all who came in the
//! millisecond before. What that costs more is the price of waiting: a task that sleeps and is woken, a client that sleeps.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// As long as the gateway's answer to an order.
const ANSWER: &str = r#"{"order":"0198a7c1d2e37f40a1b2c3d4e5f60718","state":"accepted","campaign":"bench-stock-64","sku":"mug","quantity":1,"revision":1,"placed_at":"2026-05-01T10:00:00.123Z"}"#;
/// Answers that are given at once, at most.
const BATCH: usize = 256;
const LATER: Duration = Duration::from_millis(1);

/// Whoever waits for an answer that is given later.
type Waiting = mpsc::UnboundedSender<oneshot::Sender<()>>;

async fn answer(
    request: Request<Incoming>,
    later: Option<Waiting>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // A body that breaks off ends the connection in any case.
    let _ = request.into_body().collect().await;
    if let Some(later) = later {
        let (answered, wait) = oneshot::channel();
        // Both ends are there as long as the process is.
        let _ = later.send(answered);
        let _ = wait.await;
    }
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
    *response.status_mut() = StatusCode::ACCEPTED;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

async fn answer_later(mut queue: mpsc::UnboundedReceiver<oneshot::Sender<()>>) {
    let mut waiting = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut waiting, BATCH).await > 0 {
        tokio::time::sleep(LATER).await;
        for answered in waiting.drain(..) {
            let _ = answered.send(());
        }
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let later = (args.next().as_deref() == Some("later")).then(|| {
        let (later, queue) = mpsc::unbounded_channel();
        tokio::spawn(answer_later(queue));
        later
    });
    let listener = TcpListener::bind(&address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let later = later.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| answer(request, later.clone()));
            // A client that goes away is no event here.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}
