//! Attributes of SKUs, over HTTP: said by the campaign, counted by a rule, and by nobody else.

use hyper::Method;
use serde_json::{Value, json};
use testkit::forge::{Body, Forge, described};
use testkit::http::Reply;

use crate::stories::gate::Gate;

/// Two units of each category per user, and one order of each limited edition.
fn by_category() -> Vec<u8> {
    let plan = json!({
        "nodes": [
            {"plain": {"attribute": "quantity"}},
            {"plain": {"counter": 0}},
            {"plain": {"add": [1, 0]}},
            {"plain": {"int": 2}},
            {"plain": {"le": [2, 3]}},
            {"plain": {"int": 1}},
            {"plain": {"counter": 1}},
            {"plain": {"lt": [6, 5]}},
            {"sku-attribute": "edition"},
            {"plain": {"one-of": [8, ["limited"]]}},
        ],
        "counters": [
            {
                "id": "units", "key": [{"plain": "user"}, {"sku-attribute": "category"}],
                "window": "campaign", "cost": 0,
            },
            {"id": "orders", "key": [{"plain": "user"}, {"plain": "sku"}], "window": "campaign", "cost": 5},
        ],
        "constraints": [
            {
                "require": 4, "reason": "no", "sentence": "Two units of each category per user.",
                "measure": {"counter": 0, "limit": 3},
            },
            {"when": 9, "require": 7, "reason": "limited", "sentence": "One order of each limited edition."},
        ],
    });
    let reason = |code: &str| json!({"code": code, "title": "Not this order", "retryable": false});
    let forge = Forge {
        describe: Body::Answer(described(
            json!({"id": "by-category", "reasons": [reason("no"), reason("limited")]}),
        )),
        ..Forge::planning2(plan)
    };
    forge.component()
}

async fn upload(gate: &Gate) {
    let url = format!("{}/admin/v1/modules", gate.admin);
    let wasm = [("content-type", "application/wasm")];
    let uploaded = gate.http.send(Method::POST, &url, &wasm, by_category()).await;
    uploaded.expect(201);
}

fn campaign(id: &str, skus: Value, module: &str) -> Value {
    let params = match module {
        "n-per-user" => json!({"limit": 100}),
        _ => json!({}),
    };
    json!({
        "id": id, "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": skus, "rules": [{"module": module, "params": params}],
    })
}

fn skus() -> Value {
    json!([
        {"id": "mug-red", "stock": 100, "attributes": {"category": "mugs", "colour": "red"}},
        {"id": "mug-blue", "stock": 100, "attributes": {"category": "mugs", "colour": "blue"}},
        {"id": "print", "stock": 100, "attributes": {"category": "prints", "edition": "limited"}},
        {"id": "card", "stock": 100},
    ])
}

async fn place(gate: &Gate, user: &str, sku: &str, quantity: u32) -> Reply {
    let order = json!({
        "sku": sku, "quantity": quantity, "attributes": {"category": "prints", "edition": "open"},
    });
    gate.place_in("shop", user, &[], order).await
}

async fn limits_hold(gate: &Gate, user: &str) {
    place(gate, user, "mug-red", 1).await.expect(202);
    place(gate, user, "mug-blue", 1).await.expect(202);
    let problem = place(gate, user, "mug-red", 1).await.refused(409, "no");
    assert_eq!((&problem["used"], &problem["limit"]), (&json!(2), &json!(2)));
    place(gate, user, "print", 1).await.expect(202);
    place(gate, user, "print", 1).await.refused(409, "limited");
    // Whoever has no category is of one of their own.
    place(gate, user, "card", 2).await.expect(202);
    place(gate, user, "card", 1).await.refused(409, "no");
}

#[tokio::test]
async fn two_of_a_category_whatever_the_sku_and_whatever_the_buyer_says() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let gate = Gate::dev_in(data.path()).await;
    upload(&gate).await;
    let created = gate
        .control("/campaigns", &campaign("shop", skus(), "by-category"))
        .await;
    let said = created.expect(201).json()["explain"].to_string();
    assert!(said.contains("per user and category of the SKU"), "{said}");
    assert!(!said.contains("forged"), "{said}");

    let claims = "ann?category=prints&sku%3Acategory=prints";
    limits_hold(&gate, claims).await;
    let quota = gate
        .quota("shop", "ann", "?sku=mug-blue")
        .await
        .expect(200)
        .json();
    assert_eq!(quota["constraints"][0]["used"], 2, "{quota}");
    assert_eq!(quota["refused"]["reason"], "no", "{quota}");
    let nothing = gate.quota("shop", "ann", "").await.expect(200).json();
    assert_eq!(nothing["constraints"][0]["missing"], json!(["sku"]), "{nothing}");

    let figures = gate.figures("shop").await;
    assert_eq!(
        figures["skus"][0]["attributes"],
        json!({"category": "mugs", "colour": "red"})
    );
    assert_eq!(figures["skus"][3].get("attributes"), None, "{figures}");

    // Orders that landed are decided again by what the campaign says.
    let simulated = gate
        .control(
            "/campaigns/shop/simulate",
            &json!({"rules": [{"module": "by-category"}], "from": "orders"}),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(simulated["attempts"], 4, "{simulated}");

    // What was kept is read back after a restart.
    assert_eq!(gate.terminate(), Some(0));
    let gate = Gate::dev_in(data.path()).await;
    place(&gate, claims, "mug-blue", 1).await.refused(409, "no");
    limits_hold(&gate, "bob").await;
    let listed = gate
        .http
        .get(&format!("{}/admin/v1/campaigns", gate.admin), &[])
        .await;
    let listed = listed.expect(200).json();
    let shop = listed["campaigns"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|each| each["id"] == "shop");
    // A list of campaigns leaves attributes out; one campaign has them, as above.
    let ids = ["mug-red", "mug-blue", "print", "card"];
    let listed: Value = ids.iter().map(|id| json!({"id": id, "stock": 100})).collect();
    assert_eq!(shop.expect("listed")["skus"], listed);
}

/// The second revision counts by category what was ordered under the first, which knew of none.
#[tokio::test]
async fn a_rule_that_comes_later_has_counted_from_the_beginning() {
    let gate = Gate::dev().await;
    upload(&gate).await;
    let first = json!({"module": "by-category@1.0.0", "name": "n-per-user"});
    let created = gate
        .control("/campaigns", &campaign("shop", skus(), "n-per-user"))
        .await;
    created.expect(201);
    place(&gate, "ann", "mug-red", 1).await.expect(202);
    place(&gate, "ann", "mug-blue", 1).await.expect(202);
    let revision = gate
        .control("/campaigns/shop/revisions", &json!({"rules": [first]}))
        .await
        .expect(201)
        .json();
    let changes = revision["changes"].as_array().expect("changes");
    let units = changes
        .iter()
        .find(|change| change["counter"]["id"] == "n-per-user/units");
    let units = &units.expect("told")["counter"];
    assert_eq!(units["counts"], "filled", "{changes:?}");
    let activated = gate
        .control("/campaigns/shop/activate", &json!({"revision": 2}))
        .await;
    activated.expect(200);
    place(&gate, "ann", "mug-red", 1).await.refused(409, "no");
    place(&gate, "bob", "mug-red", 1).await.expect(202);
}

#[tokio::test]
async fn bad_attributes_are_refused_where_they_are() {
    let gate = Gate::dev().await;
    let made = async |attributes: Value| {
        let skus = json!([{"id": "a", "stock": 1}, {"id": "b", "stock": 1, "attributes": attributes}]);
        gate.control("/campaigns", &campaign("bad", skus, "n-per-user"))
            .await
    };
    let many: serde_json::Map<_, _> = (0..17).map(|n| (format!("a{n}"), json!("x"))).collect();
    for (attributes, pointer) in [
        (json!({"colour": ""}), "/skus/1/attributes/colour"),
        (json!({"col/our": "x\u{0}"}), "/skus/1/attributes/col~1our"),
        (json!({"colour": "red "}), "/skus/1/attributes/colour"),
        (json!({"colour": "\u{200d}red"}), "/skus/1/attributes/colour"),
        (json!({" colour": "red"}), "/skus/1/attributes/ colour"),
        (json!({"colour": 7}), "/skus/1/attributes/colour"),
        (json!({"colour": ["red"]}), "/skus/1/attributes/colour"),
        (json!(["red"]), "/skus/1/attributes"),
        (json!({"x".repeat(65): "x"}), "/skus/1/attributes/xxxxx"),
        (json!(many), "/skus/1/attributes"),
    ] {
        let refused = made(attributes).await.expect(422).json().to_string();
        assert!(
            refused.contains(&format!("\"pointer\":\"{pointer}")),
            "{pointer}: {refused}"
        );
    }
    let twice = r#"{"id":"bad","opens_at":"2026-01-01T00:00:00Z","closes_at":"2027-12-31T00:00:00Z","skus":[{"id":"a",
        "stock":1,"attributes":{"colour":"red","colour":"blue"}}],"rules":[{"module":"one-per-user"}]}"#;
    let url = format!("{}/admin/v1/campaigns", gate.admin);
    let json = [("content-type", "application/json")];
    let refused = gate.http.send(Method::POST, &url, &json, twice.into()).await;
    let refused = refused.expect(422).json();
    assert_eq!(refused["pointer"], "/skus/0/attributes/colour", "{refused}");
}
