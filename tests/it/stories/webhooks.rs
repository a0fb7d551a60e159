//! A shop has its own services told what becomes of orders, by API and by command.

use std::io::Write;
use std::process::Command;
use std::time::Instant;

use hyper::Method;
use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::gate::{Gate, PATIENCE, POLL};
use crate::stories::keys::{Deployment, Gateway};
use crate::webhooks::receiver::{Answer, Receiver};

/// `rushgate dev` that may send to this machine.
pub async fn dev() -> Gate {
    let mut config = tempfile::NamedTempFile::new().expect("a temporary file");
    writeln!(config, "[webhooks]\nprivate = \"127.0.0.1\"").expect("written");
    Gate::dev_with(config.path()).await
}

async fn ask(gate: &Gate, method: Method, path: &str, body: &Value) -> Reply {
    let url = format!("{}/admin/v1/webhooks{path}", gate.admin);
    let (headers, body): (&[_], _) = match body {
        Value::Null => (&[], Vec::new()),
        body => (
            &[("content-type", "application/json")],
            body.to_string().into_bytes(),
        ),
    };
    gate.http.send(method, &url, headers, body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_told_to_an_endpoint_that_verifies_it() {
    let (gate, receiver) = (dev().await, Receiver::start().await);
    let body = json!({"url": receiver.url(), "events": ["order.confirmed"], "campaign": "demo", "note": "warehouse"});
    let created = ask(&gate, Method::POST, "", &body).await.expect(201);
    let location = created.header("location").to_owned();
    let created = created.json();
    let (id, secret) = (
        created["id"].as_str().expect("an id"),
        created["secret"].as_str().expect("one"),
    );
    assert_eq!(location, format!("/admin/v1/webhooks/{id}"));
    let order = gate
        .place("ada", json!({"sku": "mug", "quantity": 1}))
        .await
        .expect(202)
        .json();
    receiver.until_seen(1).await;
    let seen = &receiver.seen()[0];
    assert!(seen.is_signed_with(secret));
    let order = order["order"].as_str().expect("an id");
    assert_eq!(
        (seen.id(), seen.json()["data"]["order"].as_str()),
        (format!("{order}.1"), Some(order))
    );

    let listed = ask(&gate, Method::GET, "", &Value::Null).await.expect(200);
    assert!(!listed.text().contains("whsec_"), "{}", listed.text());
    assert_eq!(listed.json()["webhooks"][0]["note"], "warehouse");
    let log = delivered(&gate, id).await;
    assert_eq!(
        (&log["id"], &log["status"], &log["attempts"]),
        (&json!(seen.id()), &json!(204), &json!(1))
    );

    for nothing in [json!({}), json!({"url": null, "disabled": null})] {
        let refused = ask(&gate, Method::PATCH, &format!("/{id}"), &nothing).await;
        let refused = refused.refused(422, "invalid");
        assert_eq!(
            (&refused["pointer"], &refused["errors"][0]["detail"]),
            (&json!(""), &json!("says nothing that is to change"))
        );
    }
    let change = json!({"events": [], "note": null, "disabled": true});
    let changed = ask(&gate, Method::PATCH, &format!("/{id}"), &change)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&changed["state"], &changed["events"]),
        (&json!("disabled"), &json!([]))
    );
    assert_eq!(changed["note"], Value::Null);
    ask(&gate, Method::DELETE, &format!("/{id}"), &Value::Null)
        .await
        .expect(204);
    ask(&gate, Method::GET, &format!("/{id}"), &Value::Null)
        .await
        .refused(404, "unknown");
}

/// The only line of the log, once it says that it was delivered.
async fn delivered(gate: &Gate, id: &str) -> Value {
    let begun = Instant::now();
    let mut often = tokio::time::interval(POLL);
    loop {
        let path = format!("/{id}/deliveries?state=delivered");
        let page = ask(gate, Method::GET, &path, &Value::Null)
            .await
            .expect(200)
            .json();
        if let [line] = page["deliveries"].as_array().expect("a list").as_slice() {
            return line.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{page}");
        often.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_endpoint_is_refused_with_what_is_wrong() {
    let gate = dev().await;
    let refused = async |body: Value| {
        let problem = ask(&gate, Method::POST, "", &body).await.refused(422, "invalid");
        let errors = problem["errors"].as_array().expect("errors").clone();
        let pointers = errors
            .iter()
            .map(|error| error["pointer"].as_str().expect("one").to_owned());
        (pointers.collect::<Vec<_>>(), problem.to_string())
    };
    let (pointers, told) = refused(json!({
        "url": "https://169.254.169.254/latest", "events": ["order.paid", "order.lost", "order.paid"],
        "campaign": "spring", "note": "\u{202e}",
    }))
    .await;
    assert_eq!(pointers, ["/url", "/events/1", "/events/2", "/note", "/campaign"]);
    assert!(
        told.contains("not public") && told.contains("order.refunded"),
        "{told}"
    );
    let (_, told) = refused(json!({"url": "http://10.0.0.1/"})).await;
    assert!(told.contains("webhooks.private"), "{told}");
}

/// What a command said.
fn run(gate: &Gate, args: &[&str], code: i32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rushgate"))
        .arg("webhook")
        .args(args)
        .args(["--admin-url", &gate.admin])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_has_a_command() {
    let (gate, receiver) = (dev().await, Receiver::start().await);
    assert_eq!(run(&gate, &["list"], 0), "There is no webhook.\n");
    let created = run(
        &gate,
        &["add", &receiver.url(), "--event", "order.confirmed", "--json"],
        0,
    );
    let created: Value = serde_json::from_str(&created).expect("JSON");
    let id = created["id"].as_str().expect("an id");
    assert!(run(&gate, &["list"], 0).contains(id));
    assert!(run(&gate, &["test", id], 0).contains("It was taken: 204"));
    receiver.answer(Answer::Status(500, "out of ink".to_owned()));
    let told = run(&gate, &["test", id], 1);
    assert!(
        told.contains("answered 500") && told.contains("out of ink"),
        "{told}"
    );
    receiver.answer(Answer::ok());
    gate.place("ada", json!({"sku": "mug", "quantity": 1}))
        .await
        .expect(202);
    delivered(&gate, id).await;
    let log = run(&gate, &["deliveries", id, "--state", "delivered"], 0);
    assert!(log.contains("order.confirmed") && log.contains("204"), "{log}");
    let seen = receiver.ids().len();
    let order = receiver.ids().pop().expect("an id");
    let order = order.split('.').next().expect("an order");
    assert_eq!(
        run(&gate, &["replay", id, "--order", order], 0),
        "1 deliveries are sent again.\n"
    );
    receiver.until_seen(seen + 1).await;
    assert!(run(&gate, &["rotate", id, "--keep-hours", "1"], 0).starts_with("whsec_"));
    assert!(run(&gate, &["set", id, "--all-events", "--note", "till"], 0).contains("every event"));
    assert!(run(&gate, &["disable", id], 0).contains("disabled"));
    assert!(run(&gate, &["enable", id], 0).contains("enabled"));
    let shown = run(&gate, &["show", id], 0);
    assert!(shown.contains("till") && !shown.contains("whsec_"), "{shown}");
    assert!(run(&gate, &["remove", id], 1).contains("--yes"));
    run(&gate, &["remove", id, "--yes"], 0);
    assert!(run(&gate, &["show", id], 1).contains("404"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lander_that_is_killed_leaves_its_endpoints_to_another() {
    const KEYS: &[&str] = &["a"];
    const PRIVATE: &[(&str, &str)] = &[("RUSHGATE_WEBHOOKS_PRIVATE", "127.0.0.0/8")];
    let deployment = Deployment::start().await;
    let (code, said) = deployment.run(&["migrate"], KEYS);
    assert_eq!(code, Some(0), "{said}");
    let gateway = Gateway::up(deployment.role_with("serve", KEYS, PRIVATE));
    gateway.create().await;
    let receiver = Receiver::start().await;
    let url = format!("{}/admin/v1/webhooks", gateway.admin);
    let created = gateway
        .role
        .http
        .post(&url, &[], &json!({"url": receiver.url()}))
        .await;
    let secret = created.expect(201).json()["secret"]
        .as_str()
        .expect("one")
        .to_owned();
    receiver.answer(Answer::Hang);
    let first = deployment.role_with("land", KEYS, PRIVATE);
    let mut orders = Vec::new();
    for number in 0..30 {
        orders.push(gateway.place(&format!("u{number}")).await.expect("admitted"));
    }
    receiver.until_seen(1).await;
    drop(first);
    receiver.answer(Answer::ok());
    let _second = deployment.role_with("land", KEYS, PRIVATE);
    let begun = Instant::now();
    let mut often = tokio::time::interval(POLL);
    let delivered = "SELECT COUNT(*) FROM webhook_deliveries WHERE state = 'delivered'";
    while deployment.db.number(delivered).await < 30 {
        assert!(begun.elapsed() < PATIENCE, "{:?}", receiver.ids().len());
        often.tick().await;
    }
    let mut wanted: Vec<String> = orders.iter().map(|order| format!("{order}.1")).collect();
    wanted.sort();
    let seen = receiver.seen();
    assert!(seen.iter().all(|seen| seen.is_signed_with(&secret)));
    let mut ids: Vec<String> = seen.iter().map(|seen| seen.id()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids, wanted, "none is missing, and what came twice has one id");
}
