//! Waiting: until landing has passed a point, until everything has landed, until the gate is open.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use redis::aio::MultiplexedConnection;
use serde_json::Value;
use sqlx::MySqlPool;
use testkit::control::Control;
use testkit::services::{self, Urls};
use testkit::topics::Offsets;
use tokio::time::Instant;

use crate::clients::SKU;
use crate::topics::Topics;

const POLL: Duration = Duration::from_millis(100);
const DEAD_LETTERS: &str = ".dlt";
/// A connection that waits for so long belongs to a service that is gone.
const ASK: Duration = Duration::from_secs(5);

/// Looks at outbox, topics and offsets of one campaign.
pub struct Drain {
    urls: Urls,
    topics: Topics,
    campaign: String,
    redis: Option<MultiplexedConnection>,
    database: MySqlPool,
}

impl Drain {
    pub async fn open(urls: &Urls, topics: &Topics, campaign: &str) -> Result<Self> {
        Ok(Self {
            urls: urls.clone(),
            topics: topics.clone(),
            campaign: campaign.to_owned(),
            redis: None,
            database: services::database(urls).await?,
        })
    }

    /// Time from now until what is in the outbox and in the topics at this moment has landed.
    pub async fn recover(&mut self, limit: Duration) -> Result<Duration> {
        let begun = Instant::now();
        let since = crate::clients::now();
        self.wait(limit, begun, Some(since)).await?;
        Ok(begun.elapsed())
    }

    /// Waits until no order is left that is to expire, and Redis has back what was released.
    pub async fn released(&self, limit: Duration) -> Result<()> {
        let sql = "SELECT (SELECT COUNT(*) FROM releases WHERE campaign_id = ? AND given_back_at IS NULL) \
                   + (SELECT COUNT(*) FROM orders WHERE campaign_id = ? AND pay_by <= NOW(3))";
        let waiting = async || {
            let query = sqlx::query_scalar(sql).bind(&self.campaign).bind(&self.campaign);
            anyhow::Ok(query.fetch_one(&self.database).await?)
        };
        until_none(waiting, "orders have not given back", limit).await
    }

    /// Waits until every change of an order is told.
    pub async fn told(&self, limit: Duration) -> Result<()> {
        let untold = async || services::untold(&self.database).await;
        until_none(untold, "records and changes are not told", limit).await
    }

    /// Waits until the outbox is empty and landing has reached the end of every topic.
    pub async fn all(&mut self, limit: Duration) -> Result<Duration> {
        let begun = Instant::now();
        self.wait(limit, begun, None).await?;
        Ok(begun.elapsed())
    }

    /// `before`: only what was there at that moment, in milliseconds since 1970.
    async fn wait(&mut self, limit: Duration, begun: Instant, before: Option<i64>) -> Result<()> {
        let mut state = String::new();
        while begun.elapsed() < limit {
            match tokio::time::timeout(ASK, self.is_empty(before)).await {
                Ok(Ok(true)) => return self.landed(limit, begun, before.is_some()).await,
                Ok(Ok(false)) => state = "entries are left in the outbox".to_owned(),
                Ok(Err(error)) => state = self.lost_redis(&error),
                Err(_) => state = self.lost_redis(&anyhow::anyhow!("Redis does not answer")),
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("not drained within {limit:?}: {state}")
    }

    fn lost_redis(&mut self, error: &anyhow::Error) -> String {
        self.redis = None;
        format!("{error:#}")
    }

    /// Whether the outbox holds nothing (that is older than a moment).
    async fn is_empty(&mut self, before: Option<i64>) -> Result<bool> {
        if self.redis.is_none() {
            self.redis = Some(services::redis(&self.urls).await?);
        }
        let redis = self.redis.as_mut().context("just connected")?;
        let key = format!("rg:{{{}.0}}:outbox", self.campaign);
        let up_to = before.map_or("+".to_owned(), |moment| moment.to_string());
        let mut oldest = redis::cmd("XRANGE");
        let oldest: redis::Value = oldest
            .arg(key)
            .arg("-")
            .arg(up_to)
            .arg("COUNT")
            .arg(1)
            .query_async(redis)
            .await?;
        Ok(matches!(oldest, redis::Value::Array(entries) if entries.is_empty()))
    }

    /// Waits until landing has passed the ends of the topics: those of now, or those of each look.
    async fn landed(&self, limit: Duration, begun: Instant, of_now: bool) -> Result<()> {
        let mut ends = self.topics.ends().await;
        loop {
            let behind = match &ends {
                Ok(ends) => self.behind(ends).await,
                Err(error) => Err(anyhow::anyhow!("{error:#}")),
            };
            match behind {
                Ok(0) => return Ok(()),
                _ if begun.elapsed() < limit => {}
                Ok(records) => bail!("landing is {records} records behind after {limit:?}"),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(POLL).await;
            if !of_now || ends.is_err() {
                ends = self.topics.ends().await;
            }
        }
    }

    async fn behind(&self, ends: &Offsets) -> Result<i64> {
        let sql = "SELECT topic, CAST(`partition` AS SIGNED), next_offset FROM landing_offsets";
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(sql).fetch_all(&self.database).await?;
        let mut behind = 0;
        for (topic, partitions) in ends.iter().filter(|(topic, _)| !topic.ends_with(DEAD_LETTERS)) {
            for (partition, end) in partitions {
                let row = rows
                    .iter()
                    .find(|(t, p, _)| t == topic && *p == i64::from(*partition));
                behind += (end - row.map_or(0, |(_, _, next)| *next)).max(0);
            }
        }
        Ok(behind)
    }
}

async fn until_none(count: impl AsyncFn() -> Result<i64>, what: &str, limit: Duration) -> Result<()> {
    let begun = Instant::now();
    loop {
        match count().await? {
            0 => return Ok(()),
            _ if begun.elapsed() < limit => tokio::time::sleep(POLL).await,
            left => bail!("{left} {what} after {limit:?}"),
        }
    }
}

/// Units a gateway says are left, once one can say.
pub async fn remaining(controls: &[Control], campaign: &str, limit: Duration) -> Result<i64> {
    let begun = Instant::now();
    let path = format!("/admin/v1/campaigns/{campaign}");
    let mut last = Value::Null;
    while begun.elapsed() < limit {
        for control in controls {
            let answer = control.send(hyper::Method::GET, &path, &Value::Null);
            if let Ok(Ok((_, answer))) = tokio::time::timeout(ASK, answer).await {
                let skus = answer["skus"].as_array();
                let sku = skus.and_then(|skus| skus.iter().find(|sku| sku["id"] == SKU));
                if let Some(remaining) = sku.and_then(|sku| sku["remaining"].as_i64()) {
                    return Ok(remaining);
                }
                last = answer;
            }
        }
        tokio::time::sleep(POLL).await;
    }
    bail!("no gateway says what is left of {campaign} within {limit:?}: {last}")
}
