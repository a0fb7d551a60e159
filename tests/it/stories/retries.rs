//! A client retries, and a retry is the same order.

use std::time::Instant;

use serde_json::json;

use crate::stories::gate::{Gate, PATIENCE, POLL};

#[tokio::test]
async fn the_same_key_is_the_same_order() {
    let gate = Gate::dev().await;
    let body = json!({"sku": "mug", "quantity": 1});
    let first = gate
        .place_keyed("ada", "k-1", body.clone())
        .await
        .expect(202)
        .json();
    let again = gate.place_keyed("ada", "\"k-1\"", body.clone()).await.expect(202);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let again = again.json();
    for field in ["order", "revision", "placed_at", "quantity", "sku"] {
        assert_eq!(first[field], again[field], "{field}");
    }
    gate.place_keyed("ada", "k-1", json!({"sku": "mug", "quantity": 2}))
        .await
        .refused(422, "key-reused");
    gate.place_keyed("ada", "k-2", body.clone())
        .await
        .refused(409, "limit-per-user");
    let other = gate.place_keyed("bob", "k-1", body).await.expect(202).json();
    assert_ne!(first["order"], other["order"], "a key belongs to its user");
}

#[tokio::test]
async fn a_retry_finds_its_order_after_the_sale_is_sold_out() {
    let gate = Gate::dev().await;
    gate.create("last", 1, json!([{"module": "one-per-user"}])).await;
    let body = json!({"sku": "mug", "quantity": 1});
    let key = [("idempotency-key", "k")];
    let first = gate
        .place_in("last", "ada", &key, body.clone())
        .await
        .expect(202)
        .json();
    for _ in 0..3 {
        let problem = gate
            .place_in("last", "bob", &[], body.clone())
            .await
            .refused(409, "sold-out");
        assert_eq!(problem["retryable"], false);
    }
    let again = gate.place_in("last", "ada", &key, body).await.expect(202).json();
    assert_eq!(first["order"], again["order"]);
}

#[tokio::test]
async fn an_order_is_shown_to_its_owner_only() {
    let gate = Gate::dev().await;
    let placed = gate
        .place("ada", json!({"sku": "mug", "quantity": 1}))
        .await
        .expect(202);
    let url = format!("{}{}", gate.orders, placed.header("location"));
    gate.http
        .get(&url, &[("authorization", "Bearer dev:ada")])
        .await
        .expect(200);
    gate.http
        .get(&url, &[("authorization", "Bearer dev:bob")])
        .await
        .refused(404, "unknown");
    gate.http.get(&url, &[]).await.expect(401);
}

#[tokio::test]
async fn a_retry_says_how_the_order_stands_by_then() {
    let gate = Gate::dev().await;
    let body = json!({"sku": "mug", "quantity": 1});
    let order = async |user: &str| {
        let placed = gate.place_keyed(user, "k", body.clone()).await.expect(202);
        let order = placed.json()["order"].as_str().expect("an id").to_owned();
        // The control plane is asked, so that the gateway has told nobody.
        let url = format!("{}/admin/v1/campaigns/demo/orders/{order}", gate.admin);
        let begun = Instant::now();
        while gate.http.get(&url, &[]).await.status != 200 {
            assert!(begun.elapsed() < PATIENCE, "it does not land");
            tokio::time::sleep(POLL).await;
        }
        url
    };
    let act = async |url: &str, act: &str| {
        let key = [("idempotency-key", "a")];
        let body = match act {
            "cancel" => json!({"releases": "none"}),
            _ => json!({}),
        };
        let done = gate.http.post(&format!("{url}/{act}"), &key, &body).await;
        done.expect(200);
    };
    for (user, acts, state) in [
        ("ada", &[][..], "confirmed"),
        ("bob", &["pay"], "paid"),
        ("cid", &["cancel"], "cancelled"),
    ] {
        let url = order(user).await;
        for each in acts {
            act(&url, each).await;
        }
        let again = gate.place_keyed(user, "k", body.clone()).await.expect(202);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.json()["state"], state, "{user}");
    }
}
