//! The stock of a sale that two gateways sell from, changed while orders flow, while gateways die and while Redis forgets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use testkit::http::{Http, Reply};

use crate::stories::gate::{PATIENCE, POLL};
use crate::stories::keys::{Deployment, Gateway};

const KEYS: &[&str] = &["a"];

/// A sale of mugs with two gateways and a lander.
struct Sale {
    deployment: Deployment,
    gateways: Vec<Arc<Gateway>>,
    _lander: crate::stories::role::Role,
    /// Buyers so far: each has a name of its own.
    buyers: AtomicU64,
}

impl Sale {
    /// The first gateway runs into this fail-point, where one is named.
    async fn open(stock: u64, failpoint: Option<&str>) -> Self {
        let deployment = Deployment::start().await;
        let (code, said) = deployment.run(&["migrate"], KEYS);
        assert_eq!(code, Some(0), "{said}");
        let armed = failpoint.map(|point| ("RUSHGATE_FAILPOINT", point));
        let armed: Vec<_> = armed.into_iter().collect();
        let first = deployment.role_with("serve", KEYS, &armed);
        let second = deployment.role("serve", KEYS);
        let lander = deployment.role("land", KEYS);
        let sale = Self {
            gateways: [first, second].map(|role| Arc::new(Gateway::up(role))).into(),
            deployment,
            _lander: lander,
            buyers: AtomicU64::new(0),
        };
        let campaign = json!({
            "id": "spring", "title": "Spring", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
            "skus": [{"id": "mug", "stock": stock}], "rules": [{"module": "n-per-user", "params": {"limit": 1}}],
        });
        let url = format!("{}/admin/v1/campaigns", sale.second().admin);
        let begun = Instant::now();
        while Http::new().post(&url, &[], &campaign).await.status != 201 {
            assert!(begun.elapsed() < PATIENCE, "no campaign is made");
            tokio::time::sleep(POLL).await;
        }
        for gateway in &sale.gateways {
            let url = format!("{}/readyz", gateway.admin);
            gateway.role.get_until(&url, 200, "ready").await;
        }
        sale
    }

    /// The one that lives.
    fn second(&self) -> &Arc<Gateway> {
        &self.gateways[1]
    }

    /// An order of one unit at this gateway: the status of the answer.
    async fn buy(&self, gateway: &Gateway) -> u16 {
        let user = format!("u{}", self.buyers.fetch_add(1, Ordering::Relaxed));
        gateway.place(&user).await.map_or_else(|status| status, |_| 202)
    }

    /// Buys at each of these in turn until all say that it is sold out; how many units that took.
    async fn sell_out(&self, gateways: &[Arc<Gateway>]) -> u64 {
        let (begun, mut sold) = (Instant::now(), 0);
        let mut refused = 0;
        for gateway in gateways.iter().cycle() {
            match self.buy(gateway).await {
                202 => (sold, refused) = (sold + 1, 0),
                409 => refused += 1,
                status => assert_eq!(status, 503, "it is on sale, sold out, or being rebuilt"),
            }
            if refused > 2 * gateways.len() {
                return sold;
            }
            assert!(begun.elapsed() < PATIENCE, "it is never sold out");
        }
        unreachable!("there are gateways")
    }

    /// Buys a unit at the second gateway, which may say for a second that it is sold out.
    async fn until_on_sale(&self, seconds: u64) {
        let begun = Instant::now();
        while self.buy(self.second()).await != 202 {
            assert!(begun.elapsed().as_secs() < seconds, "it stays sold out");
            tokio::time::sleep(POLL).await;
        }
    }

    async fn figures(&self) -> (i64, i64, i64) {
        let url = format!("{}/admin/v1/campaigns/spring", self.second().admin);
        let figures = Http::new().get(&url, &[]).await.expect(200).json();
        let number = |name: &str| figures["skus"][0][name].as_i64().expect("a number");
        (number("stock"), number("remaining"), number("admitted"))
    }

    /// Once everything has landed, nothing is left half done: the database, and what Redis has, say this of the mugs.
    async fn ends_with(&self, total: i64, sold: i64) {
        let db = &self.deployment.db;
        let begun = Instant::now();
        loop {
            let landed = db.number("SELECT CAST(SUM(sold) AS SIGNED) FROM stock").await;
            let open = db
                .number("SELECT COUNT(*) FROM stock_changes WHERE done_at IS NULL")
                .await;
            let there = db.number("SELECT CAST(SUM(total) AS SIGNED) FROM stock").await;
            let figures = self.figures().await;
            if (landed, open, there) == (sold, 0, total) && figures == (total, total - sold, sold) {
                break;
            }
            let seen = format!("sold {landed}, {open} open, total {there}, {figures:?}");
            assert!(begun.elapsed() < PATIENCE, "{seen}, not {total} with {sold} sold");
            tokio::time::sleep(POLL).await;
        }
        let revoked = db
            .number("SELECT COUNT(*) FROM orders WHERE state <> 'confirmed'")
            .await;
        assert_eq!(revoked, 0, "nobody was sold what is not there");
    }
}

async fn change(gateway: &Gateway, key: &str, body: &Value) -> Reply {
    let url = format!("{}/admin/v1/campaigns/spring/skus/mug/stock", gateway.admin);
    Http::new().post(&url, &[("idempotency-key", key)], body).await
}

/// The same at a gateway that dies of it.
async fn change_in_vain(gateway: &Arc<Gateway>, key: &'static str, body: &Value) {
    let (gateway, body) = (gateway.clone(), body.clone());
    let asked = tokio::spawn(async move { change(&gateway, key, &body).await });
    asked.await.expect_err("it died");
}

/// Asks until it is done.
async fn until_done(sale: &Sale, key: &str, body: &Value) -> Value {
    // As after half a minute: who had the request for itself is gone.
    sale.deployment
        .db
        .execute("UPDATE operations SET busy_until_ms = 0")
        .await;
    let begun = Instant::now();
    loop {
        let reply = change(sale.second(), key, body).await;
        match reply.status {
            200 => return reply.json(),
            409 | 503 => assert!(begun.elapsed() < PATIENCE, "{reply:?}"),
            _ => panic!("{reply:?}"),
        }
        tokio::time::sleep(POLL).await;
    }
}

fn flush(deployment: &Deployment) {
    let client = redis::Client::open(deployment.redis_url.as_str()).expect("a URL");
    let mut redis = client.get_connection().expect("connected");
    redis::cmd("FLUSHALL").exec(&mut redis).expect("flushed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_added_sells_at_every_gateway_to_the_last_unit() {
    let sale = Sale::open(4, None).await;
    assert_eq!(sale.sell_out(&sale.gateways).await, 4);
    let added = change(&sale.gateways[0], "k", &json!({"add": 60, "expect": 4}))
        .await
        .expect(200);
    assert_eq!(added.json()["stock"], 64);
    // The other one forgets within a second that it was sold out.
    sale.until_on_sale(2).await;
    assert_eq!(sale.sell_out(&sale.gateways).await, 59);
    let cap = json!({"id": "cap", "stock": 3});
    let url = format!("{}/admin/v1/campaigns/spring/skus", sale.gateways[0].admin);
    Http::new().post(&url, &[], &cap).await.expect(201);
    for (number, gateway) in sale.gateways.iter().cycle().take(4).enumerate() {
        let token = format!("Bearer dev:c{number}");
        let url = format!("{}/v1/campaigns/spring/orders", gateway.orders);
        let body = json!({"sku": "cap", "quantity": 1});
        let reply = Http::new()
            .post(&url, &[("authorization", token.as_str())], &body)
            .await;
        assert_eq!(reply.status, if number < 3 { 202 } else { 409 }, "{reply:?}");
    }
    let db = &sale.deployment.db;
    let begun = Instant::now();
    while db
        .number("SELECT COUNT(*) FROM orders WHERE state = 'confirmed'")
        .await
        != 67
    {
        assert!(begun.elapsed() < PATIENCE, "not all land");
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(
        db.number("SELECT COUNT(*) FROM stock WHERE total <> sold").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_is_added_and_taken_while_orders_flow_the_sums_are_right() {
    let sale = Arc::new(Sale::open(300, None).await);
    let over = Arc::new(AtomicBool::new(false));
    let buyers: Vec<_> = (0..4)
        .map(|buyer: usize| {
            let (sale, over) = (sale.clone(), over.clone());
            tokio::spawn(async move {
                let mut sold = 0;
                while !over.load(Ordering::Relaxed) {
                    match sale.buy(&sale.gateways[buyer % 2]).await {
                        202 => sold += 1,
                        status => assert_eq!(status, 409),
                    }
                }
                sold
            })
        })
        .collect();
    let mut total = 300;
    for round in 0..12 {
        let gateway = &sale.gateways[round % 2];
        let body = match round % 3 {
            0 => json!({"remove": 40}),
            1 => json!({"add": 25}),
            _ => json!({"remove": 1000}),
        };
        let done = change(gateway, &format!("k{round}"), &body)
            .await
            .expect(200)
            .json();
        total += done["units"].as_i64().expect("a number");
        assert_eq!(done["stock"], total, "{done}");
        let (stock, remaining, admitted) = sale.figures().await;
        assert_eq!(stock, total);
        assert!(
            remaining >= 0 && admitted <= stock,
            "{remaining} {admitted} {stock}"
        );
    }
    over.store(true, Ordering::Relaxed);
    let mut sold = 0;
    for buyer in buyers {
        sold += buyer.await.expect("no panic");
    }
    sale.ends_with(total, sold).await;
}

/// A gateway that dies at each step of adding: whoever asks again, or nobody, the units come once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_gateway_that_dies_while_it_adds_leaves_nothing_unsold_and_nothing_doubled() {
    let body = json!({"add": 5});
    for point in ["S1", "S4", "S5", "S6"] {
        let sale = Sale::open(2, Some(&format!("{point}=abort"))).await;
        assert_eq!(sale.sell_out(&sale.gateways).await, 2);
        change_in_vain(&sale.gateways[0], "k", &body).await;
        let living = &sale.gateways[1..];
        // Nobody asks again: the other gateway finds it.
        if point != "S1" {
            sale.until_on_sale(10).await;
        }
        let done = until_done(&sale, "k", &body).await;
        assert_eq!(
            (&done["stock"], &done["units"]),
            (&json!(7), &json!(5)),
            "{point}"
        );
        if point == "S1" {
            sale.until_on_sale(2).await;
        }
        assert_eq!(sale.sell_out(living).await, 4, "{point}");
        sale.ends_with(7, 7).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_gateway_that_dies_while_it_takes_units_back_takes_them_once() {
    let body = json!({"remove": 3});
    for point in ["S2", "S3", "S4", "S5", "S6"] {
        let sale = Sale::open(10, Some(&format!("{point}=abort"))).await;
        for _ in 0..2 {
            assert_eq!(sale.buy(sale.second()).await, 202);
        }
        change_in_vain(&sale.gateways[0], "k", &body).await;
        sale.ends_with(7, 2).await;
        let done = until_done(&sale, "k", &body).await;
        assert_eq!(
            (&done["stock"], &done["units"]),
            (&json!(7), &json!(-3)),
            "{point}"
        );
        assert_eq!(sale.sell_out(&sale.gateways[1..]).await, 5, "{point}");
        sale.ends_with(7, 7).await;
    }
}

/// Redis forgets everything in the middle of a change, which goes on afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_redis_forgets_in_the_middle_of_a_change_is_changed_once() {
    for (point, body, total) in [
        ("S1", json!({"add": 5}), 15),
        ("S4", json!({"add": 5}), 15),
        ("S5", json!({"add": 5}), 15),
        ("S2", json!({"remove": 3}), 7),
        ("S3", json!({"remove": 3}), 7),
        ("S4", json!({"remove": 3}), 7),
    ] {
        let sale = Sale::open(10, Some(&format!("{point}=stall:2500"))).await;
        for _ in 0..2 {
            assert_eq!(sale.buy(sale.second()).await, 202);
        }
        let (gateway, asked) = (sale.gateways[0].clone(), body.clone());
        let asked = tokio::spawn(async move { change(&gateway, "k", &asked).await });
        sale.gateways[0].role.said("fail-point");
        flush(&sale.deployment);
        let reply = asked.await.expect("no panic");
        if reply.status != 200 {
            assert!(matches!(reply.status, 409 | 503), "{point}: {reply:?}");
        }
        let done = until_done(&sale, "k", &body).await;
        assert_eq!(done["stock"], total, "{point}: {done}");
        assert_eq!(sale.sell_out(&sale.gateways).await, total as u64 - 2, "{point}");
        sale.ends_with(total, total).await;
    }
}
