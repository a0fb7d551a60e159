//! One buyer's data is handed out and erased, over HTTP and by command.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use testkit::database::{Database, connect};
use testkit::http::Reply;

use crate::stories::gate::{Gate, PATIENCE, POLL, command};

const ADA: &str = "ada-lovelace-1815";

async fn get(gate: &Gate, path: &str) -> Reply {
    gate.http
        .get(&format!("{}/admin/v1{path}", gate.admin), &[])
        .await
}

async fn erase(gate: &Gate, user: &str, key: &str, body: &Value) -> Reply {
    let url = format!("{}/admin/v1/buyers/{user}/erase", gate.admin);
    gate.http.post(&url, &[("idempotency-key", key)], body).await
}

/// A command's output; it has to succeed.
async fn run(gate: &Gate, args: &[&str]) -> String {
    let mut told = std::process::Command::new(command(&["buyer"]).get_program());
    told.arg("buyer").args(args).args(["--admin-url", &gate.admin]);
    let output = tokio::task::spawn_blocking(move || told.output()).await;
    let output = output.expect("no panic").expect("it runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

fn lines(text: &str) -> Vec<Value> {
    let read = |line| serde_json::from_str(line).expect("a line of JSON");
    text.lines().map(read).collect()
}

/// How many lines of each kind an export has.
fn of_kind(lines: &[Value], kind: &str) -> usize {
    lines.iter().filter(|line| line["kind"] == kind).count()
}

async fn export(gate: &Gate, user: &str) -> Vec<Value> {
    let reply = get(gate, &format!("/buyers/{user}/data")).await.expect(200);
    lines(std::str::from_utf8(&reply.body).expect("text"))
}

async fn bought(gate: &Gate, user: &str, key: &str) -> Reply {
    let headers = [("idempotency-key", key)];
    let placed = gate
        .place_in("spring", user, &headers, json!({"sku": "mug", "quantity": 1}))
        .await
        .expect(202);
    gate.order_in_state(user, placed.header("location"), "confirmed")
        .await;
    placed
}

async fn db(data: &Path) -> Database {
    let url = format!("sqlite://{}", data.join("rushgate.db").display());
    Database::at(connect(&url).await, url)
}

/// What stands of an erasure, once this can be said of it.
async fn erasure_when(gate: &Gate, user: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let stands = get(gate, &format!("/buyers/{user}/erasure"))
            .await
            .expect(200)
            .json();
        if holds(&stands) {
            return stands;
        }
        assert!(begun.elapsed() < PATIENCE, "{stands}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn a_buyer_is_handed_out_and_erased_while_a_sale_runs_and_when_it_is_over() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let gate = Gate::dev_in(data.path()).await;
    gate.create(
        "spring",
        100,
        json!([{"module": "n-per-user", "params": {"limit": 2}}]),
    )
    .await;
    let url = format!("{}/admin/v1/audiences/deny", gate.admin);
    let members = format!("{ADA}\nbob\n").into_bytes();
    gate.http
        .send(
            hyper::Method::PUT,
            &url,
            &[("content-type", "text/plain")],
            members,
        )
        .await
        .expect(201);
    let first = bought(&gate, ADA, "k-1").await;
    bought(&gate, ADA, "k-2").await;
    bought(&gate, "bob", "k-1").await;
    let refused = gate
        .place_in("spring", ADA, &[], json!({"sku": "mug", "quantity": 1}))
        .await;
    assert_eq!(refused.status, 409);

    // All of it, by HTTP and by command.
    let begun = Instant::now();
    let all = loop {
        let all = export(&gate, ADA).await;
        // Attempts are written every two seconds.
        if of_kind(&all, "attempt") == 3 {
            break all;
        }
        assert!(begun.elapsed() < PATIENCE, "{all:?}");
        tokio::time::sleep(POLL).await;
    };
    let counts = ["order", "usage", "audience", "erasure", "end"].map(|kind| of_kind(&all, kind));
    assert_eq!(counts, [2, 1, 1, 0, 1], "{all:?}");
    assert_eq!(all[all.len() - 1]["lines"]["attempt"], 3);
    let file = data.path().join("ada.jsonl");
    let name = file.to_str().expect("UTF-8");
    run(&gate, &["export", ADA, "--output", name]).await;
    let written = lines(&std::fs::read_to_string(&file).expect("written"));
    assert_eq!(written.len(), all.len());
    // Nobody knows them: nothing, and it says so.
    let nobody = export(&gate, "nobody").await;
    assert_eq!((nobody.len(), &nobody[0]["kind"]), (1, &json!("end")));

    // What would be erased.
    let tried = run(&gate, &["erase", ADA, "--dry-run"]).await;
    assert!(
        tried.contains("2 orders in 1 campaigns") && tried.contains("--lists takes the buyer off"),
        "{tried}"
    );
    get(&gate, &format!("/buyers/{ADA}/erasure"))
        .await
        .refused(404, "unknown");
    let long = "x".repeat(257);
    erase(&gate, &long, "k", &json!({}))
        .await
        .refused(400, "malformed");
    get(&gate, &format!("/buyers/{long}/data"))
        .await
        .refused(400, "malformed");
    get(&gate, "/buyers//data").await.refused(400, "malformed");
    get(&gate, "/buyers/a%00b/erasure")
        .await
        .refused(400, "malformed");
    let note = json!({"note": "x".repeat(5000)});
    let refused = erase(&gate, ADA, "k", &note).await.refused(422, "invalid");
    assert_eq!(refused["pointer"], "/note", "{refused}");

    // The sale runs: its limits hold, and what nothing needs goes at once.
    let asked = erase(&gate, ADA, "mail-17", &json!({"note": "mail 17"}))
        .await
        .expect(202);
    let asked = asked.json();
    assert_eq!(
        (&asked["state"], &asked["campaigns"][0]["state"]),
        (&json!("open"), &json!("kept")),
        "{asked}"
    );
    assert!(
        asked["campaigns"][0]["due_at"]
            .as_str()
            .is_some_and(|at| at.starts_with("2028-01-07")),
        "{asked}"
    );
    let again = erase(&gate, ADA, "mail-17", &json!({"note": "mail 17"}))
        .await
        .expect(202);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["erasure"], asked["erasure"]);
    erase(&gate, ADA, "mail-17", &json!({}))
        .await
        .refused(422, "key-reused");
    let second = erase(&gate, ADA, "mail-18", &json!({"lists": true}))
        .await
        .expect(202);
    let second = second.json();
    assert_eq!(second["erasure"], asked["erasure"], "one is open");
    let told = second["did"].as_str().expect("a sentence");
    assert!(
        told.starts_with("An erasure of this buyer is open already; it covers all up to now."),
        "{told}"
    );
    assert!(
        second["asked_at"].as_str() > asked["asked_at"].as_str(),
        "{second}"
    );
    // Neither request again changes anything, and the key of the second is nobody else's.
    let joined = erase(&gate, ADA, "mail-18", &json!({"lists": true}))
        .await
        .expect(202);
    assert_eq!(joined.header("idempotent-replayed"), "true");
    assert_eq!(joined.json()["asked_at"], second["asked_at"]);
    erase(&gate, "bob", "mail-18", &json!({"lists": true}))
        .await
        .refused(422, "key-reused");
    let again = erase(&gate, ADA, "mail-17", &json!({"note": "mail 17"}))
        .await
        .expect(202);
    assert_eq!(again.json()["asked_at"], second["asked_at"]);
    let db = db(data.path()).await;
    let asked_twice = "SELECT COUNT(*) FROM audit WHERE action = 'buyer.erase' AND target = \
                       (SELECT erasure_id FROM erasures) AND INSTR(detail, 'until') > 0";
    assert_eq!(db.number(asked_twice).await, 2);
    let stands = erasure_when(&gate, ADA, |stands| {
        stands["erased"]["attempts"] == 3 && stands["erased"]["lists"] == 1
    })
    .await;
    assert_eq!(stands["lists"], json!([]), "{stands}");
    let left = export(&gate, ADA).await;
    let counts = ["order", "usage", "attempt", "audience", "erasure"].map(|kind| of_kind(&left, kind));
    // The version that a revision may pin has them still, and is named.
    assert_eq!(counts, [2, 1, 0, 1, 1], "{left:?}");
    let listed = left.iter().find(|line| line["kind"] == "audience").expect("one");
    assert_eq!(
        (&listed["list"], &listed["version"], &listed["newest"]),
        (&json!("deny"), &json!(1), &json!(false))
    );
    let refused = gate
        .place_in("spring", ADA, &[], json!({"sku": "mug", "quantity": 1}))
        .await;
    assert_eq!(refused.status, 409, "the limit holds");
    // A retry is the same order.
    let retried = gate
        .place_in(
            "spring",
            ADA,
            &[("idempotency-key", "k-1")],
            json!({"sku": "mug", "quantity": 1}),
        )
        .await;
    assert_eq!(retried.json()["order"], first.json()["order"]);

    // The sale was over long ago.
    db.execute("UPDATE revisions SET closes_at = '2026-01-02 00:00:00.000'")
        .await;
    db.execute("UPDATE erasures SET settled_at = asked_at").await;
    let done = erasure_when(&gate, ADA, |stands| stands["state"] == "done").await;
    assert_eq!(done["erased"]["orders"], 2, "{done}");
    let told = run(&gate, &["erasure", ADA]).await;
    assert!(told.starts_with("The buyer is erased: 2 orders"), "{told}");
    let left = export(&gate, ADA).await;
    // What was tried after the request is no part of it.
    let counts = ["order", "usage", "audience", "audit", "erasure", "end"].map(|kind| of_kind(&left, kind));
    assert_eq!(counts, [0, 0, 1, 0, 1, 1], "{left:?}");
    assert!(of_kind(&left, "attempt") <= 1, "{left:?}");
    assert_eq!(db.number("SELECT SUM(sold) FROM stock").await, 3);
    assert_eq!(db.number("SELECT SUM(used) FROM `usage`").await, 3);
    let named = format!(
        "SELECT (SELECT COUNT(*) FROM audit WHERE INSTR(detail, '{ADA}')) + (SELECT COUNT(*) FROM orders WHERE user_id = '{ADA}') \
         + (SELECT COUNT(*) FROM erasures WHERE user_id = '{ADA}')"
    );
    assert_eq!(db.number(&named).await, 0);
    assert_eq!(
        export(&gate, "bob")
            .await
            .iter()
            .filter(|line| line["kind"] == "order")
            .count(),
        1
    );
}
