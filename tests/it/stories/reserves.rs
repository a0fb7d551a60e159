//! Shares of regions, over HTTP: what is reserved, what is capped, and a change from one to the other; and limits that
//! the token says.

use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::forge::{Body, Forge, described};
use testkit::http::Reply;

use crate::stories::gate::Gate;

/// A campaign of 100 mugs that is open for ten days, nine of them still to come.
async fn open(gate: &Gate, id: &str, rules: Value) -> Value {
    let opens_at = Timestamp::now() - SignedDuration::from_hours(24);
    let closes_at = opens_at + SignedDuration::from_hours(10 * 24);
    let campaign = json!({
        "id": id, "title": id, "opens_at": opens_at.to_string(), "closes_at": closes_at.to_string(),
        "skus": [{"id": "mug", "stock": 100}], "rules": rules,
    });
    gate.control("/campaigns", &campaign).await.expect(201).json()
}

fn shares(params: Value) -> Value {
    json!([{"module": "region-quota", "params": params}])
}

async fn place(gate: &Gate, campaign: &str, user: &str, quantity: u32) -> Reply {
    let order = json!({"sku": "mug", "quantity": quantity, "attributes": {}});
    gate.place_in(campaign, user, &[], order).await
}

#[tokio::test]
async fn a_reserve_is_kept_for_its_region_and_the_rest_is_for_everybody() {
    let gate = Gate::dev().await;
    let until = json!({"shares": {"eu": 30}, "release": {"before_closing": "1d"}});
    let created = open(&gate, "kept", shares(until)).await;
    let explained = created["explain"].as_array().expect("sentences")[1].to_string();
    for said in ["Reserved of each SKU", "from then on", "Redis alone enforces it"] {
        assert!(explained.contains(said), "{explained}");
    }
    // Seventy are for everybody, and the region they are kept for may have more than its thirty.
    place(&gate, "kept", "ann?region=eu", 10).await.expect(202);
    place(&gate, "kept", "bob?region=us", 60).await.expect(202);
    place(&gate, "kept", "eve?region=eu", 5).await.expect(202);
    let problem = place(&gate, "kept", "cid", 11).await.refused(409, "reserved");
    assert_eq!(problem["constraint"], "region-quota/reserved");
    assert_eq!(
        problem["retryable"], true,
        "what is left is released before the closing"
    );
    assert!(problem["retry_at"].is_string(), "{problem}");
    place(&gate, "kept", "cid", 10).await.expect(202);
    place(&gate, "kept", "ann?region=eu", 15).await.expect(202);
    place(&gate, "kept", "ann?region=eu", 1)
        .await
        .refused(409, "sold-out");
}

#[tokio::test]
async fn a_change_between_reserve_and_cap_is_told_and_the_first_version_stays() {
    let gate = Gate::dev().await;
    open(&gate, "changed", shares(json!({"shares": {"eu": 30}}))).await;
    place(&gate, "changed", "ann?region=eu", 40).await.expect(202);
    let capped = json!({"rules": shares(json!({"mode": "cap", "shares": {"eu": 30}}))});
    let revision = gate
        .control("/campaigns/changed/revisions", &capped)
        .await
        .expect(201)
        .json();
    let changes = revision["changes"].as_array().expect("changes");
    let counter = |id: &str| {
        let id = format!("region-quota/{id}");
        changes
            .iter()
            .find(|change| change["counter"]["id"] == *id)
            .expect("told")
    };
    assert_eq!(
        counter("units-of-region-eu-by-claim-region-per-sku")["counter"]["needs_accept"],
        true
    );
    assert_eq!(
        counter("units-per-claim-region-and-sku")["counter"]["counts"],
        "zero"
    );

    let first = json!([{"module": "region-quota@1.0.0", "params": {"shares": {"eu": 30}}}]);
    open(&gate, "first", first).await;
    place(&gate, "first", "ann?region=eu", 31)
        .await
        .refused(409, "region-quota");
    place(&gate, "first", "ann?region=eu", 30).await.expect(202);
}

/// A module of `rule2`: as many units as the claim `most` says, which a buyer can read beforehand.
#[tokio::test]
async fn a_claim_says_the_limit() {
    let gate = Gate::dev().await;
    let plan = json!({
        "nodes": [
            {"plain": {"attribute": "quantity"}},
            {"plain": {"counter": 0}},
            {"plain": {"add": [1, 0]}},
            {"plain": {"attribute": {"claim": "most"}}},
            {"number": {"of": 3, "low": 0, "high": 50, "missing": 1, "unreadable": 0}},
            {"plain": {"le": [2, 4]}},
        ],
        "counters": [{"id": "units", "key": [{"plain": "user"}], "window": "campaign", "cost": 0}],
        "constraints": [{
            "require": 5, "reason": "no", "sentence": "As many as the token says.",
            "measure": {"counter": 0, "limit": 4},
        }],
    });
    let need = json!([{"attribute": {"claim": "most"}, "required": false}]);
    let module = Forge {
        describe: Body::Answer(described(json!({"id": "said", "attributes": need}))),
        ..Forge::planning2(plan)
    };
    let url = format!("{}/admin/v1/modules", gate.admin);
    let wasm = [("content-type", "application/wasm")];
    let uploaded = gate
        .http
        .send(Method::POST, &url, &wasm, module.component())
        .await;
    uploaded.expect(201);
    open(&gate, "said", json!([{"module": "said", "params": {}}])).await;
    place(&gate, "said", "ann?most=5", 4).await.expect(202);
    let problem = place(&gate, "said", "ann?most=5", 2).await.refused(409, "no");
    assert_eq!((&problem["used"], &problem["limit"]), (&json!(4), &json!(5)));
    place(&gate, "said", "ann?most=6", 2).await.expect(202);
    place(&gate, "said", "bob", 1).await.expect(202);
    for unreadable in ["five", "5.0", "05", "51", "-1"] {
        let user = format!("cid?most={unreadable}");
        let problem = place(&gate, "said", &user, 1).await.refused(409, "no");
        assert_eq!(problem["limit"], 0, "{unreadable}");
    }
}
