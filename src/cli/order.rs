//! `rushgate order`: orders that landed, over the control plane.

mod acts;
mod bulk;
mod jobs;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use serde_json::Value;

pub(super) use acts::check_named;

use super::client::{Client, Connection, segment};
use super::dlt::values::past;
use super::out::{print, print_json, quiet_pipe};
use crate::order::shown_sku;

/// What can be done with orders.
#[derive(Debug, Subcommand)]
pub enum Order {
    /// Lists orders of a campaign, the one placed last first; with --csv or --jsonl all of them.
    List(List),
    /// Shows one order in full, with what became of it.
    Show(Show),
    /// Says that an order is paid.
    Pay(acts::Pay),
    /// Cancels an order that is not paid, or all that --user and its like let through; what they hold comes back.
    ///
    /// More than one order is a job of the gateways: it is asked about first, goes on when this command ends, and is looked at
    /// with `rushgate order job`. Ends with 1 where something is wrong, or nobody said yes; with 130 after Ctrl-C.
    Cancel(acts::GiveBack),
    /// Says that the buyer of a paid order got the money back, or of all that --user and its like let through; what they hold
    /// comes back.
    ///
    /// More than one order is a job of the gateways: it is asked about first, goes on when this command ends, and is looked at
    /// with `rushgate order job`. Ends with 1 where something is wrong, or nobody said yes; with 130 after Ctrl-C.
    Refund(acts::GiveBack),
    /// Looks after jobs, which cancel or refund more than one order.
    #[command(subcommand)]
    Job(jobs::Job),
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// The campaign.
    #[arg(value_name = "CAMPAIGN")]
    campaign: String,
    /// confirmed, paid, cancelled, expired, refunded or revoked.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Of this buyer alone.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Of this SKU alone.
    #[arg(long, value_name = "SKU")]
    sku: Option<String>,
    /// Placed at this time or later: 2026-12-01T10:00:00Z, or how long ago, 2h.
    #[arg(long, value_name = "TIME", value_parser = past)]
    from: Option<jiff::Timestamp>,
    /// Placed before this time.
    #[arg(long, value_name = "TIME", value_parser = past)]
    to: Option<jiff::Timestamp>,
    /// So many at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// One JSON document.
    #[arg(long, conflicts_with_all = ["csv", "jsonl"])]
    json: bool,
    /// Every order, as a table for spreadsheet programs.
    #[arg(long, conflicts_with_all = ["jsonl", "limit"])]
    csv: bool,
    /// Every order, as a line of JSON each.
    #[arg(long, conflicts_with = "limit")]
    jsonl: bool,
    /// Into this file, instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Show {
    /// The campaign.
    #[arg(value_name = "CAMPAIGN")]
    campaign: String,
    /// The order's id: 32 hex digits.
    #[arg(value_name = "ORDER")]
    order: String,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Carries out a command.
pub async fn run(command: Order) -> anyhow::Result<()> {
    match command {
        Order::List(args) => list(&args).await,
        Order::Show(args) => show(&args).await,
        Order::Pay(args) => acts::pay(&args).await,
        Order::Cancel(args) => acts::cancel(&args).await,
        Order::Refund(args) => acts::refund(&args).await,
        Order::Job(command) => jobs::run(command).await,
    }
}

impl List {
    /// The path, with what is asked for.
    fn path(&self) -> String {
        let times = [("from", self.from), ("to", self.to)];
        let times = times.map(|(name, time)| (name, time.map(|time| time.to_string())));
        let texts = [("state", &self.state), ("user", &self.user), ("sku", &self.sku)];
        let texts = texts.map(|(name, text)| (name, text.clone()));
        let given = texts.into_iter().chain(times);
        let query: String = given
            .filter_map(|(name, text)| Some(format!("&{name}={}", segment(&text?))))
            .collect();
        let format = match (self.csv, self.jsonl) {
            (true, _) => "csv",
            (_, true) => "jsonl",
            _ => "json",
        };
        format!(
            "/campaigns/{}/orders?format={format}{query}",
            segment(&self.campaign)
        )
    }
}

async fn list(args: &List) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    if args.csv || args.jsonl {
        return download(&client, &args.path(), args.output.as_deref()).await;
    }
    let orders = client.pages(&args.path(), "orders", args.limit as usize).await?;
    let text = match args.json {
        true => serde_json::to_string_pretty(&orders)? + "\n",
        false => table(&orders),
    };
    match &args.output {
        None => print(&text),
        Some(file) => std::fs::write(file, text).with_context(|| unwritten(file)),
    }
}

fn unwritten(file: &Path) -> String {
    format!("cannot write {}", file.display())
}

/// Writes all of them as they come. What is there of a file that broke off is removed: it would look like all of them.
pub(super) async fn download(client: &Client, path: &str, file: Option<&Path>) -> anyhow::Result<()> {
    let Some(file) = file else {
        let mut out = io::stdout().lock();
        return quiet_pipe(client.download(path, &mut out).await.map(drop));
    };
    let mut out = BufWriter::new(File::create(file).with_context(|| unwritten(file))?);
    let written = client.download(path, &mut out).await;
    let written = written.and_then(|bytes| {
        out.flush().with_context(|| unwritten(file))?;
        Ok(bytes)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(file);
    }
    eprintln!("{} bytes are written to {}", written?, file.display());
    Ok(())
}

fn table(orders: &[Value]) -> String {
    if orders.is_empty() {
        return "There is no such order.".to_owned();
    }
    let text = |order: &Value, name: &str| order[name].as_str().unwrap_or("").to_owned();
    let mut lines = format!(
        "{:32}  {:24}  {:9}  {:>5}  SKU, user\n",
        "order", "placed", "state", "units"
    );
    for order in orders {
        lines += &format!(
            "{}  {}  {:9}  {:>5}  {}  {}{}\n",
            text(order, "order"),
            text(order, "placed_at"),
            text(order, "state"),
            order["quantity"].as_u64().unwrap_or(0),
            shown_sku(&text(order, "sku")),
            text(order, "user"),
            match text(order, "revoked_reason").as_str() {
                "" => String::new(),
                reason => format!("  ({reason})"),
            }
        );
    }
    lines
}

async fn show(args: &Show) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let path = format!(
        "/campaigns/{}/orders/{}",
        segment(&args.campaign),
        segment(&args.order)
    );
    let order: Value = client.get(&path).await?;
    match args.json {
        true => print_json(&order),
        false => print(&in_full(&order)),
    }
}

fn in_full(order: &Value) -> String {
    let mut lines = String::new();
    for name in [
        "order",
        "campaign",
        "state",
        "revoked_reason",
        "user",
        "sku",
        "quantity",
        "revision",
        "placed_at",
        "confirmed_at",
        "pay_by",
        "holds",
        "replaces",
    ] {
        match &order[name] {
            Value::Null => {}
            Value::String(text) => lines += &format!("{name:14}  {text}\n"),
            other => lines += &format!("{name:14}  {other}\n"),
        }
    }
    for (name, value) in order["attributes"].as_object().into_iter().flatten() {
        lines += &format!("{name:14}  {value}\n");
    }
    for charge in order["charges"].as_array().into_iter().flatten() {
        let (counter, cost) = (charge["counter"].as_str().unwrap_or(""), &charge["cost"]);
        lines += &format!("charged         {counter}: {cost}\n");
    }
    for change in order["changes"].as_array().into_iter().flatten() {
        let text = |name: &str| change[name].as_str().unwrap_or("");
        let reason = match text("reason") {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        let (to, at, actor) = (text("to"), text("at"), text("actor"));
        lines += &format!("{to:14}  {at} by {actor}{reason}\n");
    }
    lines
}
