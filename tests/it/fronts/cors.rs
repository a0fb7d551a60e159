//! What pages of other origins may read, on a real socket: every answer, preflights, and lists of a campaign's own.

use rushgate::campaign::Origins;
use rushgate::gateway::{Config, cors};

use crate::fronts::stage::{Running, dev_auth};
use crate::fronts::wire::{Reply, call};

const ADA: (&str, &str) = ("authorization", "Bearer dev:ada");
const JSON: (&str, &str) = ("content-type", "application/json");
const SHOP: &str = "https://shop.example";
const FOREIGN: &str = "https://evil.example";
const ORDERS: &str = "/v1/campaigns/spring/orders";
/// Headers that only a page has a use for.
const MARKS: [&str; 6] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-max-age",
];

fn config(origins: &[&str], credentials: bool) -> Config {
    let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    Config {
        cors: cors::Config {
            origins: Origins::new(origins).expect("origins"),
            credentials,
            ..cors::Config::default()
        },
        ..Config::default()
    }
}

async fn preflight(running: &Running, path: &str, origin: &str) -> Reply {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type,idempotency-key",
        ),
    ];
    call(running.address, "OPTIONS", path, &headers, b"").await
}

#[track_caller]
fn unmarked(reply: &Reply) {
    for mark in MARKS {
        assert_eq!(reply.header(mark), None, "{mark}: {reply:?}");
    }
}

#[tokio::test]
async fn every_answer_can_be_read_by_pages_that_may_and_by_no_other() {
    let running = Running::with(config(&[SHOP, "http://localhost:5173"], false));
    let order = |sku: &str| format!(r#"{{"sku":"{sku}","quantity":1}}"#);
    let place = |sku: &str| ("POST", ORDERS.to_owned(), order(sku));
    let get = |path: &str| ("GET", path.to_owned(), String::new());
    for (status, (method, path, body)) in [
        (202, place("mug")),
        (409, place("gone")),
        (425, place("early")),
        (410, place("late")),
        (404, place("other")),
        (429, place("busy")),
        (503, place("gate")),
        (503, place("never")),
        (400, ("POST", ORDERS.to_owned(), "{".to_owned())),
        (405, ("DELETE", ORDERS.to_owned(), String::new())),
        (200, get(ORDERS)),
        (200, get("/v1/orders")),
        (200, get("/v1/campaigns")),
        (200, get("/v1/campaigns/spring")),
        (404, get("/v1/campaigns/winter")),
        (404, get("/v1/nothing")),
        (400, get("/v1/campaigns/spring?x=1")),
        (200, get("/problems/sold-out")),
    ] {
        let ask = async |origin: Option<&str>| {
            let headers = [Some(ADA), Some(JSON), origin.map(|origin| ("origin", origin))];
            let headers: Vec<_> = headers.into_iter().flatten().collect();
            call(running.address, method, &path, &headers, body.as_bytes()).await
        };
        for origin in [SHOP, "http://localhost:5173"] {
            let reply = ask(Some(origin)).await;
            assert_eq!(reply.status, status, "{reply:?}");
            assert_eq!(
                reply.header("access-control-allow-origin"),
                Some(origin),
                "{reply:?}"
            );
            assert_eq!(reply.header("vary"), Some("Origin"), "{reply:?}");
            assert_eq!(reply.header("access-control-allow-credentials"), None);
            let exposed = reply.header("access-control-expose-headers").unwrap_or_default();
            for header in [
                "location",
                "retry-after",
                "idempotent-replayed",
                "preference-applied",
            ] {
                assert!(exposed.contains(header), "{reply:?}");
            }
        }
        // It is decided like every other: only its page cannot read what came of it.
        let foreign = ask(Some(FOREIGN)).await;
        assert_eq!((foreign.status, foreign.header("vary")), (status, Some("Origin")));
        unmarked(&foreign);
        let plain = ask(None).await;
        assert_eq!((plain.status, plain.header("vary")), (status, None));
        unmarked(&plain);
    }
    let nobody = call(running.address, "POST", ORDERS, &[("origin", SHOP), JSON], b"{}").await;
    nobody.problem(401, "token-missing");
    assert_eq!(nobody.header("access-control-allow-origin"), Some(SHOP));
}

#[tokio::test]
async fn a_preflight_needs_no_token_on_any_path_and_says_what_may_be_sent() {
    let running = Running::with(config(&[SHOP], false));
    for path in [
        ORDERS,
        "/v1/campaigns",
        "/v1/orders",
        "/v1/campaigns/spring",
        "/v1/campaigns/spring/quota",
        "/v1/campaigns/spring/orders/00000000000000000000000000000001",
        "/v1/campaigns/spring/orders/00000000000000000000000000000001/events",
        "/v1/campaigns/winter/orders",
        "/v1/campaigns/a%2Fb/orders",
        "/v1/nothing",
        "/problems",
    ] {
        let reply = preflight(&running, path, SHOP).await;
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (204, ""),
            "{path}: {reply:?}"
        );
        assert_eq!(reply.header("access-control-allow-origin"), Some(SHOP), "{path}");
        assert_eq!(
            reply.header("access-control-allow-methods"),
            Some("GET, HEAD, POST"),
            "{path}"
        );
        let allowed = reply.header("access-control-allow-headers").unwrap_or_default();
        for header in [
            "authorization",
            "content-type",
            "idempotency-key",
            "prefer",
            "last-event-id",
        ] {
            assert!(allowed.split(", ").any(|one| one == header), "{path}: {allowed}");
        }
        assert_eq!(reply.header("access-control-max-age"), Some("600"), "{path}");
        assert_eq!(reply.header("vary"), Some("Origin"), "{path}");
        let foreign = preflight(&running, path, FOREIGN).await;
        assert_eq!(
            (foreign.status, foreign.header("vary")),
            (204, Some("Origin")),
            "{path}"
        );
        unmarked(&foreign);
    }
    // What is no preflight is answered as before.
    for headers in [
        &[("origin", SHOP)][..],
        &[("access-control-request-method", "POST")],
        &[],
    ] {
        let reply = call(running.address, "OPTIONS", ORDERS, headers, b"").await;
        reply.problem(405, "method-not-allowed");
        assert_eq!(reply.header("allow"), Some("GET, HEAD, POST"));
    }
    preflight(&running, "/metrics", SHOP)
        .await
        .problem(404, "not-found");
    let two = [
        ("origin", SHOP),
        ("origin", SHOP),
        ("access-control-request-method", "GET"),
    ];
    let two = call(running.address, "OPTIONS", ORDERS, &two, b"").await;
    two.problem(400, "malformed");
}

#[tokio::test]
async fn a_campaign_may_say_otherwise() {
    let running = Running::with(config(&[SHOP], true));
    let of = async |campaign: &str, origin: &str| {
        let path = format!("/v1/campaigns/{campaign}");
        let asked = preflight(&running, &path, origin).await;
        let reply = call(running.address, "GET", &path, &[("origin", origin)], b"").await;
        let allowed = reply.header("access-control-allow-origin").map(str::to_owned);
        assert_eq!(
            asked.header("access-control-allow-origin"),
            allowed.as_deref(),
            "{campaign}"
        );
        let credentials = reply.header("access-control-allow-credentials").is_some();
        let methods = asked.header("access-control-allow-methods").is_some();
        assert_eq!(methods, allowed.is_some(), "{campaign}");
        (allowed, credentials)
    };
    let (own, shop) = ("https://own.example", SHOP);
    assert_eq!(of("spring", shop).await, (Some(shop.to_owned()), true));
    assert_eq!(of("own", own).await, (Some(own.to_owned()), true));
    assert_eq!(of("own", shop).await, (None, false));
    assert_eq!(of("closed", shop).await, (None, false));
    for origin in [own, "null"] {
        assert_eq!(of("everybody", origin).await, (Some("*".to_owned()), false));
    }
}

#[tokio::test]
async fn nothing_is_said_unless_it_is_configured_and_a_reread_configuration_counts() {
    let running = Running::start();
    let get = async || call(running.address, "GET", "/v1/campaigns", &[("origin", SHOP)], b"").await;
    let before = get().await;
    assert_eq!(before.header("vary"), None);
    unmarked(&before);
    assert_eq!(preflight(&running, ORDERS, SHOP).await.status, 204);
    running.put_in_force(&config(&[SHOP], false), dev_auth());
    assert_eq!(get().await.header("access-control-allow-origin"), Some(SHOP));
    running.put_in_force(&config(&["*"], false), dev_auth());
    let all = get().await;
    assert_eq!(
        (all.header("access-control-allow-origin"), all.header("vary")),
        (Some("*"), None)
    );
}

/// The answer to a request that there is no memory for is made before anything of it is read.
#[tokio::test]
async fn a_page_is_told_to_come_again_where_there_is_no_room() {
    let running = Running::with(Config {
        memory: 1,
        ..config(&[SHOP], false)
    });
    let headers = [ADA, JSON, ("origin", SHOP)];
    let reply = call(
        running.address,
        "POST",
        ORDERS,
        &headers,
        br#"{"sku":"mug","quantity":1}"#,
    )
    .await;
    reply.problem(429, "overloaded");
    assert_eq!(reply.header("access-control-allow-origin"), Some(SHOP));
}
