//! A page of another origin: it asks whether it may, orders, and lists what it has; whose pages may is changed while the sale runs.

use std::time::Instant;

use hyper::Method;
use serde_json::{Value, json};
use testkit::http::{Http, Reply};

use crate::stories::gate::{Gate, PATIENCE, POLL};
use crate::stories::keys::{Deployment, Gateway};

const SHOP: &str = "https://shop.example";
const OTHER: &str = "https://other.example";

/// What a browser does for a page that orders with `fetch`; `None` where it does not let the page.
async fn fetch_order(http: &Http, orders: &str, campaign: &str, origin: &str, user: &str) -> Option<Reply> {
    let url = format!("{orders}/v1/campaigns/{campaign}/orders");
    let asking = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type,idempotency-key",
        ),
    ];
    let asked = http
        .send(Method::OPTIONS, &url, &asking, Vec::new())
        .await
        .expect(204);
    if !may_read(&asked, origin) {
        return None;
    }
    let allowed = asked.header("access-control-allow-headers");
    for header in ["authorization", "content-type", "idempotency-key"] {
        assert!(allowed.split(", ").any(|one| one == header), "{allowed}");
    }
    let token = format!("Bearer dev:{user}");
    let headers = [
        ("origin", origin),
        ("authorization", &token),
        ("idempotency-key", "cart-1"),
    ];
    let reply = http
        .post(&url, &headers, &json!({"sku": "mug", "quantity": 1}))
        .await;
    assert!(may_read(&reply, origin), "{reply:?}");
    Some(reply)
}

fn may_read(reply: &Reply, origin: &str) -> bool {
    [origin, "*"].contains(&reply.header("access-control-allow-origin"))
}

async fn fetch(http: &Http, url: &str, origin: &str, user: &str) -> Reply {
    let token = format!("Bearer dev:{user}");
    http.get(url, &[("origin", origin), ("authorization", &token)])
        .await
}

async fn patch(http: &Http, admin: &str, campaign: &str, body: &Value) -> Reply {
    let url = format!("{admin}/admin/v1/campaigns/{campaign}");
    let headers = [("content-type", "application/json")];
    http.send(Method::PATCH, &url, &headers, body.to_string().into_bytes())
        .await
}

#[tokio::test]
async fn a_page_of_a_shop_orders_and_lists_what_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("rushgate.toml");
    std::fs::write(&config, format!("[cors]\norigins = [\"{SHOP}\"]\n")).expect("written");
    let gate = Gate::dev_with(&config).await;
    assert!(
        fetch_order(&gate.http, &gate.orders, "demo", OTHER, "eve")
            .await
            .is_none()
    );
    let placed = fetch_order(&gate.http, &gate.orders, "demo", SHOP, "ada")
        .await
        .expect("it may");
    let placed = placed.expect(202);
    assert!(
        placed
            .header("access-control-expose-headers")
            .contains("location")
    );
    let again = fetch_order(&gate.http, &gate.orders, "demo", SHOP, "ada")
        .await
        .expect("it may");
    assert_eq!(again.expect(202).header("idempotent-replayed"), "true");

    let shown = gate
        .order_in_state("ada", placed.header("location"), "confirmed")
        .await;
    for path in ["/v1/campaigns/demo/orders", "/v1/orders?limit=1"] {
        let listed = fetch(&gate.http, &format!("{}{path}", gate.orders), SHOP, "ada")
            .await
            .expect(200);
        assert!(may_read(&listed, SHOP));
        assert_eq!(
            listed.json(),
            json!({"orders": [shown]}),
            "as it is shown by itself"
        );
    }
    // Nobody else has it, and who sends no token has nothing.
    let orders = format!("{}/v1/orders", gate.orders);
    let none = fetch(&gate.http, &orders, SHOP, "bob").await.expect(200);
    assert_eq!(none.json(), json!({"orders": []}));
    let refused = gate.http.get(&orders, &[("origin", SHOP)]).await;
    assert!(may_read(&refused, SHOP));
    refused.refused(401, "token-missing");
    // An order of a page that may not read the answer is decided all the same.
    let foreign = gate
        .place_in(
            "demo",
            "eve",
            &[("origin", OTHER)],
            json!({"sku": "mug", "quantity": 1}),
        )
        .await
        .expect(202);
    assert_eq!(foreign.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn whose_pages_may_read_is_changed_while_the_sale_runs() {
    let gate = Gate::dev().await;
    let (http, orders, admin) = (&gate.http, gate.orders.as_str(), gate.admin.as_str());
    let may =
        async |origin: &str, user: &str| fetch_order(http, orders, "demo", origin, user).await.is_some();
    assert!(!may(SHOP, "a").await, "nothing is configured");
    let did = patch(
        http,
        admin,
        "demo",
        &json!({"origins": [SHOP], "note": "the new shop"}),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        did["did"],
        format!("Pages of {SHOP} can read what is said of it.")
    );
    assert_eq!((&did["origins"], did.get("revision")), (&json!([SHOP]), None));
    assert!(may(SHOP, "a").await && !may(OTHER, "b").await);
    assert_eq!(gate.figures("demo").await["origins"], json!([SHOP]));

    let same = patch(http, admin, "demo", &json!({"origins": [SHOP]}))
        .await
        .expect(200)
        .json();
    assert_eq!(same["did"], "It is so already: nothing was changed.");
    patch(http, admin, "demo", &json!({"title": "Mugs"}))
        .await
        .expect(200);
    assert!(may(SHOP, "c").await, "what is left out stays");
    let list = http
        .get(&format!("{orders}/v1/campaigns"), &[])
        .await
        .expect(200)
        .json();
    assert_eq!(list["campaigns"][0]["campaign"], "demo");

    for (origins, pointer) in [
        (json!([SHOP, "https://shop.example/"]), "/origins/1"),
        (json!(["*", SHOP]), "/origins/0"),
        (json!(["null"]), "/origins/0"),
        (json!(SHOP), "/origins"),
    ] {
        let refused = patch(http, admin, "demo", &json!({"origins": origins}))
            .await
            .refused(422, "invalid");
        assert_eq!(refused["pointer"], pointer);
    }
    let clone =
        json!({"id": "next", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z"});
    gate.control("/campaigns/demo/clone", &clone).await.expect(201);
    assert!(
        fetch_order(http, orders, "next", SHOP, "a").await.is_some(),
        "a clone has them, too"
    );

    let dry = format!("{admin}/admin/v1/campaigns/demo?dry_run=true");
    let headers = [("content-type", "application/json")];
    let body = json!({"origins": ["*"]}).to_string().into_bytes();
    let tried = http
        .send(Method::PATCH, &dry, &headers, body)
        .await
        .expect(200)
        .json();
    assert!(
        tried["did"]
            .as_str()
            .is_some_and(|did| did.contains("every origin could")),
        "{tried}"
    );
    assert!(!may(OTHER, "d").await);
    patch(http, admin, "demo", &json!({"origins": null}))
        .await
        .expect(200);
    assert!(!may(SHOP, "e").await, "as configured");
    assert_eq!(gate.figures("demo").await.get("origins"), None);
}

/// One gateway is asked, and both go by it: what the database has, each reads again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_list_holds_at_every_gateway_and_so_do_titles() {
    let deployment = Deployment::start().await;
    let (code, said) = deployment.run(&["migrate"], &[]);
    assert_eq!(code, Some(0), "{said}");
    let _lander = deployment.role("land", &[]);
    let gateways = [(); 2].map(|()| Gateway::up(deployment.role("serve", &[])));
    gateways[0].create().await;
    for gateway in &gateways {
        gateway.readyz(200, "ready").await;
    }
    let (http, [one, two]) = (Http::new(), &gateways);
    let body = json!({"title": "Spring!", "origins": [SHOP]});
    patch(&http, &one.admin, "spring", &body).await.expect(200);
    let begun = Instant::now();
    loop {
        let listed = http
            .get(&format!("{}/v1/campaigns", two.orders), &[])
            .await
            .expect(200)
            .json();
        let placed = fetch_order(&http, &two.orders, "spring", SHOP, "ada").await;
        if listed["campaigns"][0]["title"] == "Spring!" && placed.is_some() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{listed} {placed:?}");
        tokio::time::sleep(POLL).await;
    }
    let asked = fetch_order(&http, &one.orders, "spring", SHOP, "ada")
        .await
        .expect("it may");
    assert_eq!(asked.expect(202).header("idempotent-replayed"), "true");
    // It lands, and the other gateway lists it.
    let url = format!("{}/v1/campaigns/spring/orders", two.orders);
    loop {
        let listed = fetch(&http, &url, SHOP, "ada").await.expect(200).json();
        if listed["orders"]
            .as_array()
            .is_some_and(|orders| orders.len() == 1)
        {
            assert_eq!(listed["orders"][0]["state"], "confirmed");
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{listed}");
        tokio::time::sleep(POLL).await;
    }
}
