//! Many campaigns: what idle ones cost Redis, how soon all are open again after it lost everything, and what others feel
//! of a large one that is made or goes on for longer.

mod idle;
mod large;
mod loss;

use anyhow::Result;
use futures_util::{StreamExt, TryStreamExt, stream};
use testkit::control::Control;
use tokio::time::Instant;

use crate::Bench;

/// Units of each of the many.
const UNITS: u64 = 1000;
/// Campaigns made at the same time.
const AT_ONCE: usize = 8;

fn name(n: usize) -> String {
    format!("bench-many-{n}")
}

pub async fn run(bench: &mut Bench) -> Result<()> {
    let gateway = bench.setup.serve(1).await?;
    let lander = bench.setup.land(1).await?;
    eprintln!("making {} campaigns", bench.campaigns);
    let begun = Instant::now();
    let control = Control::new(&gateway.admin);
    let rules = || serde_json::json!([{"module": "one-per-user"}]);
    stream::iter(0..bench.campaigns)
        .map(|n| {
            let control = &control;
            async move {
                control
                    .create_campaign(&name(n), crate::SKU, UNITS, rules())
                    .await
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    let each = begun.elapsed().as_secs_f64() * 1000.0 / bench.campaigns as f64;
    bench.table.figure("a campaign made, 8 at a time", each, "ms");
    eprintln!("idle campaigns");
    idle::run(bench).await?;
    eprintln!("Redis loses everything");
    loss::run(bench, &gateway).await?;
    eprintln!("a large campaign beside one that sells");
    large::run(bench, &gateway).await?;
    gateway.stop().await?;
    lander.stop().await
}
