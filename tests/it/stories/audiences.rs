//! A merchant uploads a list, sells to those on it, and changes it.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Method;
use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::gate::Gate;

const TEXT: (&str, &str) = ("content-type", "text/plain");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

async fn put(gate: &Gate, id: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
    let url = format!("{}/admin/v1/audiences/{id}", gate.admin);
    gate.http.send(Method::PUT, &url, headers, body).await
}

async fn get(gate: &Gate, path: &str) -> Reply {
    gate.http
        .get(&format!("{}/admin/v1{path}", gate.admin), &[])
        .await
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("into memory");
    encoder.finish().expect("into memory")
}

fn members(mode: &str) -> Value {
    json!([{"module": "audience", "params": {"list": "vip", "mode": mode}}])
}

/// How an order of one mug ends: its status, and the reason where there is one.
async fn order(gate: &Gate, user: &str) -> (u16, String) {
    let reply = gate
        .place_in("spring", user, &[], json!({"sku": "mug", "quantity": 1}))
        .await;
    let reason = reply.json()["reason"].as_str().unwrap_or_default().to_owned();
    (reply.status, reason)
}

const ADMITTED: (u16, &str) = (202, "");
const REFUSED: (u16, &str) = (409, "not-invited");

async fn expect(gate: &Gate, orders: &[(&str, (u16, &str))]) {
    for (user, (status, reason)) in orders {
        assert_eq!(order(gate, user).await, (*status, (*reason).to_owned()), "{user}");
    }
}

#[tokio::test]
async fn a_sale_for_a_list_and_the_list_changes() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let gate = Gate::dev_in(data.path()).await;

    // A rule that asks for a list nobody has uploaded.
    let campaign = |id: &str| {
        json!({
            "id": id, "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
            "skus": [{"id": "mug", "stock": 1000}], "rules": members("allow"),
        })
    };
    let problem = gate
        .control("/campaigns", &campaign("spring"))
        .await
        .refused(422, "invalid");
    assert_eq!(problem["pointer"], "/rules/0/params/list", "{problem}");
    let hint = problem["errors"][0]["hint"].as_str().expect("a hint");
    assert!(hint.contains("PUT /admin/v1/audiences/vip"), "{problem}");

    // Twenty thousand ids and two people, compressed.
    let many: String = (0..20_000).map(|n| format!("buyer-{n}\r\n")).collect();
    let first = put(
        &gate,
        "vip",
        &[TEXT, GZIP],
        gzip(&format!("{many}ann\nBob\n\nann\n")),
    )
    .await;
    let first = first.expect(201).json();
    assert_eq!(
        (&first["version"], &first["members"]),
        (&json!(1), &json!(20_002))
    );
    let created = gate
        .control("/campaigns", &campaign("spring"))
        .await
        .expect(201)
        .json();
    assert!(
        created["explain"].to_string().contains("vip (version 1)"),
        "{created}"
    );
    expect(
        &gate,
        &[
            ("ann", ADMITTED),
            ("bob", REFUSED),
            ("Bob", ADMITTED),
            ("buyer-19999", ADMITTED),
            ("buyer-20000", REFUSED),
        ],
    )
    .await;

    // The same members in another form are the same version.
    let same = put(&gate, "vip", &[TEXT], format!("Bob\nann\n{many}").into_bytes()).await;
    assert_eq!(same.expect(200).json()["version"], 1);

    // Another version waits for a revision that pins it.
    let second = put(&gate, "vip", &[TEXT], b"bob\ncid".to_vec())
        .await
        .expect(201)
        .json();
    assert_eq!(
        second["behind"],
        json!([{"campaign": "spring", "revision": 1, "version": 1}])
    );
    expect(&gate, &[("cid", REFUSED)]).await;
    let revision = json!({"rules": members("allow")});
    let revision = gate
        .control("/campaigns/spring/revisions", &revision)
        .await
        .expect(201)
        .json();
    assert!(
        revision["explain"].to_string().contains("vip (version 2)"),
        "{revision}"
    );
    expect(&gate, &[("cid", REFUSED)]).await;
    gate.control("/campaigns/spring/activate", &json!({"revision": 2}))
        .await
        .expect(200);
    expect(
        &gate,
        &[("cid", ADMITTED), ("bob", ADMITTED), ("buyer-1", REFUSED)],
    )
    .await;

    // A wrong upload changes nothing, and its sender hears so, however much is still to come.
    let long = [b"dan\n\xff\n".as_slice(), many.repeat(20).as_bytes()].concat();
    let wrong = put(&gate, "vip", &[TEXT], long).await.refused(422, "invalid");
    assert!(
        wrong["detail"].as_str().expect("text").starts_with("line 2:"),
        "{wrong}"
    );
    put(&gate, "vip", &[TEXT, GZIP], b"dan\n".to_vec())
        .await
        .refused(400, "malformed");
    put(&gate, "v%20i%20p", &[TEXT], b"dan\n".to_vec())
        .await
        .refused(422, "invalid");
    let shown = get(&gate, "/audiences/vip").await.expect(200).json();
    assert_eq!(shown["versions"].as_array().map(Vec::len), Some(2), "{shown}");
    let delete = |version: u32| {
        let url = format!("{}/admin/v1/audiences/vip/{version}", gate.admin);
        let http = gate.http.clone();
        async move { http.send(Method::DELETE, &url, &[], Vec::new()).await }
    };
    let problem = delete(1).await.refused(409, "conflict");
    assert!(
        problem["detail"].as_str().expect("text").contains("revision 1"),
        "{problem}"
    );

    // The engine of `dev` forgets everything; the list comes back with the rest, and so does an old one.
    assert_eq!(gate.terminate(), Some(0));
    let gate = Gate::dev_in(data.path()).await;
    expect(
        &gate,
        &[("dan", REFUSED), ("cid", ADMITTED), ("buyer-2", REFUSED)],
    )
    .await;
    gate.control("/campaigns/spring/activate", &json!({"revision": 1}))
        .await
        .expect(200);
    expect(&gate, &[("buyer-2", ADMITTED), ("cid", REFUSED)]).await;
}

#[tokio::test]
async fn several_rules_ask_for_several_lists() {
    let gate = Gate::dev().await;
    put(&gate, "vip", &[TEXT], b"ann\nbob\n".to_vec())
        .await
        .expect(201);
    put(&gate, "abuse", &[TEXT], b"bob\n".to_vec()).await.expect(201);
    // An empty list is one nobody is on.
    put(&gate, "empty", &[TEXT], Vec::new()).await.expect(201);
    let rule = |name: &str, list: &str, mode: &str| json!({"module": "audience", "name": name, "params": {"list": list, "mode": mode}});
    let rules = json!([
        rule("invited", "vip", "allow"),
        rule("blocked", "abuse", "deny"),
        rule("none", "empty", "deny"),
        {"module": "n-per-user", "params": {"limit": 1}},
    ]);
    gate.create("spring", 10, rules).await;
    expect(
        &gate,
        &[
            ("ann", ADMITTED),
            ("ann", (409, "limit-per-user")),
            ("bob", (409, "blocked")),
            ("cid", REFUSED),
        ],
    )
    .await;
}
