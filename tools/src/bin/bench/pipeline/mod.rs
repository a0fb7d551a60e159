//! The pipeline behind admission: landing beside a bare insert, poison, a stalled Kafka, rebuild, reconcile, bytes.

mod added;
mod feed;
mod landing;
mod repair;
mod stall;

use anyhow::Result;

use crate::{Bench, STOCK};
use feed::Feed;

const CAMPAIGN: &str = "bench-pipeline";

/// What landing pays for what others ask of it.
pub async fn added(bench: &mut Bench) -> Result<()> {
    let mut feed = feed(bench).await?;
    added::run(bench, &mut feed).await
}

async fn feed(bench: &Bench) -> Result<Feed> {
    let gateway = bench.setup.serve(1).await?;
    bench.campaign(&gateway, CAMPAIGN, STOCK).await?;
    gateway.stop().await?;
    Feed::open(&bench.setup.urls, CAMPAIGN).await
}

pub async fn run(bench: &mut Bench) -> Result<()> {
    let mut feed = feed(bench).await?;
    eprintln!("landing: 1 lander, 3 landers, poison");
    landing::run(bench, &mut feed).await?;
    eprintln!("admission while Kafka is stalled");
    stall::run(bench).await?;
    eprintln!("rebuild and reconcile of {} landed orders", bench.orders);
    repair::run(bench, &mut feed).await
}
