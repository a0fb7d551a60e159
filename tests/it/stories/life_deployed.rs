//! The life of orders over two gateways and a lander: what comes back sells at both, what is not paid in time expires.

use std::time::Instant;

use hyper::Method;
use serde_json::{Value, json};
use testkit::http::{Http, Reply};

use crate::stories::gate::{PATIENCE, POLL};
use crate::stories::keys::{Deployment, Gateway};
use crate::stories::role::Role;

const KEYS: &[&str] = &["a"];

/// A sale of mugs at two gateways; orders land when there is a lander.
struct Sale {
    deployment: Deployment,
    gateways: [Gateway; 2],
    lander: Option<Role>,
    http: Http,
}

impl Sale {
    async fn open(stock: u64, more: Value) -> Self {
        let deployment = Deployment::start().await;
        let (code, said) = deployment.run(&["migrate"], KEYS);
        assert_eq!(code, Some(0), "{said}");
        let roles = [(), ()].map(|()| deployment.role("serve", KEYS));
        let sale = Self {
            gateways: roles.map(Gateway::up),
            deployment,
            lander: None,
            http: Http::new(),
        };
        let mut campaign = json!({
            "id": "spring", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
            "skus": [{"id": "mug", "stock": stock}], "rules": [{"module": "n-per-user", "params": {"limit": 1}}],
        });
        let members = more.as_object().expect("members").clone();
        campaign.as_object_mut().expect("an object").extend(members);
        let url = format!("{}/admin/v1/campaigns", sale.gateways[0].admin);
        let begun = Instant::now();
        while sale.http.post(&url, &[], &campaign).await.status != 201 {
            assert!(begun.elapsed() < PATIENCE, "no campaign is made");
            tokio::time::sleep(POLL).await;
        }
        for gateway in &sale.gateways {
            let url = format!("{}/readyz", gateway.admin);
            gateway.role.get_until(&url, 200, "ready").await;
        }
        sale
    }

    fn land(&mut self) {
        self.lander = Some(self.deployment.role("land", KEYS));
    }

    async fn place(&self, gateway: usize, user: &str, key: &str, body: Value) -> Reply {
        let token = format!("Bearer dev:{user}");
        let headers = [("authorization", token.as_str()), ("idempotency-key", key)];
        let url = format!("{}/v1/campaigns/spring/orders", self.gateways[gateway].orders);
        self.http.post(&url, &headers, &body).await
    }

    async fn buy(&self, gateway: usize, user: &str) -> Reply {
        self.place(gateway, user, "cart-1", json!({"sku": "mug", "quantity": 1}))
            .await
    }

    async fn bought(&self, gateway: usize, user: &str) -> String {
        let placed = self.buy(gateway, user).await.expect(202).json();
        let order = placed["order"].as_str().expect("an id").to_owned();
        self.until(gateway, user, &order, "confirmed").await;
        order
    }

    /// The order as its buyer sees it, once it is in this state.
    async fn until(&self, gateway: usize, user: &str, order: &str, state: &str) -> Value {
        let token = format!("Bearer dev:{user}");
        let url = format!(
            "{}/v1/campaigns/spring/orders/{order}",
            self.gateways[gateway].orders
        );
        let begun = Instant::now();
        loop {
            let shown = self.http.get(&url, &[("authorization", &token)]).await.json();
            if shown["state"] == state {
                return shown;
            }
            assert!(begun.elapsed() < PATIENCE, "not {state}: {shown}");
            tokio::time::sleep(POLL).await;
        }
    }

    async fn cancel(&self, gateway: usize, user: &str, order: &str) -> Reply {
        let token = format!("Bearer dev:{user}");
        let url = format!(
            "{}/v1/campaigns/spring/orders/{order}/cancel",
            self.gateways[gateway].orders
        );
        let headers = [("authorization", token.as_str())];
        self.http.send(Method::POST, &url, &headers, Vec::new()).await
    }

    async fn act(&self, gateway: usize, order: &str, act: &str, key: &str) -> Reply {
        let url = format!(
            "{}/admin/v1/campaigns/spring/orders/{order}/{act}",
            self.gateways[gateway].admin
        );
        self.http
            .post(&url, &[("idempotency-key", key)], &json!({}))
            .await
    }

    /// The other gateway may say for a second that it is sold out.
    async fn sells_again(&self, gateway: usize, user: &str) {
        let begun = Instant::now();
        while self.buy(gateway, user).await.status != 202 {
            assert!(
                begun.elapsed().as_secs() < 3,
                "it stays sold out at gateway {gateway}"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// What the database holds of the stock and of the limits, and what Redis has left: the same, where all has landed.
    async fn sums_are(&self, sold: i64, used: i64, remaining: i64) {
        let db = &self.deployment.db;
        let begun = Instant::now();
        loop {
            let url = format!("{}/admin/v1/campaigns/spring", self.gateways[0].admin);
            let figures = self.http.get(&url, &[]).await.expect(200).json();
            let seen = (
                db.number("SELECT CAST(SUM(sold) AS SIGNED) FROM stock").await,
                db.number("SELECT CAST(COALESCE(SUM(used), 0) AS SIGNED) FROM `usage`")
                    .await,
                figures["skus"][0]["remaining"].as_i64().expect("a number"),
            );
            if seen == (sold, used, remaining) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{seen:?}");
            tokio::time::sleep(POLL).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_buyer_cancels_sells_again_at_every_gateway() {
    let mut sale = Sale::open(2, json!({"cancel_by_buyer": true})).await;
    let placed = sale.buy(0, "ann").await.expect(202).json();
    let order = placed["order"].as_str().expect("an id").to_owned();
    // It has not landed: nobody lands anything yet.
    for early in [
        sale.act(1, &order, "pay", "p").await,
        sale.act(0, &order, "cancel", "c").await,
        sale.cancel(0, "ann", &order).await,
        sale.cancel(1, "ann", &order).await,
    ] {
        assert_eq!(early.header("retry-after"), "1", "{early:?}");
        assert_eq!(early.refused(409, "not-landed-yet")["retryable"], true);
    }
    sale.cancel(1, "bob", &order).await.refused(404, "unknown");
    sale.land();
    sale.until(0, "ann", &order, "confirmed").await;
    sale.bought(1, "bob").await;
    for gateway in [0, 1] {
        sale.buy(gateway, "cid").await.refused(409, "sold-out");
    }
    sale.cancel(1, "ann", &order).await.expect(200);
    sale.sells_again(0, "cid").await;
    let bob = sale.buy(1, "bob").await.expect(202).json();
    let bob = bob["order"].as_str().expect("an id").to_owned();
    let cancelled = sale.act(0, &bob, "cancel", "c").await.expect(200).json();
    assert_eq!(
        cancelled["did"],
        "Cancelled: its 1 unit of mug is on sale again, and its buyer may buy as many as before."
    );
    sale.sells_again(1, "dan").await;
    for gateway in [0, 1] {
        for user in ["ann", "bob"] {
            let retried = sale.buy(gateway, user).await.expect(202).json();
            assert_eq!(retried["state"], "cancelled", "{user} at {gateway}");
        }
        sale.buy(gateway, "eve").await.refused(409, "sold-out");
    }
    sale.sums_are(2, 2, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_not_paid_in_time_expires_and_a_new_order_takes_its_place() {
    let mut sale = Sale::open(2, json!({"hold": {"minutes": 15}})).await;
    sale.land();
    let (ann, bob) = (sale.bought(0, "ann").await, sale.bought(1, "bob").await);
    assert!(sale.until(1, "ann", &ann, "confirmed").await["pay_by"].is_string());
    // As after a quarter of an hour; the payment comes before whoever has orders expire, or after it.
    let over = "UPDATE orders SET pay_by = DATE_SUB(pay_by, INTERVAL 15 MINUTE)";
    sale.deployment.db.execute(over).await;
    let late = sale
        .act(0, &ann, "pay", "p-1")
        .await
        .refused(409, "order-expired");
    assert_eq!(late["state"], "expired", "{late}");
    assert!(
        late["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("replaces")),
        "{late}"
    );
    for (gateway, user, order) in [
        (0, "ann", &ann),
        (1, "ann", &ann),
        (0, "bob", &bob),
        (1, "bob", &bob),
    ] {
        let shown = sale.until(gateway, user, order, "expired").await;
        assert_eq!(shown.get("pay_by"), None);
    }
    sale.sums_are(0, 0, 2).await;
    let again = sale
        .act(1, &ann, "pay", "p-1")
        .await
        .refused(409, "order-expired");
    assert_eq!(again["state"], "expired");
    assert_eq!(sale.buy(1, "ann").await.expect(202).json()["state"], "expired");

    let order = |replaces: &str| json!({"sku": "mug", "quantity": 1, "replaces": replaces});
    for (replaces, words) in [
        (bob.as_str(), "no order that you have"),
        (&"0".repeat(32), "no order that you have"),
    ] {
        let refused = sale.place(0, "ann", "cart-2", order(replaces)).await;
        let refused = refused.refused(422, "invalid");
        assert_eq!(refused["pointer"], "/replaces", "{refused}");
        assert!(
            refused["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains(words)),
            "{refused}"
        );
    }
    let placed = sale
        .place(0, "ann", "cart-2", order(&ann))
        .await
        .expect(202)
        .json();
    assert_eq!(placed["replaces"], ann, "{placed}");
    let new = placed["order"].as_str().expect("an id").to_owned();
    let second = sale.place(0, "ann", "cart-4", order(&ann)).await;
    let second = second.refused(409, "already-replaced");
    assert_eq!(
        (&second["replaced_by"], &second["pointer"]),
        (&json!(new), &json!("/replaces"))
    );
    let shown = sale.until(1, "ann", &new, "confirmed").await;
    assert_eq!(shown["replaces"], ann);
    // Another gateway knows it from the database; a retry is the same order everywhere.
    for gateway in [0, 1] {
        let second = sale.place(gateway, "ann", "cart-4", order(&ann)).await;
        assert_eq!(second.refused(409, "already-replaced")["replaced_by"], json!(new));
        let again = sale
            .place(gateway, "ann", "cart-2", order(&ann))
            .await
            .expect(202);
        assert_eq!(again.header("idempotent-replayed"), "true");
        let again = again.json();
        assert_eq!((&again["order"], &again["replaces"]), (&json!(new), &json!(ann)));
    }
    // It is a part of what was asked for.
    let other = json!({"sku": "mug", "quantity": 1});
    sale.place(0, "ann", "cart-2", other)
        .await
        .refused(422, "key-reused");
    let early = sale
        .place(0, "ann", "cart-3", order(&new))
        .await
        .refused(422, "invalid");
    assert!(
        early["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("confirmed")),
        "{early}"
    );
    let url = format!(
        "{}/admin/v1/campaigns/spring/orders/{new}",
        sale.gateways[0].admin
    );
    let full = sale.http.get(&url, &[]).await.expect(200).json();
    assert_eq!(
        (&full["replaces"], &full["attributes"]),
        (&json!(ann), &json!({}))
    );
    sale.act(0, &new, "pay", "p-2").await.expect(200);
    sale.sums_are(1, 1, 1).await;
}

/// The gateway that works the job off dies in the midst of it: the other one goes on, and no order is changed twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_goes_on_where_the_gateway_that_worked_it_off_has_died() {
    const ORDERS: i64 = 60;
    let mut sale = Sale::open(100, json!({})).await;
    sale.land();
    for number in 0..ORDERS {
        let buyer = format!("u{number}");
        sale.buy(number as usize % 2, &buyer).await.expect(202);
    }
    sale.sums_are(ORDERS, ORDERS, 100 - ORDERS).await;
    let url = format!(
        "{}/admin/v1/campaigns/spring/orders/cancel",
        sale.gateways[0].admin
    );
    let body = json!({"filter": {"state": "confirmed"}, "rate": 10, "expect": ORDERS});
    // The first one takes the job, because the other cannot.
    sale.gateways[1].role.signal("STOP");
    let begun = sale
        .http
        .post(&url, &[("idempotency-key", "k")], &body)
        .await
        .expect(202)
        .json();
    let id = begun["job"].as_str().expect("an id");
    let db = &sale.deployment.db;
    let waited = Instant::now();
    while db
        .number("SELECT CAST(SUM(changed) AS SIGNED) FROM order_jobs")
        .await
        == 0
    {
        assert!(waited.elapsed() < PATIENCE, "nobody works it off");
        tokio::time::sleep(POLL).await;
    }
    sale.gateways[0].role.signal("KILL");
    sale.gateways[1].role.signal("CONT");
    let url = format!(
        "{}/admin/v1/campaigns/spring/orders/jobs/{id}",
        sale.gateways[1].admin
    );
    let done = loop {
        let job = sale.http.get(&url, &[]).await.expect(200).json();
        if job["state"] == "done" {
            break job;
        }
        assert!(waited.elapsed() < PATIENCE, "{job}");
        tokio::time::sleep(POLL).await;
    };
    assert_eq!(
        (&done["changed"], &done["skipped"]),
        (&json!(ORDERS), &json!(0)),
        "{done}"
    );
    assert_eq!(db.number("SELECT COUNT(*) FROM order_changes").await, ORDERS);
    assert_eq!(db.number("SELECT COUNT(*) FROM releases").await, ORDERS);
    sale.gateways.swap(0, 1);
    sale.sums_are(0, 0, 100).await;
}
