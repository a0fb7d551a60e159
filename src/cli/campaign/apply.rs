//! `rushgate campaign apply`: what a file says is so, or is made so.

use std::path::PathBuf;

use anyhow::bail;
use hyper::Method;
use serde_json::Value;

use super::api::{self, Made, RevisionShown, Shown};
use super::change::{made, meaning};
use super::diff::Difference;
use super::running::did;
use super::sale::Sale;
use super::steps::{Tried, steps};
use crate::cli::client::{Client, ClientError, Connection};
use crate::cli::out::{Exit, confirm, counted, grouped, print};

#[derive(Debug, clap::Args)]
pub struct Apply {
    /// The campaign in YAML or JSON, as `campaign export` writes it.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// A counter that may be re-keyed or dropped, or start at zero; may be given more than once.
    #[arg(long, value_name = "COUNTER")]
    accept: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// With --dry-run, where something would change.
const WOULD_CHANGE: Exit = Exit(2);

pub(super) async fn apply(args: &Apply) -> anyhow::Result<()> {
    let sale = Sale::read(&args.file)?;
    let client = args.connection.client()?;
    lists_are_there(&client, &sale).await?;
    let Some(shown) = api::find(&client, &sale.id).await? else {
        return create(args, &client, &sale).await;
    };
    let revision = api::revision(&client, &shown).await?;
    change(args, &client, &sale, (&shown, &revision)).await
}

async fn lists_are_there(client: &Client, sale: &Sale) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    for list in &sale.lists {
        if !api::has_list(client, list).await? {
            missing.push(format!("{list:?}"));
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => bail!(
            "there is no list {}: upload it first (PUT /admin/v1/audiences/ID), or take it out of \"lists\"",
            missing.join(", ")
        ),
    }
}

/// A campaign that is not there. All that creating it would be refused for is found before anybody is asked.
async fn create(args: &Apply, client: &Client, sale: &Sale) -> anyhow::Result<()> {
    let units: u64 = sale.skus.iter().map(|sku| sku.stock).sum();
    let new = format!(
        "campaign {} is new: it opens at {:.3} and closes at {:.3}, with {} units of {}",
        sale.id,
        sale.opens_at,
        sale.closes_at,
        grouped(units),
        counted(sale.skus.len(), "SKU"),
    );
    let body = sale.body()?;
    let path = "/campaigns?dry_run=true";
    match client.change(Method::POST, path, &body, None).await {
        Ok(answer) => print(&would_be(&new, &serde_json::from_value(answer)?))?,
        Err(ClientError::Older { .. }) => {
            print(&format!(
                "{new}\nwarning: this control plane is of a release that cannot try a new campaign: its rules are not looked at"
            ))?;
        }
        Err(error) => return Err(error.into()),
    }
    agreed(args)?;
    let answer: Made = client.post("/campaigns", &body).await?;
    print(&made(&sale.id, answer))
}

/// A new campaign in sentences: those of its rules, and what its modules warn of.
fn would_be(new: &str, tried: &Made) -> String {
    let rules = tried.explain.iter().map(|rule| format!("\n  {rule}"));
    let warnings = tried.warnings().map(|warning| format!("\nwarning: {warning}"));
    rules
        .chain(warnings)
        .fold(format!("{new}, under"), |text, line| text + &line)
}

/// Whether it may be done: an [`Exit`] for a dry run, and where somebody says no.
fn agreed(args: &Apply) -> anyhow::Result<()> {
    match (args.dry_run, args.yes) {
        (true, _) => Err(WOULD_CHANGE.into()),
        (false, true) => Ok(()),
        (false, false) => confirm("Apply this?"),
    }
}

async fn change(
    args: &Apply,
    client: &Client,
    sale: &Sale,
    (shown, revision): (&Shown, &RevisionShown),
) -> anyhow::Result<()> {
    let file = args.file.display();
    let mut difference = Difference::of(sale, shown, revision);
    if difference.is_none() {
        let number = shown.revision;
        return print(&format!(
            "campaign {} is as {file} says, under revision {number}",
            sale.id
        ));
    }
    let mut fixed = std::mem::take(&mut difference.fixed);
    let mut tried = Tried::default();
    for step in steps(sale, &difference) {
        match step.run(client, sale, &args.accept, true).await {
            Ok(answer) => match step.short(&answer) {
                Some(why) => fixed.push(why),
                None => tried.add(step, &answer)?,
            },
            Err(ClientError::Older { .. }) => match step.instead() {
                Some(instead) => {
                    let answer = instead.run(client, sale, &args.accept, true).await?;
                    tried.add(instead, &answer)?;
                }
                None => fixed.push(format!(
                    "{}, which this control plane cannot change yet",
                    step.told()
                )),
            },
            Err(error) => return Err(error.into()),
        }
    }
    if !fixed.is_empty() {
        bail!(
            "campaign {} cannot be brought to what {file} says:\n  {}",
            sale.id,
            fixed.join("\n  ")
        );
    }
    print(&tried.told(&sale.id))?;
    tried.accepted(&args.accept)?;
    agreed(args)?;
    let mut short = Vec::new();
    for step in &tried.steps {
        let answer = step.run(client, sale, &args.accept, false).await?;
        print(&said(&answer))?;
        short.extend(step.short(&answer));
    }
    match short.is_empty() {
        true => Ok(()),
        false => bail!(
            "campaign {} is not as {file} says:\n  {}",
            sale.id,
            short.join("\n  ")
        ),
    }
}

/// What a change answered, in sentences.
fn said(answer: &Value) -> String {
    match answer.get("meaning") {
        Some(_) => meaning(answer),
        None => did(answer),
    }
}
