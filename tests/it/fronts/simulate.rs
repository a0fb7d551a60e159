//! Simulations over the wire: attempts that come line by line with the request.

use serde_json::json;

use super::control::start;
use super::wire::{Reply, call};

const PATH: &str = "/admin/v1/campaigns/spring/simulate";
const RULES: &str = r#"{"rules":[{"module":"one-per-user"}]}"#;
const ATTEMPT: &str = r#"{"at":"2026-11-21T10:00:00Z","user":"ada","sku":"mug","quantity":1}"#;

async fn post(media_type: &str, body: &str) -> Reply {
    let running = start(None);
    let headers = [("content-type", media_type)];
    call(running.address, "POST", PATH, &headers, body.as_bytes()).await
}

#[tokio::test]
async fn attempts_come_from_the_database_or_with_the_request() {
    let sample = post("application/json", RULES).await;
    assert_eq!(sample.status, 200);
    assert_eq!(sample.json()["from"], "sample");
    let orders = RULES.replace("]}", "],\"from\":\"orders\"}");
    assert_eq!(post("application/json", &orders).await.json()["from"], "orders");

    let many = format!("{RULES}\n{}", format!("{ATTEMPT}\n").repeat(20_000));
    let file = post("application/x-ndjson; charset=utf-8", &many).await;
    assert_eq!(file.status, 200);
    assert_eq!(file.json()["from"], "file");
    assert_eq!(file.json()["attempts"], 20_000);
    for (body, attempts) in [
        (RULES.to_owned(), 0),
        (format!("{RULES}\n"), 0),
        (format!("{RULES}\n{ATTEMPT}"), 1),
        (format!("{RULES}\n\n{ATTEMPT}\n\n{ATTEMPT}\n"), 2),
    ] {
        let file = post("application/x-ndjson", &body).await;
        assert_eq!(file.json()["attempts"], attempts, "{body}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_by_pointer_or_line() {
    let problem = post("text/plain", RULES)
        .await
        .problem(415, "unsupported-media-type");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("application/json") && detail.contains("application/x-ndjson"),
        "{detail}"
    );
    let unknown = RULES.replace("]}", "],\"stock\":1}");
    for media_type in ["application/json", "application/x-ndjson"] {
        let problem = post(media_type, &unknown).await.problem(422, "invalid");
        assert_eq!(problem["pointer"], "/stock");
    }
    let contradicts = RULES.replace("]}", "],\"from\":\"orders\"}");
    let problem = post("application/x-ndjson", &contradicts)
        .await
        .problem(422, "invalid");
    assert_eq!(problem["pointer"], "/from");
    post("application/x-ndjson", "").await.problem(400, "malformed");

    // The sender of a long file still gets its answer.
    let wrong = ATTEMPT.replace("1}", "0}");
    let body = format!(
        "{RULES}\n{ATTEMPT}\n{wrong}\n{}",
        format!("{ATTEMPT}\n").repeat(50_000)
    );
    let problem = post("application/x-ndjson", &body).await.problem(422, "invalid");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("line 3: the quantity"), "{detail}");
    assert_eq!(problem["errors"], json!([{"pointer": "", "detail": detail}]));
}
