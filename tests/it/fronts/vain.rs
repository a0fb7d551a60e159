//! Strangers who ask for nothing: floods that no request shows end with the connection, and their peer pays for the next.

use std::net::SocketAddr;

use prometheus_client::registry::Registry;
use rushgate::gateway::Config;
use testkit::frames::{
    self, END_STREAM, Frame, HEADERS, RST_STREAM, SETTINGS, frame, head, hello, outcomes, ping, read,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::fronts::stage::Running;
use crate::fronts::wire::{PATIENCE, connect, request, rest, send};

const ORDERS: &str = "/v1/campaigns/spring/orders";
const CAMPAIGN: &str = "/v1/campaigns/spring";
const TOKEN: [(&str, &str); 2] = [
    ("authorization", "Bearer dev:ada"),
    ("content-type", "application/json"),
];
const DATA: u8 = 0;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ENHANCE_YOUR_CALM: u8 = 11;
const IN_VAIN: usize = 20;

fn running() -> Running {
    Running::with(Config {
        in_vain: IN_VAIN,
        ..Config::default()
    })
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

fn closed(registry: &Registry, reason: &str) -> u64 {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).expect("text");
    let line = format!(r#"http_connections_closed_total{{reason="{reason}"}} "#);
    let found = text.lines().find_map(|found| found.strip_prefix(line.as_str()));
    found.map_or(0, |value| value.parse().expect("a number"))
}

async fn order(address: SocketAddr) -> u16 {
    let order = request("POST", ORDERS, &TOKEN, br#"{"sku":"mug","quantity":1}"#);
    send(address, &order).await.status
}

/// What an h2 connection is told that sends all this, until it is closed.
async fn flood(stream: &mut TcpStream, bytes: &[u8]) -> Vec<Frame> {
    // It may be closed before all is sent.
    let _ = stream.write_all(bytes).await;
    in_time(read(stream, |_| false)).await
}

fn is_told_to_calm_down(frames: &[Frame]) -> bool {
    let last = frames.last().filter(|frame| frame.kind == GOAWAY);
    last.is_some_and(|frame| frame.payload[4..8] == [0, 0, 0, ENHANCE_YOUR_CALM])
}

/// So many of what `each` makes of a new stream's number.
fn streams(count: u32, each: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|number| each(2 * number + 1)).collect()
}

#[tokio::test]
async fn whatever_is_asked_in_vain_ends_the_connection() {
    let many = IN_VAIN as u32;
    let fields: Vec<String> = (0..450).map(|number| format!("x-{number}")).collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|name| (name.as_str(), "1")).collect();
    let get = |stream| head(stream, END_STREAM, "GET", CAMPAIGN, &[]);
    let lone = |bytes: Vec<u8>, count: usize| [get(1), bytes.repeat(count)].concat();
    // Beside a request, so many frames that ask nothing are free.
    let too_many = 64 + 16 + 16 * IN_VAIN;
    for (what, bytes) in [
        (
            "orders without a token",
            streams(many, |stream| head(stream, END_STREAM, "POST", ORDERS, &[])),
        ),
        (
            "orders whose bodies do not come",
            streams(many, |stream| head(stream, 0, "POST", ORDERS, &[])),
        ),
        (
            "heads that are too long",
            streams(many, |stream| head(stream, END_STREAM, "GET", CAMPAIGN, &fields)),
        ),
        (
            "heads that are wrong",
            streams(many, |stream| {
                head(stream, END_STREAM, "GET", CAMPAIGN, &[("connection", "x")])
            }),
        ),
        (
            "heads in pieces that are wrong",
            streams(many, |stream| {
                [
                    frame(HEADERS, 0, stream, &[0x82]),
                    frame(CONTINUATION, frames::END_HEADERS, stream, &[]),
                ]
                .concat()
            }),
        ),
        (
            "resets",
            streams(10 * many, |stream| {
                [get(stream), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
            }),
        ),
        ("PINGs", lone(ping(), too_many)),
        ("settings", lone(frame(SETTINGS, 0, 0, &[]), too_many)),
        ("windows", lone(frame(8, 0, 0, &[0, 0, 0, 1]), too_many)),
        ("priorities", lone(frame(2, 0, 1, &[0, 0, 0, 0, 1]), too_many)),
        ("unknown frames", lone(frame(0xbe, 0, 0, b"unknown"), too_many)),
    ] {
        let running = running();
        let mut stream = connect(running.address).await;
        let seen = flood(&mut stream, &[hello(65_535), bytes].concat()).await;
        assert!(is_told_to_calm_down(&seen), "{what}: {seen:?}");
        assert_eq!(closed(&running.registry, "in-vain"), 1, "{what}");
        assert_eq!(order(running.address).await, 202, "{what}");
    }
}

#[tokio::test]
async fn answers_that_nobody_takes_are_in_vain() {
    let running = running();
    let mut stream = connect(running.address).await;
    stream.write_all(&hello(0)).await.expect("sent");
    let mut seen = Vec::new();
    for number in 0..IN_VAIN as u32 {
        let stream_id = 2 * number + 1;
        let get = head(stream_id, END_STREAM, "GET", CAMPAIGN, &[]);
        stream.write_all(&get).await.expect("sent");
        let answered = in_time(read(&mut stream, |frames| outcomes(frames).0 > 0));
        assert_eq!(outcomes(&answered.await).0, 1);
        seen = frame(RST_STREAM, 0, stream_id, &[0, 0, 0, 8]);
        if number + 1 < IN_VAIN as u32 {
            stream.write_all(&seen).await.expect("sent");
        }
    }
    assert_eq!(closed(&running.registry, "in-vain"), 0);
    let last = flood(&mut stream, &seen).await;
    assert!(is_told_to_calm_down(&last), "{last:?}");
}

#[tokio::test]
async fn pieces_of_a_body_that_hold_nothing_are_in_vain() {
    let running = running();
    let mut stream = connect(running.address).await;
    let order = head(1, 0, "POST", ORDERS, &TOKEN[1..]);
    let known = head(1, 0, "POST", ORDERS, &TOKEN);
    let empty = frame(DATA, 0, 1, &[]).repeat(64 + 16 + 16 * IN_VAIN);
    let seen = flood(&mut stream, &[hello(65_535), order, empty].concat()).await;
    assert!(is_told_to_calm_down(&seen), "{seen:?}");
    // As much for nothing of somebody who is known: the order is taken.
    let mut stream = connect(running.address).await;
    let body = frame(DATA, END_STREAM, 1, br#"{"sku":"mug","quantity":1}"#);
    let pings = ping().repeat(64 + 16 + 16 * IN_VAIN);
    let all = [hello(65_535), known, pings, body].concat();
    stream.write_all(&all).await.expect("sent");
    let seen = in_time(read(&mut stream, |frames| outcomes(frames).0 > 0)).await;
    assert_eq!(outcomes(&seen), (1, 0), "{seen:?}");
    assert_eq!(closed(&running.registry, "in-vain"), 1);
}

#[tokio::test]
async fn who_shows_a_token_may_fail_more_often_and_is_asked_to_leave() {
    let running = running();
    let mut stream = connect(running.address).await;
    let window = frame(8, 0, 0, &[0x40, 0, 0, 0]);
    stream
        .write_all(&[hello(65_535), window].concat())
        .await
        .expect("sent");
    let orders = |from: u32, count: u32, fields: &[(&str, &str)]| {
        streams(count, |stream| {
            head(from + stream, END_STREAM, "POST", ORDERS, fields)
        })
    };
    let answers = async |stream: &mut TcpStream, bytes: Vec<u8>, count: usize| {
        stream.write_all(&bytes).await.expect("sent");
        in_time(read(stream, |frames| outcomes(frames).0 >= count)).await
    };
    answers(&mut stream, orders(0, 1, &TOKEN), 1).await;
    let mut number = 2;
    for _ in 0..63 {
        let seen = answers(&mut stream, orders(number, IN_VAIN as u32, &[]), IN_VAIN).await;
        assert_eq!(outcomes(&seen), (IN_VAIN, 0));
        number += 2 * IN_VAIN as u32;
    }
    assert_eq!(closed(&running.registry, "in-vain"), 0);
    // It hears that it should go, and everything is answered.
    stream
        .write_all(&orders(number, IN_VAIN as u32, &[]))
        .await
        .expect("sent");
    let seen = in_time(read(&mut stream, |_| false)).await;
    assert_eq!(outcomes(&seen), (IN_VAIN, 0));
    let reasons: Vec<u8> = seen
        .iter()
        .filter(|frame| frame.kind == GOAWAY)
        .map(|frame| frame.payload[7])
        .collect();
    assert!(
        !reasons.is_empty() && reasons.iter().all(|reason| *reason == 0),
        "{reasons:?}"
    );
    assert_eq!(closed(&running.registry, "in-vain"), 1);
}

#[tokio::test]
async fn over_http_1_the_last_answer_says_that_it_is_the_last() {
    let running = running();
    let mut stream = connect(running.address).await;
    let order = format!("POST {ORDERS} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    let _ = stream.write_all(order.repeat(2 * IN_VAIN).as_bytes()).await;
    let answers = String::from_utf8(rest(&mut stream).await).expect("text");
    assert_eq!(answers.matches("HTTP/1.1 401").count(), IN_VAIN);
    let last = &answers[answers.rfind("HTTP/1.1 401").expect("an answer")..];
    assert!(last.contains("connection: close\r\n"), "{last}");
    assert_eq!(closed(&running.registry, "in-vain"), 1);
    assert_eq!(self::order(running.address).await, 202);
}

async fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((from, 0).into()).expect("an address of this machine");
    socket.connect(to).await.expect("connected")
}

/// The beginning of the answer to a request from there, `""` where there is none.
async fn answered(from: [u8; 4], to: SocketAddr) -> String {
    let mut stream = connect_from(from, to).await;
    let _ = stream.write_all(&request("GET", CAMPAIGN, &[], b"")).await;
    let mut answer = [0; 12];
    match in_time(stream.read_exact(&mut answer)).await {
        Ok(_) => String::from_utf8_lossy(&answer).into_owned(),
        Err(_) => String::new(),
    }
}

#[tokio::test]
async fn a_peer_pays_with_its_next_connections_and_a_proxy_does_not() {
    let running = Running::with(Config {
        in_vain: IN_VAIN,
        peer_connections: 3,
        peer_connects: 1,
        proxies: "127.0.0.9".parse().expect("a network"),
        ..Config::default()
    });
    let (attacker, other, proxy) = ([127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 9]);
    assert_eq!(answered(attacker, running.address).await, "HTTP/1.1 200");
    let orders = streams(2 * IN_VAIN as u32, |stream| {
        head(stream, END_STREAM, "POST", ORDERS, &[])
    });
    let flooded = [hello(65_535), orders].concat();
    let seen = flood(&mut connect_from(attacker, running.address).await, &flooded).await;
    assert!(is_told_to_calm_down(&seen), "{seen:?}");
    assert_eq!(answered(attacker, running.address).await, "");
    assert_eq!(closed(&running.registry, "pace"), 1);
    assert_eq!(answered(other, running.address).await, "HTTP/1.1 200");
    // Through a proxy others ask, too: it is answered whatever one of them does, and nobody pays.
    let mut proxied = connect_from(proxy, running.address).await;
    proxied.write_all(&flooded).await.expect("sent");
    let seen = in_time(read(&mut proxied, |frames| {
        outcomes(frames).0 + outcomes(frames).1 >= 2 * IN_VAIN
    }))
    .await;
    assert!(seen.iter().all(|frame| frame.kind != GOAWAY), "{seen:?}");
    for _ in 0..10 {
        assert_eq!(answered(proxy, running.address).await, "HTTP/1.1 200");
    }
}
