//! Two merchants with two issuers, at two gateways, on Redis, Kafka and the database.

use std::time::Instant;

use hyper::Method;
use serde_json::{Value, json};
use testkit::http::{Http, Reply};

use crate::fronts::issuer::{Issuer, Says, SigningKey, set};
use crate::stories::gate::{PATIENCE, POLL};
use crate::stories::keys::{Deployment, Gateway};

const KEYS: &[&str] = &["a"];
/// Issuers and endpoints of this test are on this machine.
const HERE: &[(&str, &str)] = &[
    ("RUSHGATE_AUTH_PRIVATE", "127.0.0.1"),
    ("RUSHGATE_WEBHOOKS_PRIVATE", "127.0.0.1"),
];
const MERCHANTS: [&str; 2] = ["a", "b"];

async fn control(gateway: &Gateway, path: &str, body: &Value) -> Reply {
    let url = format!("{}/admin/v1{path}", gateway.admin);
    Http::new().post(&url, &[], body).await
}

async fn ask(gateway: &Gateway, method: Method, path: &str, token: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let body: &[u8] = match method {
        Method::POST => br#"{"sku":"mug","quantity":1}"#,
        _ => b"",
    };
    let url = format!("{}{path}", gateway.orders);
    Http::new().send(method, &url, &headers, body.to_vec()).await
}

fn orders(merchant: &str) -> String {
    format!("/v1/campaigns/sale-{merchant}/orders")
}

fn name(merchant: &str) -> String {
    format!("https://login.{merchant}.example")
}

fn ada(key: &SigningKey, merchant: &str) -> String {
    key.token_with("ada", json!({"iss": name(merchant)}))
}

/// Asks until the answer has this status.
async fn until(status: u16, gateway: &Gateway, (method, path): (Method, &str), token: &str) -> Reply {
    let begun = Instant::now();
    loop {
        let reply = ask(gateway, method.clone(), path, token).await;
        if reply.status == status {
            return reply;
        }
        assert!(begun.elapsed() < PATIENCE, "never {status}: {}", reply.text());
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn buyers_of_two_merchants_are_apart_at_every_gateway() {
    let deployment = Deployment::start().await;
    let (code, said) = deployment.run(&["migrate"], KEYS);
    assert_eq!(code, Some(0), "{said}");
    let _lander = deployment.role_with("land", KEYS, HERE);
    let up = || Gateway::up(deployment.role_with("serve", KEYS, HERE));
    let gateways = [up(), up()];
    for gateway in &gateways {
        gateway.readyz(200, "ready").await;
    }
    let keys = MERCHANTS.map(SigningKey::new);
    let mut issuers = Vec::new();
    for (merchant, key) in MERCHANTS.into_iter().zip(&keys) {
        let issuer = Issuer::plain(Says::Text(set(&[key]))).await;
        let tokens = json!({"issuer": name(merchant), "jwks_url": issuer.url()});
        let body = json!({"id": merchant, "tokens": tokens});
        control(&gateways[0], "/merchants", &body).await.expect(201);
        let body = json!({
            "id": format!("sale-{merchant}"), "title": merchant, "merchant": merchant,
            "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
            "skus": [{"id": "mug", "stock": 100}], "rules": [{"module": "n-per-user", "params": {"limit": 1}}],
        });
        control(&gateways[0], "/campaigns", &body).await.expect(201);
        let hook = json!({"url": "http://127.0.0.1:9/", "merchant": merchant});
        control(&gateways[0], "/webhooks", &hook).await.expect(201);
        issuers.push(issuer);
    }
    // The one that has never heard of the sales is asked first: it believes nobody before it knows whom.
    let [first, second] = &gateways;
    for (merchant, key, other) in [("a", &keys[0], "b"), ("b", &keys[1], "a")] {
        let token = ada(key, merchant);
        let refused = ask(second, Method::POST, &orders(other), &token).await;
        assert_eq!(refused.status, 401, "{}", refused.text());
        let dev = ask(second, Method::POST, &orders(merchant), "dev:ada").await;
        assert_eq!(dev.status, 401, "{}", dev.text());
        let placed = until(202, second, (Method::POST, &orders(merchant)), &token).await;
        let path = placed.header("location").to_owned();
        let begun = Instant::now();
        while ask(first, Method::GET, &path, &token).await.expect(200).json()["state"] != "confirmed" {
            assert!(begun.elapsed() < PATIENCE, "it never lands");
            tokio::time::sleep(POLL).await;
        }
        for gateway in &gateways {
            let again = ask(gateway, Method::POST, &orders(merchant), &token).await;
            assert_eq!(again.status, 409, "the limit holds: {}", again.text());
            let mine = ask(
                gateway,
                Method::GET,
                &format!("/v1/orders?merchant={merchant}"),
                &token,
            )
            .await;
            let mine = mine.expect(200).json();
            assert_eq!(mine["orders"].as_array().map(Vec::len), Some(1), "{mine}");
        }
    }
    let db = &deployment.db;
    assert_eq!(
        db.number("SELECT COUNT(*) FROM orders WHERE user_id = 'ada'")
            .await,
        2
    );
    // What endpoints are sent says whose sale it was.
    for merchant in MERCHANTS {
        let told = format!(
            "SELECT COUNT(*) FROM webhook_deliveries WHERE campaign_id = 'sale-{merchant}' \
             AND body LIKE '%\"merchant\":\"{merchant}\"%'"
        );
        let begun = Instant::now();
        while db.number(&told).await != 1 {
            assert!(begun.elapsed() < PATIENCE, "it is never told");
            tokio::time::sleep(POLL).await;
        }
    }
}
