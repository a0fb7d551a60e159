//! The bytes of a connection, plain or through TLS: what was read of them to tell the protocol is read again, no more is
//! taken up at a time than is allowed, and it is known since when nothing can be written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::conn::{Conn, Told};
use super::frames::{ENHANCE_YOUR_CALM, Frames, goaway};
use super::judge::Why;

pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

pub(super) struct Wire {
    stream: Stream,
    /// Read already, to be read first.
    begun: Bytes,
    conn: Arc<Conn>,
    /// What comes and what goes, where it is h2.
    frames: Option<(Frames, Frames)>,
}

impl Wire {
    /// `preface`: bytes before the first frame, where it is h2.
    pub(super) fn new(stream: Stream, begun: Bytes, conn: Arc<Conn>, preface: Option<usize>) -> Self {
        Self {
            stream,
            begun,
            conn,
            frames: preface.map(|length| (Frames::after(length), Frames::default())),
        }
    }

    fn written<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.conn.blocked(polled.is_pending());
        polled
    }

    fn came(&mut self, bytes: &[u8]) {
        let Some((coming, _)) = &mut self.frames else {
            return self.conn.arriving(!bytes.is_empty());
        };
        coming.follow(bytes);
        self.conn.vain.seen(coming);
        self.conn.arriving(coming.in_head());
    }

    fn went(&mut self, bufs: &[io::IoSlice<'_>], mut length: usize) {
        let Some((_, going)) = &mut self.frames else {
            return;
        };
        for buf in bufs {
            let now = length.min(buf.len());
            going.follow(&buf[..now]);
            length -= now;
        }
        if going.reason.take() == Some(ENHANCE_YOUR_CALM) {
            self.conn.had_enough();
        }
    }

    /// A last word to an h2 client that asked too much for nothing. It is not waited for.
    fn say_why(&mut self) {
        let Some((coming, going)) = &self.frames else {
            return;
        };
        let is_cut_off = self.conn.vain.is_over() && self.conn.told() == Told::Close;
        if !is_cut_off || !going.between() {
            return;
        }
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        let word = goaway(coming.last_stream, ENHANCE_YOUR_CALM);
        let mut stream = Pin::new(&mut self.stream);
        if let Poll::Ready(Ok(_)) = stream.as_mut().poll_write(cx, &word) {
            let _ = stream.as_mut().poll_flush(cx);
            let _ = stream.poll_shutdown(cx);
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.say_why();
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        let most = me.conn.turn.left().min(buf.remaining());
        let before = buf.filled().len();
        if most == 0 && buf.remaining() > 0 {
            // What was read so far is taken up first: requests in a row must not pile up before they are counted.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = if me.begun.is_empty() {
            ready!(read_some(&mut me.stream, cx, buf, most))?
        } else {
            let read = most.min(me.begun.len());
            buf.put_slice(&me.begun[..read]);
            me.begun.advance(read);
            read
        };
        me.came(&buf.filled()[before..]);
        if !me.conn.read(read) {
            me.conn.shared.figures.closed(Why::Memory);
            return Poll::Ready(Err(io::Error::other("no memory for a head of that length")));
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads at most `most` bytes, and says how many.
fn read_some(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
    most: usize,
) -> Poll<io::Result<usize>> {
    let before = buf.filled().len();
    if most == buf.remaining() {
        ready!(Pin::new(stream).poll_read(cx, buf))?;
        return Poll::Ready(Ok(buf.filled().len() - before));
    }
    let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
    ready!(Pin::new(stream).poll_read(cx, &mut part))?;
    let read = part.filled().len();
    buf.advance(read);
    Poll::Ready(Ok(read))
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        let polled = Pin::new(&mut me.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(length)) = polled {
            me.went(&[io::IoSlice::new(buf)], length);
        }
        me.written(polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        let polled = Pin::new(&mut me.stream).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(length)) = polled {
            me.went(bufs, length);
        }
        me.written(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        let polled = Pin::new(&mut me.stream).poll_flush(cx);
        // A plain stream has nothing to flush, which says nothing of its peer.
        match me.stream {
            Stream::Plain(_) => polled,
            Stream::Tls(_) => me.written(polled),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        let polled = Pin::new(&mut me.stream).poll_shutdown(cx);
        me.written(polled)
    }
}
