//! CPU of the gateway per answer, beside a bare responder; CPU of Redis per order, beside a hand-written
//! script called once per order.

use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Result, bail};
use redis::AsyncCommands;
use testkit::deployment::{Member, free_port};
use testkit::{process, services};
use tokio::net::TcpStream;

use crate::wrk::{Figures, Orders};
use crate::{Bench, STOCK, script, wrk};

const CONNECTIONS: [u32; 2] = [64, 256];
const WARM_UP: Duration = Duration::from_secs(1);

/// CPU per answer, and what wrk saw.
pub struct Cost {
    pub us: f64,
    pub redis_us: f64,
    pub figures: Figures,
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
        redis_us.push(beside_bare(bench, &gateway, connections).await?);
    }
    let memory = process::resident_mib(gateway.pid())?;
    bench
        .table
        .figure("gateway memory, after 256 busy connections", memory, "MiB");
    drained(bench).await?;
    gateway.stop().await?;
    redis(bench, redis_us).await
}

/// All runs of one number of connections; the CPU of Redis per order.
async fn beside_bare(bench: &mut Bench, gateway: &Member, connections: u32) -> Result<f64> {
    let bare = bare(bench, connections, &[]).await?;
    let later = self::bare(bench, connections, &["later"]).await?;
    let stock = format!("bench-stock-{connections}");
    bench.campaign(gateway, &stock, STOCK).await?;
    let orders = |campaign, keyed| Orders {
        address: &gateway.orders,
        campaign,
        keyed,
        connections,
    };
    let order = measure(bench, gateway.pid(), orders(&stock, true), Expect::Orders).await?;
    let sold = sell_out(bench, gateway, connections).await?;
    let local = measure(bench, gateway.pid(), orders(&sold, false), Expect::Refusals).await?;
    let asked = measure(bench, gateway.pid(), orders(&sold, true), Expect::Refusals).await?;
    let table = &mut bench.table;
    let name = |what: &str| format!("{what}, {connections} connections");
    for (what, cost) in [
        ("bare responder", &bare),
        ("bare responder that answers later", &later),
        ("orders in stock", &order),
        ("sold out", &local),
        ("sold out, with a key", &asked),
    ] {
        table.figure(name(what), cost.figures.per_second(), "per s");
        table.figure(name(&format!("{what}: p50")), cost.figures.p50_ms, "ms");
        table.figure(name(&format!("{what}: p99")), cost.figures.p99_ms, "ms");
    }
    let mut ratio = |what, cost: &Cost, aim| table.ratio(name(what), cost.us, "µs", bare.us, aim);
    ratio("gateway CPU per order in stock", &order, Some("≤ 1.8"));
    ratio("CPU of a bare responder that answers later", &later, None);
    ratio("gateway CPU per sold-out answer", &local, Some("≤ 1.15"));
    ratio("gateway CPU per sold-out answer with a key", &asked, None);
    Ok(order.redis_us)
}

/// What the answers of a run must be for its figures to mean anything.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    Orders,
    Refusals,
    Anything,
}

async fn measure(bench: &Bench, pid: u32, orders: Orders<'_>, expect: Expect) -> Result<Cost> {
    wrk::run(orders, "warm", WARM_UP).await?;
    let cost = cost(bench, pid, orders, "u").await?;
    let figures = &cost.figures;
    let right = match expect {
        Expect::Orders => figures.refused == 0,
        Expect::Refusals => figures.refused == figures.requests,
        Expect::Anything => true,
    };
    if !right {
        let Figures {
            refused, requests, ..
        } = figures;
        bail!(
            "{}: {refused} of {requests} answers were refusals",
            orders.campaign
        );
    }
    Ok(cost)
}

/// What orders of buyers whose names start so cost the process and Redis, whatever the answers are.
pub async fn cost(bench: &Bench, pid: u32, orders: Orders<'_>, prefix: &str) -> Result<Cost> {
    let redis_pid = services::redis_pid(&mut services::redis(&bench.setup.urls).await?).await?;
    let (before, redis_before) = (process::cpu(pid)?, process::cpu(redis_pid)?);
    let figures = wrk::run(orders, prefix, bench.time).await?;
    let (used, redis_used) = (
        process::cpu(pid)? - before,
        process::cpu(redis_pid)? - redis_before,
    );
    let per = |time: Duration| time.as_micros() as f64 / figures.requests.max(1) as f64;
    Ok(Cost {
        us: per(used),
        redis_us: per(redis_used),
        figures,
    })
}

/// A campaign whose only unit is gone; the gateway knows.
async fn sell_out(bench: &Bench, gateway: &Member, connections: u32) -> Result<String> {
    let campaign = format!("bench-sold-{connections}");
    bench.campaign(gateway, &campaign, 1).await?;
    let first = rushgate::cli::load::LoadConfig {
        targets: vec![gateway.orders.clone()],
        campaign: campaign.clone(),
        sku: crate::SKU.to_owned(),
        attempts: 2,
        users: 2,
        connections: 1,
        ..rushgate::cli::load::LoadConfig::default()
    };
    let report = rushgate::cli::load::run(first).await?;
    if report.refused.get("sold-out") != Some(&1) {
        bail!("a stock of one did not sell out: {report}");
    }
    Ok(campaign)
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

async fn bare(bench: &Bench, connections: u32, how: &[&str]) -> Result<Cost> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let program = std::env::current_exe()?.with_file_name("bare_hyper");
    let bare = Bare(Command::new(program).arg(&address).args(how).spawn()?);
    while TcpStream::connect(&address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let orders = Orders {
        address: &address,
        campaign: "bare",
        keyed: true,
        connections,
    };
    measure(bench, bare.0.id(), orders, Expect::Anything).await
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
