//! What an order of a run cost, and how much more than in another run: with every leg encrypted, say, and with none.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::Flags;

/// CPU time per order told to a buyer, in microseconds, and orders landed per second from the first request to the last row.
#[derive(Debug, Serialize, Deserialize)]
pub struct Figures {
    gateways: f64,
    landers: f64,
    redis: f64,
    per_second: f64,
}

impl Figures {
    /// `used`: CPU time of each process, by its name.
    pub fn new(used: &[(String, Duration)], orders: usize, whole: Duration) -> Self {
        let orders = orders.max(1) as f64;
        let of = |prefix: &str| {
            let used = used.iter().filter(|(name, _)| name.starts_with(prefix));
            used.map(|(_, used)| used.as_micros() as f64).sum::<f64>() / orders
        };
        Self {
            gateways: of("serve"),
            landers: of("land"),
            redis: of("redis"),
            per_second: orders / whole.as_secs_f64(),
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
        println!(
            "\n  {:<26} {:>9} {:>9} {:>6}",
            "CPU per order, µs", "without", "TLS", "ratio"
        );
        let all = |figures: &Self| figures.gateways + figures.landers + figures.redis;
        for (name, here, there) in [
            ("gateways", self.gateways, other.gateways),
            ("landers", self.landers, other.landers),
            ("redis", self.redis, other.redis),
            ("together", all(self), all(other)),
        ] {
            println!(
                "  {name:<26} {there:>9.1} {here:>9.1} {:>6.2}",
                here / there.max(0.1)
            );
        }
        let (here, there) = (self.per_second, other.per_second);
        println!(
            "  {:<26} {there:>9.0} {here:>9.0} {:>6.2}",
            "landed orders per second",
            here / there.max(0.1)
        );
    }
}
