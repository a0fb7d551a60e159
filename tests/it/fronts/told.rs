//! Lookups while the database is silent, and that no buyer is told an older state than before.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rushgate::gateway::{Config, auth};
use rushgate::order::OrderId;

use crate::fronts::stage::{Running, known};
use crate::fronts::wire::{PATIENCE, Reply, call};

const ORDERS: &str = "/v1/campaigns/spring/orders";
const ADA: (&str, &str) = ("authorization", "Bearer dev:ada");

/// A gateway that gives the database this long.
fn running(database_wait: Duration) -> Running {
    Running::with(Config {
        database_wait,
        ..Config::default()
    })
}

async fn show(running: &Running, order: OrderId) -> Reply {
    let path = format!("{ORDERS}/{order}");
    let asked = call(running.address, "GET", &path, &[ADA], b"");
    tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("a lookup is answered")
}

async fn place(running: &Running, sku: &str, key: &str) -> Reply {
    let headers = [
        ADA,
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    let body = format!(r#"{{"sku":"{sku}","quantity":1}}"#);
    let asked = call(running.address, "POST", ORDERS, &headers, body.as_bytes());
    tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("an order is answered")
}

fn keyed(key: &str) -> OrderId {
    OrderId::keyed("spring", "ada", key)
}

fn silence(running: &Running, silent: bool) {
    running.stage.silent.store(silent, Ordering::SeqCst);
}

#[tokio::test]
async fn a_silent_database_leaves_pending_orders_their_answer_and_others_a_retry() {
    let running = running(Duration::from_millis(50));
    silence(&running, true);
    let begun = Instant::now();
    let pending = show(&running, known("pending")).await;
    assert_eq!(
        (pending.status, &pending.json()["state"]),
        (200, &"pending".into())
    );
    assert!(
        begun.elapsed() >= Duration::from_millis(50),
        "it was given its time"
    );

    let accepted = show(&running, known("database-down")).await;
    accepted.problem(503, "unavailable");
    assert_eq!(accepted.header("retry-after"), Some("1"));
    show(&running, known("nothing")).await.problem(503, "unavailable");
    show(&running, known("engine-down"))
        .await
        .problem(503, "unavailable");
    // A revoked order, of which the engine does not know why.
    place(&running, "given-back", "revoked")
        .await
        .problem(503, "unavailable");
}

#[tokio::test]
async fn confirmed_is_never_followed_by_less() {
    let running = running(Duration::from_millis(50));
    let confirmed = show(&running, known("confirmed")).await;
    assert_eq!(confirmed.json()["state"], "confirmed");
    silence(&running, true);
    // The engine has not settled it and says `pending`.
    show(&running, known("confirmed"))
        .await
        .problem(503, "unavailable");
    silence(&running, false);
    assert_eq!(
        show(&running, known("confirmed")).await.json()["state"],
        "confirmed"
    );
}

#[tokio::test]
async fn accepted_is_not_followed_by_pending_while_the_engine_settles() {
    let running = running(Duration::from_millis(50));
    assert_eq!(show(&running, keyed("settling")).await.json()["state"], "pending");
    assert_eq!(
        place(&running, "mug", "settling").await.json()["state"],
        "accepted"
    );
    assert_eq!(
        show(&running, keyed("settling")).await.json()["state"],
        "accepted"
    );
    silence(&running, true);
    // It may have landed meanwhile, and another gateway may have said so.
    show(&running, keyed("settling"))
        .await
        .problem(503, "unavailable");
}

#[tokio::test]
async fn the_retry_of_an_order_known_to_have_landed_says_so() {
    let running = running(Duration::from_millis(50));
    silence(&running, true);
    let first = place(&running, "again", "landed").await;
    assert_eq!(
        first.json()["state"],
        "accepted",
        "nobody was told more, and a silent database says no more"
    );
    silence(&running, false);
    let again = place(&running, "again", "landed").await;
    assert_eq!((again.status, &again.json()["state"]), (202, &"confirmed".into()));
    silence(&running, true);
    place(&running, "again", "landed")
        .await
        .problem(503, "unavailable");
}

#[tokio::test]
async fn what_is_put_in_force_holds_for_the_next_request() {
    let running = running(Duration::from_millis(50));
    assert_eq!(show(&running, known("pending")).await.status, 200);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s".repeat(32)).expect("written");
    let keys = auth::Config {
        jwt_hs256_secret_file: Some(secret),
        ..auth::Config::default()
    };
    running.put_in_force(&Config::default(), auth::Auth::new(&keys).expect("a key"));
    show(&running, known("pending"))
        .await
        .problem(401, "token-invalid");
}
