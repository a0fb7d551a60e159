//! Connections that mean no good: every phase has a deadline, nobody has more than a share, and memory is bounded.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::registry::Registry;
use rushgate::gateway::Config;
use rushgate::serving::Limits;
use testkit::frames::{self, END_STREAM, HEADERS, hello, outcomes, ping, read};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::fronts::control;
use crate::fronts::stage;
use crate::fronts::stage::Running;
use crate::fronts::wire::{PATIENCE, connect, request, rest, send};

const ORDERS: &str = "/v1/campaigns/spring/orders";
const SOON: Duration = Duration::from_millis(200);
const GET: &[u8] = b"GET /v1/campaigns/spring HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn order() -> Vec<u8> {
    let headers = [
        ("authorization", "Bearer dev:ada"),
        ("content-type", "application/json"),
    ];
    request("POST", ORDERS, &headers, br#"{"sku":"mug","quantity":1}"#)
}

/// Requests and connections that dawdle are given up soon, everything else may take its time.
fn hasty() -> Running {
    Running::with(Config {
        header_timeout: SOON,
        ..Config::default()
    })
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// A line of the metrics, as a number.
fn figure(registry: &Registry, line: &str) -> f64 {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).expect("text");
    let found = text.lines().find_map(|found| found.strip_prefix(line));
    found.map_or(0.0, |value| value.trim().parse().expect("a number"))
}

#[tokio::test]
async fn any_beginning_of_the_h2_preface_is_given_up() {
    let running = hasty();
    for length in [1, 2, 3, 14, 23] {
        let mut stream = connect(running.address).await;
        stream.write_all(&frames::PREFACE[..length]).await.expect("sent");
        assert_eq!(rest(&mut stream).await, b"", "{length}");
    }
    let closed = r#"http_connections_closed_total{reason="opening"}"#;
    assert_eq!(figure(&running.registry, closed), 5.0);
    assert_eq!(send(running.address, &order()).await.status, 202);
}

#[tokio::test]
async fn an_h2_connection_that_asks_nothing_is_closed_whatever_else_it_sends() {
    let running = hasty();
    let window_update = [0, 0, 0, 1];
    // A head that never ends is no request either.
    let endless = frames::frame(HEADERS, 0, 1, &[0x82]);
    let others = frames::frame(0xbe, 0, 0, b"unknown");
    for extra in [ping(), frames::frame(8, 0, 0, &window_update), endless, others] {
        let mut stream = connect(running.address).await;
        stream.write_all(&hello(65_535)).await.expect("sent");
        stream.write_all(&extra).await.expect("sent");
        // Every PING is answered, and another one sent.
        let chatting = async {
            loop {
                let seen = read(&mut stream, |frames| !frames.is_empty()).await;
                if seen.is_empty() || stream.write_all(&ping()).await.is_err() {
                    break;
                }
            }
        };
        in_time(chatting).await;
    }
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let running = Running::with(Config {
        write_timeout: SOON,
        ..Config::default()
    });
    let mut stream = connect(running.address).await;
    let many = GET.repeat(1_000);
    in_time(async { while stream.write_all(&many).await.is_ok() {} }).await;
    let closed = r#"http_connections_closed_total{reason="stalled"}"#;
    assert_eq!(figure(&running.registry, closed), 1.0);
}

#[tokio::test]
async fn an_answer_that_an_h2_client_never_takes_ends_the_connection() {
    let running = Running::with(Config {
        write_timeout: SOON,
        ..Config::default()
    });
    let mut stream = connect(running.address).await;
    stream.write_all(&hello(0)).await.expect("sent");
    let get = frames::head(1, END_STREAM, "GET", "/v1/campaigns/spring", &[]);
    stream.write_all(&get).await.expect("sent");
    let seen = in_time(read(&mut stream, |_| false)).await;
    assert_eq!(outcomes(&seen), (1, 0), "the head was answered: {seen:?}");
    let closed = r#"http_connections_closed_total{reason="stalled"}"#;
    assert_eq!(figure(&running.registry, closed), 1.0);
}

#[tokio::test]
async fn at_the_limit_the_idlest_gives_way_to_an_order() {
    let running = Running::with(Config {
        connections: 4,
        ..Config::default()
    });
    let mut busy = connect(running.address).await;
    let slow = String::from_utf8(order()).expect("text").replace("mug", "slow");
    let slow = slow.replace("content-length: 26", "content-length: 27");
    busy.write_all(slow.as_bytes()).await.expect("sent");
    in_time(running.stage.slow_begun.notified()).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(running.address).await;
        stream.write_all(b"P").await.expect("sent");
        idle.push(stream);
    }
    for _ in 0..3 {
        assert_eq!(send(running.address, &order()).await.status, 202);
    }
    assert_eq!(rest(&mut idle[0]).await, b"", "the first gave way");
    running.stage.go_on.notify_one();
    assert!(
        rest(&mut busy).await.starts_with(b"HTTP/1.1 202 "),
        "one that is busy did not"
    );
}

async fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((from, 0).into()).expect("an address of this machine");
    socket.connect(to).await.expect("connected")
}

async fn is_answered(stream: &mut TcpStream) -> bool {
    let mut answer = Vec::new();
    let mut more = stream.write_all(GET).await.is_ok();
    // The connection stays open after the answer, which ends like this.
    while more && !answer.ends_with(b"}]}") {
        more = in_time(stream.read_buf(&mut answer))
            .await
            .is_ok_and(|read| read > 0);
    }
    more && answer.starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn a_peer_has_a_share_unless_it_is_a_proxy() {
    let running = Running::with(Config {
        peer_connections: 3,
        proxies: "127.0.0.9".parse().expect("a network"),
        ..Config::default()
    });
    let mut other = connect_from([127, 0, 0, 3], running.address).await;
    assert!(is_answered(&mut other).await);
    let mut own = Vec::new();
    for _ in 0..4 {
        let mut stream = connect_from([127, 0, 0, 2], running.address).await;
        assert!(is_answered(&mut stream).await);
        own.push(stream);
    }
    rest(&mut own[0]).await;
    assert!(is_answered(&mut own[3]).await && is_answered(&mut other).await);
    let mut proxied = Vec::new();
    for _ in 0..8 {
        let mut stream = connect_from([127, 0, 0, 9], running.address).await;
        assert!(is_answered(&mut stream).await);
        proxied.push(stream);
    }
    for stream in &mut proxied {
        assert!(is_answered(stream).await);
    }
    let closed = r#"http_connections_closed_total{reason="share"}"#;
    assert_eq!(figure(&running.registry, closed), 1.0);
}

/// Orders on one h2 connection whose bodies do not come and whose answers are not taken.
async fn heads(running: &Running, count: u32, fields: &[(&str, &str)]) -> (usize, usize) {
    let mut stream = connect(running.address).await;
    stream.write_all(&hello(0)).await.expect("sent");
    // The limit of streams is kept from the beginning on.
    for number in 0..count {
        let head = frames::head(2 * number + 1, 0, "POST", ORDERS, fields);
        stream.write_all(&head).await.expect("sent");
    }
    let count = count as usize;
    let begun = || running.stage.begun.load(Ordering::SeqCst);
    assert_eq!(begun(), 0);
    let seen = in_time(read(&mut stream, |frames| {
        let (answered, reset) = outcomes(frames);
        answered + reset >= count
    }));
    outcomes(&seen.await)
}

#[tokio::test]
async fn a_stranger_has_few_requests_in_flight() {
    let running = Running::with(Config {
        write_timeout: PATIENCE,
        ..Config::default()
    });
    let (answered, reset) = heads(&running, 90, &[("x-filler", &"x".repeat(8_000))]).await;
    // 16 times 401, and 8 times 429; the others are reset, and hold nothing.
    assert_eq!((answered, reset), (24, 66));
    assert_eq!(figure(&running.registry, "http_requests_refused_total"), 74.0);
    assert_eq!(send(running.address, &order()).await.status, 202);
}

#[tokio::test]
async fn a_known_client_has_room_for_all_its_streams() {
    let running = Running::with(Config {
        body_timeout: SOON,
        ..Config::default()
    });
    let token = [
        ("authorization", "Bearer dev:ada"),
        ("content-type", "application/json"),
    ];
    // The bodies do not come, which is answered after a while.
    let (answered, reset) = heads(&running, 90, &token).await;
    assert_eq!((answered, reset), (90, 0));
    assert_eq!(figure(&running.registry, "http_requests_refused_total"), 0.0);
}

#[tokio::test]
async fn memory_in_all_is_bounded_and_comes_back() {
    let running = Running::with(Config {
        memory: 512 * 1024,
        body_timeout: Duration::from_secs(2),
        ..Config::default()
    });
    let token = [
        ("authorization", "Bearer dev:ada"),
        ("content-type", "application/json"),
        ("content-length", "16000"),
    ];
    // A peer has an eighth of it: two such orders at a time.
    let (answered, reset) = heads(&running, 90, &token).await;
    assert!(
        answered >= 10 && answered + reset == 90 && reset > 60,
        "{answered} {reset}"
    );
    assert!(figure(&running.registry, "http_requests_refused_total") >= 80.0);
    assert_eq!(send(running.address, &order()).await.status, 202);
}

#[tokio::test]
async fn a_head_is_bounded_in_bytes_and_fields() {
    let running = Running::start();
    let fields = |count: usize| (0..count).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let with =
        |fields: &str| format!("GET /nothing HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}\r\n");
    assert_eq!(
        send(running.address, with(&fields(90)).as_bytes()).await.status,
        404
    );
    for fields in [fields(101), format!("x: {}\r\n", "y".repeat(20_000))] {
        let reply = send(running.address, with(&fields).as_bytes()).await;
        assert_eq!(reply.status, 431, "{reply:?}");
    }
}

#[tokio::test]
async fn the_control_plane_closes_its_idlest_connections_too() {
    let running = control::with(None, Limits::for_few(4));
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(connect(running.address).await);
    }
    assert_eq!(running.get("/livez").await.status, 200);
    assert_eq!(rest(&mut idle[0]).await, b"");
    let hasty = Limits {
        opening: SOON,
        idle: SOON,
        stall: SOON,
        ..Limits::for_few(4)
    };
    let running = control::with(None, hasty);
    for begun in [
        &b""[..],
        b"P",
        b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n",
        &hello(0),
    ] {
        let mut stream = connect(running.address).await;
        stream.write_all(begun).await.expect("sent");
        rest(&mut stream).await;
    }
    let mut greedy = connect(running.address).await;
    let many = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1_000);
    in_time(async { while greedy.write_all(&many).await.is_ok() {} }).await;
}

#[tokio::test]
async fn bodies_that_wait_hold_no_more_than_there_is_for_them() {
    let limits = Limits {
        bytes: 160_000,
        body_bytes: 60_000,
        ..Limits::for_few(16)
    };
    let running = control::with(None, limits);
    let module = ("content-type", "application/wasm");
    let upload = request("POST", "/admin/v1/modules", &[module], &[0; 60_000]);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(running.address).await;
        stream.write_all(&upload[..1_000]).await.expect("sent");
        waiting.push(stream);
    }
    // The heads of those may not have been read yet, and a third one that was refused holds nothing.
    let third = async || send(running.address, &upload).await;
    let refused = in_time(async {
        loop {
            let reply = third().await;
            if reply.status == 429 {
                return reply;
            }
        }
    });
    let refused = refused.await;
    refused.problem(429, "overloaded");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(running.get("/livez").await.status, 200);
    drop(waiting);
    in_time(async { while third().await.status == 429 {} }).await;
}

#[tokio::test]
async fn without_a_token_every_path_of_the_control_plane_checks_the_host() {
    let open = control::start(None);
    let guarded = control::start(Some("secret"));
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/problems/timeout",
        "/nothing",
        "/admin/v1/campaigns",
    ] {
        for foreign in [
            "host: evil.example",
            "host: localhost\r\norigin: https://evil.example",
        ] {
            let request = format!("GET {path} HTTP/1.1\r\n{foreign}\r\nconnection: close\r\n\r\n");
            send(open.address, request.as_bytes())
                .await
                .problem(403, "forbidden");
            let with_token = send(guarded.address, request.as_bytes()).await;
            assert_ne!(
                with_token.status, 403,
                "a token is what a page does not have: {path}"
            );
        }
        // The target says the host as well, as h2 does.
        let request =
            format!("GET http://evil.example{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        send(open.address, request.as_bytes())
            .await
            .problem(403, "forbidden");
    }
    assert_eq!(open.get("/metrics").await.status, 200);
}

/// The stage is what the tests of orders have; here it only has to be reached.
#[tokio::test]
async fn a_flood_of_resets_does_not_keep_orders_out() {
    let running = stage::Running::start();
    let mut stream = connect(running.address).await;
    stream.write_all(&hello(65_535)).await.expect("sent");
    let flood = async {
        for number in 0..5_000 {
            let head = frames::head(2 * number + 1, END_STREAM, "GET", "/v1/campaigns/spring", &[]);
            let reset = frames::frame(frames::RST_STREAM, 0, 2 * number + 1, &[0, 0, 0, 8]);
            if stream.write_all(&[head, reset].concat()).await.is_err() {
                break;
            }
        }
    };
    let whole = order();
    let (_, reply) = in_time(async { tokio::join!(flood, send(running.address, &whole)) }).await;
    assert_eq!(reply.status, 202);
}
