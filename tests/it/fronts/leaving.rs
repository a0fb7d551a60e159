//! A listener that closes: whatever has arrived, or is arriving, is answered.

use rushgate::gateway::Config;
use testkit::frames::{END_STREAM, HEADERS, head, hello, read};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fronts::stage::Running;
use crate::fronts::wire::{PATIENCE, connect, request, rest};

const GET: &[u8] = b"GET /v1/campaigns/spring HTTP/1.1\r\nhost: a\r\n\r\n";
const GOAWAY: u8 = 7;

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// Everything that comes on it, which is one answer.
async fn answer(stream: &mut TcpStream) -> String {
    let answer = String::from_utf8(rest(stream).await).expect("text");
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer:?}");
    answer
}

/// One answer, which says that it is the last.
async fn is_last(stream: &mut TcpStream) -> bool {
    answer(stream).await.contains("connection: close\r\n")
}

/// One answer on a connection that stays open.
async fn keep(running: &Running) -> TcpStream {
    let mut stream = connect(running.address).await;
    stream.write_all(GET).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"}]}") {
        assert_ne!(soon(stream.read_buf(&mut answer)).await.expect("open"), 0);
    }
    stream
}

/// Until nobody accepts there any more.
async fn until_closed(running: &Running) {
    soon(async { while TcpStream::connect(running.address).await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_request_that_has_arrived_is_answered() {
    let mut running = Running::start();
    let mut kept = keep(&running).await;
    // Nobody else runs from here on: when the listener is told to close, neither was read, and the new one not even accepted.
    let mut new = std::net::TcpStream::connect(running.address).expect("connected");
    std::io::Write::write_all(&mut new, GET).expect("sent");
    assert_eq!(kept.try_write(GET).expect("sent"), GET.len());
    running.stop();
    new.set_nonblocking(true).expect("a socket");
    let mut new = TcpStream::from_std(new).expect("a socket");
    assert!(is_last(&mut new).await);
    // This one may have been read a moment before the listener was told.
    answer(&mut kept).await;
    soon(&mut running.served).await.expect("served to the end");
}

#[tokio::test]
async fn a_request_that_is_arriving_is_answered() {
    let mut running = Running::start();
    let (begun, end) = GET.split_at(20);
    let mut all = vec![connect(running.address).await, keep(&running).await];
    for stream in &mut all {
        stream.write_all(begun).await.expect("sent");
    }
    // Half of an h2 preface, too, may become a request.
    let mut h2 = connect(running.address).await;
    let get = head(1, END_STREAM, "GET", "/v1/campaigns/spring", &[]);
    let hello = [hello(65_535), get].concat();
    h2.write_all(&hello[..10]).await.expect("sent");
    running.stop();
    until_closed(&running).await;
    for stream in &mut all {
        stream.write_all(end).await.expect("sent");
        assert!(is_last(stream).await);
    }
    h2.write_all(&hello[10..]).await.expect("sent");
    let seen = soon(read(&mut h2, |_| false)).await;
    for kind in [HEADERS, GOAWAY] {
        assert!(seen.iter().any(|frame| frame.kind == kind), "{seen:?}");
    }
    soon(&mut running.served).await.expect("served to the end");
}

#[tokio::test]
async fn what_waits_for_its_turn_is_answered() {
    let mut running = Running::with(Config {
        connections: 1,
        ..Config::default()
    });
    let headers = [
        ("authorization", "Bearer dev:ada"),
        ("content-type", "application/json"),
    ];
    let order = |sku: &str| {
        let body = format!(r#"{{"sku":"{sku}","quantity":1}}"#);
        request("POST", "/v1/campaigns/spring/orders", &headers, body.as_bytes())
    };
    let mut slow = connect(running.address).await;
    slow.write_all(&order("slow")).await.expect("sent");
    soon(running.stage.slow_begun.notified()).await;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut stream = connect(running.address).await;
        stream.write_all(&order("mug")).await.expect("sent");
        waiting.push(stream);
    }
    running.stop();
    until_closed(&running).await;
    assert!(!running.served.is_finished());
    running.stage.go_on.notify_one();
    waiting.insert(0, slow);
    for stream in &mut waiting {
        let answer = rest(stream).await;
        assert!(
            answer.starts_with(b"HTTP/1.1 202 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    soon(&mut running.served).await.expect("served to the end");
}
