//! Landed rows per second, beside a bare multi-row insert of the same rows in transactions of the same size.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sqlx::{AssertSqlSafe, MySqlPool, QueryBuilder, Row};
use testkit::{process, services};
use tokio::time::Instant;

use crate::Bench;

const POLL: Duration = Duration::from_millis(10);
const LANDED_WITHIN: Duration = Duration::from_secs(300);
/// Rows the reference inserts at most: they are held in memory.
const REFERENCE_ROWS_MAX: i64 = 100_000;
/// Placeholders of one statement in MySQL's protocol.
const BINDS_MAX: usize = 65_535;

pub async fn run(bench: &mut Bench) -> Result<()> {
    let database = services::database(&bench.setup.urls).await?;
    let expected = admitted(bench).await?;
    let commits_before = commits(&database).await?;
    // It is at work before it says that it is ready.
    let mut lander = bench.setup.land_soon(1)?;
    let rate = drain(&database, expected).await?;
    let transactions = (commits(&database).await? - commits_before).max(1);
    lander.ready().await?;
    let cpu = process::cpu(lander.pid())?;
    lander.stop().await?;
    let batch = (expected / transactions).max(1) as usize;
    let bare = bare_insert(&database, batch).await?;
    let what = format!("landed rows, {batch} in a transaction on average");
    bench.table.ratio(what, rate, "per s", bare, Some("≥ 0.70"));
    let us = cpu.as_micros() as f64 / expected as f64;
    bench.table.figure("lander CPU per order", us, "µs");
    Ok(())
}

pub async fn commits(database: &MySqlPool) -> Result<i64> {
    let row = sqlx::query("SHOW GLOBAL STATUS LIKE 'Com_commit'")
        .fetch_one(database)
        .await?;
    Ok(row.try_get::<String, _>(1)?.parse()?)
}

/// Waits until the backlog of the runs before is in the database; rows per second from the first
/// transaction seen to the last.
async fn drain(database: &MySqlPool, expected: i64) -> Result<f64> {
    // What was sold of a few SKUs disturbs less than counting rows; offsets count records, which hold many orders.
    let sold = "SELECT CAST(COALESCE(SUM(sold), 0) AS SIGNED) FROM stock";
    let begun = Instant::now();
    let mut first: Option<(Instant, i64)> = None;
    loop {
        ensure!(
            begun.elapsed() < LANDED_WITHIN,
            "not landed after {LANDED_WITHIN:?}"
        );
        let landed: i64 = sqlx::query_scalar(sold).fetch_one(database).await?;
        let now = Instant::now();
        if landed > 0 {
            let (since, base) = *first.get_or_insert((now, landed));
            if landed >= expected {
                ensure!(
                    landed > base,
                    "{expected} rows are too few to measure: raise --seconds"
                );
                return Ok((landed - base) as f64 / (now - since).as_secs_f64());
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Orders admitted so far, over all campaigns.
async fn admitted(bench: &Bench) -> Result<i64> {
    let mut redis = services::redis(&bench.setup.urls).await?;
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("rg:*:state")
        .query_async(&mut redis)
        .await?;
    let mut sum = 0;
    for key in keys {
        let mut hget = redis::cmd("HGET");
        let admitted: Option<i64> = hget.arg(key).arg("admitted").query_async(&mut redis).await?;
        sum += admitted.unwrap_or(0);
    }
    if sum == 0 {
        bail!("no order was admitted before landing was measured");
    }
    Ok(sum)
}

/// Rows per second of plain multi-row inserts, each its own transaction, into a table of the same shape.
pub async fn bare_insert(database: &MySqlPool, batch: usize) -> Result<f64> {
    sqlx::raw_sql("DROP TABLE IF EXISTS bench_orders; CREATE TABLE bench_orders LIKE orders")
        .execute(database)
        .await?;
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT CAST(column_name AS CHAR) FROM information_schema.columns
         WHERE table_schema = DATABASE() AND table_name = 'orders' ORDER BY ordinal_position",
    )
    .fetch_all(database)
    .await?;
    let mut rows = text_rows(database, &columns).await?;
    // They come in the order of their key, and orders do not: a table that only grows at its end is another table.
    fastrand::Rng::with_seed(1).shuffle(&mut rows);
    let names = columns.join(", ");
    let mut connection = database.acquire().await?;
    let begun = Instant::now();
    for chunk in rows.chunks(batch.min(BINDS_MAX / columns.len())) {
        let mut insert = QueryBuilder::new(format!("INSERT INTO bench_orders ({names}) "));
        insert.push_values(chunk, |mut values, row| {
            for value in row {
                values.push_bind(value);
            }
        });
        insert.build().execute(&mut *connection).await?;
    }
    let rate = rows.len() as f64 / begun.elapsed().as_secs_f64();
    sqlx::raw_sql("DROP TABLE bench_orders")
        .execute(&mut *connection)
        .await?;
    Ok(rate)
}

/// Rows of `orders` with every column as text, whatever columns there are.
async fn text_rows(database: &MySqlPool, columns: &[String]) -> Result<Vec<Vec<Option<String>>>> {
    let casts: Vec<String> = columns
        .iter()
        .map(|column| format!("CAST({column} AS CHAR)"))
        .collect();
    let sql = format!(
        "SELECT {} FROM orders LIMIT {REFERENCE_ROWS_MAX}",
        casts.join(", ")
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(database).await?;
    rows.iter()
        .map(|row| {
            (0..columns.len())
                .map(|at| row.try_get(at).context("a column as text"))
                .collect()
        })
        .collect()
}
