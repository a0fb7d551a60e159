//! `rushgate buyer`: one buyer's data exported and erased, over the control plane.

use std::path::PathBuf;

use clap::Subcommand;
use hyper::Method;
use serde_json::{Value, json};

use super::client::{Connection, key_or_own, segment};
use super::order::download;
use super::out::{print, print_json};

/// What can be done with one buyer's data.
#[derive(Debug, Subcommand)]
pub enum Buyer {
    /// Writes all there is of a buyer, as a line of JSON each; the last line says that it is all.
    Export(Export),
    /// Has a buyer erased: at once what nothing needs any more, the rest when campaigns end to need it.
    Erase(Erase),
    /// Shows what stands of the erasure of a buyer.
    Erasure(Erasure),
}

#[derive(Debug, clap::Args)]
pub struct Export {
    /// The buyer's id, as tokens have it.
    #[arg(value_name = "USER")]
    user: String,
    /// The buyer of this merchant alone; without, everybody of this name, or with a key of one merchant, that one's.
    #[arg(long, value_name = "ID")]
    merchant: Option<String>,
    /// Into this file, instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Erase {
    /// The buyer's id, as tokens have it.
    #[arg(value_name = "USER")]
    user: String,
    /// The buyer of this merchant alone; without, everybody of this name, or with a key of one merchant, that one's.
    #[arg(long, value_name = "ID")]
    merchant: Option<String>,
    /// Why, for the audit trail; without the buyer's name.
    #[arg(long)]
    note: Option<String>,
    /// Also take the buyer off lists: a deny list does not refuse them then.
    #[arg(long)]
    lists: bool,
    /// Say what would be erased, and when; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Ask once, however often the command is run with this key; without, each run has one of its own.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Erasure {
    /// The buyer's id, as tokens have it.
    #[arg(value_name = "USER")]
    user: String,
    /// The buyer of this merchant alone; without, everybody of this name, or with a key of one merchant, that one's.
    #[arg(long, value_name = "ID")]
    merchant: Option<String>,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Carries out a command.
pub async fn run(command: Buyer) -> anyhow::Result<()> {
    match command {
        Buyer::Export(args) => {
            let path = path(&args.user, "data", (args.merchant.as_deref(), false));
            download(&args.connection.client()?, &path, args.output.as_deref()).await
        }
        Buyer::Erase(args) => erase(&args).await,
        Buyer::Erasure(args) => {
            let path = path(&args.user, "erasure", (args.merchant.as_deref(), false));
            let answer: Value = args.connection.client()?.get(&path).await?;
            say(&answer, args.json)
        }
    }
}

async fn erase(args: &Erase) -> anyhow::Result<()> {
    let mut body = json!({"lists": args.lists});
    if let Some(note) = &args.note {
        body["note"] = note.as_str().into();
    }
    let path = path(&args.user, "erase", (args.merchant.as_deref(), args.dry_run));
    let key = key_or_own(args.key.as_deref());
    let client = args.connection.client()?;
    let answer = client.change(Method::POST, &path, &body, Some(&key)).await?;
    say(&answer, args.json)
}

fn path(user: &str, what: &str, (merchant, dry_run): (Option<&str>, bool)) -> String {
    let merchant = merchant.map(|merchant| format!("merchant={}", segment(merchant)));
    let tried = dry_run.then(|| "dry_run=true".to_owned());
    let query: Vec<String> = merchant.into_iter().chain(tried).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("/buyers/{}/{what}{mark}{}", segment(user), query.join("&"))
}

fn say(answer: &Value, json: bool) -> anyhow::Result<()> {
    match json {
        true => print_json(answer),
        false => print(&told(answer)),
    }
}

/// An erasure in lines: all of it in a sentence, then each campaign and each list.
fn told(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = text(&answer["did"]);
    for each in answer["campaigns"].as_array().into_iter().flatten() {
        let due = match each["due_at"].as_str() {
            Some(due_at) => format!(" (due {due_at})"),
            None => String::new(),
        };
        lines += &format!(
            "\n{:24}  {} orders, {} letters: {}{due}",
            text(&each["campaign"]),
            each["orders"],
            each["letters"],
            text(&each["what"])
        );
    }
    for each in answer["lists"].as_array().into_iter().flatten() {
        let stays = match answer["off_lists"] == true {
            true => "is to be taken off",
            false => "stays on it; --lists takes the buyer off",
        };
        lines += &format!("\nlist {:19}  {stays}", text(&each["list"]));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn campaigns_and_lists_have_a_line_each() {
        let answer = json!({"did": "2 orders are erased so far.", "off_lists": false,
            "campaigns": [{"campaign": "spring", "orders": 1, "letters": 0, "what": "kept", "due_at": "2026-12-01T00:00:00.000Z"}],
            "lists": [{"list": "deny", "version": 3}]});
        let told = told(&answer);
        assert_eq!(told.lines().count(), 3, "{told}");
        assert!(
            told.contains("1 orders, 0 letters: kept (due 2026-12-01T00:00:00.000Z)"),
            "{told}"
        );
        assert!(
            told.ends_with("stays on it; --lists takes the buyer off"),
            "{told}"
        );
    }
}
