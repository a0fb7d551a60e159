//! A merchant uploads a list, sells to those on it, and changes it.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};
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

async fn change(gate: &Gate, method: Method, path: &str) -> Reply {
    let url = format!("{}/admin/v1/audiences/{path}", gate.admin);
    gate.http.send(method, &url, &[], Vec::new()).await
}

#[tokio::test]
async fn one_buyer_is_put_on_a_list_while_the_sale_runs() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let gate = Gate::dev_in(data.path()).await;
    // Large enough that most buckets do not change.
    let many: String = (0..20_000).map(|n| format!("buyer-{n}\n")).collect();
    put(&gate, "vip", &[TEXT], many.clone().into_bytes())
        .await
        .expect(201);
    put(&gate, "bots", &[TEXT], b"eve\n".to_vec()).await.expect(201);
    let rules = json!([
        {"module": "audience", "params": {"list": "vip", "mode": "allow"}},
        {"module": "audience", "name": "bots", "params": {"list": "bots", "mode": "deny"}},
    ]);
    gate.create("spring", 100, rules).await;
    expect(&gate, &[("ada", REFUSED), ("buyer-7", ADMITTED)]).await;

    let added = change(&gate, Method::PUT, "vip/members/ada?activate=spring").await;
    let added = added.expect(201).json();
    assert_eq!(
        (&added["version"], &added["members"], &added["behind"]),
        (&json!(2), &json!(20_001), &json!([]))
    );
    assert_eq!(added["activated"][0]["revision"], 2, "{added}");
    expect(
        &gate,
        &[("ada", ADMITTED), ("bob", REFUSED), ("buyer-7", ADMITTED)],
    )
    .await;
    // The same members, however they came, are the same version.
    let same = put(&gate, "vip", &[TEXT], format!("{many}ada\n").into_bytes()).await;
    let same = same.expect(200).json();
    assert_eq!((&same["version"], &same["digest"]), (&json!(2), &added["digest"]));
    let again = change(&gate, Method::PUT, "vip/members/ada?activate=spring").await;
    let again = again.expect(200).json();
    assert_eq!(
        (&again["version"], &again["activated"]),
        (&json!(2), &added["activated"])
    );

    // Without asking for it, the campaign goes on as it was; and another list stays in its version.
    put(&gate, "bots", &[TEXT], b"ada\n".to_vec()).await.expect(201);
    let removed = change(&gate, Method::DELETE, "vip/members/buyer-7")
        .await
        .expect(200)
        .json();
    assert_eq!(
        removed["behind"],
        json!([{"campaign": "spring", "revision": 2, "version": 2}])
    );
    expect(&gate, &[("buyer-7", ADMITTED)]).await;
    let removed = change(&gate, Method::DELETE, "vip/members/buyer-8?activate=spring").await;
    assert_eq!(removed.expect(200).json()["activated"][0]["revision"], 3);
    expect(
        &gate,
        &[
            ("buyer-7", REFUSED),
            ("buyer-8", REFUSED),
            ("ada", ADMITTED),
            ("eve", REFUSED),
        ],
    )
    .await;
    let asked = get(&gate, "/audiences/vip/members/buyer-7")
        .await
        .expect(200)
        .json();
    assert_eq!(asked["listed"], false);
    assert_eq!(
        get(&gate, "/audiences/vip/members/buyer-7?version=2")
            .await
            .json()["listed"],
        true
    );
    // The engine of `dev` forgets everything; the version comes back, with what it shares.
    assert_eq!(gate.terminate(), Some(0));
    let gate = Gate::dev_in(data.path()).await;
    expect(
        &gate,
        &[("buyer-7", REFUSED), ("ada", ADMITTED), ("buyer-9", ADMITTED)],
    )
    .await;
    // Back to an earlier revision, with the list as it was.
    gate.control("/campaigns/spring/activate", &json!({"revision": 1}))
        .await
        .expect(200);
    expect(&gate, &[("ada", REFUSED), ("buyer-7", ADMITTED)]).await;

    // What cannot be is refused before anything is stored.
    for (path, status, code) in [
        ("none/members/ada", 404, "unknown"),
        ("vip/members/cid?activate=none", 404, "unknown"),
        ("vip/members/cid?activate=demo", 409, "conflict"),
        ("vip/members/%20cid", 422, "invalid"),
        ("vip/members/%22cid%22", 422, "invalid"),
        ("vip/members/cid%0Adan?strict=false", 422, "invalid"),
        ("vip/members/cid?strict=maybe", 400, "malformed"),
    ] {
        change(&gate, Method::PUT, path).await.refused(status, code);
    }
    let shown = get(&gate, "/audiences/vip").await.json();
    assert_eq!(shown["versions"][0]["version"], 4, "{shown}");
}

#[tokio::test]
async fn a_list_is_uploaded_for_campaigns_that_run() {
    let gate = Gate::dev().await;
    let note = |answer: &Value| answer["note"].as_str().expect("a note").to_owned();
    // Nobody asks for it yet, which whoever changes it is told.
    let first = put(&gate, "vip", &[TEXT], b"ada\n".to_vec()).await;
    let unasked = "No active revision asks for this list";
    assert!(note(&first.expect(201).json()).contains(unasked));
    for (method, path) in [
        (Method::PUT, "vip/members/bob"),
        (Method::PUT, "vip/members/bob"),
        (Method::DELETE, "vip/members/bob"),
        (Method::DELETE, "vip/members/bob"),
    ] {
        let answer = change(&gate, method, path).await.json();
        assert!(note(&answer).contains(unasked), "{answer}");
    }
    for reply in [
        put(&gate, "vip?activate=demo", &[TEXT], b"cid\n".to_vec()).await,
        change(&gate, Method::PUT, "vip/members/cid?activate=demo").await,
        change(&gate, Method::DELETE, "vip/members/ada?activate=demo").await,
    ] {
        let problem = reply.refused(409, "conflict");
        let detail = problem["detail"].as_str().expect("text");
        assert!(
            detail.contains("\"demo\"") && detail.contains("leave the campaign out of ?activate="),
            "{problem}"
        );
    }
    put(&gate, "vip?activate=none", &[TEXT], b"cid\n".to_vec())
        .await
        .refused(404, "unknown");
    let stored = get(&gate, "/audiences/vip").await.json();
    assert_eq!(stored["versions"].as_array().map(Vec::len), Some(3), "{stored}");

    gate.create("spring", 100, members("allow")).await;
    expect(&gate, &[("ada", ADMITTED), ("cid", REFUSED)]).await;
    let next = put(&gate, "vip?activate=spring", &[TEXT], b"ada\ncid\n".to_vec()).await;
    let next = next.expect(201).json();
    assert_eq!(
        (
            &next["version"],
            &next["behind"],
            &next["activated"][0]["revision"]
        ),
        (&json!(4), &json!([]), &json!(2)),
        "{next}"
    );
    assert!(!note(&next).contains(unasked), "{next}");
    expect(&gate, &[("ada", ADMITTED), ("cid", ADMITTED)]).await;
    // The same again is nothing new, and says where the campaign is.
    let same = put(&gate, "vip?activate=spring", &[TEXT], b"cid\nada\n".to_vec()).await;
    let same = same.expect(200).json();
    assert_eq!(
        (&same["version"], &same["activated"]),
        (&json!(4), &next["activated"])
    );
    // Stored before, and brought to the campaign by a later upload of the same.
    put(&gate, "vip", &[TEXT], b"dan\n".to_vec()).await.expect(201);
    expect(&gate, &[("dan", REFUSED)]).await;
    let late = put(&gate, "vip?activate=spring", &[TEXT], b"dan\n".to_vec()).await;
    assert_eq!(late.expect(200).json()["activated"][0]["revision"], 3);
    expect(&gate, &[("dan", ADMITTED), ("cid", REFUSED)]).await;

    let page = get(&gate, "/audiences/vip?limit=2").await.json();
    assert_eq!(
        (&page["versions"][1]["version"], &page["next"]),
        (&json!(4), &json!(4))
    );
    let page = get(&gate, "/audiences/vip?limit=4&before=4").await.json();
    assert_eq!(page["versions"].as_array().map(Vec::len), Some(3), "{page}");
    assert_eq!(page.get("next"), None, "{page}");
    get(&gate, "/audiences/vip/1/members").await.expect(200);
    get(&gate, "/audiences/vip/6/members")
        .await
        .refused(404, "unknown");
}

#[tokio::test]
async fn changes_that_meet_become_one_version_and_a_list_grows() {
    let gate = Gate::dev().await;
    put(&gate, "vip", &[TEXT], b"ada\n".to_vec()).await.expect(201);
    let add = async |n: u32| {
        let path = format!("vip/members/buyer-{n}");
        change(&gate, Method::PUT, &path).await.expect(201).json()
    };
    // The control plane has 256 connections.
    let added: Vec<Value> = stream::iter((0..300).map(add))
        .buffer_unordered(100)
        .collect()
        .await;
    let versions: std::collections::BTreeSet<u64> =
        added.iter().filter_map(|one| one["version"].as_u64()).collect();
    assert!(versions.len() <= 30, "{versions:?}");
    let shown = get(&gate, "/audiences/vip").await.json();
    let newest = &shown["versions"][0];
    assert_eq!(newest["members"], 301);
    assert!(newest["buckets"].as_u64() > Some(1), "{newest}");
    for n in 0..300 {
        let asked = get(&gate, &format!("/audiences/vip/members/buyer-{n}"))
            .await
            .json();
        assert_eq!(asked["listed"], true, "{n}");
    }
    let text: String = (0..300).map(|n| format!("buyer-{n}\n")).collect();
    let same = put(&gate, "vip", &[TEXT], format!("ada\n{text}").into_bytes()).await;
    assert_eq!(same.expect(200).json()["version"], newest["version"]);
    // The last one goes, too.
    put(&gate, "vip", &[TEXT], b"ada\n".to_vec()).await.expect(201);
    let gone = change(&gate, Method::DELETE, "vip/members/ada")
        .await
        .expect(200)
        .json();
    assert_eq!(gone["members"], 0);
    assert!(
        gone["note"].as_str().is_some_and(|note| note.contains("Nobody")),
        "{gone}"
    );
}

/// Addresses however they are written, and ranges of them; `dev` sees buyers as they connect, from this machine.
#[tokio::test]
async fn a_list_of_addresses_matches_ranges_and_every_spelling() {
    let gate = Gate::dev().await;
    let block = async |text: &str, status: u16| {
        let reply = put(&gate, "block", &[TEXT], text.as_bytes().to_vec()).await;
        reply.expect(status).json()
    };
    let first = block("127.0.0.0/8\n2001:DB8:0:0::1\n::ffff:192.0.2.1\n192.0.2.1\n", 201).await;
    assert_eq!(
        (&first["kind"], &first["members"]),
        (&json!("addresses"), &json!(3))
    );
    let same = block("192.0.2.1\n127.0.0.0/8\n2001:db8::1\n", 200).await;
    assert_eq!(same["version"], 1);
    let rules = json!([{"module": "audience", "params": {"list": "block", "mode": "deny", "by": "ip"}}]);
    gate.create("spring", 100, rules).await;
    expect(&gate, &[("ada", (409, "blocked"))]).await;
    let explained = get(&gate, "/campaigns/spring/revisions/1").await.json();
    assert!(
        explained["explain"]
            .to_string()
            .contains("(version 1, of addresses and ranges)"),
        "{explained}"
    );

    // Who is on it, and by which range.
    for (asked, by) in [
        ("127.9.9.9", Some("127.0.0.0/8")),
        ("::ffff:127.0.0.1", Some("127.0.0.0/8")),
        ("127.128.0.0%2F9", Some("127.0.0.0/8")),
        ("2001:db8:0::1", Some("2001:db8::1")),
        ("2001:db8::2", None),
        ("128.0.0.1", None),
    ] {
        let answer = get(&gate, &format!("/audiences/block/members/{asked}"))
            .await
            .json();
        assert_eq!(
            (&answer["listed"], answer["by"].as_str()),
            (&json!(by.is_some()), by),
            "{asked}"
        );
    }
    get(&gate, "/audiences/block/members/ada")
        .await
        .refused(422, "invalid");

    // One by one.
    let off = change(
        &gate,
        Method::DELETE,
        "block/members/::ffff:127.0.0.0%2F104?activate=spring",
    )
    .await;
    assert_eq!(off.expect(200).json()["members"], 2);
    expect(&gate, &[("ada", ADMITTED)]).await;
    let on = change(&gate, Method::PUT, "block/members/127.0.0.0%2F24?activate=spring").await;
    assert_eq!(on.expect(201).json()["members"], 3);
    expect(&gate, &[("bob", (409, "blocked"))]).await;
    let still = change(&gate, Method::DELETE, "block/members/127.0.0.1")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&still["listed"], &still["by"]),
        (&json!(true), &json!("127.0.0.0/24"))
    );
    for wrong in ["ada", "127.0.0.1%2F8", "127.0.0.1:80"] {
        let refused = change(&gate, Method::PUT, &format!("block/members/{wrong}")).await;
        refused.refused(422, "invalid");
    }

    // Nothing turns a list of addresses into one of texts by mistake.
    let refused = async |text: &str, query: &str| {
        let reply = put(&gate, &format!("block{query}"), &[TEXT], text.as_bytes().to_vec()).await;
        reply.refused(422, "invalid");
    };
    refused("10.0.0.0/8\n10.0.0.300\n", "").await;
    refused("10.0.0.0/8\nada\n", "?strict=false").await;
    refused("10.1.2.3/8\n", "").await;
    let texts = put(&gate, "block?kind=texts", &[TEXT], b"ada\n".to_vec()).await;
    assert_eq!(texts.expect(201).json()["kind"], "texts");
    // A rule that asks it by the address is taken, with a warning.
    let rule =
        json!({"rules": [{"module": "audience", "params": {"list": "block", "mode": "deny", "by": "ip"}}]});
    let made = gate
        .control("/campaigns/spring/revisions?dry_run=true", &rule)
        .await;
    let made = made.expect(200).json();
    let warned = &made["diagnostics"][0];
    assert_eq!(
        (&warned["pointer"], &warned["code"]),
        (&json!("/rules/0/params/list"), &json!("texts-by-address")),
        "{made}"
    );
    refused("ada\n10.0.0.0/8\n", "").await;
    let range = change(&gate, Method::PUT, "block/members/10.0.0.0%2F8").await;
    range.refused(422, "invalid");
}

/// One slip in a list of addresses would make it one of texts, which blocks nobody.
#[tokio::test]
async fn a_slip_in_an_address_is_refused_with_its_line() {
    let gate = Gate::dev().await;
    let upload = async |query: &str, text: &str| {
        put(&gate, &format!("block{query}"), &[TEXT], text.as_bytes().to_vec()).await
    };
    for (text, told) in [
        (
            "10.0.0.0/255.0.0.0",
            "line 1, \"10.0.0.0/255.0.0.0\": it is an address with a netmask",
        ),
        (
            "10.1.2.3:80",
            "line 1, \"10.1.2.3:80\": it is an address with a port: write the address alone",
        ),
        ("fe80::1%eth0", "it is an address with a zone"),
        ("[2001:db8::1]:443", "it is an address in brackets"),
        ("10.0.0.1-10.0.0.9", "two addresses with a dash"),
        ("10.0.0/8", "too few numbers"),
        (
            "10.0.0.1\n10.0.0.0/33",
            "line 2, \"10.0.0.0/33\": it has more bits",
        ),
        (
            "10.0.0.256\n10.0.0.1",
            "line 1, \"10.0.0.256\": it has a number above 255",
        ),
        ("010.0.0.0/8", "begins with 0"),
        ("10.0.0.0/08", "begins with 0"),
        ("192.168.001.010", "begins with 0"),
    ] {
        let refused = upload("", text).await.refused(422, "invalid").to_string();
        let told = serde_json::to_string(told).expect("a text");
        assert!(refused.contains(told.trim_matches('"')), "{text}: {refused}");
        assert!(refused.contains("?kind=texts"), "{text}: {refused}");
        upload("?kind=addresses", text).await.refused(422, "invalid");
    }
    let table = put(
        &gate,
        "block?column=1&header=false",
        &[("content-type", "text/csv")],
        b"10.0.0.1:80\n".to_vec(),
    );
    table.await.refused(422, "invalid");

    // Whoever means texts says so.
    let texts = upload("?kind=texts", "10.1.2.3:80\nada\n")
        .await
        .expect(201)
        .json();
    assert_eq!((&texts["kind"], &texts["members"]), (&json!("texts"), &json!(2)));
    upload("?strict=false", "10.1.2.3:80\n").await.expect(201);
    let slip = "block/members/10.0.0.0%2F33";
    change(&gate, Method::PUT, slip).await.refused(422, "invalid");
    change(&gate, Method::PUT, &format!("{slip}?strict=false"))
        .await
        .expect(201);

    // What does not help is not offered.
    upload("?kind=addresses", "10.0.0.0/8\n").await.expect(201);
    let refused = change(&gate, Method::PUT, "block/members/%20x").await;
    let refused = refused.refused(422, "invalid").to_string();
    assert!(
        refused.contains("no IP address") && !refused.contains("strict"),
        "{refused}"
    );
}
