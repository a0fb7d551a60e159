//! A gateway of one process, and the way of a module through it.

use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use testkit::output::Output;
use testkit::process;

use crate::At;

const START_LIMIT: Duration = Duration::from_secs(60);
/// More than the load buys.
const LOAD_STOCK: u64 = 10_000_000;
/// A campaign's keys are made for its stock: what a trial takes must not be taken for what its module takes.
const TRIAL_STOCK: u64 = 10;

pub struct Gate {
    child: std::process::Child,
    client: Client<HttpConnector, Full<Bytes>>,
    pub orders: String,
    pub admin: String,
    /// Forged modules uploaded so far.
    forged: AtomicUsize,
}

/// Every forged module calls itself so.
const FORGED: &[u8] = b"forged";

fn renamed(mut module: Vec<u8>, number: usize) -> Vec<u8> {
    let name = format!("f{number:05}");
    let mut at = 0;
    while let Some(found) = module[at..]
        .windows(FORGED.len())
        .position(|bytes| bytes == FORGED)
    {
        at += found;
        module[at..at + FORGED.len()].copy_from_slice(name.as_bytes());
    }
    module
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a module came to.
pub enum Answer {
    Upload(String),
    Revision(String),
    Order(String),
    /// It was taken, and an order passed it.
    Taken,
}

impl Answer {
    pub fn is(&self, at: At) -> bool {
        match (self, at) {
            (Self::Upload(found), At::Upload(code)) => found == code,
            // A revision answers a sentence for what its module did.
            (Self::Revision(_), At::Revision(_)) => true,
            (Self::Order(found), At::Order) => found == "precheck-failed",
            _ => false,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upload(code) => write!(f, "upload: {code}"),
            Self::Revision(detail) => write!(f, "revision: {}", detail.chars().take(100).collect::<String>()),
            Self::Order(reason) => write!(f, "order: {reason}"),
            Self::Taken => f.write_str("taken"),
        }
    }
}

impl Gate {
    pub fn start(rushgate: &Path) -> Result<Self> {
        let mut child = std::process::Command::new(rushgate)
            .args(["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .env_remove("RUSHGATE_ADMIN_TOKEN")
            .env("RUSHGATE_LOG_LEVEL", "error")
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| rushgate.display().to_string())?;
        let (orders, admin) = Output::of(&mut child).addresses(START_LIMIT)?;
        let host = |url: String| url.trim_start_matches("http://").to_owned();
        Ok(Self {
            child,
            client: Client::builder(TokioExecutor::new()).build_http(),
            orders: host(orders),
            admin: host(admin),
            forged: AtomicUsize::new(0),
        })
    }

    pub fn resident_mib(&self) -> Result<f64> {
        process::resident_mib(self.child.id())
    }

    pub fn peak_mib(&self) -> Result<f64> {
        process::peak_mib(self.child.id())
    }

    async fn send(&self, url: String, headers: &[(&str, &str)], body: Vec<u8>) -> Result<(u16, Value)> {
        let mut request = Request::builder().method(Method::POST).uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.client.request(request.body(Full::new(body.into()))?).await;
        let response = response.with_context(|| url.clone())?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    async fn control(&self, path: &str, body: &Value) -> Result<(u16, Value)> {
        let url = format!("http://{}/admin/v1{path}", self.admin);
        let json = [("content-type", "application/json")];
        self.send(url, &json, serde_json::to_vec(body)?).await
    }

    /// Uploads a forged module under a name of its own: a name stands for the same bytes for ever.
    pub async fn upload_forged(&self, bytes: Vec<u8>) -> Result<(u16, Value)> {
        let number = self.forged.fetch_add(1, Ordering::Relaxed);
        self.upload(renamed(bytes, number)).await
    }

    pub async fn upload(&self, bytes: Vec<u8>) -> Result<(u16, Value)> {
        let url = format!("http://{}/admin/v1/modules", self.admin);
        self.send(url, &[("content-type", "application/wasm")], bytes)
            .await
    }

    async fn create(&self, id: &str, rule: &str, stock: u64) -> Result<(u16, Value)> {
        let body = json!({
            "id": id, "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
            "skus": [{"id": "mug", "stock": stock}], "rules": [{"module": rule}],
        });
        self.control("/campaigns", &body).await
    }

    /// A campaign to put load on.
    pub async fn campaign(&self, id: &str) -> Result<()> {
        match self.create(id, "one-per-user", LOAD_STOCK).await? {
            (201, _) => Ok(()),
            (status, answer) => bail!("campaign {id}: {status} {answer}"),
        }
    }

    /// As far as a module gets: uploaded, into a campaign, asked about an order.
    pub async fn answer(&self, number: usize, bytes: Vec<u8>) -> Result<Answer> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (status, module) = self.upload_forged(bytes).await?;
        if !matches!(status, 200 | 201) {
            let too_large = status == 413;
            return Ok(Answer::Upload(if too_large {
                "too-large".into()
            } else {
                text(&module["reason"])
            }));
        }
        let campaign = format!("hostile-{number}");
        let (status, answer) = self
            .create(
                &campaign,
                module["digest"].as_str().unwrap_or_default(),
                TRIAL_STOCK,
            )
            .await?;
        if status != 201 {
            let detail = answer.pointer("/errors/0/detail").unwrap_or(&answer["detail"]);
            return Ok(Answer::Revision(text(detail)));
        }
        let url = format!("http://{}/v1/campaigns/{campaign}/orders", self.orders);
        let headers = [
            ("content-type", "application/json"),
            ("authorization", "Bearer dev:ada"),
        ];
        let (status, answer) = self
            .send(url, &headers, br#"{"sku":"mug","quantity":1}"#.to_vec())
            .await?;
        Ok(match status {
            202 => Answer::Taken,
            _ => Answer::Order(text(&answer["reason"])),
        })
    }
}
