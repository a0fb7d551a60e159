//! `./x hostile`: attacks the connections of a gateway under load, one way after another; then uploads every module of the
//! hostile corpus to it and prints each answer; then every bomb; and what that cost the orders, and whether the memory
//! came back.

mod bombs;
mod doors;
mod gate;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use rushgate::cli::load::{self, LatencyReport, LoadConfig};
use testkit::forge::hostile::{At, Hostile, corpus};

use gate::Gate;

/// Uploads hostile modules to a gateway under load
#[derive(Clone, Debug, Parser)]
struct Flags {
    /// The binary to try
    #[arg(long, default_value = "target/release/rushgate")]
    rushgate: PathBuf,
    /// Seconds of load without uploads, and at least so many with them
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Orders per second
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// Upload the bombs alone, or only those whose name contains this
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    bombs: Option<String>,
    /// Seconds of each attack on connections; 0 leaves them out
    #[arg(long, default_value_t = 60)]
    attack_seconds: u64,
    /// Attacks on connections alone, no modules
    #[arg(long)]
    doors_only: bool,
    /// Only attacks on connections whose name contains this
    #[arg(long, default_value = "")]
    attack: String,
    /// Carry out one attack on connections, as the process of an attacker
    #[arg(long, hide = true, requires = "target")]
    assail: Option<usize>,
    /// Where it attacks
    #[arg(long, hide = true)]
    target: Option<SocketAddr>,
    /// Further modules to upload under load, such as one of an interpreter
    #[arg(long = "also")]
    also: Vec<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    if let Some((number, target)) = flags.assail.zip(flags.target) {
        return doors::assail_alone(number, target, Duration::from_secs(flags.attack_seconds)).await;
    }
    let gate = Gate::start(&flags.rushgate)?;
    gate.campaign("load").await?;
    // What the allocator and the compiler take once is not what a hostile module takes.
    orders(&gate, flags.rate, Duration::from_secs(2), "warm").await?;

    if flags.attack_seconds > 0 {
        doors::run(&gate, &flags).await?;
    }
    if flags.doors_only {
        return Ok(());
    }
    let alone = orders(&gate, flags.rate, Duration::from_secs(flags.seconds), "alone").await?;
    let before = gate.resident_mib()?;
    let (worst, slowest, beside) = under_load(&gate, &flags).await?;
    let after = gate.resident_mib()?;

    println!();
    latency("orders alone", &alone);
    latency("orders while they are uploaded", &beside);
    println!("p99 with ÷ without: {:.2}", beside.p99_ms / alone.p99_ms);
    println!("slowest answer to a hostile module: {slowest:.0?}");
    println!(
        "memory: {before:.0} MiB before, {after:.0} MiB after, {:.0} MiB at most",
        gate.peak_mib()?
    );
    ensure!(worst.is_empty(), "not as promised:\n{}", worst.join("\n"));
    Ok(())
}

fn latency(what: &str, report: &LatencyReport) {
    println!(
        "{what:<32} {:>7} orders  p50 {:>7.2} ms  p99 {:>7.2} ms  p99.9 {:>7.2} ms  max {:>7.2} ms",
        report.count, report.p50_ms, report.p99_ms, report.p999_ms, report.max_ms
    );
}

async fn orders(gate: &Gate, rate: f64, time: Duration, prefix: &str) -> Result<LatencyReport> {
    let attempts = (rate * time.as_secs_f64()) as u64;
    let report = load::run(LoadConfig {
        targets: vec![gate.orders.clone()],
        campaign: "load".into(),
        attempts,
        users: attempts,
        connections: 32,
        rate: Some(rate),
        prefix: prefix.into(),
        ..LoadConfig::default()
    })
    .await?;
    ensure!(
        report.orders.len() as u64 == attempts,
        "{} of {attempts} orders",
        report.orders.len()
    );
    Ok(report.order_latency)
}

/// Loads in slices until every module was uploaded; what was not as promised, the slowest answer, and the worst
/// of each latency over the slices.
async fn under_load(gate: &Gate, flags: &Flags) -> Result<(Vec<String>, Duration, LatencyReport)> {
    let uploaded = Arc::new(AtomicBool::new(false));
    let loading = async {
        let mut beside: Option<LatencyReport> = None;
        for slice in 0.. {
            let time = Duration::from_secs(flags.seconds);
            let report = orders(gate, flags.rate, time, &format!("beside-{slice}")).await?;
            beside = Some(match beside {
                None => report,
                Some(worse) => worst_of(&worse, &report),
            });
            if uploaded.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok::<_, anyhow::Error>(beside.expect("at least one slice"))
    };
    let uploading = async {
        let answered = upload_all(gate, flags).await;
        uploaded.store(true, Ordering::Relaxed);
        answered
    };
    let (beside, answered) = tokio::join!(loading, uploading);
    let (worst, slowest) = answered?;
    Ok((worst, slowest, beside?))
}

fn worst_of(a: &LatencyReport, b: &LatencyReport) -> LatencyReport {
    LatencyReport {
        count: a.count + b.count,
        p50_ms: a.p50_ms.max(b.p50_ms),
        p90_ms: a.p90_ms.max(b.p90_ms),
        p99_ms: a.p99_ms.max(b.p99_ms),
        p999_ms: a.p999_ms.max(b.p999_ms),
        max_ms: a.max_ms.max(b.max_ms),
    }
}

async fn upload_all(gate: &Gate, flags: &Flags) -> Result<(Vec<String>, Duration)> {
    let (mut wrong, mut slowest) = (Vec::new(), Duration::ZERO);
    let corpus = if flags.bombs.is_some() {
        Vec::new()
    } else {
        corpus()
    };
    for (number, module) in corpus.into_iter().enumerate() {
        let Hostile { name, make, at } = module;
        let bytes = tokio::task::spawn_blocking(make).await?;
        let begun = Instant::now();
        let answer = gate.answer(number, bytes).await?;
        let took = begun.elapsed();
        slowest = slowest.max(took);
        println!("{name:<62} {took:>9.1?}  {answer}");
        if !answer.is(at) {
            wrong.push(format!("{name}: {answer} instead of {at:?}"));
        }
    }
    let (unlike, longest) = bombs::upload(gate, flags.bombs.as_deref().unwrap_or_default()).await?;
    wrong.extend(unlike);
    slowest = slowest.max(longest);
    for file in &flags.also {
        let bytes = std::fs::read(file)?;
        let begun = Instant::now();
        let answer = gate.upload(bytes).await?;
        println!("{:<62} {:>9.1?}  {}", file.display(), begun.elapsed(), answer.0);
    }
    Ok((wrong, slowest))
}
