//! Admission while Kafka is stalled, the outbox growing, beside the same load with Kafka healthy; and how long it
//! takes from Kafka's return until everything is in the database.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use testkit::deployment::Member;
use testkit::services;
use tokio::time::Instant;

use crate::end::{landed, stack_pids};
use crate::wrk::{Figures, Orders};
use crate::{Bench, STOCK, wrk};

const CONNECTIONS: u32 = 128;
const POLL: Duration = Duration::from_millis(50);
const DRAINED_WITHIN: Duration = Duration::from_secs(300);

/// Brokers that are stopped; they go on when it ends, whatever happens.
struct Stopped(Vec<u32>);

impl Stopped {
    fn brokers() -> Result<Self> {
        let brokers = stack_pids()?
            .into_iter()
            .filter(|(name, _)| name.starts_with("kafka"));
        let pids: Vec<u32> = brokers.map(|(_, pid)| pid).collect();
        ensure!(!pids.is_empty(), "the stack has no broker");
        let stopped = Self(pids);
        stopped.signal("-STOP")?;
        Ok(stopped)
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let pids = self.0.iter().map(u32::to_string);
        let status = Command::new("kill").arg(signal).args(pids).status()?;
        if !status.success() {
            bail!("kill {signal} failed");
        }
        Ok(())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Err(error) = self.signal("-CONT") {
            eprintln!("the brokers stay stopped: {error}");
        }
    }
}

pub async fn run(bench: &mut Bench) -> Result<()> {
    // The answer does not wait for Kafka: what is measured is admission.
    let settings = [("RUSHGATE_ADMISSION_ANSWER", "admitted")];
    let gateway = bench.setup.serve_with(1, &settings).await?;
    let lander = bench.setup.land(1).await?;
    let healthy = load(bench, &gateway, "bench-healthy").await?;
    landed(bench, "bench-healthy").await?;
    let stopped = Stopped::brokers()?;
    let stalled = load(bench, &gateway, "bench-stalled").await?;
    let waiting = outbox(bench, "bench-stalled").await?;
    let healed = Instant::now();
    drop(stopped);
    drained(bench, "bench-stalled").await?;
    let rows = landed(bench, "bench-stalled").await?;
    let took = healed.elapsed();
    let table = &mut bench.table;
    table.ratio(
        "orders admitted while Kafka is stalled, beside healthy",
        stalled.per_second(),
        "per s",
        healthy.per_second(),
        None,
    );
    table.ratio("p99 of it", stalled.p99_ms, "ms", healthy.p99_ms, None);
    table.figure("outbox entries when Kafka came back", waiting as f64, "entries");
    table.figure("from Kafka's return to lag 0", took.as_secs_f64(), "s");
    table.figure("orders landed meanwhile", rows as f64, "orders");
    gateway.stop().await?;
    lander.stop().await
}

async fn load(bench: &Bench, gateway: &Member, campaign: &str) -> Result<Figures> {
    bench.campaign(gateway, campaign, STOCK).await?;
    let orders = Orders {
        address: &gateway.orders,
        campaign,
        keyed: true,
        connections: CONNECTIONS,
    };
    let figures = wrk::run(orders, "u", bench.time).await?;
    ensure!(figures.refused == 0, "{} orders were refused", figures.refused);
    Ok(figures)
}

async fn outbox(bench: &Bench, campaign: &str) -> Result<u64> {
    let mut redis = services::redis(&bench.setup.urls).await?;
    let mut xlen = redis::cmd("XLEN");
    let length = xlen
        .arg(format!("rg:{{{campaign}.0}}:outbox"))
        .query_async(&mut redis);
    Ok(length.await?)
}

async fn drained(bench: &Bench, campaign: &str) -> Result<()> {
    let begun = Instant::now();
    while outbox(bench, campaign).await? > 0 {
        ensure!(
            begun.elapsed() < DRAINED_WITHIN,
            "the outbox is not empty after {DRAINED_WITHIN:?}"
        );
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
