//! Webhooks as they are.

use serde_json::Value;

use crate::cli::client::{Connection, segment};
use crate::cli::out::{print, print_json};

#[derive(Debug, clap::Args)]
pub struct List {
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Show {
    /// The webhook's id.
    #[arg(value_name = "ID")]
    webhook: String,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// The path of a webhook.
pub(super) fn path(webhook: &str) -> String {
    format!("/webhooks/{}", segment(webhook))
}

pub(super) async fn list(args: &List) -> anyhow::Result<()> {
    let answer: Value = args.connection.client()?.get("/webhooks").await?;
    if args.json {
        return print_json(&answer);
    }
    let webhooks = answer["webhooks"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if webhooks.is_empty() {
        return print("There is no webhook.");
    }
    let mut lines = format!(
        "{:32}  {:8}  {:16}  URL, events\n",
        "webhook", "state", "campaign"
    );
    for webhook in webhooks {
        let text = |name: &str| webhook[name].as_str().unwrap_or_default();
        lines += &format!(
            "{:32}  {:8}  {:16}  {}  {}\n",
            text("id"),
            text("state"),
            webhook["campaign"].as_str().unwrap_or("all"),
            text("url"),
            events(webhook)
        );
    }
    print(&lines)
}

fn events(webhook: &Value) -> String {
    let named = webhook["events"].as_array().into_iter().flatten();
    let named: Vec<&str> = named.filter_map(Value::as_str).collect();
    match named.is_empty() {
        true => "every event".to_owned(),
        false => named.join(", "),
    }
}

pub(super) async fn show(args: &Show) -> anyhow::Result<()> {
    let webhook: Value = args.connection.client()?.get(&path(&args.webhook)).await?;
    match args.json {
        true => print_json(&webhook),
        false => print(&in_full(&webhook)),
    }
}

/// A webhook, a line per fact.
pub(super) fn in_full(webhook: &Value) -> String {
    let mut lines = String::new();
    for name in [
        "id",
        "state",
        "url",
        "campaign",
        "note",
        "created_at",
        "failing_since",
        "disabled_at",
        "disabled_why",
        "previous_secret_until",
        "waiting",
        "secret",
    ] {
        match &webhook[name] {
            Value::Null => {}
            Value::String(text) => lines += &format!("{name:21}  {text}\n"),
            other => lines += &format!("{name:21}  {other}\n"),
        }
    }
    lines + &format!("{:21}  {}\n", "events", events(webhook))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_shown_with_what_there_is_of_it() {
        let webhook = serde_json::json!({"id": "0a", "state": "enabled", "url": "https://x.example/", "events": [], "waiting": 3});
        let shown = in_full(&webhook);
        let lines: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.splitn(2, "  ").map(str::trim).collect())
            .collect();
        let wanted = [
            ["id", "0a"],
            ["state", "enabled"],
            ["url", "https://x.example/"],
            ["waiting", "3"],
            ["events", "every event"],
        ];
        assert_eq!(lines, wanted);
    }
}
