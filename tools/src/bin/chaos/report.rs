//! The table at the end, and the JSON with everything in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::clients::Latencies;
use crate::refused::Refused;
use crate::stack;
use crate::world::Findings;

/// One run that was played to its end.
pub struct Row {
    pub scenario: String,
    pub seed: u64,
    pub campaign: String,
    pub latencies: Latencies,
    pub fault_ms: i64,
    pub recovery_ms: u64,
    /// Processes that ended by themselves.
    pub died: u32,
    /// A fail-point was armed and nobody came by.
    pub idle: bool,
    /// `None` where nobody counted.
    pub refused: Option<Refused>,
    pub findings: Findings,
}

/// What became of a run.
pub enum RunReport {
    Played(Row),
    Skipped {
        scenario: String,
        why: String,
    },
    /// It could not be played to its end, which is as bad as a wrong figure.
    Broken {
        scenario: String,
        seed: u64,
        why: String,
    },
}

impl RunReport {
    pub fn is_right(&self) -> bool {
        match self {
            Self::Played(row) => !row.idle && row.findings.wrong().is_empty(),
            Self::Skipped { .. } => true,
            Self::Broken { .. } => false,
        }
    }

    /// Whether the checker found something: a run that could not be played shows nothing.
    pub fn is_found(&self) -> bool {
        matches!(self, Self::Played(row) if !row.findings.wrong().is_empty())
    }

    pub fn to_json(&self) -> Value {
        match self {
            Self::Skipped { scenario, why } => json!({"scenario": scenario, "skipped": why}),
            Self::Broken { scenario, seed, why } => {
                json!({"scenario": scenario, "seed": seed, "broken": why})
            }
            Self::Played(row) => json!({
                "scenario": row.scenario, "seed": row.seed, "campaign": row.campaign, "died": row.died,
                "idle": row.idle, "fault_ms": row.fault_ms, "recovery_ms": row.recovery_ms,
                "latency_ms": row.latencies, "refused_batches": row.refused, "findings": row.findings.0,
            }),
        }
    }
}

/// What one run came to, in a few lines.
pub fn print(outcome: &RunReport) {
    match outcome {
        RunReport::Skipped { scenario, why } => println!("{scenario}: skipped: {why}"),
        RunReport::Broken { scenario, seed, why } => println!("  BROKEN {scenario}, seed {seed}: {why}"),
        RunReport::Played(row) => {
            for wrong in row.findings.wrong() {
                println!("  WRONG  {wrong}");
            }
            for case in row.findings.cases() {
                println!("  case   {case}");
            }
            if let Some(gate) = row.latencies.gate {
                println!(
                    "    gate closed {} ms after the fault, open after {} ms",
                    gate.closed_ms, gate.opened_ms
                );
            }
            if let Some(Refused { batches, first }) = row.refused {
                println!(
                    "    brokers refused {batches} batches, {first} of them the first of a producer on a partition"
                );
            }
            if row.idle {
                println!("  IDLE   no process died: its fail-point was not reached");
            }
        }
    }
}

const HEAD: &str = "scenario                    seed  attempts     ok  rejected  unknown(rows)   rows  absorbed  revoked  dead  \
     lost dbl over lim phan  leaked  inverted  recovery   p50/p99 ms before   during   after    gap";

/// The whole table.
pub fn table(outcomes: &[RunReport]) {
    println!("\n{HEAD}");
    for outcome in outcomes {
        match outcome {
            RunReport::Played(row) => println!("{}", line(row)),
            RunReport::Skipped { scenario, why } => println!("{scenario:<24} skipped: {why}"),
            RunReport::Broken { scenario, seed, why } => println!("{scenario:<24} {seed:>8} BROKEN: {why}"),
        }
    }
    let sum = |name: &str| -> i64 {
        let played = outcomes.iter().filter_map(|outcome| match outcome {
            RunReport::Played(row) => Some(row.findings.number(name)),
            _ => None,
        });
        played.sum()
    };
    let names = [
        "attempts",
        "ok",
        "unknown",
        "rows",
        "duplicates_absorbed",
        "lost",
        "doubled",
        "oversold",
        "over_limit",
        "phantom",
    ];
    let sums: Vec<String> = names.iter().map(|name| format!("{name} {}", sum(name))).collect();
    let refused: Vec<Refused> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            RunReport::Played(row) => row.refused,
            _ => None,
        })
        .collect();
    if !refused.is_empty() {
        println!(
            "\n{} cold runs: {} batches refused, {} of them first ones, in {} of the runs",
            refused.len(),
            refused.iter().map(|each| each.batches).sum::<u64>(),
            refused.iter().map(|each| each.first).sum::<u64>(),
            refused.iter().filter(|each| each.first > 0).count(),
        );
    }
    let wrong = outcomes.iter().filter(|outcome| !outcome.is_right()).count();
    println!(
        "\n{} runs, {wrong} wrong: {}",
        outcomes.len(),
        sums.join(", ").replace('_', " ")
    );
}

fn line(row: &Row) -> String {
    let n = |name: &str| row.findings.number(name);
    let Latencies {
        before,
        during,
        after,
        worst_gap_ms,
        ..
    } = row.latencies;
    let unknown = format!("{}({})", n("unknown"), n("unknown_landed"));
    let pair = |latency: crate::clients::Latency| format!("{}/{}", latency.p50, latency.p99);
    format!(
        "{:<24} {:>7} {:>9} {:>6} {:>9} {unknown:>14} {:>6} {:>9} {:>8} {:>5} {:>5} {:>3} {:>4} {:>3} {:>4} {:>7} {:>9} {:>8.1}s {:>20} {:>8} {:>7} {:>6}",
        row.scenario,
        row.seed,
        n("attempts"),
        n("ok"),
        n("rejected"),
        n("rows"),
        n("duplicates_absorbed"),
        row.findings.sum("revoked"),
        n("dead_lettered"),
        n("lost"),
        n("doubled"),
        n("oversold"),
        n("over_limit"),
        n("phantom"),
        n("leaked"),
        n("inverted"),
        row.recovery_ms as f64 / 1000.0,
        pair(before),
        pair(during),
        pair(after),
        worst_gap_ms,
    )
}

/// Writes everything to a file, with where it was run.
pub async fn write(
    path: &Path,
    outcomes: &[RunReport],
    seed: u64,
    versions: BTreeMap<String, String>,
) -> Result<()> {
    let said = |program: &'static str, args: &'static [&'static str]| async move {
        let said = stack::run(Command::new(program).args(args))
            .await
            .unwrap_or_default();
        said.trim().to_owned()
    };
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or_default().replace("MemTotal:", "");
    let document = json!({
        "seed": seed,
        "at": jiff::Timestamp::now().to_string(),
        "commit": said("git", &["rev-parse", "HEAD"]).await,
        "machine": {
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "memory": memory.trim(),
            "kernel": said("uname", &["-sr"]).await,
        },
        "versions": versions,
        "runs": outcomes.iter().map(RunReport::to_json).collect::<Vec<_>>(),
    });
    std::fs::write(path, format!("{document:#}\n")).with_context(|| path.display().to_string())
}
