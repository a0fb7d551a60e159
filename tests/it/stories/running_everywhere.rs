//! A sale over two gateways, Redis and MariaDB: what is answered at one of them holds at both, whatever becomes of Redis.
//! Needs a Kafka broker, named by `RUSHGATE_KAFKA_BROKERS`.

use std::time::Instant;

use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::gate::{PATIENCE, POLL};
use crate::stories::keys::{Deployment, Gateway};
use crate::stories::role::Role;

/// Two gateways and a lander.
struct Sale {
    deployment: Deployment,
    gateways: [Gateway; 2],
    _lander: Role,
}

impl Sale {
    /// With the campaign `spring`, of which nobody may have more than one.
    async fn open() -> Self {
        let deployment = Deployment::start().await;
        let (code, said) = deployment.run(&["migrate"], &[]);
        assert_eq!(code, Some(0), "{said}");
        let lander = deployment.role("land", &[]);
        let gateways = [(); 2].map(|()| Gateway::up(deployment.role("serve", &[])));
        gateways[0].create().await;
        for gateway in &gateways {
            gateway.readyz(200, "ready").await;
        }
        Self {
            deployment,
            gateways,
            _lander: lander,
        }
    }

    /// A change, asked for at one of them.
    async fn ask(&self, gateway: usize, verb: &str, body: &Value) -> Reply {
        let Gateway { role, admin, .. } = &self.gateways[gateway];
        let url = format!("{admin}/admin/v1/campaigns/spring/{verb}");
        role.http.post(&url, &[], body).await
    }

    async fn patch(&self, gateway: usize, body: &Value) -> Reply {
        let Gateway { role, admin, .. } = &self.gateways[gateway];
        let url = format!("{admin}/admin/v1/campaigns/spring");
        let headers = [("content-type", "application/json")];
        role.http
            .send(Method::PATCH, &url, &headers, body.to_string().into_bytes())
            .await
    }

    async fn place(&self, gateway: usize, user: &str, key: &str) -> Reply {
        let Gateway { role, orders, .. } = &self.gateways[gateway];
        let token = format!("Bearer dev:{user}");
        let headers = [("authorization", token.as_str()), ("idempotency-key", key)];
        let url = format!("{orders}/v1/campaigns/spring/orders");
        role.http
            .post(&url, &headers, &json!({"sku": "mug", "quantity": 1}))
            .await
    }

    /// Both refuse for this reason.
    async fn refused(&self, status: u16, reason: &str, user: &str) {
        for gateway in 0..2 {
            self.place(gateway, user, "k").await.refused(status, reason);
        }
    }

    async fn taken(&self, user: &str) {
        for gateway in 0..2 {
            self.place(gateway, &format!("{user}{gateway}"), "k")
                .await
                .expect(202);
        }
    }

    fn redis(&self, command: &str) -> i64 {
        let client = redis::Client::open(self.deployment.redis_url.as_str()).expect("a URL");
        let mut connection = client.get_connection().expect("Redis is up");
        let mut words = command.split(' ');
        let mut command = redis::cmd(words.next().expect("a command"));
        for word in words {
            command.arg(word);
        }
        let answer: redis::Value = command.query(&mut connection).expect("a plain command");
        redis::from_redis_value(answer).unwrap_or(0)
    }
}

fn from_now(ms: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_millis(ms)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_gateway_answers_holds_at_both() {
    let sale = Sale::open().await;
    sale.taken("ann").await;
    for (n, gateway) in [0, 1, 0, 1].into_iter().enumerate() {
        sale.ask(gateway, "pause", &json!({})).await.expect(200);
        sale.refused(503, "paused", &format!("bob{n}")).await;
        // Who has an order is answered with it, by either.
        for other in 0..2 {
            let again = sale.place(other, "ann0", "k").await.expect(202);
            assert_eq!(again.header("idempotent-replayed"), "true");
        }
        let twice = sale
            .ask(1 - gateway, "pause", &json!({}))
            .await
            .expect(200)
            .json();
        assert!(
            twice["did"]
                .as_str()
                .is_some_and(|did| did.starts_with("It was paused already")),
            "{twice}"
        );
        sale.ask(1 - gateway, "resume", &json!({})).await.expect(200);
        sale.taken(&format!("bob{n}-")).await;
    }
    sale.ask(0, "pause", &json!({"resume_at": from_now(1000)}))
        .await
        .expect(200);
    sale.refused(503, "paused", "cid").await;
    let begun = Instant::now();
    while sale.place(1, "cid", "k").await.status != 202 {
        assert!(begun.elapsed() < PATIENCE, "it does not go on by itself");
        tokio::time::sleep(POLL).await;
    }
    sale.place(0, "dan", "k").await.expect(202);

    sale.ask(1, "end", &json!({"note": "recalled"})).await.expect(200);
    sale.refused(410, "closed", "eve").await;
    sale.patch(0, &json!({"closes_at": from_now(3_600_000)}))
        .await
        .expect(200);
    sale.taken("eve").await;
    sale.patch(1, &json!({"opens_at": from_now(1_800_000)}))
        .await
        .expect(200);
    sale.refused(425, "not-open", "fay").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_outlives_whatever_redis_forgets() {
    let sale = Sale::open().await;
    sale.taken("ann").await;
    sale.ask(0, "pause", &json!({"note": "why"})).await.expect(200);
    sale.redis("FLUSHALL");
    let begun = Instant::now();
    // The gate may be closed for a while; nothing else but the pause is said then.
    for gateway in [0, 1] {
        loop {
            let reply = sale.place(gateway, "bob", "k").await;
            let reason = reply.expect(503).json()["reason"].clone();
            match reason.as_str() {
                Some("paused") => break,
                Some("gate-closed" | "deadline") => {}
                other => panic!("{other:?}"),
            }
            assert!(begun.elapsed() < PATIENCE, "the gate stays closed");
            tokio::time::sleep(POLL).await;
        }
    }
    // Lost alone, the field comes back with the next look at the database.
    sale.redis("HDEL rg:{spring.0}:state paused");
    let begun = Instant::now();
    while sale.redis("HEXISTS rg:{spring.0}:state paused") == 0 {
        assert!(begun.elapsed() < PATIENCE, "it is forgotten");
        tokio::time::sleep(POLL).await;
    }
    sale.refused(503, "paused", "cid").await;
    // A gate that is closed is opened by whoever pauses or resumes.
    sale.redis("FLUSHALL");
    sale.ask(1, "resume", &json!({})).await.expect(200);
    sale.taken("dan").await;
}

/// Whoever asked last has it: the others are told so, and nobody is told what does not hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_pause_and_resume_at_once_are_told_what_holds() {
    let sale = Sale::open().await;
    for round in 0..10 {
        let body = json!({});
        let (paused, resumed) = tokio::join!(sale.ask(0, "pause", &body), sale.ask(1, "resume", &body));
        for reply in [&paused, &resumed] {
            assert!(matches!(reply.status, 200 | 409), "{}", reply.json());
        }
        let row = sale
            .deployment
            .db
            .store
            .campaign("spring")
            .await
            .expect("asked")
            .expect("there");
        let expected = if row.pause.pause.paused.is_some() {
            503
        } else {
            202
        };
        sale.place(0, &format!("ann{round}"), "k").await.expect(expected);
        sale.place(1, &format!("bob{round}"), "k").await.expect(expected);
        sale.ask(0, "resume", &body).await.expect(200);
    }
}
