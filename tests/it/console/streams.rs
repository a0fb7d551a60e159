//! What goes on by itself: once a second, for as long as its visitor is one.

use serde_json::json;
use testkit::events::Events;

use crate::console::desk::{Desk, TOKEN};

/// What a control plane waits for that is still at work.
const WAITED_FOR: std::time::Duration = std::time::Duration::from_secs(9);

async fn open(desk: &Desk, path: &str) -> Events {
    let address = desk.gate.admin.strip_prefix("http://").expect("plain HTTP");
    let cookies: Vec<String> = desk
        .cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let cookies = cookies.join("; ");
    let events = Events::open(address, path, &[("cookie", &cookies)])
        .await
        .expect("a stream");
    assert_eq!(events.status(), 200);
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    events
}

/// The next part that has this in it.
async fn until(events: &mut Events, text: &str) -> String {
    for _ in 0..60 {
        match events.block().await.expect("it is read") {
            Some(part) if part.contains(text) => return part,
            Some(_) => {}
            None => panic!("the stream ended before {text:?}"),
        }
    }
    panic!("{text:?} never came");
}

#[tokio::test]
async fn a_sale_s_figures_go_on_by_themselves() {
    let desk = Desk::open().await;
    let mut sale = open(&desk, "/console/sales/demo/live").await;
    let mut sales = open(&desk, "/console/live").await;
    let first = until(&mut sale, "data-age-ms").await;
    assert!(first.lines().all(|line| line.starts_with("data: ")), "{first}");
    assert!(!first.contains("<html"), "{first}");
    for user in ["ada", "ada"] {
        desk.gate.place(user, json!({"sku": "mug", "quantity": 1})).await;
    }
    let sold = until(&mut sale, "99 / 100").await;
    assert!(
        sold.contains("a rule of the sale") || until(&mut sale, "a rule of the sale").await.contains("limit"),
        "{sold}"
    );
    until(&mut sales, "99 of 100 left").await;
    desk.gate
        .control("/campaigns/demo/pause", &json!({}))
        .await
        .expect(200);
    until(&mut sale, "badge paused").await;
}

#[tokio::test]
async fn what_rules_in_shadow_would_have_said_is_shown_beside() {
    let desk = Desk::open().await;
    let limit = |limit: u32| json!([{"module": "n-per-user", "params": {"limit": limit}}]);
    let made = json!({"id": "tried", "title": "Tried", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-01T00:00:00Z",
        "skus": [{"id": "mug", "stock": 100}], "rules": limit(2), "shadow": limit(1)});
    desk.gate.control("/campaigns", &made).await.expect(201);
    let mut sale = open(&desk, "/console/sales/tried/live").await;
    until(&mut sale, "0 of 0 attempts would have been answered otherwise").await;
    for _ in 0..3 {
        desk.gate
            .place_in("tried", "ada", &[], json!({"sku": "mug", "quantity": 1}))
            .await;
    }
    let part = until(&mut sale, "1 of 3 attempts would have been answered otherwise").await;
    assert!(part.contains("33.3 %"), "{part}");
    assert!(
        part.contains("<code>admitted</code>") && part.contains("<code>n-per-user/limit-per-user</code>"),
        "{part}"
    );
    let demo = desk.get("/console/sales/demo").await.expect(200);
    assert!(!demo.html.contains("Rules in shadow"));
}

#[tokio::test]
async fn a_stream_ends_with_its_log_in() {
    let mut desk = Desk::with_token().await;
    desk.log_in(TOKEN).await;
    let mut sale = open(&desk, "/console/sales/demo/live").await;
    until(&mut sale, "data-age-ms").await;
    let page = desk.get("/console").await.expect(200);
    desk.post("/console/logout", &page.form("/console/logout", &[]))
        .await
        .expect(303);
    while sale.block().await.expect("it is read").is_some() {}
}

#[tokio::test]
async fn a_gateway_that_is_asked_to_stop_does_not_wait_for_its_consoles() {
    let desk = Desk::open().await;
    let mut sale = open(&desk, "/console/sales/demo/live").await;
    until(&mut sale, "data-age-ms").await;
    let begun = std::time::Instant::now();
    let gate = desk.gate;
    let ended = tokio::task::spawn_blocking(move || gate.terminate());
    while let Ok(Some(_)) = sale.block().await {}
    drop(sale);
    assert_eq!(ended.await.expect("no panic"), Some(0));
    assert!(begun.elapsed() < WAITED_FOR, "{:?}", begun.elapsed());
}
