//! Accepting connections, and the drain.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Plane;
use super::book::{Book, Entrance};
use super::conn::{Conn, Shared};
use super::figures::Figures;
use super::limits::{Limits, QUEUED_MAX};
use super::phases;
use super::tls::Tls;

/// Wait after an accept that failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked whether one of the connections is idle now, where all were busy.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A flood of failures is said so often.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// A listener with all that rules its connections.
pub struct Door {
    listener: TcpListener,
    limits: Limits,
    tls: Option<Tls>,
    figures: Figures,
    hands_on: bool,
}

impl Door {
    /// Without TLS, and with figures that nobody reads.
    pub fn new(listener: TcpListener, limits: Limits) -> Self {
        Self {
            listener,
            limits,
            tls: None,
            figures: Figures::default(),
            hands_on: false,
        }
    }

    pub fn tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    pub fn figures(self, figures: Figures) -> Self {
        Self { figures, ..self }
    }

    /// Somebody else serves the same socket after this: what waits in the kernel then is theirs.
    pub fn hands_on(self) -> Self {
        Self {
            hands_on: true,
            ..self
        }
    }

    /// Serves until `shutdown`, then accepts no more than what waits in the kernel already, answers every request that has
    /// arrived or arrives just then, over HTTP/1.1 with `Connection: close`, and returns when the last connection is closed. Limiting that time is the caller's business: dropping this future closes what is left.
    pub async fn serve<P: Plane>(self, plane: Arc<P>, shutdown: impl Future<Output = ()>) {
        let (close, closing) = watch::channel(false);
        let shared = Shared::new(self.limits, self.figures);
        let mut hall = Hall {
            book: Arc::new(Book::new(shared)),
            listener: Some(self.listener),
            tls: self.tls,
            closing,
            tasks: JoinSet::new(),
            said: None,
            waiting: VecDeque::new(),
        };
        let mut shutdown = std::pin::pin!(shutdown);
        while let Some((stream, conn)) = hall.next(shutdown.as_mut()).await {
            hall.spawn(stream, conn, &plane);
        }
        hall.close(self.hands_on);
        close.send_replace(true);
        plane.closes();
        while let Some((stream, from)) = hall.waiting.pop_front() {
            let never = std::pin::pin!(std::future::pending());
            if let Some(Some(conn)) = hall.enter(from, never).await {
                hall.spawn(stream, conn, &plane);
            }
        }
        while hall.tasks.join_next().await.is_some() {}
    }
}

struct Hall {
    book: Arc<Book>,
    listener: Option<TcpListener>,
    tls: Option<Tls>,
    closing: watch::Receiver<bool>,
    tasks: JoinSet<()>,
    /// When a failure to accept was told last.
    said: Option<Instant>,
    /// Accepted, and not let in yet.
    waiting: VecDeque<(TcpStream, SocketAddr)>,
}

impl Hall {
    /// The next connection that is let in; `None` when it is over.
    async fn next(
        &mut self,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Option<(TcpStream, Arc<Conn>)> {
        loop {
            let listener = self.listener.as_ref()?;
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => return None,
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((_, from)) if !self.book.admits(from.ip()) => {}
                Ok((stream, from)) => match self.enter(from, shutdown.as_mut()).await {
                    Some(Some(conn)) => return Some((stream, conn)),
                    Some(None) => {}
                    None => {
                        self.waiting.push_back((stream, from));
                        return None;
                    }
                },
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => self.cannot_accept(&error).await,
            }
        }
    }

    /// Waits until there is room, which may be never for this one: `Some(None)`. `None` when it is over.
    async fn enter(
        &mut self,
        from: SocketAddr,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Option<Option<Arc<Conn>>> {
        loop {
            match self.book.enter(from.ip()) {
                Entrance::Open(conn) => return Some(Some(conn)),
                Entrance::Refused => return Some(None),
                Entrance::Wait => {}
            }
            // Meanwhile further connections wait in the kernel.
            tokio::select! {
                biased;
                () = &mut shutdown => return None,
                () = self.book.freed.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Accepts no more, but for what waits in the kernel already, where nobody else accepts it.
    fn close(&mut self, hands_on: bool) {
        let Some(listener) = self.listener.take() else {
            return;
        };
        if !hands_on {
            let queued = queued(listener).unwrap_or_default();
            let admitted = queued.into_iter().filter(|(_, from)| self.book.admits(from.ip()));
            self.waiting.extend(admitted);
        }
    }

    async fn cannot_accept(&mut self, error: &std::io::Error) {
        let now = Instant::now();
        if self.said.is_none_or(|said| now.duration_since(said) >= SAY_EVERY) {
            self.said = Some(now);
            tracing::warn!(%error, "cannot accept connections; the idlest ones are closed");
        }
        self.book.thin_out();
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }

    fn spawn<P: Plane>(&mut self, stream: TcpStream, conn: Arc<Conn>, plane: &Arc<P>) {
        let (plane, tls) = (plane.clone(), self.tls.as_ref().map(Tls::acceptor));
        let (book, closing) = (self.book.clone(), self.closing.clone());
        self.tasks.spawn(async move {
            let open = conn.shared.figures.open();
            let _leaves = Leaves(book, conn.clone());
            phases::run(stream, tls, conn, plane, closing).await;
            drop(open);
        });
    }
}

/// Takes the connection out of the book, whichever way it ends.
struct Leaves(Arc<Book>, Arc<Conn>);

impl Drop for Leaves {
    fn drop(&mut self) {
        let Self(book, conn) = self;
        conn.clear();
        book.gone(conn);
    }
}

/// What waits in the kernel: closing the listener would reset it.
fn queued(listener: TcpListener) -> std::io::Result<Vec<(TcpStream, SocketAddr)>> {
    // The runtime would only tell of what it has heard of already.
    let listener = listener.into_std()?;
    let mut queued = Vec::new();
    while queued.len() < QUEUED_MAX {
        match listener.accept() {
            Ok((stream, from)) => {
                stream.set_nonblocking(true)?;
                queued.push((TcpStream::from_std(stream)?, from));
            }
            Err(error) if is_of_the_peer(&error) => {}
            // Nothing more waits, or nothing more may be open.
            Err(_) => break,
        }
    }
    Ok(queued)
}

/// Failures of one peer before it was accepted; the listener itself is fine.
fn is_of_the_peer(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
