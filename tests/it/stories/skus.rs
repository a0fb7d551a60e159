//! SKUs as shops write them, from the creation of a campaign to the row of an order.

use serde_json::{Value, json};

use crate::stories::gate::Gate;

const SHIRT: &str = "T-SHIRT RED/M";
const GIFT: &str = "gid://shopify/ProductVariant/1";
const APPLES: &str = "Äpfel";

fn campaign(id: &str, skus: Value, rules: Value) -> Value {
    json!({
        "id": id, "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": skus, "rules": rules,
    })
}

fn order(sku: &str, quantity: u32) -> Value {
    json!({"sku": sku, "quantity": quantity})
}

#[tokio::test]
async fn shops_sell_what_they_call_it() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let gate = Gate::dev_in(data.path()).await;
    let skus: Vec<Value> = [SHIRT, GIFT, APPLES, "RED/M"]
        .map(|sku| json!({"id": sku, "stock": 5}))
        .into();
    let rules = json!([
        {"module": "n-per-user", "params": {"limit": 2, "count": "units", "per": "sku"}},
        {"module": "order-cap", "params": {"max": 1, "skus": [SHIRT]}},
    ]);
    let made = gate
        .control("/campaigns", &campaign("shop", json!(skus), rules.clone()))
        .await
        .expect(201)
        .json();
    assert!(made["explain"].to_string().contains(SHIRT), "{made}");

    for (key, sku, quantity) in [("1", SHIRT, 1), ("2", GIFT, 2), ("3", APPLES, 2)] {
        let keyed = [("idempotency-key", key)];
        let placed = gate
            .place_in("shop", "ada%20lovelace", &keyed, order(sku, quantity))
            .await;
        let location = placed.header("location").to_owned();
        assert_eq!(placed.expect(202).json()["sku"], sku);
        let landed = gate
            .order_in_state("ada%20lovelace", &location, "confirmed")
            .await;
        assert_eq!(landed["sku"], sku);
        // The retry finds the order by its record.
        let again = gate
            .place_in("shop", "ada%20lovelace", &keyed, order(sku, quantity))
            .await
            .expect(202);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.json()["sku"], sku);
        gate.place_in("shop", "ada%20lovelace", &keyed, order("RED/M", quantity))
            .await
            .refused(422, "key-reused");
    }
    gate.place_in("shop", "bob", &[], order(SHIRT, 2))
        .await
        .refused(409, "order-too-large");
    gate.place_in("shop", "ada%20lovelace", &[], order(GIFT, 1))
        .await
        .refused(409, "limit-per-user");
    for other in [
        "T-SHIRT",
        "T-SHIRT RED",
        "t-shirt red/m",
        "A\u{308}pfel",
        "Äpfel2",
    ] {
        gate.place_in("shop", "bob", &[], order(other, 1))
            .await
            .refused(404, "unknown-sku");
    }

    let quota = gate
        .quota("shop", "ada%20lovelace", "?sku=T-SHIRT+RED%2FM")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&quota["sku"], &quota["constraints"][0]["used"]),
        (&json!(SHIRT), &json!(1))
    );
    let figures = gate.figures("shop").await;
    let left: Vec<(&Value, &Value)> = figures["skus"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|sku| (&sku["id"], &sku["remaining"]))
        .collect();
    let expected =
        [(SHIRT, 4), (GIFT, 3), (APPLES, 3), ("RED/M", 5)].map(|(sku, left)| (json!(sku), json!(left)));
    assert_eq!(
        left,
        expected.iter().map(|(sku, left)| (sku, left)).collect::<Vec<_>>()
    );
    let shown = gate
        .http
        .get(&format!("{}/v1/campaigns/shop", gate.orders), &[])
        .await;
    assert_eq!(shown.expect(200).json()["skus"][0]["id"], SHIRT);
    let simulated = gate
        .control(
            "/campaigns/shop/simulate",
            &json!({"rules": rules, "from": "orders"}),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(simulated["attempts"], 3, "{simulated}");

    // What was kept is read back after a restart.
    assert_eq!(gate.terminate(), Some(0));
    let gate = Gate::dev_in(data.path()).await;
    let again = gate
        .place_in(
            "shop",
            "ada%20lovelace",
            &[("idempotency-key", "1")],
            order(SHIRT, 1),
        )
        .await
        .expect(202);
    assert_eq!(again.header("idempotent-replayed"), "true");
    gate.place_in("shop", "ada%20lovelace", &[], order(APPLES, 1))
        .await
        .refused(409, "limit-per-user");
}

#[tokio::test]
async fn what_is_no_sku_is_named_at_its_place() {
    let gate = Gate::dev().await;
    let long = "ü".repeat(65);
    for (wrong, why) in [
        ("", "is empty"),
        (" mug", "begins or ends with a space"),
        ("mug ", "begins or ends with a space"),
        ("a\nb", "control character"),
        ("a\u{202e}b", "U+202E"),
        (&long, "is 130 bytes long; at most 128"),
    ] {
        let skus = json!([{"id": "mug", "stock": 1}, {"id": wrong, "stock": 1}]);
        let body = campaign("wrong", skus, json!([{"module": "one-per-user"}]));
        let problem = gate.control("/campaigns", &body).await.refused(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/skus/1/id", "{problem}");
        assert!(problem.to_string().contains(why), "{problem}");
        let problem = gate.place("ada", order(wrong, 1)).await.refused(422, "invalid");
        assert_eq!(problem["pointer"], "/sku", "{problem}");
    }
    let twice = json!([{"id": SHIRT, "stock": 1}, {"id": SHIRT, "stock": 1}]);
    let body = campaign("wrong", twice, json!([{"module": "one-per-user"}]));
    let problem = gate.control("/campaigns", &body).await.refused(422, "invalid");
    assert!(problem.to_string().contains("is there twice"), "{problem}");
}
