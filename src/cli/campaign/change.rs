//! Campaigns changed: created, activated, cloned, deleted.

use std::path::PathBuf;

use hyper::Method;
use serde_json::{Value, json};

use super::api::{Made, path};
use super::sale::Sale;
use crate::cli::client::{Connection, segment};
use crate::cli::dlt::values::timestamp;
use crate::cli::out::{confirm, print, print_json};

#[derive(Debug, clap::Args)]
pub struct Create {
    /// The campaign in YAML or JSON: id, title, opens_at, closes_at, skus, rules, as `campaign export` writes it.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Activate {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// The revision's number.
    #[arg(value_name = "REVISION")]
    revision: u32,
    /// A counter that may be re-keyed or dropped, or start at zero; may be given more than once.
    #[arg(long, value_name = "COUNTER")]
    accept: Vec<String>,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Clone {
    /// The campaign to be like.
    #[arg(value_name = "ID")]
    campaign: String,
    /// The id of the new one.
    #[arg(value_name = "NEW-ID")]
    id: String,
    /// When it opens: 2026-12-01T10:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    opens_at: jiff::Timestamp,
    /// When it closes.
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    closes_at: jiff::Timestamp,
    /// Its title; without, that of the other one.
    #[arg(long)]
    title: Option<String>,
    /// Why, for the audit trail.
    #[arg(long)]
    note: Option<String>,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// Why, for the audit trail.
    #[arg(long)]
    note: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// What was done, as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn create(args: &Create) -> anyhow::Result<()> {
    let sale = Sale::read(&args.file)?;
    let client = args.connection.client()?;
    let answer: Value = client.post("/campaigns", &sale.body()?).await?;
    if args.json {
        return print_json(&answer);
    }
    print(&made(&sale.id, serde_json::from_value(answer)?))
}

/// What a campaign that was made is told with.
pub(super) fn made(campaign: &str, made: Made) -> String {
    let rules = made.explain.iter().map(|rule| format!("\n  {rule}"));
    let warnings = made.warnings().map(|warning| format!("\nwarning: {warning}"));
    format!(
        "campaign {campaign} is created, under revision {}:{}{}",
        made.revision.unwrap_or(1),
        rules.collect::<String>(),
        warnings.collect::<String>()
    )
}

pub(super) async fn activate(args: &Activate) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let path = format!("{}/activate", path(&args.campaign));
    let body = json!({"revision": args.revision, "accept": args.accept});
    let answer: Value = client.post(&path, &body).await?;
    match args.json {
        true => print_json(&answer),
        false => print(&meaning(&answer)),
    }
}

/// What an activation means, line by line.
pub(super) fn meaning(answer: &Value) -> String {
    let sentences = answer["meaning"].as_array().into_iter().flatten();
    let sentences: Vec<&str> = sentences.filter_map(Value::as_str).collect();
    sentences.join("\n")
}

pub(super) async fn clone(args: &Clone) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let path = format!("{}/clone", path(&args.campaign));
    let mut body = json!({"id": args.id, "opens_at": args.opens_at, "closes_at": args.closes_at});
    for (name, text) in [("title", &args.title), ("note", &args.note)] {
        if let Some(text) = text {
            body[name] = text.as_str().into();
        }
    }
    let answer: Value = client.post(&path, &body).await?;
    match args.json {
        true => print_json(&answer),
        false => print(&made(&args.id, serde_json::from_value(answer)?)),
    }
}

pub(super) async fn delete(args: &Delete) -> anyhow::Result<()> {
    let question = format!("Remove campaign {}, with its rules and revisions?", args.campaign);
    if !args.yes {
        confirm(&question)?;
    }
    let client = args.connection.client()?;
    let note = args.note.as_deref();
    let note = note.map_or(String::new(), |note| format!("?note={}", segment(note)));
    let path = format!("{}{note}", path(&args.campaign));
    client
        .send(Method::DELETE, &path, None, Default::default())
        .await?;
    let did = format!("campaign {} is removed; its id is free", args.campaign);
    match args.json {
        true => print_json(&json!({"campaign": args.campaign, "did": did})),
        false => print(&did),
    }
}
