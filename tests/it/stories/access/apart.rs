//! Two merchants: each sees its own in every list and export, and nothing of the other's.

use std::time::Instant;

use hyper::Method;
use rushgate::access::Scope;
use serde_json::{Value, json};

use super::house::{House, ROOT, names, sale};
use crate::stories::gate::{PATIENCE, POLL};
use crate::webhooks::receiver::Receiver;

async fn key_of(house: &House, merchant: &str) -> String {
    let body = json!({"name": "desk", "person": merchant, "role": "merchant", "merchant": merchant});
    house.key(ROOT, body).await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_exports_are_apart() {
    let house = House::open("").await;
    for merchant in ["a", "b"] {
        house.settle(merchant).await;
        house.webhook(merchant, "http://127.0.0.1:9/").await;
    }
    for (merchant, other) in [("a", "b"), ("b", "a")] {
        let key = key_of(&house, merchant).await;
        let of = |kind: &str| vec![format!("{kind}-{merchant}")];
        let campaigns = house.get(&key, "/campaigns").await.expect(200);
        assert_eq!(names(&campaigns, "campaigns", "id"), of("sale"));
        let lists = house.get(&key, "/audiences").await.expect(200);
        assert_eq!(names(&lists, "audiences", "id"), of("list"));
        let webhooks = house.get(&key, "/webhooks").await.expect(200);
        assert_eq!(names(&webhooks, "webhooks", "merchant"), [merchant]);
        let merchants = house.get(&key, "/merchants").await.expect(200);
        assert_eq!(names(&merchants, "merchants", "id"), [merchant]);
        let keys = house.get(&key, "/keys").await.expect(200);
        assert_eq!(names(&keys, "keys", "merchant"), [merchant]);
        let modules = names(&house.get(&key, "/modules").await.expect(200), "modules", "id");
        assert!(
            modules.contains(&format!("module-{merchant}")) && modules.contains(&"n-per-user".to_owned())
        );
        assert!(!modules.contains(&format!("module-{other}")), "{modules:?}");
        let orders = format!("/campaigns/sale-{merchant}/orders?format=csv");
        let table = house.get(&key, &orders).await.expect(200);
        assert_eq!(table.text().lines().count(), 2, "{}", table.text());
        for theirs in [
            format!("/campaigns/sale-{other}"),
            format!("/campaigns/sale-{other}/orders?format=csv"),
            format!("/campaigns/sale-{other}/orders?format=jsonl"),
            format!("/campaigns/sale-{other}/orders/jobs"),
            format!("/campaigns?before=sale-{other}"),
            format!("/audiences/list-{other}"),
            format!("/audiences/list-{other}/1/members"),
            format!("/audiences/list-{other}/members/{other}-1"),
            format!("/modules/module-{other}"),
            format!("/merchants?before={other}"),
        ] {
            let reply = house.get(&key, &theirs).await;
            assert_eq!(reply.status, 404, "{theirs}: {}", reply.text());
            assert!(!reply.text().contains(&format!("list-{merchant}, list-{other}")));
        }
        house
            .get(&key, &format!("/buyers/ada/data?merchant={other}"))
            .await
            .refused(403, "forbidden");
    }
    let all = house.get(ROOT, "/campaigns").await.expect(200);
    let all = names(&all, "campaigns", "id");
    assert!(
        all.contains(&"sale-a".to_owned()) && all.contains(&"sale-b".to_owned()),
        "{all:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_uses_or_takes_what_is_another_s() {
    let house = House::open("").await;
    house.settle("a").await;
    house.settle("b").await;
    let key = key_of(&house, "a").await;
    let with = |module: &str, params: Value| {
        let mut body = sale("mine", None);
        body["rules"] = json!([{"module": module, "params": params}]);
        body
    };
    // Rules that name the other's list or module: as if there were none, and nothing of theirs is hinted at.
    let member = |list: &str| json!({"list": list});
    let by_list = house
        .post(&key, "/campaigns", &with("audience", member("list-b")))
        .await;
    let by_module = house.post(&key, "/campaigns", &with("module-b", json!({}))).await;
    for refused in [by_list, by_module] {
        let refused = refused.refused(422, "invalid").to_string();
        assert!(
            !refused.contains("known lists: list-a, list-b") && !refused.contains("module-a, module-b"),
            "{refused}"
        );
    }
    // One's own will do, and what is made is one's own.
    house
        .post(&key, "/campaigns", &sale("mine", None))
        .await
        .expect(201);
    let shown = house.get(ROOT, "/campaigns/mine").await.expect(200).json();
    assert_eq!(shown["merchant"], "a");
    let clone =
        json!({"id": "mine-2", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z"});
    house
        .post(&key, "/campaigns/mine/clone", &clone)
        .await
        .expect(201);
    assert_eq!(house.get(ROOT, "/campaigns/mine-2").await.json()["merchant"], "a");
    // Ids are taken, and merchants are not claimed.
    house
        .post(&key, "/campaigns", &sale("sale-b", None))
        .await
        .refused(409, "conflict");
    house
        .post(&key, "/campaigns", &sale("other", Some("b")))
        .await
        .refused(403, "forbidden");
    let taken = house
        .send(&key, Method::PUT, "/audiences/list-b", "text/plain", b"x\n")
        .await;
    taken.refused(409, "conflict");
    let list = house.get(ROOT, "/audiences/list-b").await.expect(200).json();
    assert_eq!(
        list["versions"].as_array().map(Vec::len),
        Some(1),
        "nothing was added"
    );
    // An id of a module that all share, or that is the other's, is nobody's to extend.
    for id in ["module-b", "n-per-user"] {
        let module = testkit::forge::Forge::describing(json!({"id": id, "version": "9.9.9"})).component();
        let refused = house
            .send(&key, Method::POST, "/modules", "application/wasm", &module)
            .await;
        refused.refused(409, "conflict");
    }
    let shared = house
        .send(
            &key,
            Method::DELETE,
            "/modules/n-per-user@1.0.0",
            "application/json",
            b"",
        )
        .await;
    assert!(matches!(shared.status, 403 | 404), "{}", shared.text());
    let webhook = json!({"url": "http://127.0.0.1:9/", "campaign": "sale-b"});
    house
        .post(&key, "/webhooks", &webhook)
        .await
        .refused(422, "invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_hears_of_its_merchant_s_sales_alone() {
    let house = House::open("").await;
    house.settle("a").await;
    house.settle("b").await;
    let (of_a, of_b) = (Receiver::start().await, Receiver::start().await);
    house.webhook("a", &of_a.url()).await;
    house.webhook("b", &of_b.url()).await;
    // A new endpoint hears of what is told a second after it was made.
    let begun = Instant::now();
    let mut buyers = 0;
    while of_a.seen().is_empty() || of_b.seen().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "they hear nothing");
        buyers += 1;
        for sale in ["sale-b", "sale-a"] {
            let (buyer, body) = (format!("buyer-{buyers}"), json!({"sku": "mug", "quantity": 1}));
            house.gate.place_in(sale, &buyer, &[], body).await;
        }
        tokio::time::sleep(POLL).await;
    }
    for (receiver, sale) in [(&of_a, "sale-a"), (&of_b, "sale-b")] {
        for seen in receiver.seen() {
            assert_eq!(seen.json()["data"]["campaign"], sale);
        }
    }
}

#[tokio::test]
async fn nobody_gives_what_they_have_not() {
    let house = House::open("").await;
    house.settle("a").await;
    house
        .post(ROOT, "/merchants", &json!({"id": "b"}))
        .await
        .expect(201);
    house
        .post(ROOT, "/merchants", &json!({"id": "b"}))
        .await
        .refused(409, "conflict");
    let body = json!({"name": "k", "person": "ada", "scopes": ["keys", "orders:read"], "merchant": "a", "expires_in_days": 3});
    let (maker_id, maker) = house.key(ROOT, body).await;
    let of = |scopes: Value, merchant: Value| json!({"name": "n", "person": "bo", "scopes": scopes, "merchant": merchant});
    let made = house
        .post(&maker, "/keys", &of(json!(["orders:read"]), Value::Null))
        .await
        .expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let made = made.json();
    assert_eq!((&made["merchant"], &made["state"]), (&json!("a"), &json!("good")));
    let shown = house.get(ROOT, "/keys").await.expect(200).json();
    assert_eq!(
        shown["keys"][1]["expires_at"], made["expires_at"],
        "no key outlives its maker"
    );
    assert!(!shown.to_string().contains("rgk_"), "nobody is shown a key again");
    house
        .post(&maker, "/keys", &of(json!(["orders:write"]), Value::Null))
        .await
        .refused(422, "invalid");
    house
        .post(&maker, "/keys", &of(json!(["orders:read"]), json!("b")))
        .await
        .refused(403, "forbidden");
    house
        .post(ROOT, "/keys", &of(json!(["orders:read"]), json!("nobody")))
        .await
        .refused(422, "invalid");
    house
        .post(ROOT, "/keys", &of(json!(["everything"]), Value::Null))
        .await
        .refused(422, "invalid");
    // A key of all merchants is none that a merchant sees.
    let (id, _) = house
        .key(ROOT, json!({"name": "n", "person": "bo", "role": "viewer"}))
        .await;
    let gone = format!("/keys/{id}");
    house
        .send(&maker, Method::DELETE, &gone, "application/json", b"")
        .await
        .refused(404, "unknown");
    let used = house.get(ROOT, "/keys").await.json();
    let used = used["keys"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|key| key["id"] == maker_id.as_str());
    assert!(
        used.is_some_and(|key| key["last_used_at"].is_string()),
        "{used:?}"
    );
    let scoped = house.with_scope(Some("a"), Scope::OrdersRead).await;
    house.get(&scoped, "/keys").await.refused(403, "forbidden");
}
