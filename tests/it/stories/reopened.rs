//! A sale that is over, opened again; and one that is sold out for good.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::stories::gate::{Gate, PATIENCE, POLL};

fn mug() -> Value {
    json!({"sku": "mug", "quantity": 1})
}

/// So many milliseconds from now.
fn from_now(ms: i64) -> String {
    (Timestamp::now() + SignedDuration::from_millis(ms)).to_string()
}

#[tokio::test]
async fn once_an_activation_that_extends_has_answered_orders_are_taken() {
    let gate = Gate::dev().await;
    let rules = json!([{"module": "n-per-user", "params": {"limit": 9}}]);
    let campaign = json!({
        "id": "spring", "title": "Spring", "opens_at": from_now(-3_600_000), "closes_at": from_now(1500),
        "skus": [{"id": "mug", "stock": 100}], "rules": rules,
    });
    gate.control("/campaigns", &campaign).await.expect(201);
    let mut revision = 1;
    for _ in 0..3 {
        let begun = Instant::now();
        while gate.place_in("spring", "ann", &[], mug()).await.status != 410 {
            assert!(begun.elapsed() < PATIENCE, "it does not close");
            tokio::time::sleep(POLL).await;
        }
        gate.place_in("spring", "ann", &[], mug())
            .await
            .refused(410, "closed");
        let later = json!({"rules": rules, "closes_at": from_now(3000)});
        gate.control("/campaigns/spring/revisions", &later)
            .await
            .expect(201);
        revision += 1;
        let activate = json!({"revision": revision});
        gate.control("/campaigns/spring/activate", &activate)
            .await
            .expect(200);
        gate.place_in("spring", &format!("bob{revision}"), &[], mug())
            .await
            .expect(202);
    }
}

#[tokio::test]
async fn sold_out_is_the_last_word_once_every_order_has_landed() {
    let gate = Gate::dev().await;
    gate.create(
        "spring",
        1,
        json!([{"module": "n-per-user", "params": {"limit": 9}}]),
    )
    .await;
    let key = [("idempotency-key", "k")];
    let placed = gate.place_in("spring", "ann", &key, mug()).await.expect(202);
    gate.order_in_state("ann", placed.header("location"), "confirmed")
        .await;
    // Who asked before it landed may have been told that units may come back, for a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for headers in [&[][..], &key] {
        let reply = gate.place_in("spring", "bob", headers, mug()).await;
        assert_eq!(reply.header("retry-after"), "");
        let problem = reply.refused(409, "sold-out");
        assert_eq!(problem["retryable"], false, "{problem}");
    }
}
