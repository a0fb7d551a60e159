//! A process stops and comes back with orders, stock and limits as they were.

use serde_json::json;

use crate::stories::gate::Gate;

#[tokio::test]
async fn dev_with_data_comes_back_as_it_was() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let body = json!({"sku": "mug", "quantity": 1});

    let gate = Gate::dev_in(data.path()).await;
    let first = gate
        .place_keyed("ada", "k", body.clone())
        .await
        .expect(202)
        .json();
    gate.control(
        "/campaigns/demo/revisions",
        &json!({"rules": [{"module": "n-per-user", "params": {"limit": 2}}]}),
    )
    .await
    .expect(201);
    gate.control("/campaigns/demo/activate", &json!({"revision": 2}))
        .await
        .expect(200);
    gate.place("ada", body.clone()).await.expect(202);
    assert_eq!(gate.terminate(), Some(0), "a drained process exits with 0");

    let gate = Gate::dev_in(data.path()).await;
    let figures = gate.figures("demo").await;
    assert_eq!(figures["revision"], 2);
    assert_eq!(figures["skus"][0]["remaining"], 98, "{figures}");
    gate.place("ada", body.clone())
        .await
        .refused(409, "limit-per-user");
    let again = gate
        .place_keyed("ada", "k", body.clone())
        .await
        .expect(202)
        .json();
    assert_eq!(first["order"], again["order"]);
    assert_eq!(first["placed_at"], again["placed_at"]);
    gate.place("bob", body).await.expect(202);
}
