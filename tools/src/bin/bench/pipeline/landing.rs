//! Landed rows per second: one lander and three, beside a bare insert; with poison beside without.

use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::MySqlPool;
use testkit::services;
use tokio::time::Instant;

use super::feed::Feed;
use crate::{Bench, landing};

/// One record in so many is no order.
const POISON_EVERY: u64 = 500;
const POLL: Duration = Duration::from_millis(10);
const LANDED_WITHIN: Duration = Duration::from_secs(600);

pub async fn run(bench: &mut Bench, feed: &mut Feed) -> Result<()> {
    let database = services::database(&bench.setup.urls).await?;
    let share = bench.orders / 4;
    let commits = landing::commits(&database).await?;
    let one = rate(bench, &database, feed, (share, None), (1, &[])).await?;
    let transactions = (landing::commits(&database).await? - commits).max(1);
    let batch = (share as i64 / transactions).max(1) as usize;
    let bare = landing::bare_insert(&database, batch).await?;
    let what = |landers| format!("landed rows, {landers}, {batch} in a transaction on average");
    bench
        .table
        .ratio(what("1 lander"), one, "per s", bare, Some("≥ 0.70"));
    let three = rate(bench, &database, feed, (share, None), (3, &[])).await?;
    bench
        .table
        .ratio(what("3 landers"), three, "per s", bare, Some("≥ 0.70"));
    let poisoned = rate(bench, &database, feed, (share, Some(POISON_EVERY)), (1, &[])).await?;
    let what = format!("landed rows, 1 in {POISON_EVERY} records poison, beside none");
    bench.table.ratio(what, poisoned, "per s", one, None);
    Ok(())
}

/// Rows per second from the first transaction seen to the last, with `env` in the environment of the landers.
pub async fn rate(
    bench: &Bench,
    database: &MySqlPool,
    feed: &mut Feed,
    (orders, poison): (u64, Option<u64>),
    (landers, env): (usize, &[(String, String)]),
) -> Result<f64> {
    let before = feed.records;
    feed.publish(orders, poison).await?;
    let members = (1..=landers)
        .map(|number| bench.setup.land_soon_with(number, env))
        .collect::<Result<Vec<_>>>()?;
    let (mut first, begun) = (None, Instant::now());
    let rate = loop {
        ensure!(
            begun.elapsed() < LANDED_WITHIN,
            "not landed after {LANDED_WITHIN:?}"
        );
        let (landed, now) = (landed(database).await?, Instant::now());
        if landed > before {
            let (since, base) = *first.get_or_insert((now, landed));
            if landed >= feed.records {
                break (landed - base) as f64 / (now - since).as_secs_f64();
            }
        }
        tokio::time::sleep(POLL).await;
    };
    for mut member in members {
        member.ready().await?;
        member.stop().await?;
    }
    Ok(rate)
}

/// Records of the orders topic that are done with.
pub async fn landed(database: &MySqlPool) -> Result<i64> {
    let offsets = "SELECT CAST(COALESCE(SUM(next_offset), 0) AS SIGNED) FROM landing_offsets WHERE topic = 'rushgate.orders'";
    Ok(sqlx::query_scalar(offsets).fetch_one(database).await?)
}
