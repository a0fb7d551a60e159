//! A merchant sets limits and changes them while orders flow.

use serde_json::json;

use crate::stories::gate::Gate;

#[tokio::test]
async fn a_limit_holds_and_is_raised_live() {
    let gate = Gate::dev().await;
    let one = json!({"sku": "mug", "quantity": 1});

    let first = gate.place("ada", one.clone()).await.expect(202);
    let location = first.header("location").to_owned();
    let order = first.json();
    assert_eq!(order["campaign"], "demo");
    assert_eq!(order["revision"], 1);
    assert_eq!(
        location,
        format!(
            "/v1/campaigns/demo/orders/{}",
            order["order"].as_str().unwrap_or("")
        )
    );

    let problem = gate
        .place("ada", one.clone())
        .await
        .refused(409, "limit-per-user");
    assert_eq!(problem["constraint"], "n-per-user/limit-per-user");
    assert_eq!(problem["retryable"], false);
    assert_eq!((&problem["used"], &problem["limit"]), (&json!(1), &json!(1)));

    let revision = gate
        .control(
            "/campaigns/demo/revisions?lua=true",
            &json!({"rules": [{"module": "n-per-user", "params": {"limit": 2}}]}),
        )
        .await
        .expect(201)
        .json();
    assert_eq!(revision["revision"], 2);
    assert!(
        revision["lua"]
            .as_str()
            .is_some_and(|lua| lua.contains("at most 2")),
        "{revision}"
    );
    gate.control("/campaigns/demo/activate", &json!({"revision": 2}))
        .await
        .expect(200);

    let quota = gate.quota("demo", "ada", "").await.expect(200).json();
    assert_eq!(
        (&quota["campaign"], &quota["revision"]),
        (&json!("demo"), &json!(2))
    );
    let limit = &quota["constraints"][0];
    assert_eq!(limit["constraint"], "n-per-user/limit-per-user");
    assert_eq!(
        (&limit["used"], &limit["limit"], &limit["remaining"]),
        (&json!(1), &json!(2), &json!(1))
    );
    let fresh = gate.quota("demo", "bob", "?sku=mug").await.expect(200).json();
    assert_eq!(fresh["constraints"][0]["remaining"], 2);

    let second = gate.place("ada", one.clone()).await.expect(202).json();
    assert_eq!(second["revision"], 2);
    gate.place("ada", one).await.refused(409, "limit-per-user");

    let confirmed = gate.order_in_state("ada", &location, "confirmed").await;
    assert!(confirmed["confirmed_at"].is_string(), "{confirmed}");
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let gate = Gate::dev().await;
    let rules = json!({"rules": [{"module": "n-per-user", "params": {"limit": 3}}]});
    let answer = gate
        .control("/campaigns/demo/revisions?dry_run=true", &rules)
        .await
        .expect(200)
        .json();
    assert_eq!(answer.get("revision"), None);
    gate.control("/campaigns/demo/activate", &json!({"revision": 2}))
        .await
        .refused(404, "unknown");
    let stored = gate
        .control("/campaigns/demo/revisions", &rules)
        .await
        .expect(201)
        .json();
    assert_eq!(stored["revision"], 2);
    assert_eq!(stored["plan_digest"], answer["plan_digest"]);
}

#[tokio::test]
async fn several_rules_make_one_script_and_the_first_that_fails_is_named() {
    let gate = Gate::dev().await;
    let rules = json!([
        {"module": "n-per-user", "params": {"limit": 2, "count": "orders"}},
        {"module": "n-per-user", "name": "units", "params": {"limit": 3, "count": "units"}},
    ]);
    gate.create("two-rules", 100, rules).await;
    let units = |n: u32| json!({"sku": "mug", "quantity": n});
    gate.place_in("two-rules", "ada", &[], units(2)).await.expect(202);
    let problem = gate
        .place_in("two-rules", "ada", &[], units(2))
        .await
        .refused(409, "limit-per-user");
    assert_eq!(problem["constraint"], "units/limit-per-user");
    gate.place_in("two-rules", "ada", &[], units(1)).await.expect(202);
    let problem = gate
        .place_in("two-rules", "ada", &[], units(1))
        .await
        .refused(409, "limit-per-user");
    assert_eq!(problem["constraint"], "n-per-user/limit-per-user");
    let figures = gate.figures("two-rules").await;
    assert_eq!(
        figures["skus"][0]["remaining"], 97,
        "a rejected attempt consumes nothing: {figures}"
    );
}

#[tokio::test]
async fn users_that_differ_in_case_or_a_trailing_space_are_different_users() {
    let gate = Gate::dev().await;
    gate.create("names", 100, json!([{"module": "one-per-user"}]))
        .await;
    for user in ["ada", "Ada", "ada%20"] {
        gate.place_in("names", user, &[], json!({"sku": "mug", "quantity": 1}))
            .await
            .expect(202);
    }
}
