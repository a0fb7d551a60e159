//! A campaign of ten million units is made, and then goes on for longer, while another sells: the longest script, and the
//! latency of the other's orders beside what it was.

use std::time::Duration;

use anyhow::{Result, ensure};
use redis::aio::MultiplexedConnection;
use rushgate::cli::load::{self, LoadConfig};
use serde_json::json;
use testkit::control::Control;
use testkit::deployment::Member;
use testkit::services;
use tokio::time::Instant;

use crate::{Bench, SKU, STOCK};

const LARGE: &str = "bench-large";
const UNITS: u64 = 10_000_000;
const SELLER: &str = "bench-seller";
/// Far below what the machine can do, so that latency is no queue.
const RATE: f64 = 500.0;
const CONNECTIONS: usize = 64;
const AIM: Option<&str> = Some("≤ 20 ms");

pub async fn run(bench: &mut Bench, gateway: &Member) -> Result<()> {
    let mut redis = services::redis(&bench.setup.urls).await?;
    bench.campaign(gateway, SELLER, STOCK).await?;
    // The first orders warm the way.
    sell(gateway, "warm", Duration::from_secs(2)).await?;
    let calm = sell(gateway, "calm", bench.time).await?;
    watch_scripts(&mut redis).await?;

    let control = Control::new(&gateway.admin);
    let made = async {
        let begun = Instant::now();
        control.create_campaign(LARGE, SKU, UNITS, rules()).await?;
        anyhow::Ok(begun.elapsed())
    };
    let (made, beside) = tokio::join!(made, sell(gateway, "made", bench.time));
    note(bench, &mut redis, "making 10 M units", made?, calm, beside?).await?;

    let longer = async {
        let begun = Instant::now();
        let closes_at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(48);
        let path = format!("/admin/v1/campaigns/{LARGE}/revisions");
        let body = json!({"rules": rules(), "closes_at": closes_at});
        let (status, answer) = control.send(hyper::Method::POST, &path, &body).await?;
        ensure!(status == 201, "{status}: {answer}");
        let revision = answer["revision"].as_u64().unwrap_or(0);
        control.activate(LARGE, revision).await?;
        anyhow::Ok(begun.elapsed())
    };
    let (longer, beside) = tokio::join!(longer, sell(gateway, "longer", bench.time));
    note(bench, &mut redis, "prolonging 10 M units", longer?, calm, beside?).await
}

fn rules() -> serde_json::Value {
    json!([{"module": "one-per-user"}])
}

/// p99 of orders at a fixed rate, milliseconds.
async fn sell(gateway: &Member, users: &str, time: Duration) -> Result<f64> {
    let attempts = (RATE * time.as_secs_f64()) as u64;
    let report = load::run(LoadConfig {
        targets: vec![gateway.orders.clone()],
        campaign: SELLER.to_owned(),
        sku: SKU.to_owned(),
        attempts,
        users: attempts,
        prefix: users.to_owned(),
        connections: CONNECTIONS,
        rate: Some(RATE),
        ..LoadConfig::default()
    })
    .await?;
    Ok(report.order_latency.p99_ms)
}

/// From here on Redis notes every command of more than a millisecond.
async fn watch_scripts(redis: &mut MultiplexedConnection) -> Result<()> {
    for (name, value) in [("slowlog-log-slower-than", 1000), ("slowlog-max-len", 4096)] {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(name).arg(value).exec_async(redis).await?;
    }
    redis::cmd("SLOWLOG").arg("RESET").exec_async(redis).await?;
    Ok(())
}

/// The longest command since the last time this was asked, milliseconds.
async fn longest(redis: &mut MultiplexedConnection) -> Result<f64> {
    type Entry = (i64, i64, i64, Vec<redis::Value>, String, String);
    let entries: Vec<Entry> = redis::cmd("SLOWLOG")
        .arg("GET")
        .arg(-1)
        .query_async(redis)
        .await?;
    redis::cmd("SLOWLOG").arg("RESET").exec_async(redis).await?;
    let longest = entries.into_iter().map(|(_, _, micros, ..)| micros).max();
    Ok(longest.unwrap_or(1000) as f64 / 1000.0)
}

async fn note(
    bench: &mut Bench,
    redis: &mut MultiplexedConnection,
    what: &str,
    took: Duration,
    calm: f64,
    beside: f64,
) -> Result<()> {
    let longest = longest(redis).await?;
    let table = &mut bench.table;
    table.figure(what, took.as_secs_f64(), "s");
    table.ratio(format!("{what}: the longest script"), longest, "ms", 20.0, AIM);
    table.ratio(
        format!("{what}: p99 of another's orders"),
        beside,
        "ms",
        calm,
        Some("1.0"),
    );
    Ok(())
}
