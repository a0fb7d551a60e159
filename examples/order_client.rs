//! A shop that orders: one order with an `Idempotency-Key`, sent until there is one clear answer, and looked up until it has
//! landed.
//!
//! `cargo run --example order_client -- http://127.0.0.1:8080 demo mug ada`, beside `rushgate dev`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// An answer that takes longer is not waited for: the order is sent again, under the same key.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
const TRIES: u32 = 8;
/// Where an answer does not say when to come back.
const PAUSE: Duration = Duration::from_millis(200);

struct Shop {
    client: Client<HttpConnector, Full<Bytes>>,
    gateway: String,
    token: String,
}

/// What came back: nothing at all is an answer, too.
enum Reply {
    Said(u16, HeaderMap, Value),
    Silence,
}

impl Shop {
    async fn send(&self, method: Method, path: &str, key: &str, body: String) -> Result<Reply> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.gateway))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(Full::new(Bytes::from(body)))?;
        let exchange = async {
            let (head, body) = self.client.request(request).await?.into_parts();
            anyhow::Ok((head, body.collect().await?.to_bytes()))
        };
        Ok(match tokio::time::timeout(ANSWER_WITHIN, exchange).await {
            Ok(Ok((head, bytes))) => {
                let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
                Reply::Said(head.status.as_u16(), head.headers, value)
            }
            Ok(Err(_)) | Err(_) => Reply::Silence,
        })
    }

    /// The order, once it was taken. The key makes it safe to ask as often as it takes: whatever became of an earlier
    /// request, a retry is the same order.
    async fn order(&self, campaign: &str, sku: &str, key: &str) -> Result<Value> {
        let path = format!("/v1/campaigns/{campaign}/orders");
        let body = json!({"sku": sku, "quantity": 1}).to_string();
        for _ in 0..TRIES {
            let wait = match self.send(Method::POST, &path, key, body.clone()).await? {
                Reply::Said(202, _, order) => return Ok(order),
                Reply::Said(_, headers, problem) if problem["retryable"] == true => {
                    println!("not now: {}", problem["detail"]);
                    retry_after(&headers)
                }
                Reply::Said(status, _, problem) => {
                    bail!("{status} {}: {}", problem["reason"], problem["detail"])
                }
                Reply::Silence => PAUSE,
            };
            tokio::time::sleep(wait).await;
        }
        bail!("no clear answer after {TRIES} tries; the key {key} still names the same order")
    }

    /// Asks until the order has landed, or was given back.
    async fn settled(&self, campaign: &str, order: &str, key: &str) -> Result<Value> {
        let path = format!("/v1/campaigns/{campaign}/orders/{order}");
        for _ in 0..TRIES {
            if let Reply::Said(200, _, order) = self.send(Method::GET, &path, key, String::new()).await?
                && matches!(order["state"].as_str(), Some("confirmed" | "revoked"))
            {
                return Ok(order);
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("the order was taken and has not landed yet: look again later")
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(PAUSE, Duration::from_secs)
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [gateway, campaign, sku, user] = args.as_slice() else {
        bail!("usage: order_client http://HOST:PORT CAMPAIGN SKU USER");
    };
    let shop = Shop {
        client: Client::builder(TokioExecutor::new()).build_http(),
        gateway: gateway.clone(),
        token: format!("dev:{user}"),
    };
    // A shop keeps the key with the buyer's cart, so that a retry tomorrow is the same order, too.
    let key = format!("cart-{user}-{:016x}", fastrand::u64(..));
    let order = shop.order(campaign, sku, &key).await?;
    println!("taken: {order}");
    let id = order["order"].as_str().context("an order has an id")?;
    println!("settled: {}", shop.settled(campaign, id, &key).await?);
    Ok(())
}
