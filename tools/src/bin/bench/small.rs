//! Start to first order, and what a revision costs to make.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Method;
use serde_json::{Value, json};
use testkit::control::Control;
use testkit::deployment::free_port;
use tokio::time::Instant;

use crate::{Bench, STOCK};

const START_WITHIN: Duration = Duration::from_secs(30);
const WARM_REVISIONS: usize = 9;

pub async fn run(bench: &mut Bench) -> Result<()> {
    let first = first_order(&bench.setup.rushgate).await?;
    bench
        .table
        .figure("rushgate dev: start to first order", ms(first), "ms");
    compile(bench).await
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Kills the process whatever happens to the measurement.
struct Dev(Child);

impl Drop for Dev {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn first_order(rushgate: &Path) -> Result<Duration> {
    let orders = format!("127.0.0.1:{}", free_port()?);
    let begun = Instant::now();
    let _dev = Dev(Command::new(rushgate)
        .args(["dev", "--listen", &orders, "--admin-listen"])
        .arg(format!("127.0.0.1:{}", free_port()?))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?);
    let config = rushgate::cli::load::LoadConfig {
        targets: vec![orders],
        attempts: 1,
        connections: 1,
        ..rushgate::cli::load::LoadConfig::default()
    };
    while begun.elapsed() < START_WITHIN {
        match rushgate::cli::load::run(config.clone()).await {
            Ok(report) if report.orders.len() == 1 => return Ok(begun.elapsed()),
            Ok(report) => bail!("the first order was not admitted: {report}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    bail!("rushgate dev took no order within {START_WITHIN:?}")
}

/// A revision in a gateway that has compiled nothing yet, and the ones after it.
async fn compile(bench: &mut Bench) -> Result<()> {
    let maker = bench.setup.serve(1).await?;
    bench.campaign(&maker, "bench-compile", STOCK).await?;
    drop(maker);
    let gateway = bench.setup.serve(1).await?;
    let control = Control::new(&gateway.admin);
    let mut times = Vec::new();
    for limit in 0..=WARM_REVISIONS {
        let body = json!({"rules": [{"module": "n-per-user", "params": {"limit": limit + 2}}]});
        let begun = Instant::now();
        let path = "/admin/v1/campaigns/bench-compile/revisions?dry_run=true";
        let (status, answer): (u16, Value) = control.send(Method::POST, path, &body).await?;
        if !(200..300).contains(&status) {
            bail!("a dry run answered {status}: {answer}");
        }
        times.push(begun.elapsed());
    }
    let mut warm = times.split_off(1);
    warm.sort();
    let cold = times.first().context("one was measured")?;
    bench
        .table
        .figure("revision: first compile of a module, over HTTP", ms(*cold), "ms");
    bench.table.figure(
        "revision: module compiled before, over HTTP",
        ms(warm[WARM_REVISIONS / 2]),
        "ms",
    );
    Ok(())
}
