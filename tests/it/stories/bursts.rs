//! All of a sale's buyers cancel at once, because somebody has called it off.

use std::time::Instant;

use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::gate::{Gate, PATIENCE, POLL};

const BUYERS: usize = 300;

async fn until_landed(gate: &Gate, orders: usize) {
    let begun = Instant::now();
    while gate.figures("spring").await["skus"][0]["landed"] != json!(orders) {
        assert!(begun.elapsed() < PATIENCE, "not all orders land");
        tokio::time::sleep(POLL).await;
    }
}

async fn cancel(gate: &Gate, buyer: &str, order: &str) -> Reply {
    let token = format!("Bearer dev:{buyer}");
    let url = format!("{}/v1/campaigns/spring/orders/{order}/cancel", gate.orders);
    let headers = [("authorization", token.as_str())];
    gate.http.send(Method::POST, &url, &headers, Vec::new()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_buyers_cancel_at_once_and_every_one_is_answered() {
    let gate = Gate::dev().await;
    let campaign = json!({
        "id": "spring", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": [{"id": "mug", "stock": BUYERS}], "rules": [{"module": "one-per-user"}], "cancel_by_buyer": true,
    });
    gate.control("/campaigns", &campaign).await.expect(201);
    let placed = (0..BUYERS).map(async |number| {
        let buyer = format!("u{number}");
        let body = json!({"sku": "mug", "quantity": 1});
        let placed = gate.place_in("spring", &buyer, &[], body).await.expect(202);
        (buyer, placed.json()["order"].as_str().expect("an id").to_owned())
    });
    let placed = join_all(placed).await;
    until_landed(&gate, BUYERS).await;

    let begun = Instant::now();
    let cancelled = placed.iter().map(|(buyer, order)| cancel(&gate, buyer, order));
    let cancelled = join_all(cancelled).await;
    let took = begun.elapsed();
    for reply in cancelled {
        let answer: Value = reply.expect(200).json();
        assert_eq!(answer["state"], "cancelled", "{answer}");
    }
    println!("{BUYERS} cancels at once: all answered within {took:?}");
    until_landed(&gate, 0).await;
    let begun = Instant::now();
    while gate.figures("spring").await["skus"][0]["remaining"] != json!(BUYERS) {
        assert!(begun.elapsed() < PATIENCE, "not all units are on sale again");
        tokio::time::sleep(POLL).await;
    }
}
