//! Jobs over orders: listed, looked at and stopped by command.

use clap::Subcommand;
use hyper::Method;
use serde_json::Value;

use crate::cli::client::{Connection, segment};
use crate::cli::out::{print, print_json};
use crate::order::shown_sku;

/// What can be done with jobs, which cancel and refund more than one order.
#[derive(Debug, Subcommand)]
pub enum Job {
    /// Lists the jobs over a campaign's orders, the one begun last first.
    List(List),
    /// Shows how far a job has come.
    Show(One),
    /// Stops a job: no further order is changed, and what was changed stays so.
    Stop(One),
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// The campaign.
    #[arg(value_name = "CAMPAIGN")]
    campaign: String,
    /// So many at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// One JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct One {
    /// The campaign.
    #[arg(value_name = "CAMPAIGN")]
    campaign: String,
    /// The job's id.
    #[arg(value_name = "JOB")]
    job: String,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(command: Job) -> anyhow::Result<()> {
    match command {
        Job::List(args) => list(&args).await,
        Job::Show(args) => {
            let job: Value = args
                .connection
                .client()?
                .get(&path(&args.campaign, &args.job))
                .await?;
            say(&job, args.json, in_full(&job))
        }
        Job::Stop(args) => {
            let (client, path) = (args.connection.client()?, path(&args.campaign, &args.job));
            let answer = client
                .send(Method::DELETE, &path, None, Default::default())
                .await?;
            let job: Value = client.read(&path, &answer)?;
            say(&job, args.json, stopped(&job))
        }
    }
}

/// The path of a job.
pub(super) fn path(campaign: &str, job: &str) -> String {
    format!("/campaigns/{}/orders/jobs/{}", segment(campaign), segment(job))
}

fn say(job: &Value, json: bool, text: String) -> anyhow::Result<()> {
    match json {
        true => print_json(job),
        false => print(&text),
    }
}

async fn list(args: &List) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let path = format!("/campaigns/{}/orders/jobs", segment(&args.campaign));
    let jobs = client.pages(&path, "jobs", args.limit as usize).await?;
    match args.json {
        true => print_json(&jobs),
        false => print(&table(&jobs)),
    }
}

fn text<'a>(job: &'a Value, name: &str) -> &'a str {
    job[name].as_str().unwrap_or_default()
}

fn table(jobs: &[Value]) -> String {
    if jobs.is_empty() {
        return "There is no job over these orders.".to_owned();
    }
    let mut lines = format!(
        "{:32}  {:24}  {:7}  what it did, and of which orders\n",
        "job", "begun", "state"
    );
    for job in jobs {
        lines += &format!(
            "{:32}  {:24}  {:7}  {} ({})\n",
            text(job, "job"),
            text(job, "begun_at"),
            text(job, "state"),
            text(job, "did"),
            which(job)
        );
    }
    lines
}

/// What the filter names: `state confirmed, user eve`.
fn which(job: &Value) -> String {
    let named = ["state", "user", "sku", "from", "to"]
        .into_iter()
        .filter_map(|name| {
            let value = job["filter"][name].as_str()?;
            Some(match name {
                "sku" => format!("SKU {}", shown_sku(value)),
                _ => format!("{name} {value}"),
            })
        });
    named.collect::<Vec<_>>().join(", ")
}

fn in_full(job: &Value) -> String {
    let mut lines = text(job, "did").to_owned() + "\n";
    for name in [
        "job", "campaign", "state", "begun_at", "ended_at", "actor", "reason", "note", "releases",
    ] {
        match text(job, name) {
            "" => {}
            value => lines += &format!("{name:14}  {value}\n"),
        }
    }
    for name in ["matched", "changed", "skipped", "failed", "rate"] {
        lines += &format!("{name:14}  {}\n", job[name]);
    }
    lines + &format!("{:14}  {}\n", "orders", which(job))
}

fn stopped(job: &Value) -> String {
    match text(job, "state") {
        "done" => format!("The job had ended by itself: {}", text(job, "did")),
        _ => text(job, "did").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(state: &str) -> Value {
        json!({"job": "0123", "campaign": "spring", "state": state, "begun_at": "2026-12-01T00:00:00.000Z",
            "did": "2 of 5 orders are cancelled; then it was stopped.", "actor": "admin", "reason": "fraud",
            "releases": "stock", "matched": 5, "changed": 2, "skipped": 0, "failed": 0, "rate": 10,
            "filter": {"user": "eve", "sku": "mug"}})
    }

    #[test]
    fn a_job_is_shown_with_what_it_did_and_with_its_orders() {
        let line = table(&[job("stopped")]);
        assert!(
            line.contains("stopped  2 of 5 orders are cancelled; then it was stopped. (user eve, SKU mug)"),
            "{line}"
        );
        let full = in_full(&job("stopped"));
        assert!(
            full.contains("changed         2\n") && full.contains("rate            10\n"),
            "{full}"
        );
        assert!(!full.contains("note"), "{full}");
        assert_eq!(table(&[]), "There is no job over these orders.");
    }

    #[test]
    fn stopping_one_that_has_ended_says_so() {
        assert!(stopped(&job("done")).starts_with("The job had ended by itself: 2 of 5"));
        assert!(stopped(&job("stopped")).starts_with("2 of 5"));
    }
}
