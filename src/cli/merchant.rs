//! `rushgate merchant`: who owns campaigns, lists, webhooks and modules, over the control plane.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::client::Connection;
use crate::cli::out::{print, print_json};

/// What can be done with merchants.
#[derive(Debug, Subcommand)]
pub enum Merchant {
    /// Makes a merchant.
    Create(Create),
    /// Lists merchants, the newest first.
    List(List),
}

#[derive(Debug, clap::Args)]
pub struct Create {
    /// The merchant's id, which stands for good.
    #[arg(value_name = "ID")]
    merchant: String,
    /// For people; the id where it is left out.
    #[arg(long)]
    name: Option<String>,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

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

/// Carries out a command. An error says what to do about it.
pub async fn run(command: Merchant) -> anyhow::Result<()> {
    match command {
        Merchant::Create(args) => create(&args).await,
        Merchant::List(args) => list(&args).await,
    }
}

async fn create(args: &Create) -> anyhow::Result<()> {
    let mut body = json!({"id": args.merchant});
    if let Some(name) = &args.name {
        body["name"] = name.as_str().into();
    }
    let created: Value = args.connection.client()?.post("/merchants", &body).await?;
    match args.json {
        true => print_json(&created),
        false => print(&format!("Merchant {} is there.", args.merchant)),
    }
}

async fn list(args: &List) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let merchants = client
        .pages("/merchants", "merchants", args.limit as usize)
        .await?;
    if args.json {
        return print_json(&json!({"merchants": merchants}));
    }
    let mut lines = format!("{:24}  {:24}  name\n", "merchant", "since");
    for merchant in &merchants {
        let text = |name: &str| merchant[name].as_str().unwrap_or_default();
        lines += &format!("{:24}  {:24}  {}\n", text("id"), text("created_at"), text("name"));
    }
    print(&lines)
}
