//! The whole path on one machine: landed orders per second, latency at a fixed rate, CPU of every process.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rushgate::cli::load::{self, LoadConfig};
use testkit::{process, services};
use tokio::time::Instant;

use crate::wrk::Orders;
use crate::{Bench, SKU, STOCK, wrk};

/// So many that neither the burst nor the fixed rate is bounded by them: an answer waits for Kafka.
const CONNECTIONS: u32 = 256;
const LANDED_WITHIN: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(20);

pub async fn run(bench: &mut Bench) -> Result<()> {
    let gateway = bench.setup.serve(1).await?;
    let lander = bench.setup.land(1).await?;
    let mut pids = vec![
        ("gateway".to_owned(), gateway.pid()),
        ("lander".to_owned(), lander.pid()),
    ];
    pids.extend(stack_pids()?);

    bench.campaign(&gateway, "bench-end", STOCK).await?;
    let orders = Orders {
        address: &gateway.orders,
        campaign: "bench-end",
        keyed: true,
        connections: CONNECTIONS,
    };
    wrk::run(orders, "warm", Duration::from_secs(1)).await?;
    landed(bench, "bench-end").await?;
    let before = cpu(&pids)?;
    let rows_before = landed(bench, "bench-end").await?;
    let begun = Instant::now();
    let burst = wrk::run(orders, "u", bench.time).await?;
    let answered = begun.elapsed();
    let rows = landed(bench, "bench-end").await? - rows_before;
    let whole = begun.elapsed();
    let table = &mut bench.table;
    table.figure("end to end: orders answered", burst.per_second(), "per s");
    table.figure(
        "end to end: orders landed, first request to last row",
        rows as f64 / whole.as_secs_f64(),
        "per s",
    );
    table.figure(
        "end to end: last answer to last row",
        (whole - answered).as_secs_f64(),
        "s",
    );
    // wrk drops the requests that are in flight when its time ends: they land, but it counts no answer.
    table.ratio(
        "end to end: landed ÷ answered",
        rows as f64,
        "orders",
        burst.requests as f64,
        Some("1.00"),
    );
    for ((name, _), (before, after)) in pids.iter().zip(before.iter().zip(cpu(&pids)?)) {
        let us = (after - *before).as_micros() as f64 / rows.max(1) as f64;
        table.figure(format!("end to end: CPU per landed order, {name}"), us, "µs");
    }

    bench.campaign(&gateway, "bench-rate", STOCK).await?;
    let seconds = bench.time.as_secs().max(1) * 2;
    let attempts = (bench.rate * seconds as f64) as u64;
    let report = load::run(LoadConfig {
        targets: vec![gateway.orders.clone()],
        campaign: "bench-rate".to_owned(),
        sku: SKU.to_owned(),
        attempts,
        users: attempts,
        connections: CONNECTIONS as usize,
        rate: Some(bench.rate),
        ..LoadConfig::default()
    })
    .await?;
    ensure!(
        report.orders.len() as u64 == attempts,
        "not every order was admitted: {report}"
    );
    landed(bench, "bench-rate").await?;
    let name = |what: &str| format!("latency {what} at {:.0} orders per second", bench.rate);
    bench.table.figure(name("p50"), report.order_latency.p50_ms, "ms");
    bench.table.figure(name("p99"), report.order_latency.p99_ms, "ms");
    bench.table.figure(
        "attempts per second that were reached",
        report.attempts as f64 / report.seconds,
        "per s",
    );
    gateway.stop().await?;
    lander.stop().await
}

/// Redis, MariaDB and Kafka by the pid files of `./x stack`.
pub fn stack_pids() -> Result<Vec<(String, u32)>> {
    let folder = std::env::var_os("RUSHGATE_STACK_DIR").context("RUSHGATE_STACK_DIR is not set")?;
    let mut pids = Vec::new();
    for entry in std::fs::read_dir(PathBuf::from(folder).join("pid"))? {
        let entry = entry?;
        let pid = std::fs::read_to_string(entry.path())?.trim().parse()?;
        pids.push((entry.file_name().to_string_lossy().into_owned(), pid));
    }
    pids.sort();
    Ok(pids)
}

pub fn cpu(pids: &[(String, u32)]) -> Result<Vec<Duration>> {
    pids.iter().map(|(_, pid)| process::cpu(*pid)).collect()
}

/// Waits until every admitted order of the campaign is in the database; the rows.
pub async fn landed(bench: &Bench, campaign: &str) -> Result<i64> {
    let database = services::database(&bench.setup.urls).await?;
    let mut redis = services::redis(&bench.setup.urls).await?;
    let begun = Instant::now();
    loop {
        let mut hget = redis::cmd("HGET");
        let admitted: Option<i64> = hget
            .arg(format!("rg:{{{campaign}.0}}:state"))
            .arg("admitted")
            .query_async(&mut redis)
            .await?;
        let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM orders WHERE campaign_id = ?")
            .bind(campaign)
            .fetch_one(&database)
            .await?;
        if rows >= admitted.unwrap_or(0) {
            return Ok(rows);
        }
        ensure!(
            begun.elapsed() < LANDED_WITHIN,
            "{rows} rows after {LANDED_WITHIN:?}"
        );
        tokio::time::sleep(POLL).await;
    }
}
