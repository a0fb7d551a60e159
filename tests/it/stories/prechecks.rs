//! A module whose precheck looks at every order, uploaded and used over HTTP.

use hyper::Method;
use serde_json::{Value, json};
use testkit::forge::{Body, Forge, described};
use testkit::http::Reply;

use crate::stories::gate::Gate;

async fn upload(gate: &Gate, forge: &Forge) -> Reply {
    let url = format!("{}/admin/v1/modules", gate.admin);
    let headers = [("content-type", "application/wasm")];
    gate.http
        .send(Method::POST, &url, &headers, forge.component())
        .await
}

fn named(id: &str, check: &str) -> Forge {
    Forge {
        describe: Body::Answer(described(json!({ "id": id }))),
        ..Forge::checking(check)
    }
}

fn mugs(n: u32) -> Value {
    json!({"sku": "mug", "quantity": n})
}

/// Rejects more than two units; more than eight are a trap.
const UP_TO_TWO: &str = "(if (i32.gt_u (local.get $quantity) (i32.const 8)) (then unreachable))
    (select (global.get $reject0) (global.get $pass) (i32.gt_u (local.get $quantity) (i32.const 2)))";

#[tokio::test]
async fn a_precheck_rejects_fails_and_is_swapped_live() {
    let gate = Gate::dev().await;
    let module = upload(&gate, &named("up-to-two", UP_TO_TWO))
        .await
        .expect(201)
        .json();
    assert_eq!(module["descriptor"]["precheck"], true);
    gate.create(
        "checked",
        100,
        json!([{"module": "up-to-two"}, {"module": "one-per-user", "params": {"count": "orders"}}]),
    )
    .await;

    let problem = gate
        .place_in("checked", "ada", &[], mugs(3))
        .await
        .refused(409, "no");
    assert_eq!(problem["constraint"], "up-to-two/no");
    assert_eq!(problem["type"], "/problems/rule/no");
    assert_eq!(problem["detail"], "Not this order");
    let failed = gate.place_in("checked", "ada", &[], mugs(9)).await;
    assert_eq!(failed.header("retry-after"), "1");
    let problem = failed.refused(503, "precheck-failed");
    assert_eq!(problem["constraint"], "up-to-two/precheck-failed");
    assert_eq!(problem["retryable"], true);
    let key = [("idempotency-key", "k1")];
    let order = gate
        .place_in("checked", "ada", &key, mugs(2))
        .await
        .expect(202)
        .json();
    // Neither of the two refused attempts was counted by the limit.
    gate.place_in("checked", "ada", &[], mugs(1))
        .await
        .refused(409, "limit-per-user");

    // A revision whose precheck lets nobody pass: in force at once, and not for the order that is there.
    upload(&gate, &named("nobody", "(global.get $reject0)"))
        .await
        .expect(201);
    let rules = json!({"rules": [{"module": "nobody", "name": "door"}]});
    gate.control("/campaigns/checked/revisions", &rules)
        .await
        .expect(201);
    let accepted = json!({"revision": 2, "accept": ["one-per-user/orders-per-user"]});
    gate.control("/campaigns/checked/activate", &accepted)
        .await
        .expect(200);
    let problem = gate
        .place_in("checked", "bob", &[], mugs(1))
        .await
        .refused(409, "no");
    assert_eq!(problem["constraint"], "door/no");
    let again = gate
        .place_in("checked", "ada", &key, mugs(2))
        .await
        .expect(202)
        .json();
    assert_eq!(again["order"], order["order"]);

    gate.control("/campaigns/checked/activate", &json!({"revision": 1}))
        .await
        .expect(200);
    gate.place_in("checked", "bob", &[], mugs(1)).await.expect(202);
    let figures = gate.figures("checked").await;
    assert_eq!(figures["skus"][0]["remaining"], 97, "{figures}");

    let metrics = gate
        .http
        .get(&format!("{}/metrics", gate.admin), &[])
        .await
        .expect(200);
    let metrics = String::from_utf8(metrics.body.to_vec()).expect("text");
    let digest = module["digest"].as_str().expect("a digest");
    let line =
        format!("rushgate_module_precheck_failures_total{{module=\"up-to-two\",digest=\"{digest}\"}} 1");
    assert!(metrics.contains(&line), "{metrics}");
}

#[tokio::test]
async fn a_restarted_gateway_runs_prechecks_from_the_first_order_on() {
    let data = tempfile::tempdir().expect("a folder");
    let gate = Gate::dev_in(data.path()).await;
    upload(&gate, &named("up-to-two", UP_TO_TWO)).await.expect(201);
    gate.create("checked", 100, json!([{"module": "up-to-two"}]))
        .await;
    gate.terminate();
    let gate = Gate::dev_in(data.path()).await;
    gate.place_in("checked", "ada", &[], mugs(3))
        .await
        .refused(409, "no");
    gate.place_in("checked", "ada", &[], mugs(2)).await.expect(202);
}

#[tokio::test]
async fn a_rule_with_a_precheck_cannot_be_in_shadow() {
    let gate = Gate::dev().await;
    upload(&gate, &named("up-to-two", UP_TO_TWO)).await.expect(201);
    let rules = json!({"rules": [{"module": "one-per-user"}], "shadow": [{"module": "up-to-two"}]});
    let refused = gate.control("/campaigns/demo/revisions", &rules).await;
    let problem = refused.expect(422).json();
    let first = &problem["errors"][0];
    assert_eq!(first["pointer"], "/shadow/0/module", "{problem}");
    let why = first["detail"].as_str().expect("a sentence");
    assert!(why.contains("cannot be shadowed"), "{why}");
}
