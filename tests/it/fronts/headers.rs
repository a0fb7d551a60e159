//! Requests of which two readers could see different ones: refused by both fronts.

use std::sync::atomic::Ordering;

use crate::fronts::stage::Running;
use crate::fronts::wire::{Reply, call};
use crate::fronts::{control, stage};

const BODY: &[u8] = br#"{"sku":"mug","quantity":1}"#;
const ADA: (&str, &str) = ("authorization", "Bearer dev:ada");
const JSON: (&str, &str) = ("content-type", "application/json");
/// What a request may have once: the second one, whichever it is.
const TWICE: [(&str, &str); 8] = [
    ("authorization", "Bearer dev:bob"),
    ("authorization", "Bearer dev:ada"),
    ("authorization", "Basic YTpi"),
    ("Content-Type", "text/plain"),
    ("content-type", "application/json"),
    ("host", "evil.example"),
    ("host", "localhost"),
    ("content-length", "1"),
];

async fn order(running: &Running, headers: &[(&str, &str)]) -> Reply {
    call(
        running.address,
        "POST",
        "/v1/campaigns/spring/orders",
        headers,
        BODY,
    )
    .await
}

#[tokio::test]
async fn no_order_comes_of_two_headers_that_say_one_thing() {
    let running = stage::Running::start();
    for second in TWICE {
        let reply = order(&running, &[ADA, JSON, second]).await;
        assert_eq!(reply.status, 400, "{second:?}: {reply:?}");
    }
    for (headers, named) in [
        (
            [("authorization", "Bearer dev:ada, Bearer dev:bob"), JSON],
            "Authorization",
        ),
        (
            [("authorization", "Bearer dev:ada,dev:bob"), JSON],
            "Authorization",
        ),
        (
            [("authorization", "Bearer dev:ada dev:bob"), JSON],
            "Authorization",
        ),
        (
            [ADA, ("content-type", "application/json, text/plain")],
            "content-type",
        ),
        (
            [ADA, ("content-type", "application/json;charset=utf-8,text/plain")],
            "content-type",
        ),
    ] {
        let problem = order(&running, &headers).await.problem(400, "malformed");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(named), "{headers:?}: {problem}");
        assert!(!detail.contains("bob"), "nobody's token is repeated: {problem}");
    }
    assert_eq!(running.stage.begun.load(Ordering::SeqCst), 0);
    assert_eq!(
        order(&running, &[ADA, JSON, ("accept", "a"), ("accept", "b")])
            .await
            .status,
        202
    );
    // Where nobody asks who it is, too: what stands behind may.
    let path = "/v1/campaigns/spring";
    let two = call(running.address, "GET", path, &[ADA, ADA], b"").await;
    two.problem(400, "malformed");
}

#[tokio::test]
async fn no_change_comes_of_two_headers_that_say_one_thing() {
    let running = control::start(Some("secret"));
    let admin = ("authorization", "Bearer secret");
    let wasm = ("content-type", "application/wasm");
    let upload = async |headers: &[(&str, &str)]| {
        call(running.address, "POST", "/admin/v1/modules", headers, b"new").await
    };
    for second in TWICE {
        let reply = upload(&[admin, wasm, second]).await;
        assert_eq!(reply.status, 400, "{second:?}: {reply:?}");
    }
    upload(&[admin, admin, wasm]).await.problem(400, "malformed");
    upload(&[admin, ("content-type", "application/wasm, text/plain")])
        .await
        .problem(400, "malformed");
    for path in ["/livez", "/metrics", "/readyz"] {
        let reply = call(running.address, "GET", path, &[("host", "evil.example")], b"").await;
        assert_eq!(reply.status, 400, "{path}");
    }
    let local = control::start(None);
    let origins = [
        ("origin", "http://localhost"),
        ("origin", "http://evil.example"),
        wasm,
    ];
    let reply = call(local.address, "POST", "/admin/v1/modules", &origins, b"new").await;
    reply.problem(400, "malformed");
    assert_eq!(upload(&[admin, wasm]).await.status, 201);
}
