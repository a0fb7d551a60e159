//! Orders over HTTP: what is taken, what is refused, and with which words.

use std::sync::atomic::Ordering;

use rushgate::order::OrderId;

use crate::fronts::stage::{PLACED_AT, Running, known};
use crate::fronts::wire::{Reply, call};

const ORDERS: &str = "/v1/campaigns/spring/orders";
const ADA: (&str, &str) = ("authorization", "Bearer dev:ada");
const JSON: (&str, &str) = ("content-type", "application/json");

async fn place(running: &Running, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = [&[ADA, JSON], headers].concat();
    call(running.address, "POST", ORDERS, &headers, body.as_bytes()).await
}

async fn order(running: &Running, sku: &str) -> Reply {
    place(running, &[], &format!(r#"{{"sku":"{sku}","quantity":1}}"#)).await
}

#[tokio::test]
async fn an_order_is_answered_with_its_place() {
    let running = Running::start();
    let reply = place(
        &running,
        &[("idempotency-key", "\"k 1\""), ("x-forwarded-for", "6.6.6.6")],
        r#"{"sku":"mug","quantity":2,"attributes":{"device":"d1"}}"#,
    )
    .await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("idempotent-replayed"), None);
    let (attempt, keyed) = running.stage.seen.lock().await.pop().expect("placed");
    assert!(keyed);
    assert_eq!((attempt.user.as_str(), attempt.quantity), ("ada", 2));
    let body = attempt.body().expect("an attempt with a key says it").to_owned();
    let attributes: Vec<_> = attempt
        .attributes
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        attributes,
        [
            ("body:2", body.as_str()),
            ("client:device", "d1"),
            ("ip", "127.0.0.1")
        ]
    );
    let expected = serde_json::json!({
        "order": attempt.order.to_string(), "state": "accepted", "campaign": "spring", "sku": "mug",
        "quantity": 2, "revision": 3, "placed_at": "2026-11-21T10:00:00.000Z",
    });
    assert_eq!(reply.json(), expected);
    assert_eq!(
        reply.header("location"),
        Some(format!("{ORDERS}/{}", attempt.order).as_str())
    );
}

#[tokio::test]
async fn a_retry_of_a_revoked_order_is_told_so_with_the_reason() {
    let running = Running::start();
    let body = r#"{"sku":"given-back","quantity":1}"#;
    let reply = place(&running, &[("idempotency-key", "revoked")], body).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.header("idempotent-replayed"), Some("true"));
    let shown = reply.json();
    assert_eq!(shown["state"], "revoked");
    assert_eq!(shown["revoked_reason"], "sold-out");
    // The engine alone does not know what became of it.
    let reply = place(&running, &[("idempotency-key", "database-down")], body).await;
    assert_eq!(reply.status, 503, "{reply:?}");
}

#[tokio::test]
async fn a_sale_that_is_over_answers_retries_from_the_database() {
    let running = Running::start();
    let keyed = async |key, body: &str| place(&running, &[("idempotency-key", key)], body).await;
    let body = r#"{"sku":"over","quantity":1}"#;
    for sku in ["over", "over-lost"] {
        let reply = order(&running, sku).await;
        assert_eq!(
            (reply.status, reply.json()["reason"].as_str()),
            (410, Some("closed"))
        );
    }
    // Its order stands among the dead letters: it is what its buyer was told it is.
    let reply = keyed("stranded", body).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.header("idempotent-replayed"), Some("true"));
    assert_eq!(reply.json()["state"], "accepted");
    // One of before bodies were kept is known by its SKU and quantity.
    let with_device = r#"{"sku":"over","quantity":1,"attributes":{"device":"d1"}}"#;
    assert_eq!(keyed("stranded-before", with_device).await.status, 202);
    for (key, body, status, reason) in [
        // No order came of it, and none will.
        ("new", body, 410, "closed"),
        // Its order may be on its way to the database.
        ("new", r#"{"sku":"over-lost","quantity":1}"#, 503, "gate-closed"),
        ("stranded", r#"{"sku":"over","quantity":2}"#, 422, "key-reused"),
        (
            "stranded",
            r#"{"sku":"over","quantity":1,"attributes":{"device":"d1"}}"#,
            422,
            "key-reused",
        ),
        ("database-down", body, 503, "unavailable"),
    ] {
        let reply = keyed(key, body).await;
        let shown = reply.json();
        assert_eq!(
            (reply.status, shown["reason"].as_str()),
            (status, Some(reason)),
            "{key}"
        );
        assert!(!shown.to_string().contains("internal"), "{shown}");
    }
}

#[tokio::test]
async fn the_same_key_names_the_same_order_and_none_a_fresh_one() {
    let running = Running::start();
    let body = r#"{"sku":"again","quantity":1}"#;
    let id = |reply: Reply| reply.json()["order"].as_str().expect("an id").to_owned();
    let key = [("idempotency-key", "k")];
    let first = place(&running, &key, body).await;
    assert_eq!(first.header("idempotent-replayed"), Some("true"));
    let first = id(first);
    assert_eq!(first, id(place(&running, &key, body).await));
    let (one, two) = (place(&running, &[], body).await, place(&running, &[], body).await);
    assert_ne!(id(one), id(two));
    assert!(
        running
            .stage
            .seen
            .lock()
            .await
            .iter()
            .rev()
            .take(2)
            .all(|(_, keyed)| !keyed)
    );
}

#[tokio::test]
async fn rejections_and_errors_have_their_status_and_headers() {
    let running = Running::start();
    for (sku, status, reason, retry_after) in [
        ("gone", 409, "sold-out", None),
        ("limited", 409, "limit-per-user", None),
        ("late", 410, "closed", None),
        ("other", 404, "unknown-sku", None),
        ("busy", 429, "overloaded", Some("2")),
        ("gate", 503, "gate-closed", Some("2")),
        ("never", 503, "deadline", Some("1")),
        ("down", 503, "unavailable", Some("1")),
    ] {
        let reply = order(&running, sku).await;
        reply.problem(status, reason);
        assert_eq!(reply.header("retry-after"), retry_after, "{sku}");
        assert!(
            !reply.body.contains("internal"),
            "what is inside stays inside: {}",
            reply.body
        );
    }
    let early = order(&running, "early").await;
    early.problem(425, "not-open");
    assert!(early.header("retry-after").is_some());
    let limited = order(&running, "limited").await.json();
    assert_eq!(limited["constraint"], "n-per-user/limit-per-user");
    assert_eq!((&limited["used"], &limited["limit"]), (&2.into(), &2.into()));
    let text = call(
        running.address,
        "GET",
        limited["type"].as_str().expect("a path"),
        &[],
        b"",
    )
    .await;
    assert_eq!(
        (text.status, text.header("content-type")),
        (200, Some("text/plain; charset=utf-8"))
    );
    assert!(text.body.contains("limit-per-user"));
}

#[tokio::test]
async fn wrong_requests_are_refused_before_anything_is_begun() {
    let running = Running::start();
    let good = r#"{"sku":"mug","quantity":1}"#.to_owned();
    let text = ("content-type", "text/plain");
    let large = format!(r#"{{"sku":"mug","quantity":1{}}}"#, " ".repeat(16 * 1024));
    let none: &[(&str, &str)] = &[];
    for (method, path, headers, body, status, reason) in [
        (
            "POST",
            "/v1/campaigns/spring/order",
            &[ADA, JSON][..],
            good.as_str(),
            404,
            "not-found",
        ),
        (
            "POST",
            "/v1/campaigns/none/orders",
            &[ADA, JSON],
            &good,
            404,
            "unknown",
        ),
        (
            "POST",
            "/v1/campaigns/sp%7Bring/orders",
            &[ADA, JSON],
            &good,
            404,
            "unknown",
        ),
        (
            "POST",
            "/v1/campaigns/spring%00/orders",
            &[ADA, JSON],
            &good,
            404,
            "unknown",
        ),
        ("PUT", ORDERS, &[ADA], "", 405, "method-not-allowed"),
        (
            "DELETE",
            "/v1/campaigns/spring",
            none,
            "",
            405,
            "method-not-allowed",
        ),
        ("POST", ORDERS, &[JSON], &good, 401, "token-missing"),
        (
            "POST",
            ORDERS,
            &[JSON, ("authorization", "Basic x")],
            &good,
            401,
            "token-missing",
        ),
        (
            "POST",
            ORDERS,
            &[JSON, ("authorization", "Bearer x.y.z")],
            &good,
            401,
            "token-invalid",
        ),
        (
            "POST",
            ORDERS,
            &[JSON, ("authorization", "Bearer dev:")],
            &good,
            401,
            "token-invalid",
        ),
        // The token is asked for before the body is looked at.
        ("POST", ORDERS, none, "{", 401, "token-missing"),
        (
            "POST",
            ORDERS,
            &[ADA, JSON, ("idempotency-key", "a b")],
            &good,
            400,
            "idempotency-key",
        ),
        ("POST", ORDERS, &[ADA], &good, 415, "unsupported-media-type"),
        ("POST", ORDERS, &[ADA, text], &good, 415, "unsupported-media-type"),
        ("POST", ORDERS, &[ADA, JSON], "", 400, "malformed"),
        ("POST", ORDERS, &[ADA, JSON], r#"{"sku":"mug","#, 400, "malformed"),
        ("POST", ORDERS, &[ADA, JSON], "sku=mug", 400, "malformed"),
        ("POST", ORDERS, &[ADA, JSON], "[]", 422, "invalid"),
        (
            "POST",
            ORDERS,
            &[ADA, JSON],
            r#"{"sku":"mug","quantity":0}"#,
            422,
            "invalid",
        ),
        ("POST", ORDERS, &[ADA, JSON], &large, 413, "too-large"),
    ] {
        let reply = call(running.address, method, path, headers, body.as_bytes()).await;
        reply.problem(status, reason);
        match status {
            401 => assert!(
                reply
                    .header("www-authenticate")
                    .is_some_and(|h| h.starts_with("Bearer "))
            ),
            405 => assert!(
                reply
                    .header("allow")
                    .is_some_and(|h| h == "GET, HEAD, POST" || h == "GET, HEAD")
            ),
            _ => {}
        }
    }
    assert_eq!(running.stage.begun.load(Ordering::SeqCst), 0);
    assert_eq!(order(&running, "mug").await.status, 202, "and it serves on");
}

#[tokio::test]
async fn an_order_is_shown_to_its_owner_only() {
    let running = Running::start();
    let show = async |campaign: &str, order: &str, user: &str| {
        let token = format!("Bearer dev:{user}");
        let path = format!("/v1/campaigns/{campaign}/orders/{order}");
        call(running.address, "GET", &path, &[("authorization", &token)], b"").await
    };
    let confirmed = show("spring", &known("confirmed").to_string(), "ada").await;
    let json = confirmed.json();
    assert_eq!((confirmed.status, &json["state"]), (200, &"confirmed".into()));
    assert_eq!(json["confirmed_at"], "2026-11-21T10:00:00.007Z");
    assert_eq!(confirmed.header("cache-control"), Some("no-store"));
    let revoked = show("spring", &known("revoked").to_string(), "ada").await.json();
    assert_eq!(
        (&revoked["state"], &revoked["revoked_reason"]),
        (&"revoked".into(), &"sold-out".into())
    );
    let pending = show("spring", &known("pending").to_string(), "ada").await.json();
    assert_eq!(pending["state"], "pending");
    // Accepted as far as the engine knows; the database may have told more, and is down.
    let down = show("spring", &known("database-down").to_string(), "ada").await;
    down.problem(503, "unavailable");

    let unknown = show("spring", &known("nothing").to_string(), "ada").await;
    unknown.problem(404, "unknown");
    for order in [
        known("confirmed").to_string(),
        known("pending").to_string(),
        "x".repeat(32),
        "%00".into(),
    ] {
        let other = show("spring", &order, "bob").await;
        assert_eq!((other.status, &other.body), (404, &unknown.body), "{order}");
    }
    show("none", &known("nothing").to_string(), "ada")
        .await
        .problem(404, "unknown");
    for down in ["engine-down", "all-down"] {
        let reply = show("spring", &known(down).to_string(), "ada").await;
        reply.problem(503, "unavailable");
        assert!(!reply.body.contains("internal"));
    }
    let path = format!("/v1/campaigns/spring/orders/{}", known("confirmed"));
    call(running.address, "GET", &path, &[], b"")
        .await
        .problem(401, "token-missing");
}

#[tokio::test]
async fn a_campaign_is_shown_to_everybody() {
    let running = Running::start();
    let reply = call(running.address, "GET", "/v1/campaigns/spring", &[], b"").await;
    let closes = serde_json::from_str::<serde_json::Value>(&reply.body).expect("JSON")["closes_at"].clone();
    assert!(
        closes.as_str().is_some_and(|time| time.ends_with(".000Z")),
        "{closes}"
    );
    let expected = serde_json::json!({
        "campaign": "spring", "state": "open", "opens_at": "1970-01-01T00:00:00.000Z", "closes_at": closes,
        "skus": [{"id": "mug", "sold_out": false}, {"id": "gone", "sold_out": true}],
    });
    assert_eq!(reply.json(), expected);
    let head = call(running.address, "HEAD", "/v1/campaigns/spring", &[], b"").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    call(running.address, "GET", "/v1/campaigns/none", &[], b"")
        .await
        .problem(404, "unknown");
}

#[tokio::test]
async fn the_registry_counts_requests_and_decisions() {
    let running = Running::start();
    order(&running, "mug").await;
    order(&running, "gone").await;
    order(&running, "limited").await;
    call(running.address, "GET", "/nothing", &[], b"").await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &running.registry).expect("text");
    for line in [
        r#"http_requests_total{route="place",status="202"} 1"#,
        r#"http_requests_total{route="place",status="409"} 2"#,
        r#"http_requests_total{route="none",status="404"} 1"#,
        r#"order_decisions_total{outcome="admitted",reason=""} 1"#,
        r#"order_decisions_total{outcome="rejected",reason="sold-out"} 1"#,
        r#"order_decisions_total{outcome="rejected",reason="limit-per-user"} 1"#,
        "order_duration_seconds_count 3",
        r#"order_duration_seconds_bucket{le="0.0001"}"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert_eq!(PLACED_AT % 1000, 0);
}

#[tokio::test]
async fn the_quota_says_what_is_left_and_what_it_lacks() {
    const QUOTA: &str = "/v1/campaigns/spring/quota";
    let running = Running::start();
    let get = async |path: String, headers: &[(&str, &str)]| {
        call(running.address, "GET", &path, headers, b"").await
    };
    let reply = get(QUOTA.into(), &[ADA]).await;
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (200, Some("no-store"))
    );
    let expected = serde_json::json!({
        "campaign": "spring", "revision": 3, "as_of": "2026-11-21T10:00:00.000Z", "quantity": 1,
        "refused": {
            "reason": "limit-per-user", "constraint": "n-per-user/limit-per-user", "detail": "as the stage was told", "retryable": true,
            "retry_at": "2026-11-21T10:00:00.001Z",
        },
        "constraints": [
            {"constraint": "n-per-user/limit-per-user", "sentence": "Each user may order 2 times.", "enforced": "at most 2", "refused": true,
             "used": 3, "limit": 2, "remaining": 0, "resets_at": "2026-11-21T10:00:00.001Z"},
            {"constraint": "per-subject/limit-per-device", "sentence": "Each device may order once.", "enforced": "at most 1",
             "missing": ["client.device"]},
        ],
    });
    assert_eq!(reply.json(), expected);
    let (attempt, _) = running.stage.seen.lock().await.pop().expect("asked");
    assert_eq!((attempt.user.as_str(), attempt.quantity), ("ada", 1));
    let reply = get(format!("{QUOTA}?sku=mug&quantity=3&client.device=d%201"), &[ADA]).await;
    let shown = reply.json();
    assert_eq!((&shown["sku"], &shown["quantity"]), (&"mug".into(), &3.into()));
    assert_eq!(shown["constraints"][1]["remaining"], 1);
    assert_eq!(shown["constraints"][1]["refused"], false);
    let (attempt, _) = running.stage.seen.lock().await.pop().expect("asked");
    assert_eq!((attempt.user.as_str(), attempt.quantity), ("ada", 3));
    assert_eq!(attempt.attributes["client:device"], "d 1");

    get(QUOTA.into(), &[]).await.problem(401, "token-missing");
    get(format!("{QUOTA}?sku=other"), &[ADA])
        .await
        .problem(404, "unknown-sku");
    for wrong in ["device=d1", "quantity=0", "quantity=two"] {
        get(format!("{QUOTA}?{wrong}"), &[ADA])
            .await
            .problem(400, "malformed");
    }
    get("/v1/campaigns/autumn/quota".into(), &[ADA])
        .await
        .problem(404, "unknown");
    let posted = call(running.address, "POST", QUOTA, &[ADA], b"").await;
    posted.problem(405, "method-not-allowed");
    assert_eq!(posted.header("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn an_order_is_replaced_by_one_order() {
    let running = Running::start();
    let expired = known("expired").to_string();
    let placed = async |key: &str, sku: &str| {
        let body = format!(r#"{{"sku":"{sku}","quantity":1,"replaces":"{expired}"}}"#);
        place(&running, &[("idempotency-key", key)], &body).await
    };
    // What was refused has not come in its place; nor has what nobody has when it is looked for.
    assert_eq!(placed("first", "gone").await.status, 409);
    assert_eq!(placed("second", "busy").await.status, 429);
    assert_eq!(placed("third", "never").await.status, 503);
    assert_eq!(placed("waits", "mug").await.status, 202);
    let waits = OrderId::keyed("spring", "ada", "waits").to_string();
    for key in ["fourth", "fifth"] {
        let refused = placed(key, "mug").await;
        let shown = refused.json();
        assert_eq!(
            (refused.status, shown["reason"].as_str()),
            (409, Some("already-replaced"))
        );
        assert_eq!(
            (&shown["replaced_by"], &shown["pointer"]),
            (&waits.as_str().into(), &"/replaces".into())
        );
        assert!(
            shown["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains(&waits)),
            "{shown}"
        );
    }
    let begun = running.stage.begun.load(Ordering::SeqCst);
    assert_eq!(placed("waits", "again").await.status, 202, "a retry");
    assert_eq!(running.stage.begun.load(Ordering::SeqCst), begun + 1);
    // An order that the database knows beside it is answered like any retry.
    assert_eq!(placed("landed", "again").await.status, 202);
    for replaced in ["confirmed", "unheard-of"] {
        let body = format!(r#"{{"sku":"mug","quantity":1,"replaces":"{}"}}"#, known(replaced));
        let refused = place(&running, &[], &body).await;
        assert_eq!(
            (refused.status, &refused.json()["pointer"]),
            (422, &"/replaces".into())
        );
    }
}

#[tokio::test]
async fn a_cancel_that_had_no_turn_says_that_nothing_was_tried() {
    let running = Running::start();
    let path = format!("{ORDERS}/{}/cancel", known("crowded"));
    let reply = call(running.address, "POST", &path, &[ADA], b"").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    let shown = reply.json();
    assert_eq!(
        (&shown["reason"], &shown["retryable"]),
        (&"unavailable".into(), &true.into())
    );
    assert!(
        shown["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("nothing was tried")),
        "{shown}"
    );
}
