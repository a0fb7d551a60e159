//! A merchant lets a tighter rule run in shadow before it counts.

use serde_json::{Value, json};

use crate::stories::gate::Gate;

fn limit(limit: u32) -> Value {
    json!({"module": "n-per-user", "params": {"limit": limit}})
}

#[tokio::test]
async fn a_shadow_counts_and_changes_no_answer() {
    let gate = Gate::dev().await;
    gate.create("trial", 100, json!([limit(3)])).await;
    let order = json!({"sku": "mug", "quantity": 1});
    assert_eq!(gate.figures("trial").await.get("shadow"), None);

    let wrong = json!({"rules": [limit(3)], "shadow": [{"module": "n-per-user", "params": {"limit": 0}}]});
    let refused = gate
        .control("/campaigns/trial/revisions", &wrong)
        .await
        .refused(422, "invalid");
    assert_eq!(refused["pointer"], "/shadow/0/params/limit");

    let body = json!({"rules": [limit(3)], "shadow": [limit(1)]});
    let plain = json!({"rules": [limit(3)]});
    let cost = |answer: &Value| answer["cost"]["commands"].as_u64().expect("a number");
    let alone = gate
        .control("/campaigns/trial/revisions?dry_run=true", &plain)
        .await
        .expect(200)
        .json();
    let revision = gate
        .control("/campaigns/trial/revisions", &body)
        .await
        .expect(201)
        .json();
    assert!(
        cost(&revision) > cost(&alone),
        "the bound counts the shadow: {revision}"
    );
    let sentences = revision["explain"].as_array().expect("sentences");
    let marked = sentences
        .iter()
        .filter_map(Value::as_str)
        .filter(|text| text.starts_with("In shadow"));
    assert_eq!(marked.count(), 1, "{revision}");
    gate.control("/campaigns/trial/activate", &json!({"revision": 2}))
        .await
        .expect(200);

    for _ in 0..3 {
        gate.place_in("trial", "ada", &[], order.clone())
            .await
            .expect(202);
    }
    gate.place_in("trial", "ada", &[], order.clone())
        .await
        .refused(409, "limit-per-user");
    gate.place_in("trial", "bob", &[], order.clone())
        .await
        .expect(202);
    let figures = gate.figures("trial").await;
    let shadow = &figures["shadow"];
    assert_eq!(shadow["rules"][0]["params"], json!({"limit": 1}));
    assert_eq!(
        shadow["agree"], 3,
        "two first orders, and one that both refuse: {figures}"
    );
    assert_eq!(
        shadow["differ"],
        json!([{"live": "admitted", "shadow": "n-per-user/limit-per-user", "count": 2}])
    );
    let reasons = figures["rejected"].as_object().expect("counts").keys();
    assert!(
        reasons.into_iter().all(|reason| !reason.starts_with("shadow")),
        "{figures}"
    );

    // What was tried comes into force: its counts are not those of the shadow.
    gate.control("/campaigns/trial/revisions", &plain)
        .await
        .expect(201);
    gate.control("/campaigns/trial/activate", &json!({"revision": 3}))
        .await
        .expect(200);
    assert_eq!(gate.figures("trial").await.get("shadow"), None);
    gate.control("/campaigns/trial/activate", &json!({"revision": 2}))
        .await
        .expect(200);
    assert_eq!(
        gate.figures("trial").await["shadow"]["agree"],
        3,
        "kept by revision"
    );
}
