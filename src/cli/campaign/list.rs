//! Campaigns looked at: listed, shown, and written into a file.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::Value;

use super::api::{self, Shown, path, shown};
use super::sale::Sale;
use crate::cli::client::Connection;
use crate::cli::out::{grouped, print, print_json};
use crate::order::shown_sku;

#[derive(Debug, clap::Args)]
pub struct List {
    /// So many at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// One JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Show {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Export {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// Into this file, instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// As JSON, which `apply` reads as well.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn list(args: &List) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let found = client
        .pages("/campaigns", "campaigns", args.limit as usize)
        .await?;
    match args.json {
        true => print_json(&found),
        false => print(&table(&found)),
    }
}

fn table(campaigns: &[Value]) -> String {
    if campaigns.is_empty() {
        return "There is no campaign.".to_owned();
    }
    let text = |campaign: &Value, name: &str| campaign[name].as_str().unwrap_or("").to_owned();
    let width = campaigns
        .iter()
        .map(|one| text(one, "id").len())
        .max()
        .unwrap_or(0)
        .max(8);
    let mut lines = format!(
        "{:width$}  {:9}  {:>8}  {:>12}  {:24}  {:24}  title\n",
        "campaign", "state", "revision", "units", "opens", "closes"
    );
    for campaign in campaigns {
        let skus = campaign["skus"].as_array().into_iter().flatten();
        let units = skus.filter_map(|sku| sku["stock"].as_u64()).sum();
        let _ = writeln!(
            lines,
            "{:width$}  {:9}  {:>8}  {:>12}  {:24}  {:24}  {}",
            text(campaign, "id"),
            text(campaign, "state"),
            campaign["revision"].as_u64().unwrap_or(0),
            grouped(units),
            text(campaign, "opens_at"),
            text(campaign, "closes_at"),
            text(campaign, "title"),
        );
    }
    lines
}

pub(super) async fn show(args: &Show) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    if args.json {
        return print_json(&client.get::<Value>(&path(&args.campaign)).await?);
    }
    let campaign = shown(&client, &args.campaign).await?;
    let revision = api::revision(&client, &campaign).await?;
    print(
        &(in_full(&campaign)
            + &revision
                .explain
                .iter()
                .map(|rule| format!("\n  {rule}"))
                .collect::<String>()),
    )
}

fn in_full(campaign: &Shown) -> String {
    let mut text = format!(
        "{} ({}), {}, revision {}\nopens {:.3}, closes {:.3}, kept for {} days\n",
        campaign.id,
        campaign.title,
        campaign.state,
        campaign.revision,
        campaign.opens_at,
        campaign.closes_at,
        campaign.retention_days
    );
    if !campaign.redis_whole {
        text += "Its gate is closed: no order is taken.\n";
    }
    text += &stock(campaign);
    for (reason, count) in &campaign.rejected {
        let _ = writeln!(text, "rejected {:>12}  {reason}", grouped(*count));
    }
    let _ = write!(
        text,
        "on the way: {} orders to Kafka, {} units to the database\n\nThe rules:",
        grouped(campaign.orders_to_kafka),
        grouped(campaign.units_to_database)
    );
    text
}

/// A line per SKU.
pub(super) fn stock(campaign: &Shown) -> String {
    let name = |id: &str| shown_sku(id).to_string();
    let width = campaign
        .skus
        .iter()
        .map(|sku| name(&sku.id).chars().count())
        .max();
    let width = width.unwrap_or(0).max(3);
    let mut text = format!(
        "{:width$}  {:>12}  {:>12}  {:>12}  {:>12}\n",
        "SKU", "units", "left", "admitted", "landed"
    );
    for sku in &campaign.skus {
        let [left, admitted, landed] = [sku.remaining, sku.admitted, sku.landed].map(units);
        let _ = writeln!(
            text,
            "{:width$}  {:>12}  {left:>12}  {admitted:>12}  {landed:>12}",
            name(&sku.id),
            grouped(sku.stock)
        );
    }
    text
}

fn units(units: i64) -> String {
    let sign = if units < 0 { "-" } else { "" };
    format!("{sign}{}", grouped(units.unsigned_abs()))
}

pub(super) async fn export(args: &Export) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let campaign = shown(&client, &args.campaign).await?;
    let revision = api::revision(&client, &campaign).await?;
    let sale = Sale::of(&campaign, &revision);
    let text = match args.json {
        true => serde_json::to_string_pretty(&sale)? + "\n",
        false => sale.write(&format!(
            "campaign {} under revision {}, as it was in force",
            campaign.id, campaign.revision
        ))?,
    };
    match &args.output {
        None => print(&text),
        Some(file) => std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display())),
    }
}
