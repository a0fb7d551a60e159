//! The buyers of a run: `rushgate load` as a process of its own, and what its log tells about latencies.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rushgate::cli::load::{Logged, SenderOutcome};
use serde::Serialize;

use crate::stack;

/// Each buyer attempts three times and may have two.
pub const PER_USER: u64 = 2;
pub const PER_DEVICE: u64 = 5;
const ATTEMPTS_EACH: u64 = 3;
/// They could have eight orders in all.
const USERS_PER_DEVICE: u64 = 4;
/// Below what the limits would let through, 5 of 12.
pub const STOCK_SHARE: f64 = 0.38;
pub const SKU: &str = "mug";
/// So long one attempt is tried before its buyer gives up.
const PATIENCE_S: u64 = 20;

/// The buyers.
#[derive(Clone, Debug)]
pub struct Clients {
    pub rushgate: PathBuf,
    pub targets: Vec<String>,
    pub campaign: String,
    pub attempts: u64,
    pub rate: f64,
    pub connections: usize,
    pub seed: u64,
    pub log: PathBuf,
}

impl Clients {
    /// Runs them to their end.
    pub async fn run(&self) -> Result<()> {
        let users = (self.attempts / ATTEMPTS_EACH).max(1);
        let mut command = Command::new(&self.rushgate);
        command.arg("load");
        for target in &self.targets {
            command.args(["--target", target]);
        }
        command
            .args(["--campaign", &self.campaign, "--sku", SKU, "--json"])
            .args([
                "--attempts",
                &self.attempts.to_string(),
                "--users",
                &users.to_string(),
            ])
            .args(["--devices", &users.div_ceil(USERS_PER_DEVICE).to_string()])
            .args(["--twice", "0.1", "--impatient", "0.02"])
            .args(["--connections", &self.connections.to_string()])
            .args(["--rate", &self.rate.to_string(), "--seed", &self.seed.to_string()])
            .args(["--timeout-ms", "3000", "--retry-for", &PATIENCE_S.to_string()])
            .arg("--log")
            .arg(&self.log);
        // It exits with 1 when buyers gave up, which is what a fault makes some of them do.
        match stack::run(&mut command).await {
            Err(error) if !error.to_string().contains("no final answer") => Err(error),
            _ => Ok(()),
        }
    }
}

/// Final answers to attempts that became orders and began in one phase of a run, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    pub answers: usize,
    pub p50: i64,
    pub p99: i64,
}

/// When the gate was closed and open again, in milliseconds after the fault struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gate {
    /// The first buyer was told `gate-closed`.
    pub closed_ms: i64,
    /// The first order was told after the last buyer had been.
    pub opened_ms: i64,
}

/// Before, during and after the fault; and the longest time in which nobody got an answer.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latencies {
    pub before: Latency,
    pub during: Latency,
    pub after: Latency,
    pub worst_gap_ms: i64,
    /// `None` where nobody was told that it is closed.
    pub gate: Option<Gate>,
}

/// Reads them from the log; the fault lasted from `struck` to `healed`, in milliseconds since 1970.
pub fn latencies(log: &Path, struck: i64, healed: i64) -> Result<Latencies> {
    let mut phases: [Vec<i64>; 3] = Default::default();
    let mut ends = Vec::new();
    let (mut closed, mut orders) = (Vec::new(), Vec::new());
    for line in BufReader::new(File::open(log)?).lines() {
        let logged: Logged = serde_json::from_str(&line?).context("the clients' log")?;
        for answer in logged.answers.iter().filter(|answer| answer.at >= struck) {
            match (answer.status, answer.said.as_str()) {
                (503, "gate-closed") => closed.push(answer.at),
                (201 | 202, _) => orders.push(answer.at),
                _ => {}
            }
        }
        if logged.outcome != SenderOutcome::Unknown {
            ends.push(logged.ended);
        }
        if logged.outcome == SenderOutcome::Ok {
            let phase = usize::from(logged.begun >= struck) + usize::from(logged.begun >= healed);
            phases[phase].push(logged.ended - logged.begun);
        }
    }
    ends.sort_unstable();
    let gaps = ends.windows(2).map(|pair| pair[1] - pair[0]);
    let [before, during, after] = phases.map(sum_up);
    Ok(Latencies {
        before,
        during,
        after,
        worst_gap_ms: gaps.max().unwrap_or(0),
        gate: gate(struck, &closed, &orders),
    })
}

fn gate(struck: i64, closed: &[i64], orders: &[i64]) -> Option<Gate> {
    let (first, last) = (closed.iter().min()?, closed.iter().max()?);
    let opened = orders.iter().filter(|at| *at > last).min()?;
    Some(Gate {
        closed_ms: first - struck,
        opened_ms: opened - struck,
    })
}

fn sum_up(mut took: Vec<i64>) -> Latency {
    took.sort_unstable();
    let at = |share: f64| {
        let index = (took.len() as f64 * share) as usize;
        took.get(index.min(took.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0)
    };
    Latency {
        answers: took.len(),
        p50: at(0.5),
        p99: at(0.99),
    }
}

/// Now, in milliseconds since 1970-01-01 UTC.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// How long so many attempts are meant to last.
pub fn lasts(attempts: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(attempts as f64 / rate)
}
