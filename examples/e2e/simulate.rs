//! A tightened limit found three times: by simulation of the recorded attempts, by the same rule in shadow while
//! they were decided, and by SQL that knows nothing of plans.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Method;
use rushgate::load::{self, LoadConfig};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::common::control::Control;
use crate::common::deployment::Setup;
use crate::common::process;
use crate::ledger::{Books, Verdict};
use crate::{Deployment, Flags};

const SKU: &str = "mug";
/// Attempts per buyer, on average.
const ATTEMPTS_EACH: u64 = 4;
const LIMIT: u64 = 3;
const TIGHTENED: u64 = 1;
const REFUSED: &str = "n-per-user/limit-per-user";
/// The sample is written a moment after the answers.
const RECORDED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// Attempts that were admitted and are more than the first of their buyer.
const FLIPS: &str = "SELECT COUNT(*) FROM (SELECT outcome, ROW_NUMBER() OVER (PARTITION BY user_id \
     ORDER BY decided_at, seq) AS nth FROM attempts WHERE campaign_id = ?) AS numbered \
     WHERE outcome = 'admitted' AND nth > 1";

fn limit(limit: u64) -> Value {
    json!([{"module": "n-per-user", "params": {"limit": limit}}])
}

pub async fn run(
    setup: &Setup,
    deployment: Deployment,
    flags: &Flags,
    seed: u64,
) -> Result<(Deployment, Verdict)> {
    let campaign = format!("simulate-{seed}");
    let control = deployment.control(0)?;
    create(&control, &campaign, flags.attempts).await?;
    let users = flags.users.min(flags.attempts.div_ceil(ATTEMPTS_EACH));
    println!(
        "{} attempts by {users} users, at most {LIMIT} orders each, {TIGHTENED} each in shadow, {:.0} % sent twice",
        flags.attempts,
        flags.twice * 100.0
    );
    let config = LoadConfig {
        campaign: campaign.clone(),
        sku: SKU.to_owned(),
        attempts: flags.attempts,
        users,
        seed,
        ..LoadConfig::default()
    };
    let config = deployment.load(flags, None, config);
    let report = load::run(config).await?;
    println!("\n{report}");
    let shadow = shadow_figures(&control, &campaign).await?;
    let books = Books::open(&setup.urls, &campaign).await?;
    let decided = shadow.agree + shadow.differ;
    wait_recorded(&books, decided).await?;

    let pid = deployment.gateways[0].pid();
    let before = process::resident_mib(pid)?;
    let begun = Instant::now();
    let found = simulate(&control, &campaign).await?;
    let took = begun.elapsed();
    let by_sql = books.number(FLIPS).await?;
    println!(
        "\n{} recorded attempts replayed in {:.2} s; memory of the gateway {before:.0} MiB before, {:.0} MiB after",
        found["attempts"],
        took.as_secs_f64(),
        process::resident_mib(pid)?
    );
    println!(
        "attempts the tightened limit refuses: {by_sql} by SQL, {} by simulation, {} by the shadow\n",
        found["flipped"], shadow.refused
    );
    let mut verdict = Verdict::default();
    verdict.sum(
        "attempts replayed, and decided",
        number(&found["attempts"])?,
        decided,
    );
    verdict.told("there is something to find", by_sql > 0);
    verdict.sum(
        "flips by simulation, and by SQL",
        number(&found["flipped"])?,
        by_sql,
    );
    verdict.sum("flips by the shadow, and by SQL", shadow.refused, by_sql);
    verdict.sum(
        "other differences of the shadow",
        shadow.differ - shadow.refused,
        0,
    );
    let flips = found["flips"].as_array().context("no flips")?;
    verdict.sum("kinds of flips", flips.len(), 1);
    verdict.sum("examples of the flip", count(&flips[0]["examples"]), 10);
    println!(
        "  note   {} attempts were answered otherwise then",
        found["recorded"]["differ"]
    );
    for note in found["notes"].as_array().into_iter().flatten() {
        println!("  note   {}", note.as_str().unwrap_or_default());
    }
    let buyers = &deployment.buyers;
    buyers
        .check(&deployment, &report, &campaign, &mut verdict)
        .await?;
    Ok((deployment, verdict))
}

async fn create(control: &Control, campaign: &str, stock: u64) -> Result<()> {
    let now = jiff::Timestamp::now();
    let hours = jiff::SignedDuration::from_hours;
    let body = json!({
        "id": campaign, "opens_at": now - hours(1), "closes_at": now + hours(24),
        "skus": [{"id": SKU, "stock": stock}], "rules": limit(LIMIT), "shadow": limit(TIGHTENED),
    });
    match control.send(Method::POST, "/admin/v1/campaigns", &body).await? {
        (201, _) => Ok(()),
        (status, answer) => bail!("the campaign was answered {status}: {answer}"),
    }
}

/// What the script counted while it decided.
struct Shadow {
    agree: i64,
    differ: i64,
    /// Admitted, and refused by the shadow.
    refused: i64,
}

async fn shadow_figures(control: &Control, campaign: &str) -> Result<Shadow> {
    let path = format!("/admin/v1/campaigns/{campaign}");
    let (status, answer) = control.send(Method::GET, &path, &Value::Null).await?;
    let shadow = &answer["shadow"];
    let Some(differ) = shadow["differ"].as_array() else {
        bail!("GET {path} answered {status}: {answer}");
    };
    let (mut all, mut refused) = (0, 0);
    for difference in differ {
        let count = number(&difference["count"])?;
        all += count;
        if difference["live"] == "admitted" && difference["shadow"] == REFUSED {
            refused += count;
        }
    }
    Ok(Shadow {
        agree: number(&shadow["agree"])?,
        differ: all,
        refused,
    })
}

async fn wait_recorded(books: &Books, attempts: i64) -> Result<()> {
    let begun = Instant::now();
    loop {
        let recorded = books
            .number("SELECT COUNT(*) FROM attempts WHERE campaign_id = ?")
            .await?;
        if recorded == attempts {
            return Ok(());
        }
        if begun.elapsed() > RECORDED_WITHIN {
            let dropped = books
                .number("SELECT dropped FROM samples WHERE campaign_id = ?")
                .await?;
            bail!("{attempts} attempts were decided, {recorded} are recorded, {dropped} were dropped");
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn simulate(control: &Control, campaign: &str) -> Result<Value> {
    let path = format!("/admin/v1/campaigns/{campaign}/simulate");
    let body = json!({"rules": limit(TIGHTENED)});
    match control.send(Method::POST, &path, &body).await? {
        (200, answer) => Ok(answer),
        (status, answer) => bail!("POST {path} answered {status}: {answer}"),
    }
}

fn number(value: &Value) -> Result<i64> {
    value.as_i64().with_context(|| format!("no number: {value}"))
}

fn count(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}
