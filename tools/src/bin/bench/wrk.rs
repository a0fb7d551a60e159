//! Runs wrk and reads its figures.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// What wrk saw.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub requests: u64,
    pub seconds: f64,
    /// Answers of 400 and more.
    pub refused: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Figures {
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

/// What every request of a run is.
#[derive(Clone, Copy, Debug)]
pub struct Orders<'a> {
    pub address: &'a str,
    pub campaign: &'a str,
    /// Whether each order carries an `Idempotency-Key`.
    pub keyed: bool,
    pub connections: u32,
}

/// One run with two threads: each order of a buyer of its own, whose name starts with `prefix`.
pub async fn run(orders: Orders<'_>, prefix: &str, time: Duration) -> Result<Figures> {
    let kind = if orders.keyed { "keyed" } else { "plain" };
    run_kind(orders, prefix, kind, time).await
}

/// The same as a peer takes it; see [`crate::peer`].
pub async fn run_peer(orders: Orders<'_>, time: Duration) -> Result<Figures> {
    run_kind(orders, "1", "peer", time).await
}

async fn run_kind(orders: Orders<'_>, prefix: &str, kind: &str, time: Duration) -> Result<Figures> {
    let Orders {
        address,
        campaign,
        connections,
        ..
    } = orders;
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/bin/bench/orders.lua");
    let mut command = std::process::Command::new("wrk");
    command
        .args(["-t2", "--timeout", "10s"])
        .arg(format!("-c{connections}"))
        .arg(format!("-d{}s", time.as_secs().max(1)))
        .arg("-s")
        .arg(script)
        .arg(format!("http://{address}"))
        .args(["--", campaign, prefix, kind])
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await?
        .context("wrk is not installed")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("FIGURES "))
        .with_context(|| format!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr)))?;
    let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [requests, us, refused, broken, p50_us, p99_us] = numbers[..] else {
        bail!("wrk printed {line:?}");
    };
    if broken > 0.0 {
        bail!("{broken} of {requests} requests to {address} broke");
    }
    Ok(Figures {
        requests: requests as u64,
        seconds: us / 1e6,
        refused: refused as u64,
        p50_ms: p50_us / 1000.0,
        p99_ms: p99_us / 1000.0,
    })
}
