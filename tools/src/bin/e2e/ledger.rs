//! The books after a run: what the database and Redis hold, and the sums that must be right.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, bail};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use rushgate::cli::load::LoadReport;
use sqlx::MySqlPool;
use testkit::services::{self, Urls};
use tokio::time::Instant;

/// A lander that was killed is missed by Kafka only after its session timed out.
const LANDED_WITHIN: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(50);

/// The checks of a run, printed as they are made.
#[derive(Debug, Default)]
pub struct Checks {
    wrong: u32,
}

impl Checks {
    pub fn is_right(&self) -> bool {
        self.wrong == 0
    }

    pub fn wrong(&self) -> u32 {
        self.wrong
    }

    /// A figure that must be exactly so.
    pub fn sum<T: PartialEq + Display>(&mut self, what: &str, found: T, expected: T) {
        if found == expected {
            println!("  ok     {what}: {found}");
        } else {
            println!("  WRONG  {what}: {found}, expected {expected}");
            self.wrong += 1;
        }
    }

    pub fn told(&mut self, what: &str, holds: bool) {
        println!("  {}  {what}", if holds { "ok   " } else { "WRONG" });
        self.wrong += u32::from(!holds);
    }
}

/// A row of `orders`.
#[derive(Clone, Debug)]
pub struct Row {
    pub state: String,
    pub revision: i64,
    /// Milliseconds since 1970-01-01 UTC.
    pub placed_at: i64,
}

/// A campaign's state in Redis and in the database.
pub struct Books {
    redis: MultiplexedConnection,
    database: MySqlPool,
    campaign: String,
}

impl Books {
    pub async fn open(urls: &Urls, campaign: &str) -> Result<Self> {
        Ok(Self {
            redis: services::redis(urls).await?,
            database: services::database(urls).await?,
            campaign: campaign.to_owned(),
        })
    }

    fn key(&self, name: &str) -> String {
        format!("rg:{{{}.0}}:{name}", self.campaign)
    }

    pub async fn state_field(&mut self, field: &str) -> Result<i64> {
        let value: Option<i64> = self.redis.hget(self.key("state"), field).await?;
        Ok(value.unwrap_or(0))
    }

    pub async fn units_left(&mut self, sku: &str) -> Result<i64> {
        Ok(self.redis.hget(self.key("stock"), sku).await?)
    }

    pub async fn outbox(&mut self) -> Result<i64> {
        let mut xlen = redis::cmd("XLEN");
        Ok(xlen.arg(self.key("outbox")).query_async(&mut self.redis).await?)
    }

    /// One number of the database.
    pub async fn number(&self, sql: &'static str) -> Result<i64> {
        self.number_of(sql.to_owned()).await
    }

    /// The same, with SQL that was put together.
    pub async fn number_of(&self, sql: String) -> Result<i64> {
        Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(&self.campaign)
            .fetch_one(&self.database)
            .await?)
    }

    pub async fn rows(&self) -> Result<BTreeMap<String, Row>> {
        let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(
            "SELECT order_id, state, revision,
                    TIMESTAMPDIFF(MICROSECOND, '1970-01-01', placed_at) DIV 1000
             FROM orders WHERE campaign_id = ?",
        )
        .bind(&self.campaign)
        .fetch_all(&self.database)
        .await?;
        Ok(rows
            .into_iter()
            .map(|(order, state, revision, placed_at)| {
                let row = Row {
                    state,
                    revision,
                    placed_at,
                };
                (order, row)
            })
            .collect())
    }

    async fn landed(&self) -> Result<i64> {
        self.number("SELECT COUNT(*) FROM orders WHERE campaign_id = ?")
            .await
    }

    /// Waits until the outbox is empty and every admitted order has a row; the time it took.
    pub async fn wait_landed(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        loop {
            let (admitted, outbox) = (self.state_field("admitted").await?, self.outbox().await?);
            let landed = self.landed().await?;
            if outbox == 0 && landed >= admitted {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > LANDED_WITHIN {
                bail!(
                    "{admitted} orders were admitted, {landed} landed, {outbox} outbox entries are left after {LANDED_WITHIN:?}"
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The sums every run must have, whatever happened in it.
    pub async fn check_always(&mut self, report: &LoadReport, verdict: &mut Checks) -> Result<()> {
        let rows = self.rows().await?;
        let told = report.orders.len() as i64;
        let missing = report
            .orders
            .iter()
            .filter(|(id, seen)| seen.accepted && !rows.contains_key(*id))
            .count();
        verdict.sum("accepted orders that are not in the database", missing, 0);
        let pending = report.orders.keys().filter(|id| !rows.contains_key(*id)).count();
        verdict.sum("orders answered 202 that are not in the database", pending, 0);
        let unasked = rows.keys().filter(|id| !report.orders.contains_key(*id)).count() as i64;
        if report.unknown == 0 {
            verdict.sum("rows of orders nobody was told of", unasked, 0);
        } else {
            println!(
                "  note   {} request(s) got no answer; {unasked} row(s) nobody was told of",
                report.unknown
            );
        }
        let confirmed = rows.values().filter(|row| row.state == "confirmed").count();
        verdict.sum("revoked orders", rows.len() - confirmed, 0);
        verdict.sum("orders told of, and rows", told + unasked, rows.len() as i64);
        let (admitted, settled) = (
            self.state_field("admitted").await?,
            self.state_field("settled").await?,
        );
        verdict.sum("admitted in Redis, and rows", admitted, rows.len() as i64);
        verdict.sum("settled in Redis, and rows", settled, rows.len() as i64);
        verdict.sum("outbox entries left", self.outbox().await?, 0);
        verdict.sum("contradicting answers", report.contradictions.len(), 0);
        Ok(())
    }
}
