//! Wrong input gets a clear error, and the process serves on.

use hyper::Method;
use serde_json::{Value, json};

use crate::stories::gate::Gate;

#[tokio::test]
async fn modules_that_are_none_are_refused_with_a_reason() {
    let gate = Gate::dev().await;
    let url = format!("{}/admin/v1/modules", gate.admin);
    let wasm = [("content-type", "application/wasm")];
    let cases: [(&str, Vec<u8>); 3] = [
        ("not-wasm", b"hello".to_vec()),
        ("core-module", b"\0asm\x01\0\0\0".to_vec()),
        ("wrong-world", b"\0asm\x0d\0\x01\0".to_vec()),
    ];
    for (reason, bytes) in cases {
        let problem = gate
            .http
            .send(Method::POST, &url, &wasm, bytes)
            .await
            .refused(422, reason);
        assert!(
            problem["detail"].as_str().is_some_and(|detail| detail.len() > 20),
            "{problem}"
        );
    }
    gate.place("ada", json!({"sku": "mug", "quantity": 1}))
        .await
        .expect(202);
}

#[tokio::test]
async fn revisions_name_what_is_wrong_and_where() {
    let gate = Gate::dev().await;
    let cases: [(Value, &str); 5] = [
        (json!([{"module": "no-such"}]), "/rules/0/module"),
        (
            json!([{"module": "n-per-user", "params": {"limit": 0}}]),
            "/rules/0/params/limit",
        ),
        (
            json!([{"module": "n-per-user", "params": {"limit": 1, "per": "planet"}}]),
            "/rules/0/params/per",
        ),
        (
            json!([{"module": "one-per-user"}, {"module": "one-per-user"}]),
            "/rules/1",
        ),
        (json!([]), "/rules"),
    ];
    for (rules, pointer) in cases {
        let body = json!({"rules": rules});
        let problem = gate
            .control("/campaigns/demo/revisions", &body)
            .await
            .refused(422, "invalid");
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
    gate.control(
        "/campaigns/none/revisions",
        &json!({"rules": [{"module": "one-per-user"}]}),
    )
    .await
    .refused(404, "unknown");
    gate.control("/campaigns/demo/activate", &json!({"revision": 9}))
        .await
        .refused(404, "unknown");
}

#[tokio::test]
async fn orders_that_cannot_be_are_refused_before_anything_is_counted() {
    let gate = Gate::dev().await;
    let cases: [(Value, u16, &str); 6] = [
        (json!({"sku": "mug", "quantity": 0}), 422, "/quantity"),
        (json!({"sku": "mug", "quantity": -1}), 422, "/quantity"),
        (
            json!({"sku": "mug", "quantity": 9_007_199_254_740_992_u64}),
            422,
            "/quantity",
        ),
        (json!({"sku": "m\u{0}g", "quantity": 1}), 422, "/sku"),
        (json!({"sku": "x".repeat(10_240), "quantity": 1}), 422, "/sku"),
        (json!({"sku": "mug", "quantity": 1, "extra": 1}), 422, "/extra"),
    ];
    for (body, status, pointer) in cases {
        let problem = gate.place("ada", body).await.refused(status, "invalid");
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
    gate.place("ada", json!({"sku": "cup", "quantity": 1}))
        .await
        .refused(404, "unknown-sku");
    gate.place_in("none", "ada", &[], json!({"sku": "mug", "quantity": 1}))
        .await
        .refused(404, "unknown");
    let figures = gate.figures("demo").await;
    assert_eq!(figures["skus"][0]["remaining"], 100, "{figures}");
}

#[tokio::test]
async fn campaigns_before_one_that_is_not_there_are_not_none() {
    let gate = Gate::dev().await;
    let page = async |query: &str| {
        let url = format!("{}/admin/v1/campaigns{query}", gate.admin);
        gate.http.get(&url, &[]).await
    };
    page("?before=nosuch").await.refused(404, "unknown");
    // The only one there is: nothing comes before it, and its page is the last.
    let none = page("?before=demo").await.expect(200).json();
    assert_eq!(none, json!({"campaigns": []}));
    let full = page("?limit=1").await.expect(200).json();
    assert_eq!(
        (&full["campaigns"][0]["id"], full.get("next")),
        (&json!("demo"), None)
    );
}
