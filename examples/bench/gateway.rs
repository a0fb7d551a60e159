//! CPU of the gateway per answer, beside a bare responder; CPU of Redis per order, beside a hand-written
//! script called once per order.

use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Result, bail};
use redis::AsyncCommands;
use tokio::net::TcpStream;

use crate::common::deployment::{Member, free_port};
use crate::common::{process, services};
use crate::{Bench, STOCK, script, wrk};

const CONNECTIONS: [u32; 2] = [64, 256];
const WARM_UP: Duration = Duration::from_secs(1);

/// CPU per answer, and what wrk saw.
struct Cost {
    us: f64,
    redis_us: f64,
    figures: wrk::Figures,
}

pub async fn run(bench: &mut Bench) -> Result<()> {
    let gateway = bench.setup.serve(1).await?;
    bench.table.figure(
        "gateway memory, idle",
        process::resident_mib(gateway.pid())?,
        "MiB",
    );
    let mut redis_us = Vec::new();
    for connections in CONNECTIONS {
        let bare = bare(bench, connections).await?;
        let stock = format!("bench-stock-{connections}");
        bench.campaign(&gateway, &stock, STOCK).await?;
        let order = measure(
            bench,
            gateway.pid(),
            &gateway.orders,
            &stock,
            connections,
            Expect::Orders,
        )
        .await?;
        redis_us.push(order.redis_us);
        let sold = sold_out(bench, &gateway, connections).await?;
        report(bench, connections, &bare, &order, &sold);
    }
    let memory = process::resident_mib(gateway.pid())?;
    bench
        .table
        .figure("gateway memory, after 256 busy connections", memory, "MiB");
    drained(bench).await?;
    gateway.stop().await?;
    redis(bench, redis_us).await
}

fn report(bench: &mut Bench, connections: u32, bare: &Cost, order: &Cost, sold: &Cost) {
    let table = &mut bench.table;
    let name = |what: &str| format!("{what}, {connections} connections");
    table.figure(name("bare responder"), bare.figures.per_second(), "per s");
    table.figure(name("orders in stock"), order.figures.per_second(), "per s");
    table.figure(name("orders in stock p50"), order.figures.p50_ms, "ms");
    table.figure(name("orders in stock p99"), order.figures.p99_ms, "ms");
    table.figure(name("sold-out answers"), sold.figures.per_second(), "per s");
    table.ratio(
        name("gateway CPU per order in stock"),
        order.us,
        "µs",
        bare.us,
        Some("≤ 1.8"),
    );
    table.ratio(
        name("gateway CPU per sold-out answer"),
        sold.us,
        "µs",
        bare.us,
        Some("≤ 1.15"),
    );
}

/// What the answers of a run must be for its figures to mean anything.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    Orders,
    Refusals,
    Anything,
}

async fn measure(
    bench: &Bench,
    pid: u32,
    address: &str,
    campaign: &str,
    connections: u32,
    expect: Expect,
) -> Result<Cost> {
    wrk::run(address, campaign, "warm", connections, WARM_UP).await?;
    let redis_pid = services::redis_pid(&mut services::redis(&bench.setup.urls).await?).await?;
    let (before, redis_before) = (process::cpu(pid)?, process::cpu(redis_pid)?);
    let figures = wrk::run(address, campaign, "u", connections, bench.time).await?;
    let (used, redis_used) = (
        process::cpu(pid)? - before,
        process::cpu(redis_pid)? - redis_before,
    );
    let right = match expect {
        Expect::Orders => figures.refused == 0,
        Expect::Refusals => figures.refused == figures.requests,
        Expect::Anything => true,
    };
    if !right {
        bail!(
            "{campaign}: {} of {} answers were refusals",
            figures.refused,
            figures.requests
        );
    }
    let per = |time: Duration| time.as_micros() as f64 / figures.requests.max(1) as f64;
    Ok(Cost {
        us: per(used),
        redis_us: per(redis_used),
        figures,
    })
}

async fn sold_out(bench: &Bench, gateway: &Member, connections: u32) -> Result<Cost> {
    let campaign = format!("bench-sold-{connections}");
    bench.campaign(gateway, &campaign, 1).await?;
    let first = rushgate::load::LoadConfig {
        targets: vec![gateway.orders.clone()],
        campaign: campaign.clone(),
        sku: crate::SKU.to_owned(),
        attempts: 2,
        users: 2,
        connections: 1,
        ..rushgate::load::LoadConfig::default()
    };
    let report = rushgate::load::run(first).await?;
    if report.refused.get("sold-out") != Some(&1) {
        bail!("a stock of one did not sell out: {report}");
    }
    measure(
        bench,
        gateway.pid(),
        &gateway.orders,
        &campaign,
        connections,
        Expect::Refusals,
    )
    .await
}

/// Kills the responder whatever happens to the measurement.
struct Bare(Child);

impl Drop for Bare {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn bare(bench: &Bench, connections: u32) -> Result<Cost> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let program = std::env::current_exe()?.with_file_name("bare_hyper");
    let bare = Bare(Command::new(program).arg(&address).spawn()?);
    while TcpStream::connect(&address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    measure(
        bench,
        bare.0.id(),
        &address,
        "bare",
        connections,
        Expect::Anything,
    )
    .await
}

/// Waits until Kafka has every order, so that what follows measures nothing left over.
async fn drained(bench: &Bench) -> Result<()> {
    let mut redis = services::redis(&bench.setup.urls).await?;
    for connections in CONNECTIONS {
        let key = format!("rg:{{bench-stock-{connections}.0}}:outbox");
        loop {
            let mut xlen = redis::cmd("XLEN");
            let left: u64 = xlen.arg(&key).query_async(&mut redis).await?;
            if left == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

async fn redis(bench: &mut Bench, measured: Vec<f64>) -> Result<()> {
    let mut connection = services::redis(&bench.setup.urls).await?;
    let plain = script::cost(bench, &mut connection, script::PLAIN).await?;
    let outbox = script::cost(bench, &mut connection, script::WITH_OUTBOX).await?;
    let _: () = connection.del(script::KEYS).await?;
    for (connections, us) in CONNECTIONS.into_iter().zip(measured) {
        let name = |what: &str| format!("Redis CPU per order, {connections} conn., ÷ {what}");
        bench
            .table
            .ratio(name("script without outbox"), us, "µs", plain, Some("≤ 0.5"));
        bench
            .table
            .ratio(name("script with outbox"), us, "µs", outbox, None);
    }
    Ok(())
}
