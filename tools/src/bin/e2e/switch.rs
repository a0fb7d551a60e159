//! Revisions switched under load: no error, and no order under a revision that was already replaced.

use std::time::Duration;

use anyhow::Result;
use rushgate::cli::load::{self, LoadConfig};
use serde_json::{Value, json};
use testkit::control::Control;
use testkit::deployment::Setup;
use tokio::time::{Instant, MissedTickBehavior};

use crate::ledger::{Books, Checks};
use crate::{Deployment, Flags};

const SKU: &str = "mug";
const EVERY: Duration = Duration::from_millis(100);
const FOR: Duration = Duration::from_secs(10);
/// More than can be sold in the time.
const STOCK: u64 = 1_000_000;
const ATTEMPTS: u64 = 900_000;
/// Requests before each step of the replacement of keys: however slow the machine is, both steps come to pass.
const KEYS_AFTER: u64 = 2_000;

/// An activation that was answered.
#[derive(Clone, Copy, Debug)]
struct Answered {
    revision: i64,
    /// Microseconds since 1970-01-01 UTC, read after the answer.
    at_us: i64,
}

/// The limit of a revision; it changes with every one.
fn rules(limit: u64) -> Value {
    json!([{"module": "n-per-user", "params": {"limit": 1 + limit % 5}}])
}

pub async fn run(
    setup: &Setup,
    deployment: Deployment,
    flags: &Flags,
    seed: u64,
) -> Result<(Deployment, Checks)> {
    let campaign = format!("switch-{seed}");
    let controls = [deployment.control(0)?, deployment.control(1)?];
    controls[0]
        .create_campaign(&campaign, SKU, STOCK, rules(0))
        .await?;
    let switches = (FOR.as_millis() / EVERY.as_millis()) as u64;
    let mut revisions = Vec::new();
    for number in 1..=switches {
        revisions.push(controls[0].create_revision(&campaign, rules(number)).await?);
    }
    println!("{switches} revisions, one activated every {EVERY:?} through alternating gateways, under load");
    let config = LoadConfig {
        campaign: campaign.clone(),
        sku: SKU.to_owned(),
        attempts: ATTEMPTS,
        users: ATTEMPTS,
        duration: Some(FOR + EVERY),
        seed,
        ..LoadConfig::default()
    };
    let config = deployment.load(flags, Some(KEYS_AFTER), config);
    let (report, answered) = tokio::join!(load::run(config), switch(&controls, &campaign, &revisions));
    let (report, answered) = (report?, answered?);
    println!("\n{report}");
    let mut books = Books::open(&setup.urls, &campaign).await?;
    let waited = books.wait_landed().await?;
    println!("all landed {:.2} s after the last answer\n", waited.as_secs_f64());
    let mut verdict = Checks::default();
    verdict.sum("activations answered", answered.len(), revisions.len());
    verdict.sum("answers of 500 and more", report.server_errors(), 0);
    verdict.sum(
        "broken connections and timeouts",
        report.connection_errors + report.timeouts,
        0,
    );
    let rows = books.rows().await?;
    let late = rows
        .values()
        .filter(|row| row.revision < newest_answered(&answered, row.placed_at))
        .count();
    verdict.sum("orders under a revision that was already replaced", late, 0);
    let used: std::collections::BTreeSet<i64> = rows.values().map(|row| row.revision).collect();
    println!(
        "  note   orders were admitted under {} different revisions",
        used.len()
    );
    verdict.told(
        "revisions changed under the orders",
        used.len() as u64 > switches / 2,
    );
    books.check_always(&report, &mut verdict).await?;
    let buyers = &deployment.buyers;
    buyers
        .check(&deployment, &report, &campaign, &mut verdict)
        .await?;
    Ok((deployment, verdict))
}

async fn switch(controls: &[Control; 2], campaign: &str, revisions: &[u64]) -> Result<Vec<Answered>> {
    let mut timer = tokio::time::interval_at(Instant::now() + EVERY, EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered = Vec::new();
    for (number, revision) in revisions.iter().enumerate() {
        timer.tick().await;
        controls[number % 2].activate(campaign, *revision).await?;
        answered.push(Answered {
            revision: *revision as i64,
            at_us: jiff::Timestamp::now().as_microsecond(),
        });
    }
    Ok(answered)
}

/// The newest revision whose activation had certainly been answered when an order was placed in this
/// millisecond: the order's clock only says the millisecond, so one answered inside it does not count.
fn newest_answered(answered: &[Answered], placed_at: i64) -> i64 {
    answered
        .iter()
        .filter(|one| one.at_us <= placed_at * 1000)
        .map(|one| one.revision)
        .max()
        .unwrap_or(1)
}
