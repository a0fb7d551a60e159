//! Webhooks made, changed and removed.

use bytes::Bytes;
use hyper::Method;
use serde_json::{Map, Value, json};

use super::list::{in_full, path};
use crate::cli::client::Connection;
use crate::cli::out::{confirm, print, print_json};

#[derive(Debug, clap::Args)]
pub struct Add {
    /// Where it is: https, or http in a network that webhooks.private names.
    #[arg(value_name = "URL")]
    url: String,
    /// Of this campaign alone.
    #[arg(long, value_name = "ID")]
    campaign: Option<String>,
    /// What it is to hear, such as order.paid; may be given more than once. Without, everything.
    #[arg(long, value_name = "EVENT")]
    event: Vec<String>,
    /// Whose it is, for people.
    #[arg(long)]
    note: Option<String>,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = true, args = ["url", "event", "all_events", "note"])]
pub struct Set {
    /// The webhook's id.
    #[arg(value_name = "ID")]
    webhook: String,
    /// Where it is from now on.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// What it is to hear instead; may be given more than once.
    #[arg(long, value_name = "EVENT", conflicts_with = "all_events")]
    event: Vec<String>,
    /// It is to hear everything.
    #[arg(long)]
    all_events: bool,
    /// Another note; "" takes it away.
    #[arg(long)]
    note: Option<String>,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Rotate {
    /// The webhook's id.
    #[arg(value_name = "ID")]
    webhook: String,
    /// For how long the old secret signs as well; 0: not at all.
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    keep_hours: u32,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Remove {
    /// The webhook's id.
    #[arg(value_name = "ID")]
    webhook: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct One {
    /// The webhook's id.
    #[arg(value_name = "ID")]
    webhook: String,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

fn shown(webhook: &Value, json: bool) -> anyhow::Result<()> {
    match json {
        true => print_json(webhook),
        false => print(&in_full(webhook)),
    }
}

pub(super) async fn add(args: &Add) -> anyhow::Result<()> {
    let body = json!({"url": args.url, "campaign": args.campaign, "events": args.event, "note": args.note});
    let created: Value = args.connection.client()?.post("/webhooks", &body).await?;
    shown(&created, args.json)
}

pub(super) async fn set(args: &Set) -> anyhow::Result<()> {
    let mut body = Map::new();
    if let Some(url) = &args.url {
        body.insert("url".into(), url.as_str().into());
    }
    if args.all_events || !args.event.is_empty() {
        body.insert("events".into(), json!(args.event));
    }
    if let Some(note) = &args.note {
        let note = Some(note).filter(|note| !note.is_empty());
        body.insert("note".into(), json!(note));
    }
    patch(&args.connection, &args.webhook, body.into(), args.json).await
}

async fn patch(connection: &Connection, webhook: &str, body: Value, json: bool) -> anyhow::Result<()> {
    let client = connection.client()?;
    let changed = client.change(Method::PATCH, &path(webhook), &body, None).await?;
    shown(&changed, json)
}

pub(super) async fn disable(args: &One, disabled: bool) -> anyhow::Result<()> {
    let body = json!({"disabled": disabled});
    patch(&args.connection, &args.webhook, body, args.json).await
}

pub(super) async fn rotate(args: &Rotate) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let body = json!({"keep_hours": args.keep_hours});
    let rotated: Value = client
        .post(&format!("{}/secret", path(&args.webhook)), &body)
        .await?;
    if args.json {
        return print_json(&rotated);
    }
    let text = |name: &str| rotated[name].as_str().unwrap_or_default();
    print(&format!(
        "{}\nThe secret before signs as well until {}.",
        text("secret"),
        text("previous_secret_until")
    ))
}

pub(super) async fn remove(args: &Remove) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    if !args.yes {
        let webhook: Value = client.get(&path(&args.webhook)).await?;
        let url = webhook["url"].as_str().unwrap_or_default();
        confirm(&format!(
            "Webhook {} ({url}) is removed, with {} deliveries that wait for it.",
            args.webhook, webhook["waiting"]
        ))?;
    }
    client
        .send(Method::DELETE, &path(&args.webhook), None, Bytes::new())
        .await?;
    print(&format!("Webhook {} is removed.", args.webhook))
}
