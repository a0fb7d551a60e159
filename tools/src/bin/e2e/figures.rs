//! What an order of a run cost, and how much more than in another run: with every leg encrypted, say, and with none.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rushgate::cli::load::LoadReport;
use serde::{Deserialize, Serialize};

use crate::Flags;

/// Kinds of processes, by the beginning of their names.
const KINDS: [(&str, &str); 5] = [
    ("serve", "gateways"),
    ("land", "landers"),
    ("redis", "redis"),
    ("kafka", "kafka"),
    ("mariadb", "mariadb"),
];

#[derive(Debug, Serialize, Deserialize)]
pub struct Figures {
    attempts: u64,
    answers: u64,
    orders: u64,
    /// Orders landed per second, from the first request to the last row.
    per_second: f64,
    /// From the moment an order was due to its answer, in milliseconds.
    p50_ms: f64,
    p99_ms: f64,
    /// CPU time per order told to a buyer, in microseconds, as in [`KINDS`].
    cpu: [f64; KINDS.len()],
}

impl Figures {
    /// `used`: CPU time of each process, by its name.
    pub fn new(used: &[(String, Duration)], report: &LoadReport, whole: Duration) -> Self {
        let orders = report.orders.len().max(1) as f64;
        let of = |(prefix, _): (&str, &str)| {
            let used = used.iter().filter(|(name, _)| name.starts_with(prefix));
            used.map(|(_, used)| used.as_micros() as f64).sum::<f64>() / orders
        };
        Self {
            attempts: report.attempts,
            answers: report.answers.keys().map(|status| report.answered(*status)).sum(),
            orders: report.orders.len() as u64,
            per_second: report.orders.len() as f64 / whole.as_secs_f64(),
            p50_ms: report.order_latency.p50_ms,
            p99_ms: report.order_latency.p99_ms,
            cpu: KINDS.map(of),
        }
    }

    /// Writes them, and compares them, as the flags say.
    pub fn keep(&self, flags: &Flags) -> Result<()> {
        if let Some(path) = &flags.figures {
            fs::write(path, serde_json::to_vec(self)?).with_context(|| path.display().to_string())?;
        }
        if let Some(path) = &flags.beside {
            let other = fs::read(path).with_context(|| path.display().to_string())?;
            self.compare(&serde_json::from_slice(&other)?);
        }
        Ok(())
    }

    fn compare(&self, other: &Self) {
        println!("\n  {:<26} {:>10} {:>10} {:>7}", "", "plain", "TLS", "ratio");
        let whole = [
            ("attempts", other.attempts, self.attempts),
            ("answers", other.answers, self.answers),
            ("orders", other.orders, self.orders),
        ];
        for (name, plain, tls) in whole {
            println!("  {name:<26} {plain:>10} {tls:>10}");
        }
        row("landed orders per second", other.per_second, self.per_second);
        row("p50 of an order, ms", other.p50_ms, self.p50_ms);
        row("p99 of an order, ms", other.p99_ms, self.p99_ms);
        println!("  CPU per order, µs");
        for (number, (_, name)) in KINDS.iter().enumerate() {
            row(&format!("  {name}"), other.cpu[number], self.cpu[number]);
        }
        row("  together", other.cpu.iter().sum(), self.cpu.iter().sum());
    }
}

fn row(name: &str, plain: f64, tls: f64) {
    println!(
        "  {name:<26} {plain:>10.1} {tls:>10.1} {:>7.2}",
        tls / plain.max(0.1)
    );
}
