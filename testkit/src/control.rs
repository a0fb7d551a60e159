//! A client of the control plane.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rushgate::cli::client::tls;
use serde_json::{Value, json};

use super::authority::Authority;

/// The token every process of a deployment is started with.
pub const TOKEN: &str = "driven-by-an-example";

#[derive(Clone, Debug)]
pub struct Control {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
}

impl Control {
    /// `admin`: `host:port` of a control plane.
    pub fn new(admin: &str) -> Self {
        Self::over(admin, None).expect("without TLS no file is read")
    }

    /// Over TLS where there is an authority.
    pub fn over(admin: &str, authority: Option<&Authority>) -> Result<Self> {
        let trust = authority.map(Authority::trust);
        let connector = tls::connector(trust.as_ref())?;
        let scheme = if trust.is_some() { "https" } else { "http" };
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            base: format!("{scheme}://{admin}"),
        })
    }

    /// Status and body of any request; the body as JSON where it is JSON, otherwise as text.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Result<(u16, Value)> {
        let url = format!("{}{path}", self.base);
        let bytes = if body.is_null() {
            Bytes::new()
        } else {
            body.to_string().into()
        };
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header("content-type", "application/json");
        self.exchange(request, bytes).await
    }

    /// The same under an `Idempotency-Key`.
    pub async fn send_keyed(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        key: &str,
    ) -> Result<(u16, Value)> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        self.exchange(request, body.to_string().into()).await
    }

    /// Puts a gzipped text.
    pub async fn put_zipped(&self, path: &str, body: Bytes) -> Result<(u16, Value)> {
        let request = Request::put(format!("{}{path}", self.base))
            .header("content-type", "text/plain")
            .header("content-encoding", "gzip");
        self.exchange(request, body).await
    }

    async fn exchange(&self, request: hyper::http::request::Builder, body: Bytes) -> Result<(u16, Value)> {
        let request = request
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Full::new(body))?;
        let url = request.uri().to_string();
        let response = self.client.request(request).await.with_context(|| url)?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        let value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok((status, value))
    }

    pub async fn ready(&self) -> bool {
        matches!(
            self.send(Method::GET, "/readyz", &Value::Null).await,
            Ok((200, _))
        )
    }

    async fn post(&self, path: &str, body: &Value, expected: u16) -> Result<Value> {
        let (status, answer) = self.send(Method::POST, path, body).await?;
        if status != expected {
            bail!("POST {path} answered {status} instead of {expected}: {answer}");
        }
        Ok(answer)
    }

    /// A campaign with one SKU that opened long ago and closes in a long time.
    pub async fn create_campaign(&self, id: &str, sku: &str, stock: u64, rules: Value) -> Result<Value> {
        let now = jiff::Timestamp::now();
        let hours = |n| jiff::SignedDuration::from_hours(n);
        let body = json!({
            "id": id, "title": id,
            "opens_at": now - hours(1), "closes_at": now + hours(24),
            "skus": [{"id": sku, "stock": stock}],
            "rules": rules,
        });
        self.post("/admin/v1/campaigns", &body, 201).await
    }

    /// The number of the new revision.
    pub async fn create_revision(&self, campaign: &str, rules: Value) -> Result<u64> {
        let path = format!("/admin/v1/campaigns/{campaign}/revisions");
        let answer = self.post(&path, &json!({"rules": rules}), 201).await?;
        answer["revision"]
            .as_u64()
            .with_context(|| format!("no revision in {answer}"))
    }

    /// Uploads a list, one id per line; what the control plane answered.
    pub async fn put_audience(&self, id: &str, lines: impl Into<Bytes>) -> Result<Value> {
        let path = format!("/admin/v1/audiences/{id}");
        let request = Request::put(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "text/plain")
            .body(Full::new(lines.into()))?;
        let response = self.client.request(request).await?;
        let status = response.status().as_u16();
        let answer = response.into_body().collect().await?.to_bytes();
        if !matches!(status, 200 | 201) {
            bail!(
                "PUT {path} answered {status}: {}",
                String::from_utf8_lossy(&answer)
            );
        }
        Ok(serde_json::from_slice(&answer)?)
    }

    pub async fn activate(&self, campaign: &str, revision: u64) -> Result<()> {
        let path = format!("/admin/v1/campaigns/{campaign}/activate");
        self.post(&path, &json!({"revision": revision}), 200)
            .await
            .map(drop)
    }
}
