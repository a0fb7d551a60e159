//! The life of one connection: TLS, the bytes that tell the protocol, requests, farewell.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::Plane;
use super::answering::service;
use super::conn::{Conn, Told};
use super::judge::{Action, Why};
use super::limits::{HEAD_BYTES_MAX, HEADERS_MAX, LEAVE_WITHIN, Limits, SEND_BYTES};
use super::wire::{Stream, Wire};

/// How an h2 connection begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;
/// For those who speak plain HTTP where TLS is spoken.
const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\
    content-length: 40\r\n\r\nthis address speaks TLS: use https://...";
/// A dead peer of an h2 connection is noticed after this and once more as long.
const PING_EVERY: std::time::Duration = std::time::Duration::from_secs(30);

pub(super) async fn run<P: Plane>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    conn: Arc<Conn>,
    plane: Arc<P>,
    mut closing: watch::Receiver<bool>,
) {
    let opened = tokio::select! {
        biased;
        opened = open(stream, tls, &conn) => opened,
        () = closed_in_silence(&mut closing, &conn) => return,
        // Nothing was asked yet, so nothing has to be said.
        () = conn.word.notified() => return,
        () = tokio::time::sleep(conn.shared.limits.opening) => {
            conn.shared.figures.closed(Why::Opening);
            return;
        }
    };
    let (stream, is_h2, begun) = match opened {
        Ok(Some(opened)) => opened,
        Ok(None) => return,
        Err(error) => return tracing::debug!(%error, "a connection ended before it asked anything"),
    };
    conn.is_h2.store(is_h2, Ordering::Relaxed);
    let preface = is_h2.then_some(PREFACE.len());
    let wire = TokioIo::new(Wire::new(stream, begun, conn.clone(), preface));
    let service = service(plane, conn.clone());
    let limits = &conn.shared.limits;
    match is_h2 {
        true => {
            let connection = Box::pin(h2(limits).serve_connection(wire, service));
            drive(&conn, connection, closing).await
        }
        false => {
            let connection = Box::pin(h1(limits).serve_connection(wire, service));
            drive(&conn, connection, closing).await
        }
    }
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    // Without a sender nobody closes any more.
    if closing.wait_for(|closing| *closing).await.is_err() {
        std::future::pending().await
    }
}

/// The listener closes, and nothing was heard of this connection, nor is it a moment later: what was sent before its peer
/// could know is answered.
async fn closed_in_silence(closing: &mut watch::Receiver<bool>, conn: &Conn) {
    closed(closing).await;
    tokio::time::sleep(LEAVE_WITHIN).await;
    if conn.is_arriving() {
        std::future::pending().await
    }
}

/// The stream, whether it speaks h2, and what was read to tell. `None` where it ended before.
async fn open(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    conn: &Conn,
) -> io::Result<Option<(Stream, bool, Bytes)>> {
    // Answers are small and whole: waiting to fill a packet would only delay them.
    stream.set_nodelay(true)?;
    let mut stream = match tls {
        None => Stream::Plain(stream),
        Some(acceptor) => {
            let mut first = [0];
            let peeked = stream.peek(&mut first).await?;
            conn.arriving(peeked > 0);
            match peeked {
                0 => return Ok(None),
                _ if first[0] == HANDSHAKE => Stream::Tls(Box::new(acceptor.accept(stream).await?)),
                _ => return not_tls(stream).await.map(|()| None),
            }
        }
    };
    let mut begun = [0; PREFACE.len()];
    let mut length = 0;
    loop {
        let read = stream.read(&mut begun[length..]).await?;
        length += read;
        let so_far = &begun[..length];
        if length == 0 {
            return Ok(None);
        }
        conn.arriving(true);
        // Where it ends in the middle of a preface, HTTP/1.1 has an answer to that.
        if read == 0 || so_far == PREFACE || !PREFACE.starts_with(so_far) {
            return Ok(Some((stream, so_far == PREFACE, Bytes::copy_from_slice(so_far))));
        }
    }
}

async fn not_tls(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(SPEAK_TLS).await?;
    stream.shutdown().await?;
    // Closing before all was read that came would reset the connection, and the answer with it.
    let mut rest = [0; 1024];
    for _ in 0..HEAD_BYTES_MAX / rest.len() {
        if stream.read(&mut rest).await? == 0 {
            break;
        }
    }
    Ok(())
}

fn h1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Without `pipeline_flush`: it holds an answer back while half of the next request waits in the buffer, and loses
    // the 400 for a head that cannot be read.
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_headers(HEADERS_MAX)
        // An answer is short: it goes in one piece, for the price of a copy.
        .writev(false)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
}

fn h2(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let (of_stream, of_connection) = limits.windows;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .initial_stream_window_size(of_stream)
        .initial_connection_window_size(of_connection)
        .max_send_buf_size(SEND_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    builder
}

/// Lets a connection do its work until it ends, is told to, or is judged to. Boxed, a connection takes no more than its own protocol
/// needs: one with an open stream is there for long.
async fn drive<C>(conn: &Conn, mut connection: Pin<Box<C>>, mut closing: watch::Receiver<bool>)
where
    C: GracefulConnection,
    C::Error: std::fmt::Display,
{
    let mut is_leaving = false;
    loop {
        let wait = match conn.judge() {
            Action::Close(why) => {
                // One that was told to go is counted already, and one that goes with its listener is not.
                if !conn.is_leaving() {
                    conn.shared.figures.closed(why);
                }
                return;
            }
            Action::Leave(why) => {
                conn.shared.figures.closed(why);
                leave(conn, connection.as_mut(), &mut is_leaving);
                continue;
            }
            Action::Stay(wait) => wait,
        };
        // What is answered from here on says that it is the last.
        if *closing.borrow() && !conn.is_h2.load(Ordering::Relaxed) && !conn.is_leaving() {
            conn.leave();
        }
        let polled = poll_fn(|cx| {
            conn.polled();
            connection.as_mut().poll(cx)
        });
        tokio::select! {
            // What has come is taken up before anything is closed.
            biased;
            ended = polled => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = conn.word.notified() => match conn.told() {
                Told::Close => return,
                _ => leave(conn, connection.as_mut(), &mut is_leaving),
            },
            () = closed(&mut closing), if !conn.is_leaving() => match conn.is_h2.load(Ordering::Relaxed) {
                true => leave(conn, connection.as_mut(), &mut is_leaving),
                // Over HTTP/1.1 nothing can be said but in an answer: who is about to ask is given a moment.
                false => conn.leave(),
            },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn leave<C: GracefulConnection>(conn: &Conn, connection: Pin<&mut C>, is_leaving: &mut bool) {
    if !*is_leaving {
        *is_leaving = true;
        if !conn.is_leaving() {
            conn.leave();
        }
        connection.graceful_shutdown();
    }
}
