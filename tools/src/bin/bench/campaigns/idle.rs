//! What campaigns cost Redis that nobody orders from: script calls per second and its CPU, with one gateway and with two.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use redis::aio::MultiplexedConnection;
use testkit::{process, services};

use crate::Bench;

/// After a gateway has started, until it has looked at everything once.
const SETTLE: Duration = Duration::from_secs(5);
/// An idle campaign has its turn once a minute: a shorter look would see a part of it.
const LOOK_MIN: Duration = Duration::from_secs(20);

pub async fn run(bench: &mut Bench) -> Result<()> {
    measure(bench, "1 gateway").await?;
    let second = bench.setup.serve(2).await?;
    measure(bench, "2 gateways").await?;
    second.stop().await
}

async fn measure(bench: &mut Bench, gateways: &str) -> Result<()> {
    tokio::time::sleep(SETTLE).await;
    let mut redis = services::redis(&bench.setup.urls).await?;
    let pid = services::redis_pid(&mut redis).await?;
    let time = bench.time.max(LOOK_MIN);
    let (calls, cpu) = (called(&mut redis).await?, process::cpu(pid)?);
    tokio::time::sleep(time).await;
    let (later, busy) = (called(&mut redis).await?, process::cpu(pid)?.saturating_sub(cpu));
    let since = |command: &str| {
        let at = |calls: &BTreeMap<String, u64>| calls.get(command).copied().unwrap_or(0);
        at(&later).saturating_sub(at(&calls)) as f64 / time.as_secs_f64()
    };
    let (campaigns, table) = (bench.campaigns, &mut bench.table);
    table.figure(
        format!("{campaigns} idle campaigns, {gateways}: script calls"),
        since("evalsha"),
        "per s",
    );
    table.figure(
        format!("{campaigns} idle campaigns, {gateways}: INFO"),
        since("info"),
        "per s",
    );
    table.figure(
        format!("{campaigns} idle campaigns, {gateways}: CPU of Redis"),
        busy.as_secs_f64() / time.as_secs_f64() * 100.0,
        "%",
    );
    Ok(())
}

/// Calls by command, since the server started.
async fn called(redis: &mut MultiplexedConnection) -> Result<BTreeMap<String, u64>> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await?;
    let calls = info.lines().filter_map(|line| {
        let (command, figures) = line.strip_prefix("cmdstat_")?.split_once(':')?;
        let calls = figures.split(',').next()?.strip_prefix("calls=")?;
        Some((command.to_owned(), calls.parse().ok()?))
    });
    Ok(calls.collect())
}
