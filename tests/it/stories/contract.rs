//! One contract for changes: what is asked for twice is made once, and nobody changes what they have not seen.

use std::sync::Arc;

use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use testkit::http::{Http, Reply};

use crate::stories::gate::Gate;
use crate::stories::keys::{Deployment, Gateway};
use crate::stories::webhooks;

const JSON: (&str, &str) = ("content-type", "application/json");
const KEYS: &[&str] = &["a"];
/// Clients that ask at once.
const CLIENTS: usize = 16;

async fn send(method: Method, url: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let headers = [&[JSON], headers].concat();
    let body = body.to_string().into_bytes();
    Http::new().send(method, url, &headers, body).await
}

fn sale(id: &str) -> Value {
    json!({
        "id": id, "title": "Spring", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": [{"id": "mug", "stock": 10}], "rules": [{"module": "one-per-user"}],
    })
}

/// Of many that ask at once each is told to come again or gets the one answer.
async fn made_by_many(url: &str, key: &str, body: &Value) -> Reply {
    let asked =
        (0..CLIENTS).map(|_| async { send(Method::POST, url, &[("idempotency-key", key)], body).await });
    let (mut made, mut answers) = (0, Vec::new());
    for reply in join_all(asked).await {
        match reply.status {
            201 if reply.header("idempotent-replayed").is_empty() => {
                made += 1;
                answers.push(reply);
            }
            201 => answers.push(reply),
            _ => drop(reply.refused(409, "in-progress")),
        }
    }
    assert_eq!(made, 1, "of {CLIENTS} one is made");
    let again = send(Method::POST, url, &[("idempotency-key", key)], body).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    let again = again.expect(201);
    assert!(
        answers
            .iter()
            .all(|answer| answer.header("location") == again.header("location"))
    );
    again
}

/// The same over two gateways and MariaDB: what is made, is made once, and of two that have seen the same one changes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_at_once_makes_one_thing_and_changes_what_they_saw() {
    let deployment = Deployment::start().await;
    let (code, said) = deployment.run(&["migrate"], KEYS);
    assert_eq!(code, Some(0), "{said}");
    let gateways = [(); 2].map(|()| Arc::new(Gateway::up(deployment.role("serve", KEYS))));
    for gateway in &gateways {
        gateway
            .role
            .get_until(&format!("{}/readyz", gateway.admin), 200, "ready")
            .await;
    }
    let api = |at: usize, path: &str| format!("{}/admin/v1{path}", gateways[at % 2].admin);

    let made = made_by_many(&api(0, "/campaigns"), "k", &sale("spring")).await;
    assert_eq!(made.json()["revision"], 1);
    let (url, summer) = (api(1, "/campaigns"), sale("summer"));
    let other = send(Method::POST, &url, &[("idempotency-key", "k")], &summer).await;
    other.refused(422, "key-reused");

    let revision = json!({"rules": [{"module": "n-per-user", "params": {"limit": 2}}]});
    let url = api(1, "/campaigns/spring/revisions");
    let made = made_by_many(&url, "r", &revision).await;
    assert_eq!(made.json()["revision"], 2);
    let listed = Http::new().get(&url, &[]).await.expect(200).json();
    assert_eq!(listed["revisions"].as_array().map(Vec::len), Some(2), "{listed}");

    // Of those who change what they have seen, one does.
    let seen = Http::new()
        .get(&api(0, "/campaigns/spring"), &[])
        .await
        .expect(200);
    let tag = seen.header("etag").to_owned();
    let changes = (0..CLIENTS).map(|at| {
        let (url, tag, title) = (
            api(at, "/campaigns/spring"),
            &tag,
            json!({"title": format!("by {at}")}),
        );
        async move { send(Method::PATCH, &url, &[("if-match", tag)], &title).await }
    });
    let mut changed = 0;
    for reply in join_all(changes).await {
        match reply.status {
            200 => changed += 1,
            _ => {
                let told = reply.refused(412, "precondition-failed");
                assert_ne!(told["etag"], tag.as_str(), "{told}");
                assert_eq!(told["last_change"]["action"], "campaign.change", "{told}");
            }
        }
    }
    assert_eq!(changed, 1, "of {CLIENTS} one has changed it");

    // The stock goes back in steps of its own, and the same holds.
    let seen = Http::new()
        .get(&api(0, "/campaigns/spring"), &[])
        .await
        .expect(200);
    let tag = seen.header("etag").to_owned();
    let url = |at: usize| api(at, "/campaigns/spring/skus/mug/stock");
    let taken = (0..4).map(|at| {
        let (url, tag) = (url(at), &tag);
        async move { send(Method::POST, &url, &[("if-match", tag)], &json!({"remove": 1})).await }
    });
    let taken: Vec<u16> = join_all(taken).await.iter().map(|reply| reply.status).collect();
    assert_eq!(
        taken.iter().filter(|status| **status == 200).count(),
        1,
        "{taken:?}"
    );
    let left = Http::new()
        .get(&api(0, "/campaigns/spring"), &[])
        .await
        .expect(200)
        .json();
    assert_eq!(left["skus"][0]["stock"], 9, "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_is_another_one_after_each_change_and_stays_while_orders_come() {
    let gate = Gate::dev().await;
    gate.create("spring", 10, json!([{"module": "one-per-user"}]))
        .await;
    let path = |rest: &str| format!("{}/admin/v1/campaigns/spring{rest}", gate.admin);
    let tag = async || {
        let shown = Http::new().get(&path(""), &[]).await.expect(200);
        assert_eq!(shown.header("cache-control"), "no-store");
        shown.header("etag").to_owned()
    };
    let first = tag().await;
    gate.place_in("spring", "ann", &[], json!({"sku": "mug", "quantity": 1}))
        .await
        .expect(202);
    assert_eq!(tag().await, first, "orders change no tag");
    let known = Http::new()
        .get(&path(""), &[("if-none-match", first.as_str())])
        .await;
    assert_eq!((known.status, known.text().as_ref()), (304, ""));
    assert_eq!(known.header("etag"), first);

    let mut before = first.clone();
    for (method, rest, body) in [
        (Method::PATCH, "", json!({"title": "Summer"})),
        (Method::PATCH, "", json!({"closes_at": "2027-12-30T00:00:00Z"})),
        (Method::POST, "/pause", json!({})),
        (Method::POST, "/resume", json!({})),
        (Method::POST, "/stock", json!({"sku": "mug", "add": 5})),
        (Method::POST, "/stock", json!({"sku": "mug", "remove": 1})),
        (
            Method::POST,
            "/revisions",
            json!({"rules": [{"module": "one-per-user"}]}),
        ),
        (Method::POST, "/activate", json!({"revision": 1})),
        (Method::POST, "/skus", json!({"id": "cap", "stock": 3})),
        (
            Method::POST,
            "/pause",
            json!({"pause_at": "2027-01-01T00:00:00Z"}),
        ),
        (Method::POST, "/end", json!({})),
    ] {
        let stale = send(
            method.clone(),
            &path(rest),
            &[("if-match", first.as_str())],
            &body,
        )
        .await;
        if before != first {
            let told = stale.refused(412, "precondition-failed");
            assert_eq!(told["etag"], before.as_str(), "{rest}: {told}");
            assert!(told["current"]["title"].is_string(), "{told}");
            let done = send(method, &path(rest), &[("if-match", before.as_str())], &body).await;
            assert!(matches!(done.status, 200 | 201), "{rest}: {}", done.text());
        }
        let after = tag().await;
        assert_ne!(after, before, "{rest}");
        before = after;
    }
    for (wrong, status, reason) in [
        ("spring", 400, "malformed"),
        ("W/\"a\"", 412, "precondition-failed"),
        ("*, \"a\"", 400, "malformed"),
    ] {
        let asked = send(
            Method::PATCH,
            &path(""),
            &[("if-match", wrong)],
            &json!({"title": "x"}),
        )
        .await;
        asked.refused(status, reason);
    }
    let any = send(
        Method::PATCH,
        &path(""),
        &[("if-match", "*")],
        &json!({"title": "x"}),
    )
    .await;
    any.expect(200);
    let clone =
        json!({"id": "again", "opens_at": "2027-01-01T00:00:00Z", "closes_at": "2027-01-02T00:00:00Z"});
    let unused = send(Method::POST, &path("/clone"), &[("if-match", "*")], &clone).await;
    unused.refused(400, "malformed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_under_a_key_is_answered_again_although_the_tag_has_moved() {
    let gate = Gate::dev().await;
    gate.create("spring", 10, json!([{"module": "one-per-user"}]))
        .await;
    let url = format!("{}/admin/v1/campaigns/spring", gate.admin);
    let tag = Http::new()
        .get(&url, &[])
        .await
        .expect(200)
        .header("etag")
        .to_owned();
    let headers = [("if-match", tag.as_str()), ("idempotency-key", "k")];
    let asked = json!({"title": "Summer"});
    let first = send(Method::PATCH, &url, &headers, &asked).await.expect(200);
    let again = send(Method::PATCH, &url, &headers, &asked).await.expect(200);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.text(), first.text());
    // A dry run and what is so already say it, too.
    for (path, body) in [("?dry_run=true", json!({"title": "Winter"})), ("", asked)] {
        let stale = send(Method::PATCH, &format!("{url}{path}"), &headers[..1], &body).await;
        stale.refused(412, "precondition-failed");
    }
    let stale = send(Method::DELETE, &url, &headers[..1], &Value::Null).await;
    stale.refused(412, "precondition-failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_is_made_once_and_changed_by_whom_has_seen_it() {
    let gate = webhooks::dev().await;
    let url = format!("{}/admin/v1/webhooks", gate.admin);
    let asked = json!({"url": "http://127.0.0.1:9/hook", "campaign": "demo"});
    let first = made_by_many(&url, "k", &asked).await.json();
    let listed = Http::new().get(&url, &[]).await.expect(200).json();
    assert_eq!(listed["webhooks"].as_array().map(Vec::len), Some(1), "{listed}");
    assert!(first["secret"].is_string(), "{first}");

    let id = first["id"].as_str().expect("an id");
    let url_of = format!("{url}/{id}");
    let tag = Http::new()
        .get(&url_of, &[])
        .await
        .expect(200)
        .header("etag")
        .to_owned();
    let seen = [("if-match", tag.as_str())];
    let changed = send(Method::PATCH, &url_of, &seen, &json!({"note": "warehouse"}))
        .await
        .expect(200);
    let next = changed.header("etag").to_owned();
    assert_ne!(next, tag);
    let told = send(Method::PATCH, &url_of, &seen, &json!({"note": "other"})).await;
    let told = told.refused(412, "precondition-failed");
    assert_eq!(
        (&told["etag"], &told["current"]["note"]),
        (&json!(next), &json!("warehouse"))
    );
    send(Method::DELETE, &url_of, &seen, &Value::Null)
        .await
        .refused(412, "precondition-failed");
    send(
        Method::POST,
        &format!("{url_of}/secret"),
        &[("if-match", next.as_str())],
        &json!({}),
    )
    .await
    .expect(200);
    // A secret that was replaced is shown to nobody who repeats the first request.
    let again = send(Method::POST, &url, &[("idempotency-key", "k")], &asked)
        .await
        .expect(201)
        .json();
    assert!(again["secret"].is_null() && again["id"] == first["id"], "{again}");
    send(Method::DELETE, &url_of, &[("if-match", "*")], &Value::Null)
        .await
        .expect(204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_made_once_and_shown_once() {
    let gate = Gate::dev().await;
    let url = format!("{}/admin/v1/keys", gate.admin);
    let asked = json!({"name": "desk", "person": "ada", "role": "viewer"});
    let headers = [("idempotency-key", "k")];
    let first = send(Method::POST, &url, &headers, &asked)
        .await
        .expect(201)
        .json();
    assert!(first["key"].is_string());
    let again = send(Method::POST, &url, &headers, &asked).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let again = again.json();
    assert!(again["key"].is_null() && again["id"] == first["id"], "{again}");
    let listed = Http::new().get(&url, &[]).await.expect(200).json();
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(1), "{listed}");
    let merchants = format!("{}/admin/v1/merchants", gate.admin);
    for replayed in ["", "true"] {
        let headers = [("idempotency-key", "another")];
        let made = send(Method::POST, &merchants, &headers, &json!({"id": "shop-a"})).await;
        assert_eq!(made.header("idempotent-replayed"), replayed);
        made.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_replaced_by_whom_has_seen_its_newest_version() {
    let gate = Gate::dev().await;
    let url = format!("{}/admin/v1/audiences/vip", gate.admin);
    let put = async |headers: &[(&str, &str)], body: &str| {
        let headers = [&[("content-type", "text/plain")], headers].concat();
        Http::new()
            .send(Method::PUT, &url, &headers, body.as_bytes().to_vec())
            .await
    };
    put(&[("if-match", "*")], "ann\n").await.refused(404, "unknown");
    put(&[], "ann\n").await.expect(201);
    let tag = Http::new()
        .get(&url, &[])
        .await
        .expect(200)
        .header("etag")
        .to_owned();
    let known = Http::new().get(&url, &[("if-none-match", tag.as_str())]).await;
    assert_eq!(known.status, 304);
    put(&[("if-match", tag.as_str())], "ann\nbob\n").await.expect(201);
    let told = put(&[("if-match", tag.as_str())], "ann\neve\n").await;
    let told = told.refused(412, "precondition-failed");
    assert_eq!(told["current"]["version"], 2, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_things_are_said_where_they_are_wrong() {
    let gate = Gate::dev().await;
    for minutes in [json!(0), json!(-5), json!(43_201), json!(10_000_000_000_u64)] {
        let mut new = sale("spring");
        new["hold"] = json!({"minutes": minutes});
        let told = gate.control("/campaigns", &new).await.refused(422, "invalid");
        assert_eq!(told["pointer"], "/hold/minutes", "{told}");
        assert!(
            told["detail"]
                .as_str()
                .is_some_and(|text| text.contains("1 to 43200")),
            "{told}"
        );
    }
    let mut past = sale("past");
    (past["opens_at"], past["closes_at"]) = ("2020-01-01T00:00:00Z".into(), "2020-01-02T00:00:00Z".into());
    let made = gate.control("/campaigns", &past).await.expect(201).json();
    let warned = made["diagnostics"].as_array().into_iter().flatten();
    let warned: Vec<_> = warned
        .filter(|warning| warning["code"] == "over-already")
        .collect();
    assert_eq!(warned[0]["pointer"], "/closes_at", "{made}");
    gate.control("/campaigns", &sale("spring")).await.expect(201);
    let url = format!("{}/admin/v1/campaigns/spring", gate.admin);
    let told = send(
        Method::PATCH,
        &url,
        &[],
        &json!({"opens_at": "2029-01-01T00:00:00Z"}),
    )
    .await;
    assert_eq!(told.refused(422, "invalid")["pointer"], "/opens_at");
}
