//! Orders paid, cancelled and refunded by command.

use hyper::Method;
use serde_json::{Value, json};

use crate::cli::client::{Connection, segment};
use crate::cli::out::{print, print_json};

/// Which order, and how it is changed.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// The campaign.
    #[arg(value_name = "CAMPAIGN")]
    campaign: String,
    /// The order's id: 32 hex digits.
    #[arg(value_name = "ORDER")]
    order: String,
    /// Why, in a word that is counted: fraud.
    #[arg(long, value_name = "WORD")]
    reason: Option<String>,
    /// Why, for whoever looks at the order.
    #[arg(long)]
    note: Option<String>,
    /// Make the change once, however often the command is run with this key; without, each run has one of its own.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Pay {
    #[command(flatten)]
    which: Which,
}

/// A change that lets go of what the order holds.
#[derive(Debug, clap::Args)]
pub struct GiveBack {
    /// What comes back: stock+allowance, stock or none; without, what the campaign says of the reason.
    #[arg(long, value_name = "WHAT")]
    releases: Option<String>,
    #[command(flatten)]
    which: Which,
}

pub(super) async fn pay(args: &Pay) -> anyhow::Result<()> {
    act(&args.which, "pay", None).await
}

pub(super) async fn cancel(args: &GiveBack) -> anyhow::Result<()> {
    act(&args.which, "cancel", args.releases.as_deref()).await
}

pub(super) async fn refund(args: &GiveBack) -> anyhow::Result<()> {
    act(&args.which, "refund", args.releases.as_deref()).await
}

/// Sends the change, and says what it did.
async fn act(which: &Which, act: &str, releases: Option<&str>) -> anyhow::Result<()> {
    let path = format!(
        "/campaigns/{}/orders/{}/{act}",
        segment(&which.campaign),
        segment(&which.order)
    );
    let mut body = json!({});
    let texts = [
        ("reason", which.reason.as_deref()),
        ("note", which.note.as_deref()),
        ("releases", releases),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            body[name] = text.into();
        }
    }
    let own = uuid::Uuid::now_v7().simple().to_string();
    let key = which.key.as_deref().unwrap_or(&own);
    let client = which.connection.client()?;
    let answer: Value = client.change(Method::POST, &path, &body, Some(key)).await?;
    match which.json {
        true => print_json(&answer),
        false => print(answer["did"].as_str().unwrap_or_default()),
    }
}
