//! A tightened limit found three times: by simulation of the recorded attempts, by the same rule in shadow while
//! they were decided, and by SQL that knows nothing of plans. What was recorded may be a share of the buyers: then SQL counts
//! the same buyers, and what the simulation says of all of them is held against the whole.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Method;
use rushgate::cli::load::{self, LoadConfig};
use serde_json::{Value, json};
use testkit::control::Control;
use testkit::deployment::Setup;
use testkit::process;
use tokio::time::Instant;

use crate::ledger::{Books, Checks};
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
/// Orders that are more than the first of their buyer.
const FLIPS: &str = "SELECT COUNT(*) - COUNT(DISTINCT user_id) FROM orders WHERE campaign_id = ?";
/// Of buyers in band `{band}` and in higher ones: `attempts::share` in SQL.
const SAMPLED: &str = " AND CAST(CONV(LEFT(SHA2(CONCAT(campaign_id, CHAR(0), user_id), 256), 8), 16, 10) AS UNSIGNED) \
     < 4294967296 DIV POW(2, {band})";
const RECORDED: &str =
    "SELECT CAST(COALESCE(SUM(attempts), 0) AS SIGNED) FROM attempt_pieces WHERE campaign_id = ?";

fn limit(limit: u64) -> Value {
    json!([{"module": "n-per-user", "params": {"limit": limit}}])
}

pub async fn run(
    setup: &Setup,
    deployment: Deployment,
    flags: &Flags,
    seed: u64,
) -> Result<(Deployment, Checks)> {
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
    let mut books = Books::open(&setup.urls, &campaign).await?;
    let decided = shadow.agree + shadow.differ;
    wait_told(&books, decided).await?;
    books.wait_landed().await?;

    let pid = deployment.gateways[0].pid();
    let before = process::resident_mib(pid)?;
    let begun = Instant::now();
    let found = simulate(&control, &campaign).await?;
    let took = begun.elapsed();
    let (recorded, halvings, by_sql) = sampled(&books).await?;
    let all_by_sql = books.number(FLIPS).await?;
    println!(
        "\n{} recorded attempts replayed in {:.2} s; memory of the gateway {before:.0} MiB before, {:.0} MiB after",
        found["attempts"],
        took.as_secs_f64(),
        process::resident_mib(pid)?
    );
    println!(
        "attempts the tightened limit refuses: {by_sql} by SQL, {} by simulation, of 1 / {} of the buyers; of all {all_by_sql} \
         by SQL, {} by simulation, {} by the shadow\n",
        found["flipped"],
        1 << halvings,
        found["flipped_all"],
        shadow.refused
    );
    let mut verdict = Checks::default();
    let sample = &found["sample"];
    verdict.sum(
        "attempts replayed, and recorded",
        number(&found["attempts"])?,
        recorded,
    );
    verdict.sum(
        "attempts decided, and known to the sample",
        number(&sample["decided"])?,
        decided,
    );
    let share = sample["share"].as_f64().context("no share")?;
    verdict.told(
        "the share is that of the sample",
        share == 0.5_f64.powi(halvings as i32),
    );
    verdict.told("there is something to find", by_sql > 0);
    verdict.sum(
        "flips by simulation, and by SQL",
        number(&found["flipped"])?,
        by_sql,
    );
    verdict.sum(
        "flips of all by the shadow, and by SQL",
        shadow.refused,
        all_by_sql,
    );
    if halvings > 0 {
        let all = &found["flipped_all"];
        let (count, margin) = (number(&all["count"])?, number(&all["margin"])?);
        // Five of a hundred samples are farther off than the margin; four in a hundred thousand are twice as far.
        let is_close = count.abs_diff(all_by_sql) <= 2 * margin.unsigned_abs();
        verdict.told("flips of all by simulation are as close as it says", is_close);
    }
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

/// Waits until the database has been told of every attempt, kept or not.
async fn wait_told(books: &Books, attempts: i64) -> Result<()> {
    let begun = Instant::now();
    loop {
        let kept = books.number(RECORDED).await?;
        let (skipped, dropped) = (counted(books, "skipped").await?, counted(books, "dropped").await?);
        if kept + skipped + dropped == attempts {
            return Ok(());
        }
        if begun.elapsed() > RECORDED_WITHIN {
            bail!(
                "{attempts} attempts were decided, {kept} are recorded, {skipped} skipped, {dropped} dropped"
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A number of the campaign's sample; 0 where it has none yet.
async fn counted(books: &Books, column: &str) -> Result<i64> {
    let sql = format!("SELECT COALESCE(MAX({column}), 0) FROM buyer_samples WHERE campaign_id = ?");
    books.number_of(sql).await
}

/// Attempts that are recorded, how often the share of buyers was halved, and the flips of these buyers.
async fn sampled(books: &Books) -> Result<(i64, i64, i64)> {
    let halvings = counted(books, "halvings").await?;
    let flips = format!("{FLIPS}{}", SAMPLED.replace("{band}", &halvings.to_string()));
    Ok((
        books.number(RECORDED).await?,
        halvings,
        books.number_of(flips).await?,
    ))
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
