//! The reference for Redis: the script most flash sales use, called once per order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use redis::aio::MultiplexedConnection;
use testkit::{process, services};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Bench;

/// Callers that share one pipelined connection, as application servers do.
const CALLERS: u64 = 64;
pub const KEYS: &[&str] = &["bench:stock", "bench:buyers", "bench:outbox"];

/// Stock, one order per user; the caller sends the order on by itself and may die before that.
pub const PLAIN: &str = r"
local stock = tonumber(redis.call('get', KEYS[1]))
if not stock or stock < 1 then return 1 end
if redis.call('sismember', KEYS[2], ARGV[1]) == 1 then return 2 end
redis.call('incrby', KEYS[1], -1)
redis.call('sadd', KEYS[2], ARGV[1])
return 0";

/// The same with an outbox entry per order, which is what makes it comparable.
pub const WITH_OUTBOX: &str = r"
local stock = tonumber(redis.call('get', KEYS[1]))
if not stock or stock < 1 then return 1 end
if redis.call('sismember', KEYS[2], ARGV[1]) == 1 then return 2 end
redis.call('incrby', KEYS[1], -1)
redis.call('sadd', KEYS[2], ARGV[1])
redis.call('xadd', KEYS[3], '*', 'user', ARGV[1], 'order', ARGV[2])
return 0";

/// CPU of Redis per order, in microseconds.
pub async fn cost(bench: &Bench, connection: &mut MultiplexedConnection, text: &str) -> Result<f64> {
    redis::pipe()
        .del(KEYS)
        .set(KEYS[0], crate::STOCK)
        .exec_async(connection)
        .await?;
    let script = Arc::new(redis::Script::new(text));
    script.prepare_invoke().load_async(connection).await?;
    let pid = services::redis_pid(connection).await?;
    let buyer = Arc::new(AtomicU64::new(0));
    let before = process::cpu(pid)?;
    let until = Instant::now() + bench.time;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (script, buyer, mut connection) = (script.clone(), buyer.clone(), connection.clone());
        callers.spawn(async move {
            while Instant::now() < until {
                let number = buyer.fetch_add(1, Ordering::Relaxed);
                let answer: i64 = script
                    .prepare_invoke()
                    .key(KEYS)
                    .arg(format!("u{number}"))
                    .arg(format!("{number:032x}"))
                    .invoke_async(&mut connection)
                    .await?;
                anyhow::ensure!(answer == 0, "the reference script answered {answer}");
            }
            Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    let used = process::cpu(pid)? - before;
    Ok(used.as_micros() as f64 / buyer.load(Ordering::Relaxed).max(1) as f64)
}
