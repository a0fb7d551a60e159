//! Script time per order: each rule, rules together, and a shadow beside them, in ratio to one order per user.

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use rushgate::lua::Family;
use serde_json::json;
use testkit::services;

use super::forge::{Forge, Gate, Rule};
use crate::Bench;

/// Orders of one measurement.
const ORDERS: u64 = 16_384;
/// Measurements of each script, in turns, so that a noisy moment meets all of them; the least counts.
pub const ROUNDS: usize = 5;
pub const BATCHES: [u64; 2] = [8, 64];

/// One script that is measured.
struct Case {
    what: String,
    rules: Vec<Rule>,
    aim: Option<&'static str>,
}

/// Each rule of `rules/` with parameters that admit the orders of the benchmark. Those from the second on each
/// ask something else, most of them with a counter of their own.
pub fn each_rule() -> Vec<Rule> {
    vec![
        ("one-per-user", json!({})),
        ("n-per-user", json!({"limit": 3, "count": "units"})),
        (
            "per-window",
            json!({"limit": 2, "window": {"day": "Europe/Berlin"}}),
        ),
        (
            "per-subject",
            json!({"limits": [{"by": ["client:device"], "limit": 2}]}),
        ),
        ("tiered", json!({"tiers": {"gold": 5, "silver": 2}, "others": 1})),
        ("cooldown", json!({"pause": "30s"})),
        (
            "region-quota",
            json!({"mode": "cap", "shares": {"eu": 40, "us": 30}, "others": 30}),
        ),
        ("audience", json!({"list": super::LIST, "mode": "deny"})),
        ("order-cap", json!({"max": 12})),
        (
            "early-access",
            json!({"opens_at": "2026-01-01T00:00:00Z", "groups": [{"lead": "30m", "who": {"claim": {"values": ["gold"]}}}]}),
        ),
    ]
}

/// How many rules stand together; the first rule is the reference and not among them.
const TOGETHER: [usize; 4] = [1, 2, 4, 8];

/// Eight rules that ask different things.
pub fn eight_rules() -> Vec<Rule> {
    each_rule().into_iter().skip(1).take(8).collect()
}

fn cases() -> Vec<Case> {
    let alone = each_rule().into_iter().map(|rule| Case {
        what: rule.0.to_owned(),
        rules: vec![rule],
        aim: None,
    });
    let together = TOGETHER.map(|count| Case {
        what: format!("{count} rules together"),
        rules: each_rule().into_iter().skip(1).take(count).collect(),
        aim: (count == 8).then_some("≤ 2.50"),
    });
    alone.chain(together).collect()
}

pub async fn run(bench: &mut Bench, forge: &Forge) -> Result<()> {
    let cases = cases();
    for batch in BATCHES {
        let mut times = vec![f64::INFINITY; cases.len()];
        for _ in 0..ROUNDS {
            for (case, least) in cases.iter().zip(&mut times) {
                let family = forge.family(&case.rules).await?;
                *least = least.min(measure(bench, family, batch).await?);
            }
        }
        let reference = times[0];
        for (case, time) in cases.iter().zip(times) {
            let what = format!("script, {batch} in a call: {}", case.what);
            bench.table.ratio(what, time, "µs", reference, case.aim);
        }
    }
    Ok(())
}

/// Microseconds that Redis spends in the script per order.
pub async fn measure(bench: &Bench, family: Family, batch: u64) -> Result<f64> {
    let mut redis = services::redis(&bench.setup.urls).await?;
    redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
    let mut gate = Gate::open(&bench.setup.urls.redis, family).await?;
    // The first call loads the script.
    gate.admit(batch, batch).await?;
    let before = script_us(&mut redis).await?;
    gate.admit(ORDERS, batch).await?;
    Ok((script_us(&mut redis).await? - before) / ORDERS as f64)
}

/// Time spent in scripts since the server started.
async fn script_us(redis: &mut MultiplexedConnection) -> Result<f64> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:"));
    let field = line.and_then(|line| line.split(',').find_map(|field| field.strip_prefix("usec=")));
    Ok(field.context("INFO commandstats names no evalsha")?.parse()?)
}
