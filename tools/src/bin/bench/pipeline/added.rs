//! What landing pays for what others ask of it: each index of `orders` that landing itself does not need, and telling of what has
//! landed. Each beside landing without it, in turns.

use anyhow::{Result, ensure};
use sqlx::{AssertSqlSafe, MySqlPool};
use testkit::services;

use super::feed::Feed;
use super::landing::rate;
use crate::Bench;

/// Each pair is measured so often.
const ROUNDS: u64 = 3;
/// Those of `orders` that lists, buyers and holds are read by.
const INDEXES: [&str; 3] = ["orders_placed", "orders_buyer", "orders_pay_by"];
const UNTOLD: (&str, &str) = ("RUSHGATE_EVENTS_ENABLED", "false");
/// Measurements of a run.
const MEASURED: u64 = ROUNDS * 2 * (INDEXES.len() as u64 + 1);

pub async fn run(bench: &mut Bench, feed: &mut Feed) -> Result<()> {
    let database = services::database(&bench.setup.urls).await?;
    // The first of a process is that of a cold one.
    landed(bench, &database, feed, &[]).await?;
    for name in INDEXES {
        let columns = columns(&database, name).await?;
        ensure!(!columns.is_empty(), "orders has no index {name}");
        let (mut with, mut without) = (0.0, 0.0);
        for _ in 0..ROUNDS {
            with += landed(bench, &database, feed, &[]).await?;
            alter(&database, format!("DROP INDEX {name}")).await?;
            without += landed(bench, &database, feed, &[]).await?;
            alter(&database, format!("ADD INDEX {name} ({columns})")).await?;
        }
        tell(bench, &format!("the index ({columns})"), with, without);
    }
    let (mut with, mut without) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        with += landed(bench, &database, feed, &[]).await?;
        let untold = [(UNTOLD.0.to_owned(), UNTOLD.1.to_owned())];
        without += landed(bench, &database, feed, &untold).await?;
    }
    tell(bench, "events", with, without);
    Ok(())
}

async fn landed(
    bench: &Bench,
    database: &MySqlPool,
    feed: &mut Feed,
    env: &[(String, String)],
) -> Result<f64> {
    rate(bench, database, feed, (bench.orders / MEASURED, None), (1, env)).await
}

fn tell(bench: &mut Bench, what: &str, with: f64, without: f64) {
    let (with, without) = (with / ROUNDS as f64, without / ROUNDS as f64);
    let what = format!("landed rows with {what}, beside without");
    bench.table.ratio(what, with, "per s", without, None);
}

/// Of an index of `orders`, in order.
async fn columns(database: &MySqlPool, index: &str) -> Result<String> {
    let sql = "SELECT CAST(COALESCE(GROUP_CONCAT(column_name ORDER BY seq_in_index), '') AS CHAR) FROM information_schema.statistics \
               WHERE table_schema = DATABASE() AND table_name = 'orders' AND index_name = ?";
    Ok(sqlx::query_scalar(sql).bind(index).fetch_one(database).await?)
}

async fn alter(database: &MySqlPool, change: String) -> Result<()> {
    let sql = format!("ALTER TABLE orders {change}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(database).await?;
    Ok(())
}
