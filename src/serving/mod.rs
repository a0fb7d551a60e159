//! Connections of both planes: who is let in, how long each phase may take, how much memory requests may hold, TLS and
//! the drain. What is asked and answered is the business of the [`Plane`] behind.
//!
//! ```text
//! accept ─▶ book (limit, share per peer) ─▶ TLS ─▶ first bytes ─▶ HTTP/1.1 or h2 ─▶ Plane::answer
//!                                                                  └ judged all along: idle, stalled, leaving
//! ```

mod accept;
mod answering;
pub mod body;
mod book;
mod budget;
mod conn;
pub mod descriptors;
mod figures;
mod frames;
mod judge;
mod limits;
mod pace;
mod patience;
mod peer;
mod phases;
pub mod tls;
mod turn;
mod vain;
mod weigh;
mod wire;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderMap, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Request, Response, Uri};
use tokio::net::{TcpListener, TcpSocket};

pub use accept::Door;
pub use figures::Figures;
pub use limits::{Bound, FEW_BODY_BYTES, Limits, pace, share};
pub use patience::{Timely, TooSlow};
pub use peer::{Networks, PeerKey};
pub use tls::Tls;

use crate::wire::BindError;

/// Connections the kernel keeps for us while we are busy; it caps this by `net.core.somaxconn`.
const BACKLOG: u32 = 8192;

/// What a page in a browser asked for, and the origin that it is of.
#[derive(Clone, Debug)]
pub struct Page {
    pub origin: HeaderValue,
    pub uri: Uri,
}

impl Page {
    /// `None` of a request that no page made, or one of the same origin, which says so only of some.
    fn of(head: &Parts) -> Option<Box<Self>> {
        let origin = head.headers.get(ORIGIN)?.clone();
        let uri = head.uri.clone();
        Some(Box::new(Self { origin, uri }))
    }
}

/// What answers the requests of a listener.
pub trait Plane: Send + Sync + 'static {
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Answers one request that came from `peer`. The future may be dropped at any time.
    fn answer(
        &self,
        peer: IpAddr,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Whether this request shows that its sender is known, which gives its connection more room. Asked for the first
    /// requests with a token and where the room of a stranger is full, and not again after it was.
    fn vouches(&self, _request: &Parts) -> bool {
        false
    }

    /// The answer where a request would hold more memory than there is for it; it says to come again.
    fn overloaded(&self) -> Response<Self::Body>;

    /// Adds to the answer of a page's request what its browser has to know, whatever the answer is.
    fn mark(&self, _page: &Page, _headers: &mut HeaderMap) {}

    /// Whether answers over HTTP/1.1 close their connections, because the listener is about to close.
    fn is_leaving(&self) -> bool {
        false
    }

    /// Whether an answer goes on for as long as there is something to tell. The plane counts such answers itself: they take
    /// neither the room of requests nor their memory.
    fn lasts(&self, _body: &Self::Body) -> bool {
        false
    }

    /// The listener closes: what lasts is to end.
    fn closes(&self) {}
}

/// Listens on an address that `what`, a flag, names.
pub fn bind(address: SocketAddr, what: &'static str) -> Result<TcpListener, BindError> {
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
    listen().map_err(|cause| BindError { what, address, cause })
}
