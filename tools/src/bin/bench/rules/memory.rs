//! What a counted buyer weighs in Redis, by the kind of counter, and how large a key becomes.

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use serde_json::json;
use testkit::services;

use super::forge::{Forge, Gate, Rule};
use crate::Bench;

const BUYERS: u64 = 1_000_000;
/// Orders of one call: as many as the script takes.
const BATCH: u64 = 1000;
/// Keys looked at for the largest one.
const SCAN: usize = 2000;

pub async fn run(bench: &mut Bench, forge: &Forge) -> Result<()> {
    let kinds: Vec<(&str, Rule)> = vec![
        ("campaign, by user", ("n-per-user", json!({"limit": 2}))),
        (
            "calendar day, by user",
            (
                "per-window",
                json!({"limit": 2, "window": {"day": "Europe/Berlin"}}),
            ),
        ),
        (
            "rolling hour, by user",
            ("per-window", json!({"limit": 2, "window": {"rolling": "1h"}})),
        ),
        (
            "campaign, by device and address",
            (
                "per-subject",
                json!({"limits": [{"by": ["client:device", "client:address"], "limit": 2}]}),
            ),
        ),
        (
            "campaign, by region (3 subjects)",
            (
                "region-quota",
                json!({"mode": "cap", "shares": {"eu": 40, "us": 30}, "others": 30}),
            ),
        ),
    ];
    let record = fill(bench, forge, &("order-cap", json!({"max": 5}))).await?;
    bench.table.figure(
        "Redis per admitted order without a counter (its record)",
        record.bytes,
        "bytes",
    );
    for (what, rule) in kinds {
        let filled = fill(bench, forge, &rule).await?;
        let what = format!("more for a counter: {what}");
        bench.table.figure(what, filled.bytes - record.bytes, "bytes");
        bench
            .table
            .figure("  largest hash of it", filled.largest as f64, "fields");
    }
    Ok(())
}

struct Filled {
    /// Of Redis' memory, per buyer.
    bytes: f64,
    /// Fields of the largest hash seen.
    largest: usize,
}

async fn fill(bench: &Bench, forge: &Forge, rule: &Rule) -> Result<Filled> {
    let mut redis = services::redis(&bench.setup.urls).await?;
    redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
    let family = forge.family(std::slice::from_ref(rule)).await?;
    let mut gate = Gate::open(&bench.setup.urls.redis, family).await?;
    let before = used_memory(&mut redis).await?;
    gate.admit(BUYERS, BATCH).await?;
    let outbox = keys(&mut redis, "*outbox").await?;
    redis::cmd("DEL").arg(&outbox).exec_async(&mut redis).await?;
    let bytes = (used_memory(&mut redis).await? - before) / BUYERS as f64;
    let mut largest = 0;
    for key in keys(&mut redis, "rg:*:[bco]*:*").await?.iter().take(SCAN) {
        let fields: usize = redis::cmd("HLEN").arg(key).query_async(&mut redis).await?;
        largest = largest.max(fields);
    }
    Ok(Filled { bytes, largest })
}

async fn keys(redis: &mut MultiplexedConnection, pattern: &str) -> Result<Vec<String>> {
    Ok(redis::cmd("KEYS").arg(pattern).query_async(redis).await?)
}

/// Bytes of Redis' data.
pub async fn used_memory(redis: &mut MultiplexedConnection) -> Result<f64> {
    let info: String = redis::cmd("INFO").arg("memory").query_async(redis).await?;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(line.context("INFO memory names no used_memory")?.trim().parse()?)
}
