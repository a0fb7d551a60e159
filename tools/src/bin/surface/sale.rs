//! A small sale in which a little of everything happens: every built-in rule decides, orders are refused for one reason
//! after another, a list is uploaded, rules stand in shadow.

use std::time::Duration;

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use sqlx::MySqlPool;
use testkit::deployment::Member;
use testkit::http::Http;
use tokio::time::Instant;

pub const CAMPAIGN: &str = "surface";
/// Orders of it are not taken yet.
pub const EARLY: &str = "surface-early";
/// One unit, and no rule.
const SMALL: &str = "surface-small";
const LIST: &str = "vip";
/// Orders that are admitted.
const ADMITTED: i64 = 4;
const LANDED_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Ends when every admitted order has landed.
pub async fn play(gateway: &Member, database: &MySqlPool) -> Result<()> {
    let control = gateway.control()?;
    control.put_audience(LIST, "vera\n").await?;
    let now = jiff::Timestamp::now();
    let hours = jiff::SignedDuration::from_hours;
    let campaign = |id: &str, opens: i64, stock: u32, rules: Value| {
        json!({
            "id": id, "title": id, "opens_at": now + hours(opens), "closes_at": now + hours(24),
            "skus": [{"id": "mug", "stock": stock, "attributes": {"category": "mugs"}}],
            "rules": rules,
        })
    };
    for (id, opens, stock, rules) in [
        (CAMPAIGN, -1, 100, rules()),
        (EARLY, 1, 100, none()),
        (SMALL, -1, 1, none()),
    ] {
        let body = campaign(id, opens, stock, rules);
        let (status, answer) = control.send(Method::POST, "/admin/v1/campaigns", &body).await?;
        ensure!(status == 201, "{status}: {answer}");
    }
    let path = format!("/admin/v1/campaigns/{CAMPAIGN}/revisions");
    let body =
        json!({"rules": rules(), "shadow": [{"module": "one-per-user", "params": {"count": "orders"}}]});
    let (status, answer) = control.send(Method::POST, &path, &body).await?;
    ensure!(status == 201, "{status}: {answer}");
    control.activate(CAMPAIGN, 2).await?;
    orders(gateway).await?;
    landed(database).await
}

/// Limits nobody.
fn none() -> Value {
    json!([{"module": "order-cap", "params": {"max": 12}}])
}

/// The built-in rules, but those that say the same as another one.
fn rules() -> Value {
    json!([
        {"module": "n-per-user", "params": {"limit": 3, "count": "units"}},
        {"module": "per-window", "params": {"limit": 2, "count": "orders", "window": {"day": "Europe/Berlin"}}},
        {"module": "per-subject", "params": {"limits": [{"by": ["client:device"], "limit": 1, "count": "orders"}]}},
        {"module": "tiered", "params": {"tiers": {"gold": 5}, "others": 2, "count": "orders"}},
        {"module": "cooldown", "params": {"pause": "1h"}},
        {"module": "region-quota", "params": {"mode": "cap", "shares": {"eu": 40, "us": 30}, "others": 30}},
        {"module": "audience", "params": {"list": LIST, "mode": "deny"}},
        {"module": "order-cap", "params": {"max": 12}},
    ])
}

/// Buyer, key, campaign, SKU, quantity, device, and the status of the answer.
type Asked = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    u32,
    &'static str,
    u16,
);

async fn orders(gateway: &Member) -> Result<()> {
    let asked: [Asked; 15] = [
        ("ada?region=eu", "k1", CAMPAIGN, "mug", 1, "d1", 202),
        ("ada?region=eu", "k1", CAMPAIGN, "mug", 1, "d1", 202),
        ("ada?region=eu", "k1", CAMPAIGN, "mug", 2, "d1", 422),
        ("ada?region=eu", "", CAMPAIGN, "mug", 1, "d1", 409),
        ("bob?region=us&tier=gold", "k2", CAMPAIGN, "mug", 1, "d2", 202),
        ("cleo?region=us", "k3", SMALL, "mug", 1, "d3", 202),
        ("dora?region=us", "k4", SMALL, "mug", 1, "d4", 409),
        ("dora?region=us", "", SMALL, "mug", 1, "d4", 409),
        ("eve?region=us", "", CAMPAIGN, "mug", 13, "d5", 409),
        ("fred?region=us", "", CAMPAIGN, "cup", 1, "d6", 404),
        ("vera?region=us", "", CAMPAIGN, "mug", 1, "d7", 409),
        ("gus?region=us", "", CAMPAIGN, "mug", 1, "", 409),
        ("hal?region=us", "", CAMPAIGN, "mug", 1, "d1", 409),
        ("ida?region=us", "", EARLY, "mug", 1, "d9", 425),
        ("jan?region=us", "k5", CAMPAIGN, "mug", 1, "d10", 202),
    ];
    let http = Http::new();
    for (buyer, key, campaign, sku, quantity, device, expected) in asked {
        let token = format!("Bearer dev:{buyer}");
        let mut headers = vec![("authorization", token.as_str())];
        if !key.is_empty() {
            headers.push(("idempotency-key", key));
        }
        let mut body = json!({"sku": sku, "quantity": quantity});
        if !device.is_empty() {
            body["attributes"] = json!({"device": device});
        }
        let url = format!("http://{}/v1/campaigns/{campaign}/orders", gateway.orders);
        let reply = http.post(&url, &headers, &body).await;
        ensure!(
            reply.status == expected,
            "{buyer} {sku} {device}: {} instead of {expected}: {}",
            reply.status,
            reply.text()
        );
    }
    Ok(())
}

/// Waits until the database has every order that was admitted.
async fn landed(database: &MySqlPool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let sold: i64 = sqlx::query_scalar("SELECT CAST(SUM(sold) AS SIGNED) FROM stock")
            .fetch_one(database)
            .await?;
        if sold == ADMITTED {
            return Ok(());
        }
        ensure!(begun.elapsed() < LANDED_WITHIN, "{sold} of {ADMITTED} landed");
        tokio::time::sleep(POLL).await;
    }
}
