//! Rebuild and reconcile of a large campaign, and what an order weighs in Redis, Kafka and the database.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::MySqlPool;
use testkit::services;
use tokio::time::Instant;

use super::CAMPAIGN;
use super::feed::Feed;
use super::landing::landed;
use crate::Bench;

const POLL: Duration = Duration::from_millis(50);

pub async fn run(bench: &mut Bench, feed: &mut Feed) -> Result<()> {
    let database = services::database(&bench.setup.urls).await?;
    let lander = bench.setup.land(1).await?;
    feed.publish(bench.orders.saturating_sub(feed.orders), None)
        .await?;
    feed.recount().await?;
    while landed(&database).await? < feed.records {
        tokio::time::sleep(POLL).await;
    }
    lander.stop().await?;
    let before = memory(bench).await?;
    let rebuilt = timed(bench, &["rebuild", "--campaign", CAMPAIGN, "--force"])?;
    let redis = memory(bench).await?.saturating_sub(before);
    let reconciled = timed(bench, &["reconcile", "--campaign", CAMPAIGN])?;
    let orders = feed.orders as f64;
    let table = &mut bench.table;
    table.figure(
        format!("rebuild of {orders} landed orders"),
        rebuilt.as_secs_f64(),
        "s",
    );
    table.figure("reconcile of the same", reconciled.as_secs_f64(), "s");
    table.figure("an order in Redis", redis as f64 / orders, "bytes");
    table.figure(
        "an order in the database",
        stored(&database).await? / orders,
        "bytes",
    );
    table.figure("a record in Kafka, on disk", logged(feed)?, "bytes");
    Ok(())
}

/// Runs a command of the binary, which has to succeed.
fn timed(bench: &Bench, args: &[&str]) -> Result<Duration> {
    let begun = Instant::now();
    let output = bench.setup.tool(args).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "rushgate {}: {text}", args.join(" "));
    eprintln!("{}", String::from_utf8_lossy(&output.stdout).trim_end());
    Ok(begun.elapsed())
}

async fn memory(bench: &Bench) -> Result<u64> {
    let mut redis = services::redis(&bench.setup.urls).await?;
    let info: String = redis::cmd("INFO").arg("memory").query_async(&mut redis).await?;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(line.context("INFO names no used_memory")?.trim().parse()?)
}

/// Bytes of orders and usage, indexes included.
async fn stored(database: &MySqlPool) -> Result<f64> {
    sqlx::raw_sql("ANALYZE TABLE orders, `usage`")
        .execute(database)
        .await?;
    let bytes: i64 = sqlx::query_scalar(
        "SELECT CAST(SUM(data_length + index_length) AS SIGNED) FROM information_schema.tables
         WHERE table_schema = DATABASE() AND table_name IN ('orders', 'usage')",
    )
    .fetch_one(database)
    .await?;
    Ok(bytes as f64)
}

/// Bytes of the orders topic's segments per record, one replica.
fn logged(feed: &Feed) -> Result<f64> {
    let stack = std::env::var_os("RUSHGATE_STACK_DIR").context("RUSHGATE_STACK_DIR is not set")?;
    let folder = PathBuf::from(stack).join("data/kafka-1");
    let mut bytes = 0;
    for partition in std::fs::read_dir(&folder)? {
        let path = partition?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // `rushgate.orders-7`, not `rushgate.orders.dlt-7`.
        if name.strip_prefix("rushgate.orders-").is_none() {
            continue;
        }
        for file in std::fs::read_dir(&path)? {
            let file = file?;
            if file.path().extension().is_some_and(|end| end == "log") {
                bytes += file.metadata()?.len();
            }
        }
    }
    Ok(bytes as f64 / feed.records as f64)
}
