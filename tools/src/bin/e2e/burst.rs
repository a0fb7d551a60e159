//! The sale: more buyers than stock, limit one each; with `--kill`, processes die in the middle of it.

use std::time::Duration;

use anyhow::{Context, Result};
use rushgate::cli::load::{self, LoadConfig, LoadReport};
use serde_json::json;
use testkit::deployment::{Member, Setup};
use testkit::{process, services};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::figures::Figures;
use crate::ledger::{Books, Checks};
use crate::{Deployment, Flags};

const SKU: &str = "mug";
const KILLS_EACH: usize = 3;
/// With kills the load is stretched, so that they fall into the middle of it: attempts per second.
const KILL_RATE: f64 = 5_000.0;
/// A killed process stays dead for up to so long.
const DEAD_MS_MAX: u64 = 1_000;

pub async fn run(
    setup: &Setup,
    deployment: Deployment,
    flags: &Flags,
    seed: u64,
) -> Result<(Deployment, Checks)> {
    let campaign = format!("sale-{seed}");
    let rules = json!([{"module": "one-per-user"}]);
    deployment
        .control(0)?
        .create_campaign(&campaign, SKU, flags.stock, rules)
        .await?;
    let config = LoadConfig {
        campaign: campaign.clone(),
        sku: SKU.to_owned(),
        attempts: flags.attempts,
        users: flags.users,
        rate: flags.kill.then_some(KILL_RATE),
        seed,
        ..LoadConfig::default()
    };
    let config = deployment.load(flags, None, config);
    println!(
        "{} attempts by {} users, stock {}, one each, {:.0} % sent twice{}",
        flags.attempts,
        flags.users,
        flags.stock,
        flags.twice * 100.0,
        if flags.kill {
            ", every process killed three times"
        } else {
            ""
        }
    );
    let redis = redis_pid(setup).await?;
    let processes = processes(&deployment, redis);
    let before = cpu(&processes);
    let begun = Instant::now();
    let (deployment, report) = if flags.kill {
        with_kills(deployment, config, seed).await?
    } else {
        (deployment, load::run(config).await?)
    };
    println!("\n{report}");
    let mut books = Books::open(&setup.urls, &campaign).await?;
    let waited = books.wait_landed().await?;
    let whole = begun.elapsed();
    println!(
        "all landed {:.2} s after the last answer; {:.0} landed orders per second from first request to last row",
        waited.as_secs_f64(),
        report.orders.len() as f64 / whole.as_secs_f64()
    );
    if !flags.kill {
        let used = used(&before, &cpu(&processes));
        print_cpu(&used, report.orders.len());
        Figures::new(&used, &report, whole).keep(flags)?;
    }
    let mut verdict = Checks::default();
    println!();
    check(&mut books, flags, &report, &mut verdict).await?;
    let buyers = &deployment.buyers;
    buyers
        .check(&deployment, &report, &campaign, &mut verdict)
        .await?;
    Ok((deployment, verdict))
}

async fn check(books: &mut Books, flags: &Flags, report: &LoadReport, verdict: &mut Checks) -> Result<()> {
    let expected = flags.stock.min(flags.users).min(flags.attempts) as i64;
    let rows = books
        .number("SELECT COUNT(*) FROM orders WHERE campaign_id = ? AND state = 'confirmed'")
        .await?;
    verdict.sum("confirmed rows", rows, expected);
    let sold = books
        .number("SELECT CAST(SUM(sold) AS SIGNED) FROM stock WHERE campaign_id = ?")
        .await?;
    verdict.sum("sold", sold, expected);
    let users = books
        .number("SELECT COUNT(DISTINCT user_id) FROM orders WHERE campaign_id = ?")
        .await?;
    verdict.sum("different users", users, expected);
    let used = books
        .number("SELECT CAST(SUM(used) AS SIGNED) FROM `usage` WHERE campaign_id = ?")
        .await?;
    verdict.sum("charges of the limit in the database", used, expected);
    let most = books
        .number("SELECT CAST(MAX(used) AS SIGNED) FROM `usage` WHERE campaign_id = ?")
        .await?;
    verdict.sum("most orders of one user", most, 1);
    verdict.sum(
        "units left in Redis",
        books.units_left(SKU).await?,
        flags.stock as i64 - expected,
    );
    verdict.sum("requests without an answer", report.unknown, 0);
    books.check_always(report, verdict).await
}

async fn redis_pid(setup: &Setup) -> Result<u32> {
    let mut redis = services::redis(&setup.urls).await?;
    services::redis_pid(&mut redis).await
}

/// Every process of the run but the buyers', by name.
fn processes(deployment: &Deployment, redis: u32) -> Vec<(String, u32)> {
    let members = deployment.gateways.iter().chain(&deployment.landers);
    members
        .map(|member| (member.name.clone(), member.pid()))
        .chain([("redis".to_owned(), redis)])
        .chain(services::pids())
        .collect()
}

fn cpu(processes: &[(String, u32)]) -> Vec<(String, Duration)> {
    let used = |pid: u32| process::cpu(pid).unwrap_or_default();
    processes
        .iter()
        .map(|(name, pid)| (name.clone(), used(*pid)))
        .collect()
}

fn used(before: &[(String, Duration)], after: &[(String, Duration)]) -> Vec<(String, Duration)> {
    let pairs = before.iter().zip(after);
    pairs
        .map(|((name, before), (_, after))| (name.clone(), after.saturating_sub(*before)))
        .collect()
}

fn print_cpu(used: &[(String, Duration)], orders: usize) {
    for (name, used) in used {
        println!(
            "  {name:<8} {:.2} s CPU, {:.1} µs per order of the run",
            used.as_secs_f64(),
            used.as_micros() as f64 / orders.max(1) as f64
        );
    }
}

/// Runs the load while every process is killed three times at moments the seed decides.
async fn with_kills(
    deployment: Deployment,
    config: LoadConfig,
    seed: u64,
) -> Result<(Deployment, LoadReport)> {
    let expected = Duration::from_secs_f64(config.attempts as f64 * (1.0 + config.twice) / KILL_RATE);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut killers = JoinSet::new();
    let begun = Instant::now();
    let buyers = deployment.buyers;
    for member in deployment.gateways.into_iter().chain(deployment.landers) {
        let mut moments: Vec<f64> = (0..KILLS_EACH).map(|_| random.f64()).collect();
        moments.sort_by(f64::total_cmp);
        let at = moments
            .into_iter()
            .map(|part| begun + expected.mul_f64(part))
            .collect();
        killers.spawn(kill_at(member, at, random.fork(), begun));
    }
    let report = load::run(config).await?;
    let mut members = Vec::new();
    while let Some(killed) = killers.join_next().await {
        members.push(killed.context("a killer ended")??);
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    // `land-1`, `land-2`, `serve-1`, `serve-2`.
    let gateways = members.split_off(2);
    let landers = members;
    let deployment = Deployment {
        gateways,
        landers,
        buyers,
    };
    Ok((deployment, report))
}

async fn kill_at(
    mut member: Member,
    moments: Vec<Instant>,
    mut random: fastrand::Rng,
    begun: Instant,
) -> Result<Member> {
    for moment in moments {
        tokio::time::sleep_until(moment).await;
        member.kill();
        println!(
            "  {:>6.2} s  SIGKILL {}",
            begun.elapsed().as_secs_f64(),
            member.name
        );
        tokio::time::sleep(Duration::from_millis(random.u64(0..DEAD_MS_MAX))).await;
        member.spawn()?;
        member.ready().await?;
    }
    Ok(member)
}
