//! Holds a run against itself: what clients were told, what is in Kafka, what is in the database. Reads nothing else,
//! and shares with the product only the spelling of an order's id and event. Exits with 1 when something was
//! lost, doubled, oversold, over a limit, or sold to somebody who was told no.

mod database;
mod events;
mod findings;
mod judge;
mod kafka;
mod life;
mod told;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use findings::Findings;
use judge::Rules;

/// Checks one campaign after everything has landed.
#[derive(Debug, Parser)]
struct Flags {
    /// The log of `rushgate load --log`
    #[arg(long)]
    log: PathBuf,
    #[arg(long)]
    campaign: String,
    #[arg(long, env = "RUSHGATE_DATABASE_URL")]
    database_url: String,
    #[arg(long, env = "RUSHGATE_KAFKA_BROKERS")]
    kafka_brokers: String,
    /// JSON of the offsets at which the run began: {"topic": {"0": 17}}
    #[arg(long)]
    since: Option<PathBuf>,
    /// Orders a buyer may have
    #[arg(long)]
    per_user: Option<u64>,
    /// Orders a device may have
    #[arg(long)]
    per_device: Option<u64>,
    /// Redis lost writes in the run: orders may be revoked, and pending ones may be gone
    #[arg(long)]
    redis_lost: bool,
    /// Units the gateway says are left: gives the figure `leaked`
    #[arg(long)]
    remaining: Option<i64>,
    /// What a shop did with orders that had landed: they may have gone on
    #[arg(long)]
    shop: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    match check(&flags).await {
        Ok(findings) => {
            match flags.json {
                true => println!("{}", findings.document()),
                false => print!("{findings}"),
            }
            ExitCode::from(u8::from(!findings.is_right()))
        }
        Err(error) => {
            eprintln!("check: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn check(flags: &Flags) -> Result<Findings> {
    let told = told::read(&flags.log, &flags.campaign)?;
    let since = match &flags.since {
        None => testkit::topics::Offsets::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            serde_json::from_str(&text).with_context(|| path.display().to_string())?
        }
    };
    let (brokers, campaign) = (flags.kafka_brokers.clone(), flags.campaign.clone());
    let (logged, events) = tokio::task::spawn_blocking(move || {
        let logged = kafka::read(&brokers, &campaign, &since)?;
        anyhow::Ok((logged, events::read(&brokers, &campaign)?))
    })
    .await??;
    let books = database::read(&flags.database_url, &flags.campaign).await?;
    let rules = Rules {
        per_user: flags.per_user,
        per_device: flags.per_device,
        redis_lost: flags.redis_lost,
        lived: flags.shop.is_some(),
        remaining: flags.remaining,
    };
    let acts = flags.shop.as_deref().map(life::read).transpose()?;
    let mut found = judge::judge(&rules, &told, &logged, &books);
    life::judge(&mut found, &acts.unwrap_or_default(), &books);
    events::judge(&mut found, &events, &books);
    Ok(found)
}
