//! Connections: h2c, clients that hang up or dawdle, limits, and the drain.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rushgate::gateway::Config;
use rushgate::serving;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fronts::stage::Running;
use crate::fronts::wire::{PATIENCE, Reply, call, connect, request, rest, send, send_and_end};

const ORDERS: &str = "/v1/campaigns/spring/orders";
const HEADERS: [(&str, &str); 2] = [
    ("authorization", "Bearer dev:ada"),
    ("content-type", "application/json"),
];

fn order(sku: &str) -> Vec<u8> {
    let body = format!(r#"{{"sku":"{sku}","quantity":1}}"#);
    request("POST", ORDERS, &HEADERS, body.as_bytes())
}

/// The head of an order whose body is framed as `framing` says.
fn head(framing: &str) -> String {
    format!(
        "POST {ORDERS} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer dev:ada\r\n\
         content-type: application/json\r\n{framing}\r\n\r\n"
    )
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

#[tokio::test]
async fn many_orders_share_one_h2c_connection() {
    let running = Running::start();
    let io = TokioIo::new(connect(running.address).await);
    let (client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .expect("h2c by prior knowledge");
    let driver = tokio::spawn(connection);
    let sent = (0..20).map(|n| {
        let mut client = client.clone();
        async move {
            let sku = if n % 2 == 0 { "mug" } else { "gone" };
            let request = Request::post(format!("http://localhost{ORDERS}"))
                .header("authorization", format!("Bearer dev:user{n}"))
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(format!(
                    r#"{{"sku":"{sku}","quantity":1}}"#
                ))))
                .expect("a request");
            let response = client.send_request(request).await.expect("answered");
            let status = response.status();
            let body = response.into_body().collect().await.expect("whole").to_bytes();
            assert!(body.starts_with(b"{"), "{body:?}");
            status.as_u16()
        }
    });
    let statuses = soon(futures_util::future::join_all(sent)).await;
    let expected: Vec<u16> = (0..20).map(|n| if n % 2 == 0 { 202 } else { 409 }).collect();
    assert_eq!(statuses, expected);
    drop(client);
    soon(driver).await.expect("no panic").expect("closed well");
}

#[tokio::test]
async fn bodies_are_counted_and_not_believed() {
    let running = Running::with(Config {
        body_timeout: Duration::from_secs(1),
        ..Config::default()
    });
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    let chunked = head("transfer-encoding: chunked") + &chunk + "10\r\n0123456789abcdef\r\n0\r\n\r\n";
    send(running.address, chunked.as_bytes())
        .await
        .problem(413, "too-large");
    let endless = head("transfer-encoding: chunked") + &chunk + &chunk;
    send(running.address, endless.as_bytes())
        .await
        .problem(413, "too-large");
    let declared = head("content-length: 99999999999");
    send(running.address, declared.as_bytes())
        .await
        .problem(413, "too-large");
    let in_pieces = head("transfer-encoding: chunked")
        + "9\r\n{\"sku\":\"m\r\n5\r\nug\",\"\r\ne\r\nquantity\": 1 }\r\n0\r\n\r\n";
    assert_eq!(send(running.address, in_pieces.as_bytes()).await.status, 202);
    for bad in [
        "content-length: x",
        "content-length: 5\r\ncontent-length: 6",
        "transfer-encoding: gzip",
    ] {
        let raw = rest_of(&running, (head(bad) + "{}").as_bytes()).await;
        assert!(
            raw.starts_with(b"HTTP/1.1 400 "),
            "{bad}: {}",
            String::from_utf8_lossy(&raw)
        );
    }
    assert_eq!(running.stage.begun.load(Ordering::SeqCst), 1);
}

async fn rest_of(running: &Running, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(running.address).await;
    stream.write_all(bytes).await.expect("sent");
    rest(&mut stream).await
}

#[tokio::test]
async fn a_client_that_hangs_up_anywhere_harms_nobody() {
    let running = Running::start();
    let whole = order("mug");
    for cut in [0, 1, 10, 60, whole.len() - 20, whole.len() - 1] {
        send_and_end(running.address, &whole[..cut]).await;
        drop(connect(running.address).await);
    }
    let cut = send_and_end(running.address, &whole[..whole.len() - 1]).await;
    let cut = String::from_utf8_lossy(&cut);
    assert!(
        cut.starts_with("HTTP/1.1 400 ") && cut.contains("cut off"),
        "{cut}"
    );
    assert_eq!(
        running.stage.begun.load(Ordering::SeqCst),
        0,
        "half a request begins nothing"
    );
    // Gone while admission decides: the stage has the order, the answer is dropped.
    let mut stream = connect(running.address).await;
    stream.write_all(&order("slow")).await.expect("sent");
    soon(running.stage.slow_begun.notified()).await;
    drop(stream);
    running.stage.go_on.notify_one();
    assert_eq!(running.stage.seen.lock().await.len(), 1);
    assert_eq!(send(running.address, &order("mug")).await.status, 202);
}

#[tokio::test]
async fn dawdlers_are_closed() {
    let running = Running::with(Config {
        header_timeout: Duration::from_millis(100),
        body_timeout: Duration::from_millis(100),
        ..Config::default()
    });
    assert_eq!(rest(&mut connect(running.address).await).await, b"", "silence");
    let half = rest_of(&running, b"GET /v1/campaigns/spring HTTP/1.1\r\nhost").await;
    assert_eq!(half, b"", "half a head");
    let slow = rest_of(&running, head("content-length: 20").as_bytes()).await;
    assert!(
        slow.starts_with(b"HTTP/1.1 408 "),
        "{}",
        String::from_utf8_lossy(&slow)
    );
    // An answered connection that stays idle is closed as well.
    let mut kept = connect(running.address).await;
    let keep = b"GET /v1/campaigns/spring HTTP/1.1\r\nhost: a\r\n\r\n";
    kept.write_all(keep).await.expect("sent");
    let answered = rest(&mut kept).await;
    assert!(answered.starts_with(b"HTTP/1.1 200 "));
}

#[tokio::test]
async fn above_the_limit_connections_wait_their_turn() {
    let running = Running::with(Config {
        connections: 1,
        ..Config::default()
    });
    let mut first = connect(running.address).await;
    first.write_all(&order("slow")).await.expect("sent");
    soon(running.stage.slow_begun.notified()).await;
    let mut second = connect(running.address).await;
    second.write_all(&order("mug")).await.expect("sent");
    assert_eq!(running.stage.begun.load(Ordering::SeqCst), 1);
    running.stage.go_on.notify_one();
    assert!(rest(&mut first).await.starts_with(b"HTTP/1.1 202 "));
    assert!(rest(&mut second).await.starts_with(b"HTTP/1.1 202 "));
}

#[tokio::test]
async fn the_drain_finishes_what_is_in_flight_and_takes_nothing_new() {
    let mut running = Running::start();
    let mut slow = connect(running.address).await;
    slow.write_all(&order("slow")).await.expect("sent");
    soon(running.stage.slow_begun.notified()).await;
    let mut idle = connect(running.address).await;
    idle.write_all(b"GET /v1/campaigns/spring HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("sent");
    let mut first = [0; 12];
    soon(idle.read_exact(&mut first)).await.expect("answered");
    let mut silent = connect(running.address).await;
    // The silent connection was accepted once a later one has been served.
    assert_eq!(send(running.address, &order("mug")).await.status, 202);

    running.stop();
    rest(&mut idle).await;
    assert_eq!(rest(&mut silent).await, b"");
    assert!(!running.served.is_finished(), "an order is still in flight");
    assert!(
        tokio::net::TcpStream::connect(running.address).await.is_err(),
        "nothing new is accepted"
    );
    running.stage.go_on.notify_one();
    let answer = rest(&mut slow).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 202 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    soon(&mut running.served).await.expect("served to the end");
}

#[tokio::test]
async fn before_the_drain_answers_close_their_connections_and_new_ones_are_served() {
    let running = Running::start();
    let get = b"GET /v1/campaigns/spring HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut kept = connect(running.address).await;
    kept.write_all(get).await.expect("sent");
    let mut first = [0; 12];
    soon(kept.read_exact(&mut first)).await.expect("answered");
    assert_eq!(&first, b"HTTP/1.1 200");
    let io = TokioIo::new(connect(running.address).await);
    let (mut h2, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .expect("h2c by prior knowledge");
    let driver = tokio::spawn(connection);

    running.leave();
    kept.write_all(get).await.expect("the connection is still open");
    let last = String::from_utf8(rest(&mut kept).await).expect("text");
    let second = &last[last.find("HTTP/1.1 200").expect("a second answer")..];
    assert!(second.contains("connection: close\r\n"), "{second}");
    for _ in 0..2 {
        let mut new = connect(running.address).await;
        new.write_all(get).await.expect("sent");
        let answer = String::from_utf8(rest(&mut new).await).expect("text");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close\r\n"));
    }
    for _ in 0..2 {
        let request = Request::get("http://localhost/v1/campaigns/spring")
            .body(Full::new(Bytes::new()))
            .expect("a request");
        let answer = soon(h2.send_request(request)).await.expect("answered");
        assert_eq!(answer.status(), 200);
        assert!(
            !answer.headers().contains_key("connection"),
            "h2 has no such header"
        );
    }
    drop(running);
    driver.abort();
}

#[tokio::test]
async fn a_taken_port_is_named_with_a_way_out() {
    let running = Running::start();
    let error = serving::bind(running.address, "--listen")
        .expect_err("taken")
        .to_string();
    let address = running.address.to_string();
    assert!(
        error.contains(&address) && error.contains("--listen") && error.contains("ss -ltnp"),
        "{error}"
    );
}

#[tokio::test]
async fn several_requests_on_one_connection_are_answered_in_order() {
    let running = Running::start();
    let get = "GET /v1/campaigns/spring HTTP/1.1\r\nhost: a\r\n\r\n";
    let last = String::from_utf8(request("GET", "/nothing", &[], b"")).expect("text");
    let raw = rest_of(&running, format!("{get}{get}{last}").as_bytes()).await;
    let text = String::from_utf8(raw).expect("text");
    let statuses: Vec<_> = text.matches("HTTP/1.1 ").collect();
    assert_eq!(statuses.len(), 3, "{text}");
    assert!(text.rfind("HTTP/1.1 404") > text.rfind("HTTP/1.1 200"));
    let _: Reply = call(running.address, "GET", "/v1/campaigns/spring", &[], b"").await;
}
