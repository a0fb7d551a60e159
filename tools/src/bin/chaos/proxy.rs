//! A small TCP proxy that loses nothing by itself and everything on demand: it can hold traffic up, hold one
//! direction up, delay it, or reset every connection. Bytes are never reordered or dropped inside a connection: what
//! is held arrives after the fault, as a network that repeats packets would have it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What the proxy does to what passes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Nothing gets through in either direction; connections stay.
    Cut,
    /// Requests get through, answers do not.
    OneWay,
    /// Each direction takes so much longer.
    Latency(Duration),
    /// Every connection is reset, new ones too.
    Reset,
}

/// A running proxy; ends with the handle.
pub struct Proxy {
    pub port: u16,
    mode: watch::Sender<Mode>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a port of the loopback (0: any) and connects to another.
    pub async fn start(port: u16, to: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("a proxy on port {port}"))?;
        let port = listener.local_addr()?.port();
        let (mode, seen) = watch::channel(Mode::Pass);
        let to = SocketAddr::from(([127, 0, 0, 1], to));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, to, seen.clone()));
            }
        });
        Ok(Self {
            port,
            mode,
            accepting,
        })
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One connection, until a side closes it or it is reset.
async fn carry(client: TcpStream, to: SocketAddr, mut mode: watch::Receiver<Mode>) {
    // While everything is cut, a connection is not even made.
    while *mode.borrow_and_update() == Mode::Cut {
        if mode.changed().await.is_err() {
            return;
        }
    }
    if *mode.borrow() == Mode::Reset {
        return reset(client);
    }
    let Ok(server) = TcpStream::connect(to).await else {
        return reset(client);
    };
    // Both fail only for a connection that is gone already.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let there = tokio::spawn(pump(client_read, server_write, mode.clone(), false));
    let back = tokio::spawn(pump(server_read, client_write, mode, true));
    // A side that closed has its last bytes delivered: each pump ends by itself.
    let (there, back) = (there.await, back.await);
    if let (Ok((read, write, true)), Ok((other_read, other_write, _))) = (there, back)
        && let (Ok(client), Ok(server)) = (read.reunite(other_write), other_read.reunite(write))
    {
        reset(client);
        reset(server);
    }
}

fn reset(stream: TcpStream) {
    // Without lingering, closing sends a reset; where that cannot be set, closing alone does.
    let _ = stream.set_zero_linger();
}

/// Carries one direction; the halves, and whether a reset ended it.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    back: bool,
) -> (OwnedReadHalf, OwnedWriteHalf, bool) {
    let mut buffer = vec![0; 64 * 1024];
    let was_reset = loop {
        let now = *mode.borrow_and_update();
        let held = now == Mode::Cut || (now == Mode::OneWay && back);
        if now == Mode::Reset {
            break true;
        }
        if held {
            match mode.changed().await {
                Ok(()) => continue,
                Err(_) => break false,
            }
        }
        let read = tokio::select! {
            changed = mode.changed() => match changed {
                Ok(()) => continue,
                Err(_) => break false,
            },
            read = from.read(&mut buffer) => read,
        };
        let Ok(bytes @ 1..) = read else { break false };
        let due = Instant::now();
        if let Mode::Latency(time) = now {
            tokio::time::sleep_until(due + time).await;
        }
        // What was read before the fault began arrives after it.
        while matches!(*mode.borrow_and_update(), Mode::Cut) {
            if mode.changed().await.is_err() {
                break;
            }
        }
        if to.write_all(&buffer[..bytes]).await.is_err() {
            break false;
        }
    };
    if !was_reset {
        // The other side sees the end of what it was sent.
        let _ = to.shutdown().await;
    }
    (from, to, was_reset)
}
