//! Redis and the database asked directly, past rushgate's own code, so that a check does not share its errors.

use std::env;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use sqlx::MySqlPool;

const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Where the stack is, from the environment that `./x stack env` prints.
#[derive(Clone, Debug)]
pub struct Urls {
    pub redis: String,
    pub kafka: String,
    pub database: String,
}

impl Urls {
    pub fn from_env() -> Result<Self> {
        let read =
            |name: &str| env::var(name).with_context(|| format!("{name} is not set: run it through ./x"));
        Ok(Self {
            redis: read("RUSHGATE_REDIS_URL")?,
            kafka: read("RUSHGATE_KAFKA_BROKERS")?,
            database: read("RUSHGATE_DATABASE_URL")?,
        })
    }
}

pub async fn redis(urls: &Urls) -> Result<MultiplexedConnection> {
    let client = redis::Client::open(urls.redis.as_str())?;
    // Emptying a server that held millions of orders takes its time.
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_WITHIN));
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    Ok(connection.await?)
}

pub async fn database(urls: &Urls) -> Result<MySqlPool> {
    Ok(MySqlPool::connect(&urls.database).await?)
}

/// Process id of the Redis server, for its CPU time.
pub async fn redis_pid(redis: &mut MultiplexedConnection) -> Result<u32> {
    let info: String = redis::cmd("INFO").arg("server").query_async(redis).await?;
    info.lines()
        .find_map(|line| line.strip_prefix("process_id:"))
        .context("INFO names no process_id")?
        .trim()
        .parse()
        .context("process_id is a number")
}
