//! Redis and the database asked directly, past rushgate's own code, so that a check does not share its errors.

use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ClientTlsConfig, TlsCertificates};
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
    let client = client(urls)?;
    // Emptying a server that held millions of orders takes its time.
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_WITHIN));
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    Ok(connection.await?)
}

/// Encrypted with the files that `./x stack env` names, where the URL asks for it.
fn client(urls: &Urls) -> Result<redis::Client> {
    if !urls.redis.starts_with("rediss:") {
        return Ok(redis::Client::open(urls.redis.as_str())?);
    }
    rushgate::pem::install_provider();
    let read = |name: &str| -> Result<Vec<u8>> {
        let path = env::var(name).with_context(|| format!("{name} is not set"))?;
        fs::read(&path).with_context(|| path)
    };
    let certificates = TlsCertificates {
        root_cert: Some(read("RUSHGATE_REDIS_CA_FILE")?),
        client_tls: Some(ClientTlsConfig {
            client_cert: read("RUSHGATE_REDIS_CERTIFICATE_FILE")?,
            client_key: read("RUSHGATE_REDIS_KEY_FILE")?,
        }),
    };
    Ok(redis::Client::build_with_tls(urls.redis.as_str(), certificates)?)
}

pub async fn database(urls: &Urls) -> Result<MySqlPool> {
    Ok(MySqlPool::connect(&urls.database).await?)
}

/// Records that have landed, and changes of orders, that are not known to be told.
pub async fn untold(database: &MySqlPool) -> Result<i64> {
    let sql = "SELECT (SELECT COUNT(*) FROM order_changes WHERE told_at IS NULL) \
               + (SELECT CAST(COALESCE(SUM(next_offset - told), 0) AS SIGNED) FROM landing_offsets WHERE told < next_offset)";
    Ok(sqlx::query_scalar(sql).fetch_one(database).await?)
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

/// Process ids of the stack's other services by name (`mariadb`, `kafka-1` …), where the environment names its folder.
pub fn pids() -> Vec<(String, u32)> {
    let folder = env::var_os("RUSHGATE_STACK_DIR").map(|stack| std::path::Path::new(&stack).join("pid"));
    let files = folder.and_then(|folder| fs::read_dir(folder).ok());
    let mut pids: Vec<(String, u32)> = files
        .into_iter()
        .flatten()
        .filter_map(|file| {
            let file = file.ok()?;
            let pid = fs::read_to_string(file.path()).ok()?.trim().parse().ok()?;
            Some((file.file_name().into_string().ok()?, pid))
        })
        .filter(|(name, _)| name != "redis")
        .collect();
    pids.sort();
    pids
}
