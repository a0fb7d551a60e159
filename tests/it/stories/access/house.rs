//! A `rushgate dev` with a root token, merchants `a` and `b`, and something of each kind for both.

use std::io::Write as _;

use hyper::Method;
use rushgate::access::Scope;
use rushgate::bus::ORDERS_TOPIC;
use rushgate::order::OrderId;
use rushgate::store::{Config, Store};
use serde_json::{Value, json};
use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, Connection as _};
use tempfile::TempDir;
use testkit::database::order;
use testkit::forge::{Forge, described};
use testkit::http::Reply;

use crate::stories::gate::{Gate, command};

pub const ROOT: &str = "root-t0ken";

pub struct House {
    pub gate: Gate,
    folder: TempDir,
}

/// Ids that a merchant's things got.
#[derive(Clone, Debug, Default)]
pub struct Things {
    pub merchant: &'static str,
    pub order: String,
    /// Id of a dead letter.
    pub letter: String,
}

impl House {
    /// `more` is added to the configuration.
    pub async fn open(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("rushgate.toml");
        let mut file = std::fs::File::create(&config).expect("a file");
        write!(file, "[webhooks]\nprivate = \"127.0.0.1\"\n{more}").expect("written");
        let (config, data) = (config.display().to_string(), folder.path().display().to_string());
        let mut dev = command(&["dev", "--data", &data, "--config", &config]);
        dev.env("RUSHGATE_ADMIN_TOKEN", ROOT);
        let gate = Gate::spawn(dev).await;
        Self { gate, folder }
    }

    /// Its database, beside the process.
    pub async fn store(&self) -> Store {
        let url = format!("sqlite://{}", self.folder.path().join("rushgate.db").display());
        Store::connect(&Config::new(url, 1)).await.expect("it is there")
    }

    pub async fn send(
        &self,
        token: &str,
        method: Method,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Reply {
        let url = format!("{}/admin/v1{path}", self.gate.admin);
        let authorization = format!("Bearer {token}");
        let mut headers = vec![("content-type", content_type), ("idempotency-key", "tried")];
        if !token.is_empty() {
            headers.push(("authorization", &authorization));
        }
        self.gate.http.send(method, &url, &headers, body.to_vec()).await
    }

    pub async fn get(&self, token: &str, path: &str) -> Reply {
        self.send(token, Method::GET, path, "application/json", b"").await
    }

    pub async fn post(&self, token: &str, path: &str, body: &Value) -> Reply {
        self.send(
            token,
            Method::POST,
            path,
            "application/json",
            body.to_string().as_bytes(),
        )
        .await
    }

    /// An order of that merchant's sale that could not land, as landing writes it down: its id.
    pub async fn bury(&self, merchant: &str, offset: i64) -> String {
        let mut event = order("ada", &format!("{merchant}-{offset}"));
        event.campaign = format!("sale-{merchant}");
        event.sku = "mug".into();
        event.order = OrderId::keyed(&event.campaign, "ada", &offset.to_string());
        let url = format!("sqlite://{}", self.folder.path().join("rushgate.db").display());
        install_default_drivers();
        let mut connection = AnyConnection::connect(&url).await.expect("it is there");
        sqlx::query(
            "INSERT INTO dead_letters (topic, `partition`, `offset`, record_key, payload, error, landed_at, stage, class, \
             attempts, replays, campaign_id, order_id, sku_id, quantity) \
             VALUES (?, 0, ?, ?, ?, 'deadlock found', '2026-11-01 10:00:00.000', 'dead', 'failing', 4, 0, ?, ?, 'mug', 1)",
        )
        .bind(ORDERS_TOPIC)
        .bind(offset)
        .bind(event.key().into_bytes())
        .bind(event.encode())
        .bind(event.campaign.as_str())
        .bind(event.order.to_string())
        .execute(&mut connection)
        .await
        .expect("written");
        format!("{ORDERS_TOPIC}/0/{offset}")
    }

    /// A new key: its id and its text.
    pub async fn key(&self, by: &str, body: Value) -> (String, String) {
        let made = self.post(by, "/keys", &body).await.expect(201).json();
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        (text("id"), text("key"))
    }

    /// One with this scope alone.
    pub async fn with_scope(&self, merchant: Option<&str>, scope: Scope) -> String {
        let body = json!({"name": scope.as_str(), "person": "ada", "scopes": [scope], "merchant": merchant});
        self.key(ROOT, body).await.1
    }

    /// A merchant with a campaign, an order, a list and a module; all are named as it is.
    pub async fn settle(&self, merchant: &'static str) -> Things {
        self.post(ROOT, "/merchants", &json!({"id": merchant}))
            .await
            .expect(201);
        let list = format!("/audiences/list-{merchant}?merchant={merchant}");
        self.send(
            ROOT,
            Method::PUT,
            &list,
            "text/plain",
            format!("{merchant}-1\n{merchant}-2\n").as_bytes(),
        )
        .await
        .expect(201);
        let module = Forge::describing(json!({"id": format!("module-{merchant}")})).component();
        let modules = format!("/modules?merchant={merchant}");
        self.send(ROOT, Method::POST, &modules, "application/wasm", &module)
            .await
            .expect(201);
        // A module that a revision pins stays.
        let mut campaign = sale(&format!("sale-{merchant}"), Some(merchant));
        let own = json!({"module": format!("module-{merchant}"), "params": {}});
        campaign["shadow"] = json!([own]);
        self.post(ROOT, "/campaigns", &campaign).await.expect(201);
        let placed = self
            .gate
            .place_in(
                &format!("sale-{merchant}"),
                "ada",
                &[],
                json!({"sku": "mug", "quantity": 1}),
            )
            .await
            .expect(202);
        let order = placed.json()["order"].as_str().expect("an id").to_owned();
        self.gate
            .order_in_state("ada", placed.header("location"), "confirmed")
            .await;
        let offset = merchant.bytes().map(i64::from).sum();
        let letter = self.bury(merchant, offset).await;
        Things {
            merchant,
            order,
            letter,
        }
    }

    /// A webhook of a merchant's campaigns.
    pub async fn webhook(&self, merchant: &str, url: &str) -> String {
        let body = json!({"url": url, "merchant": merchant});
        let made = self.post(ROOT, "/webhooks", &body).await.expect(201).json();
        made["id"].as_str().expect("an id").to_owned()
    }
}

pub fn sale(id: &str, merchant: Option<&str>) -> Value {
    let mut body = json!({
        "id": id, "title": id, "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": [{"id": "mug", "stock": 100}], "rules": [{"module": "n-per-user", "params": {"limit": 2}}],
    });
    if let Some(merchant) = merchant {
        body["merchant"] = merchant.into();
    }
    body
}

/// Names that a list answers.
pub fn names(reply: &Reply, list: &str, name: &str) -> Vec<String> {
    let json = reply.json();
    let entries = json[list]
        .as_array()
        .unwrap_or_else(|| panic!("no {list} in {json}"));
    let mut names: Vec<String> = entries
        .iter()
        .map(|entry| entry[name].as_str().unwrap_or_default().to_owned())
        .collect();
    names.sort();
    names
}

/// The forge is known to fill what a descriptor lacks.
#[test]
fn a_forged_module_has_the_id_that_it_is_given() {
    assert_eq!(described(json!({"id": "module-a"}))["id"], "module-a");
}
