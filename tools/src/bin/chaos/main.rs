//! `./x chaos`: a sale by real processes, a fault in the middle of it, and a checker that counts afterwards. Every run is
//! seeded: the seed decides buyers, moments and victims. Exits with 1 when a run is wrong.

mod clients;
mod cold;
mod drain;
mod fleet;
mod leaders;
mod letters;
mod play;
mod proxy;
mod refusal;
mod refused;
mod report;
mod scenario;
mod shop;
mod stack;
mod strike;
mod topics;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;

use play::Order;
use report::RunReport;
use scenario::Scenario;
use world::World;

/// So long the load of a run is meant to last, in seconds.
const LOAD_S: f64 = 20.0;

/// Faults under load, and whether anything was lost, doubled or oversold.
#[derive(Clone, Debug, Parser)]
pub struct Flags {
    /// The binary to run
    #[arg(long, default_value = "target/release/rushgate")]
    rushgate: PathBuf,
    /// The checker; beside the binary where left out
    #[arg(long)]
    check: Option<PathBuf>,
    /// Runs: the scenarios in turn; each once where left out
    #[arg(long)]
    runs: Option<usize>,
    /// Decides everything that is drawn; the n-th run has the n-th seed after it
    #[arg(long)]
    seed: Option<u64>,
    /// Only scenarios whose name begins so; several joined by commas
    #[arg(long)]
    only: Option<String>,
    /// Only the short ones that `./x test` plays
    #[arg(long)]
    quick: bool,
    #[arg(long, default_value_t = 100_000)]
    attempts: u64,
    /// Attempts per second; such that the load lasts 20 s where left out
    #[arg(long)]
    rate: Option<f64>,
    /// Connections the buyers share: each waits for an answer, which waits for Kafka
    #[arg(long, default_value_t = 512)]
    connections: usize,
    /// Units of stock per attempt; below what the limits let through, unless all of the load is to be orders
    #[arg(long, default_value_t = clients::STOCK_SHARE)]
    stock: f64,
    /// Producers with librdkafka's idempotence, which is off unless asked for
    #[arg(long)]
    idempotent: bool,
    /// Write every figure to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Name the scenarios and end
    #[arg(long)]
    list: bool,
    /// The build is broken on purpose: succeed when the checker finds something wrong in some run
    #[arg(long)]
    expect_wrong: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let ended = tokio::select! {
        ended = run(&flags) => ended,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    match ended {
        Ok(as_expected) => ExitCode::from(u8::from(!as_expected)),
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The scenarios that the flags ask for.
fn chosen(flags: &Flags) -> Result<Vec<&'static Scenario>> {
    let mut chosen: Vec<_> = scenario::ALL.iter().collect();
    if let Some(only) = &flags.only {
        let names: Vec<&str> = only.split(',').collect();
        let is_called =
            |scenario: &Scenario, name: &&str| !name.is_empty() && scenario.name.starts_with(name);
        let unknown = |name: &&&str| !scenario::ALL.iter().any(|scenario| is_called(scenario, name));
        if let Some(unknown) = names.iter().find(unknown) {
            bail!("--only: no scenario is called {unknown:?}; --list names them");
        }
        chosen.retain(|scenario| names.iter().any(|name| is_called(scenario, name)));
    }
    if flags.quick {
        chosen.retain(|scenario| scenario.quick);
    }
    if chosen.is_empty() {
        bail!("--quick leaves out every scenario of --only; give one of the two");
    }
    Ok(chosen)
}

/// Whether every run was right; or, of a build that is broken on purpose, whether the checker found it.
async fn run(flags: &Flags) -> Result<bool> {
    let chosen = chosen(flags)?;
    if flags.list {
        chosen.iter().for_each(|scenario| println!("{}", scenario.name));
        return Ok(true);
    }
    let seed = flags.seed.unwrap_or_else(|| fastrand::u64(1..1_000_000));
    println!("seed {seed} (repeat with --seed {seed})");
    let beside = || flags.rushgate.with_file_name("check");
    let check = flags.check.clone().unwrap_or_else(beside);
    let world = World::open(&flags.rushgate, &check).await?;
    println!("logs in {}", world.setup.logs.display());
    let mut outcomes = Vec::new();
    let runs = flags.runs.unwrap_or(chosen.len());
    for (number, scenario) in chosen.iter().cycle().take(runs).enumerate() {
        let outcome = one(&world, flags, scenario, seed + number as u64).await;
        report::print(&outcome);
        outcomes.push(outcome);
        if let Some(path) = &flags.json {
            // After each run: hours of runs are not lost to the last one.
            report::write(path, &outcomes, seed, world.stack.versions().await).await?;
        }
    }
    report::table(&outcomes);
    if flags.expect_wrong {
        let found = outcomes.iter().any(RunReport::is_found);
        println!(
            "the broken build was {}",
            if found { "found" } else { "NOT found" }
        );
        return Ok(found);
    }
    Ok(outcomes.iter().all(RunReport::is_right))
}

async fn one(world: &World, flags: &Flags, scenario: &Scenario, seed: u64) -> RunReport {
    let name = scenario.name.to_owned();
    match play::why_not(scenario) {
        Ok(None) => {}
        Ok(Some(why)) => return RunReport::Skipped { scenario: name, why },
        Err(error) => {
            let why = format!("{error:#}");
            return RunReport::Broken {
                scenario: name,
                seed,
                why,
            };
        }
    }
    let order = Order {
        scenario,
        seed,
        attempts: flags.attempts,
        rate: flags.rate.unwrap_or(flags.attempts as f64 / LOAD_S),
        connections: flags.connections,
        stock: (flags.attempts as f64 * flags.stock) as u64,
        idempotent: flags.idempotent,
    };
    match play::play(world, order).await {
        Ok(row) => RunReport::Played(row),
        Err(error) => RunReport::Broken {
            scenario: name,
            seed,
            why: format!("{error:#}"),
        },
    }
}
