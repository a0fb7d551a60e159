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
    put(&gate, "empty", &[TEXT], Vec::new())
        .await
        .refused(422, "invalid");
    put(&gate, "empty?strict=false", &[TEXT], Vec::new())
        .await
        .expect(201);
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

/// What each program exports of the same sheet: two people, one of them with something around the id, and nobody.
#[tokio::test]
async fn a_spreadsheet_is_uploaded_and_its_people_buy() {
    const CSV: (&str, &str) = ("content-type", "text/csv");
    let gate = Gate::dev().await;
    let excel = "\u{feff}Kunde;Name\r\nada;Ada\r\nbob\u{a0};Bob\r\n;\r\n".as_bytes();
    let google = b"Kunde,Name\r\nada,Ada\r\nbob ,Bob\r\n,\r\n".as_slice();
    let libreoffice = b"\"Kunde\",\"Name\"\n\"ada\",\"Ada\"\n\" bob\",\"Bob\"\n\"\",\"\"\n";
    let numbers = "Kunde;Name\r\nada;Ada\r\n\u{200b}bob;Bob\r\n;".as_bytes();
    for (text, delimiter) in [
        (excel, "semicolon"),
        (google, "comma"),
        (libreoffice, "comma"),
        (numbers, "semicolon"),
    ] {
        // As text, every one of them would be a list of nobody.
        put(&gate, "vip", &[TEXT], text.to_vec())
            .await
            .refused(422, "invalid");
        let read = put(&gate, "vip?column=Kunde", &[CSV], text.to_vec()).await.json();
        let table = json!({
            "column": 1, "name": "Kunde", "delimiter": delimiter, "rows": 3, "blank": 1, "trimmed": 1,
        });
        assert_eq!(
            (&read["members"], &read["version"], &read["table"]),
            (&json!(2), &json!(1), &table)
        );
    }
    let zipped = put(
        &gate,
        "vip?column=Kunde",
        &[CSV, GZIP],
        gzip("Kunde,Name\nada,A\nbob,B\n"),
    )
    .await;
    assert_eq!(zipped.expect(200).json()["version"], 1, "the same members");
    gate.create("spring", 10, members("allow")).await;
    expect(&gate, &[("ada", ADMITTED), ("bob", ADMITTED), ("Kunde", REFUSED)]).await;

    let asked = async |path: &str| get(&gate, &format!("/audiences/vip/{path}")).await;
    assert_eq!(asked("members/bob").await.expect(200).json()["listed"], true);
    assert_eq!(asked("members/bob%20").await.expect(200).json()["listed"], false);
    put(&gate, "vip", &[TEXT], b"ada\n".to_vec()).await.expect(201);
    assert_eq!(asked("members/bob").await.json()["listed"], false, "the newest");
    assert_eq!(asked("members/bob?version=1").await.json()["listed"], true);
    asked("members/bob?version=3").await.refused(404, "unknown");
    let text = asked("1/members").await.expect(200).body;
    let mut text: Vec<_> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    text.sort_unstable();
    assert_eq!(text, [b"ada", b"bob"]);

    // What is wrong is told line by line.
    let lines = "ada\n\"bob\"\n[\"cid\"]\n".repeat(10);
    let problem = put(&gate, "vip", &[TEXT], lines.clone().into_bytes())
        .await
        .refused(422, "invalid");
    assert_eq!(problem["suspicious"], 20, "{problem}");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(10));
    let detail = problem["errors"][1]["detail"].as_str().expect("text");
    assert!(
        detail.starts_with("line 3, ") && detail.ends_with("JSON"),
        "{problem}"
    );
    let loose = put(&gate, "vip?strict=false", &[TEXT], lines.into_bytes()).await;
    assert_eq!(loose.expect(201).json()["members"], 3);
}
