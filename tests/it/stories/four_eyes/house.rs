//! A gateway with a root token, on services of its own, and people with keys.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use hyper::Method;
use serde_json::{Value, json};
use testkit::http::{Http, Reply};

use crate::stories::gate::{PATIENCE, POLL};
use crate::stories::keys::{Deployment, Gateway};
use crate::stories::role::Role;

pub const ROOT: &str = "root-t0ken";
const KEYS: &[&str] = &["a"];
const JSON: &str = "application/json";

pub struct House {
    pub deployment: Deployment,
    pub gateway: Gateway,
    _lander: Role,
    http: Http,
    asked: AtomicU32,
}

impl House {
    pub async fn open() -> Self {
        let deployment = Deployment::start().await;
        let (code, said) = deployment.run(&["migrate"], KEYS);
        assert_eq!(code, Some(0), "{said}");
        let role = deployment.role_with("serve", KEYS, &[("RUSHGATE_ADMIN_TOKEN", ROOT)]);
        let house = Self {
            gateway: Gateway::up(role),
            _lander: deployment.role("land", KEYS),
            deployment,
            http: Http::new(),
            asked: AtomicU32::new(0),
        };
        house.gateway.readyz(200, "ready").await;
        house
    }

    /// Each time under another `Idempotency-Key`.
    pub async fn send(&self, token: &str, method: Method, path: &str, body: (&str, &[u8])) -> Reply {
        let url = format!("{}/admin/v1{path}", self.gateway.admin);
        let (authorization, key) = (
            format!("Bearer {token}"),
            format!("asked-{}", self.asked.fetch_add(1, Ordering::Relaxed)),
        );
        let headers = [
            ("content-type", body.0),
            ("idempotency-key", key.as_str()),
            ("authorization", authorization.as_str()),
        ];
        self.http.send(method, &url, &headers, body.1.to_vec()).await
    }

    pub async fn get(&self, token: &str, path: &str) -> Value {
        let reply = self.send(token, Method::GET, path, (JSON, b"")).await;
        reply.expect(200).json()
    }

    pub async fn post(&self, token: &str, path: &str, body: &Value) -> Reply {
        let body = body.to_string();
        self.send(token, Method::POST, path, (JSON, body.as_bytes()))
            .await
    }

    pub async fn patch(&self, token: &str, path: &str, body: &Value) -> Reply {
        let body = body.to_string();
        self.send(token, Method::PATCH, path, (JSON, body.as_bytes()))
            .await
    }

    pub async fn delete(&self, token: &str, path: &str) -> Reply {
        self.send(token, Method::DELETE, path, (JSON, b"")).await
    }

    /// A key of somebody, made with `by`: its id and its text.
    pub async fn key_by(&self, by: &str, person: &str) -> (String, String) {
        let body = json!({"name": "desk", "person": person, "role": "merchant", "merchant": "default"});
        let made = self.post(by, "/keys", &body).await.expect(201).json();
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        (text("id"), text("key"))
    }

    /// One that the root token made.
    pub async fn person(&self, person: &str) -> String {
        self.key_by(ROOT, person).await.1
    }

    /// A sale of somebody that needs two people; nobody has approved its first revision.
    pub async fn sale(&self, by: &str, id: &str) {
        let mut sale = sale(id);
        sale["four_eyes"] = true.into();
        self.post(by, "/campaigns", &sale).await.expect(201);
    }

    /// The same, approved by another person, and begun.
    pub async fn begun(&self, by: &str, other: &str, id: &str) {
        self.sale(by, id).await;
        self.approve(other, id, 1).await.expect(200);
        let resume = format!("/campaigns/{id}/resume");
        self.post(by, &resume, &json!({})).await.expect(200);
    }

    /// A revision with this limit: its number.
    pub async fn revision(&self, by: &str, id: &str, limit: u32) -> u64 {
        self.revision_with(by, id, json!({ "rules": limited(limit) }))
            .await
    }

    pub async fn revision_with(&self, by: &str, id: &str, body: Value) -> u64 {
        let path = format!("/campaigns/{id}/revisions");
        let made = self.post(by, &path, &body).await.expect(201).json();
        made["revision"].as_u64().expect("a number")
    }

    pub async fn digest(&self, id: &str, revision: u64) -> String {
        let path = format!("/campaigns/{id}/revisions/{revision}");
        let shown = self.get(ROOT, &path).await;
        shown["digest"].as_str().expect("a digest").to_owned()
    }

    /// Approves what there is.
    pub async fn approve(&self, by: &str, id: &str, revision: u64) -> Reply {
        let digest = self.digest(id, revision).await;
        self.approve_as(by, id, revision, &digest).await
    }

    pub async fn approve_as(&self, by: &str, id: &str, revision: u64, digest: &str) -> Reply {
        let path = format!("/campaigns/{id}/revisions/{revision}/approve");
        self.post(by, &path, &json!({"digest": digest, "note": "looked at"}))
            .await
    }

    pub async fn withdraw(&self, by: &str, id: &str, revision: u64) -> Reply {
        self.delete(by, &format!("/campaigns/{id}/revisions/{revision}/approve"))
            .await
    }

    pub async fn activate(&self, by: &str, id: &str, revision: u64) -> Reply {
        self.post(
            by,
            &format!("/campaigns/{id}/activate"),
            &json!({ "revision": revision }),
        )
        .await
    }

    /// Approves a proposal as it is answered.
    pub async fn approve_proposal(&self, by: &str, id: &str, proposed: &Value) -> Reply {
        let proposal = &proposed["proposal"];
        let path = format!(
            "/campaigns/{id}/proposals/{}/approve",
            proposal["id"].as_str().expect("an id")
        );
        self.post(by, &path, &json!({"digest": proposal["digest"]})).await
    }

    pub async fn figures(&self, id: &str) -> Value {
        self.get(ROOT, &format!("/campaigns/{id}")).await
    }

    /// The revision in force.
    pub async fn in_force(&self, id: &str) -> u64 {
        self.figures(id).await["revision"].as_u64().expect("a number")
    }

    /// Waits until what was scheduled is made, or was refused: then it says why.
    pub async fn outcome(&self, id: &str) -> Option<String> {
        let begun = Instant::now();
        loop {
            let figures = self.figures(id).await;
            match figures["scheduled"].as_array() {
                None => return None,
                Some(changes) if changes.iter().all(|change| change["failed"].is_string()) => {
                    return changes[0]["failed"].as_str().map(str::to_owned);
                }
                Some(_) => assert!(begun.elapsed() < PATIENCE, "{figures}"),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until this revision is in force.
    pub async fn until_in_force(&self, id: &str, revision: u64) {
        let begun = Instant::now();
        while self.in_force(id).await != revision {
            assert!(begun.elapsed() < PATIENCE, "{id}");
            tokio::time::sleep(POLL).await;
        }
    }

    pub async fn sql(&self, statement: &str) {
        self.deployment.db.execute(statement).await;
    }

    /// Lines of the trail about a campaign with this action.
    pub async fn lines(&self, action: &str) -> Vec<Value> {
        let page = self.get(ROOT, &format!("/audit?action={action}&limit=100")).await;
        page["lines"].as_array().expect("lines").clone()
    }

    /// Waits for a line with this action.
    pub async fn until_line(&self, action: &str) {
        let begun = Instant::now();
        while self.lines(action).await.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "{action}");
            tokio::time::sleep(POLL).await;
        }
    }

    pub async fn order(&self, id: &str, user: &str) -> u16 {
        let url = format!("{}/v1/campaigns/{id}/orders", self.gateway.orders);
        let token = format!("Bearer dev:{user}");
        let body = json!({"sku": "mug", "quantity": 1});
        let headers = [("authorization", token.as_str())];
        self.http.post(&url, &headers, &body).await.status
    }
}

pub fn sale(id: &str) -> Value {
    json!({
        "id": id, "title": id, "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": [{"id": "mug", "stock": 100}], "rules": limited(1),
    })
}

pub fn limited(limit: u32) -> Value {
    json!([{"module": "n-per-user", "params": {"limit": limit}}])
}
