//! What people who look at a sale in the console cost it: orders a second, CPU per order and p99, with and without them, in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use rushgate::cli::load::{self, LoadConfig};
use serde_json::json;
use testkit::deployment::Member;
use testkit::events::Events;
use testkit::http::Http;
use testkit::services;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::end::{cpu, landed};
use crate::wrk::Orders;
use crate::{Bench, SKU, STOCK, gateway, wrk};

const CAMPAIGN: &str = "bench-consoles";
const CONNECTIONS: u32 = 64;
/// Far below what the machine can do, so that latency is no queue.
const RATE: f64 = 1_000.0;
const WARM_UP: Duration = Duration::from_secs(2);

/// What one load of the sale showed.
#[derive(Clone, Copy, Default)]
struct Seen {
    per_second: f64,
    /// CPU per order, microseconds.
    gateway: f64,
    redis: f64,
    p99_ms: f64,
    rate_p99_ms: f64,
}

/// Somebody's open page.
struct Page {
    events: AtomicU64,
    /// Milliseconds between two events at most, since they are counted.
    gap: AtomicU64,
    is_counted: AtomicBool,
}

pub async fn run(bench: &mut Bench, consoles: usize, repetitions: u32) -> Result<()> {
    let gateway = bench.setup.serve(1).await?;
    let lander = bench.setup.land(1).await?;
    bench.campaign(&gateway, CAMPAIGN, STOCK).await?;
    // Each of a person of its own: nothing is shared that would not be.
    let mut sessions = Vec::new();
    for n in 0..consoles {
        sessions.push(log_in(&gateway, n).await?);
    }
    wrk::run(orders(&gateway), "warm", WARM_UP).await?;
    landed(bench, CAMPAIGN).await?;

    at_rest(bench, &gateway, &sessions).await?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let mut gaps = Vec::new();
    for round in 0..repetitions {
        alone.push(load(bench, &gateway, &format!("alone-{round}")).await?);
        let (mut open, page) = open(&gateway, &sessions).await?;
        page.is_counted.store(true, Ordering::Relaxed);
        beside.push(load(bench, &gateway, &format!("beside-{round}")).await?);
        gaps.push(page.gap.load(Ordering::Relaxed) as f64);
        ensure!(open.try_join_next().is_none(), "a page ended in the middle");
        open.shutdown().await;
    }
    let table = &mut bench.table;
    let name = |what: &str| format!("{what}, {consoles} consoles open ÷ none");
    let median = |of: fn(&Seen) -> f64| (middle(&beside, of), middle(&alone, of));
    let mut ratio = |what, unit, of, aim| {
        let (with, without) = median(of);
        table.ratio(name(what), with, unit, without, aim);
    };
    ratio(
        "orders at full load",
        "per s",
        |seen| seen.per_second,
        Some("1.0"),
    );
    ratio("p99 at full load", "ms", |seen| seen.p99_ms, Some("1.0"));
    ratio(
        "p99 at 1,000 orders a second",
        "ms",
        |seen| seen.rate_p99_ms,
        Some("1.0"),
    );
    ratio("gateway CPU per order", "µs", |seen| seen.gateway, Some("1.0"));
    ratio("Redis CPU per order", "µs", |seen| seen.redis, Some("1.0"));
    let gap = gaps.into_iter().fold(0.0, f64::max);
    table.figure("between two figures of one page under load, at most", gap, "ms");
    gateway.stop().await?;
    lander.stop().await
}

fn middle(of: &[Seen], figure: fn(&Seen) -> f64) -> f64 {
    let mut all: Vec<f64> = of.iter().map(figure).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn orders(gateway: &Member) -> Orders<'_> {
    Orders {
        address: &gateway.orders,
        campaign: CAMPAIGN,
        keyed: true,
        connections: CONNECTIONS,
    }
}

/// Everything that the load asks for, landed; first as fast as it goes, then at a rate.
async fn load(bench: &Bench, gateway: &Member, users: &str) -> Result<Seen> {
    let cost = gateway::cost(bench, gateway.pid(), orders(gateway), users).await?;
    let figures = cost.figures;
    ensure!(figures.refused == 0, "{} orders were refused", figures.refused);
    landed(bench, CAMPAIGN).await?;
    let attempts = (RATE * bench.time.as_secs_f64()) as u64;
    let report = load::run(LoadConfig {
        targets: vec![gateway.orders.clone()],
        campaign: CAMPAIGN.to_owned(),
        sku: SKU.to_owned(),
        attempts,
        users: attempts,
        prefix: format!("rate-{users}"),
        connections: CONNECTIONS as usize,
        rate: Some(RATE),
        ..LoadConfig::default()
    })
    .await?;
    landed(bench, CAMPAIGN).await?;
    Ok(Seen {
        per_second: figures.per_second(),
        gateway: cost.us,
        redis: cost.redis_us,
        p99_ms: figures.p99_ms,
        rate_p99_ms: report.order_latency.p99_ms,
    })
}

/// What open pages cost while nobody orders, of one core.
async fn at_rest(bench: &mut Bench, gateway: &Member, sessions: &[String]) -> Result<()> {
    let redis = services::redis_pid(&mut services::redis(&bench.setup.urls).await?).await?;
    let mut pids = services::pids();
    pids.retain(|(name, _)| name == "mariadb");
    pids.extend([("redis".to_owned(), redis), ("gateway".to_owned(), gateway.pid())]);
    let idle = busy(&pids, bench.time).await?;
    let (mut open, page) = open(gateway, sessions).await?;
    let before = page.events.load(Ordering::Relaxed);
    let with = busy(&pids, bench.time).await?;
    let events = page.events.load(Ordering::Relaxed) - before;
    open.shutdown().await;
    let table = &mut bench.table;
    for ((name, _), (with, idle)) in pids.iter().zip(with.into_iter().zip(idle)) {
        let what = format!("{} consoles at rest, of one core: {name}", sessions.len());
        table.figure(what, with - idle, "%");
    }
    table.figure(
        "figures shown to all of them",
        events as f64 / bench.time.as_secs_f64(),
        "per s",
    );
    Ok(())
}

/// Shares of one core, percent.
async fn busy(pids: &[(String, u32)], time: Duration) -> Result<Vec<f64>> {
    let before = cpu(pids)?;
    tokio::time::sleep(time).await;
    let shares = before.into_iter().zip(cpu(pids)?);
    Ok(shares
        .map(|(before, after)| (after - before).as_secs_f64() / time.as_secs_f64() * 100.0)
        .collect())
}

/// A key of somebody's own, and a log-in with it: the cookie.
async fn log_in(gateway: &Member, n: usize) -> Result<String> {
    let person = format!("person-{n}");
    let body = json!({"name": "console", "person": person, "role": "viewer"});
    let control = gateway.control()?;
    let (status, made) = control.send(Method::POST, "/admin/v1/keys", &body).await?;
    ensure!(status == 201, "a key was answered {status}: {made}");
    let key = made["key"].as_str().context("an answer without a key")?;
    let url = format!("http://{}/console/login", gateway.admin);
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let form = format!("key={key}&next=/console").into_bytes();
    let reply = Http::new().send(Method::POST, &url, &headers, form).await;
    let cookie = reply.header("set-cookie").split(';').next().unwrap_or_default();
    ensure!(
        reply.status == 303 && !cookie.is_empty(),
        "a log-in was answered {}",
        reply.status
    );
    Ok(cookie.to_owned())
}

/// Opens the sale's page for each of them, and goes on reading; answers when each has shown its figures once.
async fn open(gateway: &Member, sessions: &[String]) -> Result<(JoinSet<Result<()>>, Arc<Page>)> {
    let page = Arc::new(Page {
        events: AtomicU64::new(0),
        gap: AtomicU64::new(0),
        is_counted: AtomicBool::new(false),
    });
    let mut open = JoinSet::new();
    for cookie in sessions {
        let path = format!("/console/sales/{CAMPAIGN}/live");
        let mut events = Events::open(&gateway.admin, &path, &[("cookie", cookie)]).await?;
        ensure!(events.status() == 200, "a page answered {}", events.head);
        events.block().await?.context("a page without figures")?;
        let page = page.clone();
        open.spawn(async move { read(&mut events, &page).await });
    }
    Ok((open, page))
}

async fn read(events: &mut Events, page: &Page) -> Result<()> {
    let mut last = Instant::now();
    while let Some(block) = events.block().await? {
        // A comment says that there was nothing to show.
        if block.starts_with("data:") {
            page.events.fetch_add(1, Ordering::Relaxed);
            if page.is_counted.load(Ordering::Relaxed) {
                let gap = last.elapsed().as_millis() as u64;
                page.gap.fetch_max(gap, Ordering::Relaxed);
            }
            last = Instant::now();
        }
    }
    anyhow::bail!("a page ended")
}
