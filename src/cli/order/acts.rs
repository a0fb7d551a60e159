//! Orders paid, cancelled and refunded by command.

use hyper::Method;
use serde_json::Value;

use super::bulk::{Bulk, Several};
use crate::cli::client::{Connection, key_or_own, segment};
use crate::cli::out::{print, print_json};

/// How orders are changed.
#[derive(Debug, clap::Args)]
pub struct How {
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
    /// The campaign.
    #[arg(value_name = "CAMPAIGN")]
    campaign: String,
    /// The order's id: 32 hex digits.
    #[arg(value_name = "ORDER")]
    order: String,
    #[command(flatten)]
    how: How,
}

/// A change that lets go of what orders hold.
#[derive(Debug, clap::Args)]
pub struct GiveBack {
    /// The campaign.
    #[arg(value_name = "CAMPAIGN")]
    campaign: String,
    /// The order's id: 32 hex digits; without, all of the campaign that --user and its like let through.
    #[arg(value_name = "ORDER", required_unless_present = "several")]
    order: Option<String>,
    #[command(flatten)]
    several: Several,
    /// What comes back: stock+allowance, stock or none; without, what the campaign says of the reason.
    #[arg(long, value_name = "WHAT")]
    releases: Option<String>,
    #[command(flatten)]
    how: How,
}

pub(super) async fn pay(args: &Pay) -> anyhow::Result<()> {
    act((&args.campaign, &args.order), "pay", &args.how, None).await
}

pub(super) async fn cancel(args: &GiveBack) -> anyhow::Result<()> {
    give_back(args, "cancel").await
}

pub(super) async fn refund(args: &GiveBack) -> anyhow::Result<()> {
    give_back(args, "refund").await
}

async fn give_back(args: &GiveBack, name: &str) -> anyhow::Result<()> {
    let (campaign, how, releases) = (&args.campaign, &args.how, args.releases.as_deref());
    match &args.order {
        Some(order) => act((campaign, order), name, how, releases).await,
        None => {
            let bulk = Bulk {
                client: how.connection.client()?,
                campaign,
                act: name,
                body: how.body(releases),
                key: key_or_own(how.key.as_deref()),
                json: how.json,
            };
            bulk.change(&args.several).await
        }
    }
}

impl How {
    /// A body with what is said of the change.
    fn body(&self, releases: Option<&str>) -> Value {
        let texts = [
            ("reason", self.reason.as_deref()),
            ("note", self.note.as_deref()),
            ("releases", releases),
        ];
        let given = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
        Value::Object(given.collect())
    }
}

/// Sends the change, and says what it did.
async fn act(
    (campaign, order): (&str, &str),
    act: &str,
    how: &How,
    releases: Option<&str>,
) -> anyhow::Result<()> {
    let path = format!("/campaigns/{}/orders/{}/{act}", segment(campaign), segment(order));
    let client = how.connection.client()?;
    let answer = client
        .change(
            Method::POST,
            &path,
            &how.body(releases),
            Some(&key_or_own(how.key.as_deref())),
        )
        .await?;
    match how.json {
        true => print_json(&answer),
        false => print(answer["did"].as_str().unwrap_or_default()),
    }
}
