//! Changes that a merchant asks for twice, because no answer came: made once, answered alike.

use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::gate::Gate;

async fn activate(gate: &Gate, key: &str, body: &Value) -> Reply {
    let url = format!("{}/admin/v1/campaigns/spring/activate", gate.admin);
    gate.http.post(&url, &[("idempotency-key", key)], body).await
}

#[tokio::test]
async fn the_same_request_again_changes_nothing() {
    let gate = Gate::dev().await;
    let rules = json!([{"module": "n-per-user", "params": {"limit": 2}}]);
    gate.create("spring", 10, rules.clone()).await;
    gate.control("/campaigns/spring/revisions", &json!({"rules": rules}))
        .await
        .expect(201);

    let asked = json!({"revision": 2, "note": "for the evening"});
    let first = activate(&gate, "k", &asked).await.expect(200);
    assert_eq!(first.header("idempotent-replayed"), "");
    let epoch = first.json()["epoch"].as_u64().expect("an epoch");
    let again = activate(&gate, "k", &asked).await.expect(200);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.text(), first.text());
    assert_eq!(gate.figures("spring").await["revision"], 2);

    for other in [
        json!({"revision": 1}),
        json!({"revision": 2, "note": "for the morning"}),
    ] {
        let reused = activate(&gate, "k", &other).await.refused(422, "key-reused");
        assert!(
            reused["detail"]
                .as_str()
                .is_some_and(|text| text.contains("use a new key")),
            "{reused}"
        );
    }
    // Under another key it is another activation.
    let other = activate(&gate, "l", &asked).await.expect(200);
    assert_eq!(other.json()["epoch"], epoch + 1);
}

#[tokio::test]
async fn what_was_refused_may_be_mended_under_the_same_key() {
    let gate = Gate::dev().await;
    gate.create("spring", 10, json!([{"module": "one-per-user"}]))
        .await;
    activate(&gate, "k", &json!({"revision": 2}))
        .await
        .refused(404, "unknown");
    activate(&gate, "k", &json!({"revision": 1})).await.expect(200);

    let long = activate(&gate, "l", &json!({"revision": 1, "note": "x".repeat(501)})).await;
    assert_eq!(long.refused(422, "invalid")["pointer"], "/note");
    let hidden = activate(&gate, "l", &json!({"revision": 1, "note": "a\u{202e}b"})).await;
    assert_eq!(hidden.refused(422, "invalid")["pointer"], "/note");
    activate(&gate, "a b", &json!({"revision": 1}))
        .await
        .refused(400, "idempotency-key");
}
