//! Accepting, serving and draining connections.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use super::{Answer, Gateway, Orders};
use crate::wire::BindError;

/// Connections the kernel keeps for us while we are busy; it caps this by `net.core.somaxconn`.
const BACKLOG: u32 = 8192;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Requests in flight on one h2 connection.
const STREAMS_MAX: u32 = 256;
/// A dead peer of an h2 connection is noticed after this and once more as long.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Wait after an accept that failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Listens on the data plane's address.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let listen = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restart must not wait for connections of its predecessor that linger.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|cause| BindError {
        what: "--listen",
        address,
        cause,
    })
}

impl<O: Orders> Gateway<O> {
    /// Serves until `shutdown`, then accepts no more, lets every request in flight finish and returns
    /// when the last connection is closed. Limiting that time is the caller's business: dropping
    /// this future closes what is left.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let builder = self.builder();
        let graceful = GracefulShutdown::new();
        let (closing, _) = tokio::sync::watch::channel(false);
        let permits = Arc::new(Semaphore::new(self.config.load().connections));
        let mut tasks = tokio::task::JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = async {
                // The permit comes first: above the limit, connections wait in the kernel.
                let permit = permits.clone().acquire_owned().await;
                (listener.accept().await, permit)
            };
            let (accepted, permit) = tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (gateway, watcher, builder) = (self.clone(), graceful.watcher(), builder.clone());
                    let mut closing = closing.subscribe();
                    tasks.spawn(async move {
                        let spoke = tokio::select! {
                            spoke = gateway.spoke(&stream) => spoke,
                            _ = closing.changed() => false,
                        };
                        if spoke {
                            gateway.connection(stream, peer.ip(), builder, watcher).await;
                        }
                        drop(permit);
                    });
                }
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        closing.send_replace(true);
        graceful.shutdown().await;
        while tasks.join_next().await.is_some() {}
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        // Without `pipeline_flush`: it holds an answer back while half of the next request waits in
        // the buffer, and loses the 400 for a head that cannot be read.
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.config.load().header_timeout)
            .max_buf_size(HEAD_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_EVERY);
        builder
    }

    /// Waits for the first byte, which hyper's own head timeout does not cover: it only begins when
    /// the protocol is known.
    async fn spoke(&self, stream: &TcpStream) -> bool {
        // Unlike `readable`, `peek` never answers before there is something to read.
        let mut first = [0];
        let within = self.config.load().header_timeout;
        let peeked = tokio::time::timeout(within, stream.peek(&mut first)).await;
        matches!(peeked, Ok(Ok(1)))
    }

    async fn answer_on(&self, peer: IpAddr, request: Request<Incoming>) -> Answer {
        let is_http1 = request.version() <= Version::HTTP_11;
        let mut answer = self.handle(peer, request).await;
        if is_http1 && self.is_leaving() {
            answer
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: IpAddr,
        builder: Builder<TokioExecutor>,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        let _open = Open::new(&self.metrics.connections);
        // Answers are small and whole: waiting to fill a packet would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection closed at once");
            return;
        }
        let gateway = self.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let gateway = gateway.clone();
            async move { Ok::<_, std::convert::Infallible>(gateway.answer_on(peer, request).await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "connection ended");
        }
    }
}

/// Failures of one peer before it was accepted; the listener itself is fine.
fn is_of_the_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Counts a connection while it is open, whichever way it ends.
struct Open(prometheus_client::metrics::gauge::Gauge);

impl Open {
    fn new(gauge: &prometheus_client::metrics::gauge::Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
