//! Orders paid, cancelled and refunded by command.

use clap::error::ErrorKind;
use clap::{ArgMatches, Command};
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
    #[arg(value_name = "ORDER")]
    order: Option<String>,
    #[command(flatten)]
    several: Several,
    /// Do not ask, also where it is more than one order.
    #[arg(long)]
    yes: bool,
    /// What comes back: stock+allowance, stock or none; without, what the campaign says of the reason.
    #[arg(long, value_name = "WHAT")]
    releases: Option<String>,
    #[command(flatten)]
    how: How,
}

/// Refuses a cancel and a refund that names no orders at all.
pub(in crate::cli) fn check_named(command: &mut Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    let Some(("order", order)) = matches.subcommand() else {
        return Ok(());
    };
    let Some((act @ ("cancel" | "refund"), given)) = order.subcommand() else {
        return Ok(());
    };
    let names = ["order", "state", "user", "sku", "from", "to"];
    if given.get_flag("all") || names.iter().any(|name| given.contains_id(name)) {
        return Ok(());
    }
    let text = format!(
        "rushgate order {act} has to be told which orders: give ORDER, the id of one; or --state, --user, --sku, --from or --to, for \
         all that these let through; or --all, for every order of the campaign that can be changed so"
    );
    command.build();
    let of_act = command
        .find_subcommand_mut("order")
        .and_then(|order| order.find_subcommand_mut(act));
    Err(of_act
        .unwrap_or(&mut Command::new("rushgate"))
        .error(ErrorKind::MissingRequiredArgument, text))
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
                has_own_key: how.key.is_none(),
                yes: args.yes,
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
