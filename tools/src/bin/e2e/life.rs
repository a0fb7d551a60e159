//! The life of orders: a third is paid, a third cancelled by its buyers, a third is left and expires in the same second, while half
//! of what comes back is sold again; then every sum, and what everybody else heard, is held against the database.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rushgate::cli::load::{self, LoadConfig, LoadReport};
use serde_json::json;
use sqlx::MySqlPool;
use testkit::control::Control;
use testkit::deployment::Setup;
use testkit::services;
use tokio::time::Instant;

use crate::ledger::{Books, Checks};
use crate::{Deployment, Flags, heard};

const SKU: &str = "mug";
const HOLD_MINUTES: u32 = 15;
/// Acts at the same time.
const AT_ONCE: usize = 64;
const WITHIN: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(50);
const RETRY_FOR: Duration = Duration::from_secs(30);
/// Orders per second while others expire, and before, to compare with.
const RATE: f64 = 1_000.0;
/// Part of what is sold again that is sold before anything expires.
const QUIET_PART: u64 = 4;

/// What becomes of an order follows from its id.
const PAID: u32 = 0;
const CANCELLED: u32 = 1;
const LEFT: u32 = 2;

struct Life<'a> {
    deployment: &'a Deployment,
    controls: Vec<Control>,
    targets: Vec<String>,
    http: Client<HttpConnector, Empty<Bytes>>,
    database: MySqlPool,
    campaign: &'a str,
    flags: &'a Flags,
    seed: u64,
}

pub async fn run(
    setup: &Setup,
    deployment: Deployment,
    flags: &Flags,
    seed: u64,
) -> Result<(Deployment, Checks)> {
    let campaign = format!("life-{seed}");
    create(&deployment, &campaign, flags.attempts).await?;
    let life = Life {
        controls: vec![deployment.control(0)?, deployment.control(1)?],
        targets: deployment.targets(),
        http: Client::builder(TokioExecutor::new()).build_http(),
        database: services::database(&setup.urls).await?,
        deployment: &deployment,
        campaign: &campaign,
        flags,
        seed,
    };
    let receiver = heard::Receiver::open(&life.controls[0], &campaign).await?;
    let mut books = Books::open(&setup.urls, &campaign).await?;
    let mut verdict = Checks::default();
    let first = life.sell("first", flags.attempts, None).await?;
    verdict.sum("orders", first.orders.len() as u64, flags.attempts);
    books.wait_landed().await?;
    life.pay().await?;
    life.cancel().await?;
    let again = life.again().await?;
    books.wait_landed().await?;
    life.given_back().await?;
    println!();
    check(&mut books, flags, again, &mut verdict).await?;
    heard::check(&setup.urls, &campaign, &receiver, &mut verdict).await?;
    Ok((deployment, verdict))
}

/// A campaign whose buyers may cancel, and have to pay in time.
async fn create(deployment: &Deployment, campaign: &str, stock: u64) -> Result<()> {
    let now = jiff::Timestamp::now();
    let hours = jiff::SignedDuration::from_hours;
    let body = json!({
        "id": campaign, "title": campaign, "opens_at": now - hours(1), "closes_at": now + hours(24),
        "skus": [{"id": SKU, "stock": stock}], "rules": [{"module": "one-per-user"}],
        "hold": {"minutes": HOLD_MINUTES, "on_expiry": "release"}, "cancel_by_buyer": true,
    });
    let control = deployment.control(0)?;
    match control.send(Method::POST, "/admin/v1/campaigns", &body).await? {
        (201, _) => Ok(()),
        (status, answer) => bail!("the campaign is refused: {status} {answer}"),
    }
}

impl Life<'_> {
    async fn sell(&self, prefix: &str, attempts: u64, rate: Option<f64>) -> Result<LoadReport> {
        let config = LoadConfig {
            campaign: self.campaign.to_owned(),
            sku: SKU.to_owned(),
            attempts,
            users: attempts,
            prefix: prefix.to_owned(),
            rate,
            seed: self.seed,
            ..LoadConfig::default()
        };
        Ok(load::run(self.deployment.load(self.flags, None, config)).await?)
    }

    /// Orders, with their buyers, that one of the three things is to happen to.
    async fn of(&self, part: u32) -> Result<Vec<(String, String)>> {
        let sql = "SELECT order_id, CAST(user_id AS CHAR) FROM orders WHERE campaign_id = ? AND state = 'confirmed' \
                   AND CRC32(order_id) % 3 = ?";
        let rows = sqlx::query_as(sql).bind(self.campaign).bind(part);
        Ok(rows.fetch_all(&self.database).await?)
    }

    async fn pay(&self) -> Result<()> {
        let orders = self.of(PAID).await?;
        let begun = Instant::now();
        let acts = stream::iter(orders.iter().zip(0..)).map(async |((order, _), n)| {
            let path = format!("/admin/v1/campaigns/{}/orders/{order}/pay", self.campaign);
            let control = &self.controls[n % self.controls.len()];
            match control.send_keyed(Method::POST, &path, &json!({}), order).await? {
                (200, _) => Ok(()),
                (status, answer) => bail!("paying {order} is refused: {status} {answer}"),
            }
        });
        acts.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        tell("paid by the control plane", orders.len(), begun.elapsed());
        Ok(())
    }

    async fn cancel(&self) -> Result<()> {
        let orders = self.of(CANCELLED).await?;
        let begun = Instant::now();
        let acts = stream::iter(orders.iter().zip(0..)).map(async |((order, user), n)| {
            let target = &self.targets[n % self.targets.len()];
            let base = if target.contains("://") {
                target.clone()
            } else {
                format!("http://{target}")
            };
            let begun = Instant::now();
            loop {
                let request = Request::post(format!(
                    "{base}/v1/campaigns/{}/orders/{order}/cancel",
                    self.campaign
                ))
                .header("authorization", format!("Bearer dev:{user}"))
                .body(Empty::new())?;
                let response = self.http.request(request).await?;
                let status = response.status().as_u16();
                let body = response.into_body().collect().await?.to_bytes();
                match status {
                    200 => return Ok(()),
                    // What a buyer's client does: the same request says what became of it.
                    503 if begun.elapsed() < RETRY_FOR => tokio::time::sleep(POLL).await,
                    _ => bail!(
                        "cancelling {order} is refused: {status} {}",
                        String::from_utf8_lossy(&body)
                    ),
                }
            }
        });
        acts.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        tell("cancelled by their buyers", orders.len(), begun.elapsed());
        Ok(())
    }

    /// The third that is left expires while half of what comes back is sold again: how many orders that makes.
    async fn again(&self) -> Result<u64> {
        let left = self.of(LEFT).await?.len() as u64;
        let returned = self.flags.attempts - self.number("state = 'paid'").await? as u64;
        let quiet = returned / 2 / QUIET_PART;
        let (loud, begun) = (returned / 2 - quiet, Instant::now());
        let before = self.sell("quiet", quiet, Some(RATE)).await?;
        println!(
            "orders while nothing expires, {:.0} per second:\n{before}",
            quiet as f64 / begun.elapsed().as_secs_f64()
        );
        let sql = "UPDATE orders SET pay_by = DATE_ADD(NOW(3), INTERVAL 1 SECOND) \
                   WHERE campaign_id = ? AND state = 'confirmed' AND CRC32(order_id) % 3 = ? AND pay_by IS NOT NULL \
                   AND user_id LIKE 'first%'";
        sqlx::query(sql)
            .bind(self.campaign)
            .bind(LEFT)
            .execute(&self.database)
            .await?;
        let (during, expired) = tokio::join!(self.sell("loud", loud, Some(RATE)), self.expired(left));
        let (during, expired) = (during?, expired?);
        println!("orders while {left} expire:\n{during}");
        tell("expired", left as usize, expired);
        println!(
            "p99 of an order: {:.1} ms while nothing expires, {:.1} ms meanwhile",
            before.order_latency.p99_ms, during.order_latency.p99_ms
        );
        Ok((before.orders.len() + during.orders.len()) as u64)
    }

    /// From the second in which the holds end until all of them have expired and are on sale again.
    async fn expired(&self, left: u64) -> Result<Duration> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begun = Instant::now();
        while begun.elapsed() < WITHIN {
            if self.number("state = 'expired'").await? as u64 >= left {
                self.given_back().await?;
                return Ok(begun.elapsed());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("not all orders have expired within {WITHIN:?}")
    }

    async fn given_back(&self) -> Result<()> {
        let sql = "SELECT COUNT(*) FROM releases WHERE campaign_id = ? AND given_back_at IS NULL";
        let begun = Instant::now();
        while begun.elapsed() < WITHIN {
            let (waiting,): (i64,) = sqlx::query_as(sql)
                .bind(self.campaign)
                .fetch_one(&self.database)
                .await?;
            if waiting == 0 {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("not everything has come back within {WITHIN:?}")
    }

    async fn number(&self, condition: &'static str) -> Result<i64> {
        let sql = format!("SELECT COUNT(*) FROM orders WHERE campaign_id = ? AND {condition}");
        let found = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(self.campaign);
        found.fetch_one(&self.database).await.context("a count")
    }
}

fn tell(what: &str, orders: usize, took: Duration) {
    println!(
        "{orders} orders {what} in {:.1} s: {:.0} per second",
        took.as_secs_f64(),
        orders as f64 / took.as_secs_f64()
    );
}

async fn check(books: &mut Books, flags: &Flags, again: u64, verdict: &mut Checks) -> Result<()> {
    let count = async |sql: &'static str| books.number(sql).await;
    let rows = count("SELECT COUNT(*) FROM orders WHERE campaign_id = ?").await?;
    verdict.sum("rows", rows, (flags.attempts + again) as i64);
    let paid = count("SELECT COUNT(*) FROM orders WHERE campaign_id = ? AND state = 'paid'").await?;
    let ended =
        count("SELECT COUNT(*) FROM orders WHERE campaign_id = ? AND state IN ('cancelled', 'expired')")
            .await?;
    verdict.sum(
        "paid, cancelled and expired orders",
        paid + ended,
        flags.attempts as i64,
    );
    let held = paid + again as i64;
    let sold = count("SELECT CAST(SUM(sold) AS SIGNED) FROM stock WHERE campaign_id = ?").await?;
    verdict.sum("sold", sold, held);
    let used = count("SELECT CAST(SUM(used) AS SIGNED) FROM `usage` WHERE campaign_id = ?").await?;
    verdict.sum("charges of the limit in the database", used, held);
    let changes = count("SELECT COUNT(*) FROM order_changes WHERE campaign_id = ?").await?;
    verdict.sum("changes", changes, flags.attempts as i64);
    let releases =
        count("SELECT COUNT(*) FROM releases WHERE campaign_id = ? AND given_back_at IS NOT NULL").await?;
    verdict.sum("releases that Redis has", releases, ended);
    let left = books.units_left(SKU).await?;
    verdict.sum("units left in Redis", left, flags.attempts as i64 - held);
    Ok(())
}
