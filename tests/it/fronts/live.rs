//! Streams of events, and answers that wait, over a database that changes when the test says so.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use rushgate::gateway::{Config, auth};
use rushgate::order::{OrderId, OrderState};
use serde_json::{Value, json};
use testkit::events::{Events, Told};
use testkit::frames::{END_STREAM, Frame, HEADERS, head, hello, read};
use tokio::io::AsyncWriteExt;

use crate::fronts::stage::{Running, known};
use crate::fronts::wire::{PATIENCE, Reply, call, connect};

const ORDERS: &str = "/v1/campaigns/spring/orders";
const ADA: (&str, &str) = ("authorization", "Bearer dev:ada");
const SECRET: &[u8] = b"a secret of at least thirty-two bytes";
const DATA: u8 = 0;

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

fn keyed(key: &str) -> OrderId {
    OrderId::keyed("spring", "ada", key)
}

fn path(order: OrderId) -> String {
    format!("{ORDERS}/{order}/events")
}

async fn open(running: &Running, path: &str, headers: &[(&str, &str)]) -> Events {
    let opened = soon(Events::open(&running.address.to_string(), path, headers)).await;
    opened.expect("an answer")
}

/// Id and state of the next event; `None` at the end.
async fn state(events: &mut Events) -> Option<(String, String)> {
    let event = soon(events.event()).await.expect("the connection holds")?;
    let (id, data) = event;
    Some((id, data["state"].as_str().expect("a state").to_owned()))
}

/// What comes up to the end.
async fn rest(events: &mut Events) -> Vec<Told> {
    let mut all = Vec::new();
    while let Some(told) = soon(events.next()).await.expect("the connection holds") {
        all.push(told);
    }
    all
}

fn is(id: impl ToString, state: &str) -> Option<(String, String)> {
    Some((id.to_string(), state.to_owned()))
}

/// Of an order that waits for its payment.
fn paying() -> Running {
    let running = Running::start();
    running.stage.has_hold.store(true, Ordering::SeqCst);
    running
}

async fn place(running: &Running, key: &str, prefer: &str) -> Reply {
    let headers = [
        ADA,
        ("content-type", "application/json"),
        ("idempotency-key", key),
        ("prefer", prefer),
    ];
    let body = br#"{"sku":"mug","quantity":1}"#;
    soon(call(running.address, "POST", ORDERS, &headers, body)).await
}

#[tokio::test]
async fn a_stream_tells_how_the_order_stands_and_then_each_change_until_nothing_follows() {
    let running = paying();
    let order = keyed("waits");
    let mut events = open(&running, &path(order), &[ADA]).await;
    assert_eq!(
        (
            events.status(),
            events.header("content-type"),
            events.header("cache-control")
        ),
        (200, Some("text/event-stream"), Some("no-store"))
    );
    match soon(events.next()).await.expect("open") {
        Some(Told::Retry(ms)) => assert!((1000..3000).contains(&ms), "{ms}"),
        other => panic!("when to come again is told first: {other:?}"),
    }
    assert_eq!(state(&mut events).await, is(0, "pending"));
    for (to, number) in [
        (OrderState::Confirmed, 1),
        (OrderState::Paid, 2),
        (OrderState::Refunded, 3),
    ] {
        running.stage.land("ada", order, to);
        let (id, data) = soon(events.event()).await.expect("open").expect("an event");
        assert_eq!((id, &data["state"]), (number.to_string(), &json!(to.as_str())));
        let shown = call(running.address, "GET", &format!("{ORDERS}/{order}"), &[ADA], b"").await;
        assert_eq!(data, shown.json(), "what GET answers");
    }
    assert_eq!(rest(&mut events).await, [], "nothing follows a refund");
}

#[tokio::test]
async fn what_nothing_follows_is_told_and_ends() {
    let running = Running::start();
    for (name, id, told) in [("confirmed", 1, "confirmed"), ("revoked", 1, "revoked")] {
        let mut events = open(&running, &path(known(name)), &[ADA]).await;
        assert_eq!(state(&mut events).await, is(id, told));
        assert_eq!(state(&mut events).await, None, "{name}");
    }
}

#[tokio::test]
async fn what_a_client_was_told_is_not_told_again() {
    let running = paying();
    let order = keyed("waits");
    let from = |id: &'static str| [ADA, ("last-event-id", id)];
    running.stage.land("ada", order, OrderState::Confirmed);
    let mut events = open(&running, &path(order), &from("0")).await;
    assert_eq!(state(&mut events).await, is(1, "confirmed"));
    let mut events = open(&running, &path(order), &from("1")).await;
    running.stage.land("ada", order, OrderState::Cancelled);
    assert_eq!(state(&mut events).await, is(2, "cancelled"));
    assert_eq!(state(&mut events).await, None);
    // Where nothing follows what was told, a client is told not to come again.
    let over = call(running.address, "GET", &path(order), &from("2"), b"").await;
    assert_eq!((over.status, over.body.as_str()), (204, ""));
    let wrong = call(running.address, "GET", &path(order), &from("two"), b"").await;
    let problem = wrong.problem(400, "malformed");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("\"two\"")),
        "{problem}"
    );
}

#[tokio::test]
async fn strangers_and_other_methods_are_answered_as_elsewhere() {
    let running = Running::start();
    let order = keyed("mine");
    running.stage.land("ada", order, OrderState::Confirmed);
    let eve = ("authorization", "Bearer dev:eve");
    for (token, path) in [
        (eve, path(order)),
        (ADA, path(keyed("nothing"))),
        (ADA, format!("{ORDERS}/no-id/events")),
        (ADA, "/v1/campaigns/autumn/orders/events".to_owned()),
    ] {
        let reply = call(running.address, "GET", &path, &[token], b"").await;
        reply.problem(404, "unknown");
    }
    for path in [path(order), format!("{ORDERS}/events")] {
        call(running.address, "GET", &path, &[], b"")
            .await
            .problem(401, "token-missing");
        let posted = call(running.address, "POST", &path, &[ADA], b"").await;
        posted.problem(405, "method-not-allowed");
        assert_eq!(posted.header("allow"), Some("GET"));
        let asked = call(running.address, "HEAD", &path, &[ADA], b"").await;
        assert_eq!((asked.status, asked.body.as_str()), (405, ""));
        let query = call(running.address, "GET", &format!("{path}?token=x"), &[ADA], b"").await;
        query.problem(400, "malformed");
    }
}

#[tokio::test]
async fn a_buyer_hears_of_all_orders_of_a_campaign() {
    let running = paying();
    let (first, second, third) = (keyed("1"), keyed("2"), keyed("3"));
    running.stage.land("ada", first, OrderState::Confirmed);
    running.stage.land("ada", second, OrderState::Expired);
    let path = format!("{ORDERS}/events");
    let mut events = open(&running, &path, &[ADA]).await;
    assert_eq!(
        state(&mut events).await,
        is(format!("{first}.1"), "confirmed"),
        "what may still change"
    );
    running.stage.land("eve", keyed("of eve"), OrderState::Confirmed);
    running.stage.land("ada", third, OrderState::Confirmed);
    assert_eq!(state(&mut events).await, is(format!("{third}.1"), "confirmed"));
    running.stage.land("ada", first, OrderState::Paid);
    assert_eq!(state(&mut events).await, is(format!("{first}.2"), "paid"));
    // Whoever comes again hears of what may have changed meanwhile, and not of what it heard last.
    drop(events);
    running.stage.land("ada", third, OrderState::Cancelled);
    let id = format!("{first}.2");
    let mut events = open(&running, &path, &[ADA, ("last-event-id", &id)]).await;
    let mut told = [state(&mut events).await, state(&mut events).await];
    told.sort();
    let mut expected = [
        is(format!("{second}.2"), "expired"),
        is(format!("{third}.2"), "cancelled"),
    ];
    expected.sort();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn while_the_database_is_silent_a_stream_waits_and_tells_later() {
    let running = paying();
    let order = keyed("waits");
    let mut events = open(&running, &path(order), &[ADA]).await;
    assert_eq!(state(&mut events).await, is(0, "pending"));
    running.stage.silent.store(true, Ordering::SeqCst);
    let looks = running.stage.looks.load(Ordering::SeqCst);
    running.stage.land("ada", order, OrderState::Confirmed);
    soon(async {
        while running.stage.looks.load(Ordering::SeqCst) < looks + 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.stage.silent.store(false, Ordering::SeqCst);
    assert_eq!(state(&mut events).await, is(1, "confirmed"));
}

#[tokio::test]
async fn a_change_that_is_said_is_told_at_once() {
    let running = paying();
    let order = keyed("waits");
    let changes = running.changes();
    changes.are_complete(true);
    let mut events = open(&running, &path(order), &[ADA]).await;
    let mut mine = open(&running, &format!("{ORDERS}/events"), &[ADA]).await;
    assert_eq!(state(&mut events).await, is(0, "pending"));
    running.stage.land("ada", order, OrderState::Confirmed);
    let begun = tokio::time::Instant::now();
    changes.changed("spring", "ada", order, OrderState::Confirmed);
    // Of others, and of what nobody waits for, nothing is read.
    changes.changed("spring", "eve", keyed("other"), OrderState::Confirmed);
    changes.changed("autumn", "ada", order, OrderState::Confirmed);
    assert_eq!(state(&mut events).await, is(1, "confirmed"));
    assert_eq!(state(&mut mine).await, is(format!("{order}.1"), "confirmed"));
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "before all is looked at"
    );
}

#[tokio::test]
async fn what_changed_before_changes_were_told_is_told_when_they_begin_to_be() {
    let running = paying();
    let order = keyed("waits");
    let changes = running.changes();
    // All is looked at once now, and then in five seconds again.
    changes.are_complete(true);
    let mut events = open(&running, &path(order), &[ADA]).await;
    assert_eq!(state(&mut events).await, is(0, "pending"));
    running.stage.land("ada", order, OrderState::Confirmed);
    let begun = tokio::time::Instant::now();
    changes.are_complete(true);
    assert_eq!(state(&mut events).await, is(1, "confirmed"));
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "before all is looked at"
    );
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).expect("written");
    let auth = auth::Auth::new(&auth::Config {
        jwt_hs256_secret_file: Some(secret),
        ..auth::Config::default()
    });
    let running = Running::checking_with(Config::default(), auth.expect("a secret"));
    let claims = json!({"sub": "ada", "exp": get_current_timestamp() + 2});
    let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).expect("a token");
    let bearer = format!("Bearer {token}");
    let mut events = open(&running, &path(keyed("waits")), &[("authorization", &bearer)]).await;
    assert_eq!(state(&mut events).await, is(0, "pending"));
    match rest(&mut events).await.as_slice() {
        [Told::Comment(comment)] => assert!(comment.contains("the token has expired"), "{comment}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_listener_that_closes_ends_streams_and_waits() {
    let mut running = paying();
    let mut events = open(&running, &path(keyed("waits")), &[ADA]).await;
    assert_eq!(state(&mut events).await, is(0, "pending"));
    let waiting = {
        let headers = [ADA, ("content-type", "application/json"), ("prefer", "wait=30")];
        let address = running.address;
        tokio::spawn(async move {
            call(
                address,
                "POST",
                ORDERS,
                &headers,
                br#"{"sku":"mug","quantity":1}"#,
            )
            .await
        })
    };
    soon(async {
        // It looks for the order that is waited for.
        while running.stage.looks.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.stop();
    match rest(&mut events).await.as_slice() {
        [.., Told::Comment(comment)] => assert!(comment.contains("this gateway closes"), "{comment}"),
        other => panic!("{other:?}"),
    }
    let answered = soon(waiting).await.expect("no panic");
    assert_eq!(
        (answered.status, &answered.json()["state"]),
        (202, &json!("accepted"))
    );
    soon(&mut running.served).await.expect("served to the end");
}

#[tokio::test]
async fn silence_is_broken_by_comments() {
    let running = Running::with(Config {
        heartbeat: Duration::from_millis(20),
        ..Config::default()
    });
    let mut events = open(&running, &path(keyed("waits")), &[ADA]).await;
    assert_eq!(state(&mut events).await, is(0, "pending"));
    for _ in 0..3 {
        assert_eq!(
            soon(events.next()).await.expect("open"),
            Some(Told::Comment(String::new()))
        );
    }
}

#[tokio::test]
async fn streams_are_bounded_per_buyer_address_and_in_all() {
    let running = Running::with(Config {
        streams: 4,
        buyer_streams: 2,
        peer_streams: 3,
        ..Config::default()
    });
    let path = path(keyed("waits"));
    let mine = format!("{ORDERS}/events");
    let refused = |events: &Events, who: &str| {
        assert_eq!(
            (events.status(), events.header("retry-after")),
            (429, Some("5")),
            "{who}"
        );
    };
    let first = open(&running, &path, &[ADA]).await;
    let _second = open(&running, &mine, &[ADA]).await;
    refused(&open(&running, &mine, &[ADA]).await, "a third of the buyer");
    let eve = ("authorization", "Bearer dev:eve");
    let _third = open(&running, &mine, &[eve]).await;
    refused(&open(&running, &mine, &[eve]).await, "a fourth of the address");
    let problem = call(running.address, "GET", &mine, &[eve], b"").await;
    problem.problem(429, "too-many-streams");
    // Orders are taken all the same.
    assert_eq!(place(&running, "k", "").await.status, 202);
    // What is closed makes room as soon as the gateway sees it.
    drop(first);
    soon(async { while open(&running, &mine, &[ADA]).await.status() != 200 {} }).await;
}

#[tokio::test]
async fn who_takes_nothing_is_cut_off_and_who_is_told_nothing_is_not() {
    let running = Running::with(Config {
        write_timeout: Duration::from_millis(500),
        ..Config::default()
    });
    running.stage.has_hold.store(true, Ordering::SeqCst);
    let order = keyed("waits");
    let mut quiet = open(&running, &path(order), &[ADA]).await;
    assert_eq!(state(&mut quiet).await, is(0, "pending"));
    // There is room for a hundred bytes, and no more is asked for.
    let mut slow = connect(running.address).await;
    let asked = [hello(100), head(1, END_STREAM, "GET", &path(order), &[ADA])].concat();
    slow.write_all(&asked).await.expect("sent");
    let begun = tokio::time::Instant::now();
    let seen = soon(read(&mut slow, |_| false)).await;
    let data = seen.iter().filter(|frame| frame.kind == DATA);
    assert_eq!(
        data.map(|frame| frame.payload.len()).sum::<usize>(),
        100,
        "{seen:?}"
    );
    assert!(begun.elapsed() >= Duration::from_millis(500));
    running.stage.land("ada", order, OrderState::Cancelled);
    assert_eq!(state(&mut quiet).await, is(2, "cancelled"));
}

#[tokio::test]
async fn streams_share_an_h2_connection() {
    let running = paying();
    let mut stream = connect(running.address).await;
    let order = keyed("waits");
    let ask = |number| head(number, END_STREAM, "GET", &path(order), &[ADA]);
    let asked = [hello(65_535), ask(1), ask(3)].concat();
    stream.write_all(&asked).await.expect("sent");
    let told = |frames: &[Frame], state: &str| {
        let data = frames.iter().filter(|frame| frame.kind == DATA);
        let text: Vec<u8> = data.flat_map(|frame| frame.payload.clone()).collect();
        let told = format!("\"state\":\"{state}\"");
        String::from_utf8_lossy(&text).matches(&told).count() == 2
    };
    let seen = soon(read(&mut stream, |frames| told(frames, "pending"))).await;
    assert!(seen.iter().any(|frame| frame.kind == HEADERS), "{seen:?}");
    running.stage.land("ada", order, OrderState::Cancelled);
    let seen = soon(read(&mut stream, |frames| {
        let ended = |frame: &&Frame| frame.kind == DATA && frame.flags & END_STREAM != 0;
        told(frames, "cancelled") && frames.iter().filter(ended).count() == 2
    }))
    .await;
    assert!(told(&seen, "cancelled"), "{seen:?}");
}

#[tokio::test]
async fn an_answer_waits_until_the_order_is_confirmed() {
    let running = Running::start();
    let order = keyed("k");
    let placing = place(&running, "k", "return=representation, wait=30");
    let landing = async {
        while running.stage.looks.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        running.stage.land("ada", order, OrderState::Confirmed);
    };
    let (answer, ()) = tokio::join!(placing, landing);
    assert_eq!(
        (answer.status, &answer.json()["state"]),
        (201, &json!("confirmed"))
    );
    assert_eq!(answer.header("preference-applied"), Some("wait=30"));
    assert!(
        answer
            .header("location")
            .is_some_and(|path| path.ends_with(&order.to_string()))
    );
    assert!(answer.json()["confirmed_at"].is_string());
    // Its retry finds it so.
    let again = place(&running, "k", "wait=30").await;
    assert_eq!(again.status, 201);
}

#[tokio::test]
async fn an_answer_does_not_wait_for_longer_than_it_may() {
    let running = Running::start();
    let begun = tokio::time::Instant::now();
    let answer = place(&running, "k", "wait=1").await;
    assert_eq!(
        (answer.status, &answer.json()["state"]),
        (202, &json!("accepted"))
    );
    assert_eq!(answer.header("preference-applied"), Some("wait=1"));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // What cannot be read, and what is rejected, does not wait.
    let answer = place(&running, "l", "wait=soon").await;
    assert_eq!((answer.status, answer.header("preference-applied")), (202, None));
    let rejected = call(
        running.address,
        "POST",
        ORDERS,
        &[ADA, ("content-type", "application/json"), ("prefer", "wait=30")],
        br#"{"sku":"gone","quantity":1}"#,
    );
    soon(rejected).await.problem(409, "sold-out");
}

#[tokio::test]
async fn an_order_that_is_revoked_meanwhile_is_answered_as_it_stands() {
    let running = Running::start();
    running.stage.land("ada", keyed("k"), OrderState::Revoked);
    let answer = place(&running, "k", "wait=30").await;
    let shown: Value = answer.json();
    assert_eq!(
        (answer.status, &shown["state"], &shown["revoked_reason"]),
        (202, &json!("revoked"), &json!("sold-out"))
    );
}
