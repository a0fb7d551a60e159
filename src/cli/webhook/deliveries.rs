//! What was sent to a webhook, and what is sent again.

use serde_json::{Value, json};

use super::list::path;
use crate::cli::client::{Connection, segment};
use crate::cli::dlt::values::past;
use crate::cli::out::{Exit, print, print_json};

#[derive(Debug, clap::Args)]
pub struct Deliveries {
    /// The webhook's id.
    #[arg(value_name = "ID")]
    webhook: String,
    /// waiting, delivered or failed.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
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
pub struct Replay {
    /// The webhook's id.
    #[arg(value_name = "ID")]
    webhook: String,
    /// Every delivery of this order.
    #[arg(long, value_name = "ORDER", conflicts_with_all = ["from", "to", "state"])]
    order: Option<String>,
    /// Those that were written down at this time or later: 2026-12-01T10:00:00Z, or how long ago, 2h.
    #[arg(long, value_name = "TIME", value_parser = past)]
    from: Option<jiff::Timestamp>,
    /// Those that were written down before this time.
    #[arg(long, value_name = "TIME", value_parser = past)]
    to: Option<jiff::Timestamp>,
    /// failed, waiting or delivered; without, failed.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Test {
    /// The webhook's id.
    #[arg(value_name = "ID")]
    webhook: String,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn deliveries(args: &Deliveries) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let state = args
        .state
        .as_deref()
        .map(|state| format!("?state={}", segment(state)));
    let path = format!("{}/deliveries{}", path(&args.webhook), state.unwrap_or_default());
    let found = client.pages(&path, "deliveries", args.limit as usize).await?;
    match args.json {
        true => print_json(&found),
        false => print(&table(&found)),
    }
}

fn table(deliveries: &[Value]) -> String {
    if deliveries.is_empty() {
        return "There is no such delivery.".to_owned();
    }
    let mut lines = format!(
        "{:24}  {:16}  {:34}  {:9}  tries  what came\n",
        "written down", "event", "id", "state"
    );
    for delivery in deliveries {
        let text = |name: &str| delivery[name].as_str().unwrap_or_default();
        let came = match (delivery["status"].as_u64(), text("error")) {
            (_, error) if !error.is_empty() => error.to_owned(),
            (Some(status), _) => status.to_string(),
            (None, _) => String::new(),
        };
        lines += &format!(
            "{:24}  {:16}  {:34}  {:9}  {:>5}  {came}\n",
            text("created_at"),
            text("event"),
            text("id"),
            text("state"),
            delivery["attempts"].as_u64().unwrap_or(0),
        );
    }
    lines
}

pub(super) async fn replay(args: &Replay) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let body = match &args.order {
        Some(order) => json!({"order": order}),
        None => json!({"from": args.from, "to": args.to, "state": args.state}),
    };
    let answer: Value = client
        .post(&format!("{}/replay", path(&args.webhook)), &body)
        .await?;
    if args.json {
        return print_json(&answer);
    }
    let replayed = &answer["replayed"];
    match answer["more_from"].as_str() {
        None => print(&format!("{replayed} deliveries are sent again.")),
        Some(from) => print(&format!(
            "{replayed} deliveries are sent again, and there are more: go on with --from {from}."
        )),
    }
}

pub(super) async fn test(args: &Test) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let answer: Value = client
        .post(&format!("{}/test", path(&args.webhook)), &json!({}))
        .await?;
    let taken = answer["delivered"].as_bool().unwrap_or(false);
    match args.json {
        true => print_json(&answer)?,
        false => print(&tried(&answer, taken))?,
    }
    if taken { Ok(()) } else { Err(Exit(1).into()) }
}

fn tried(answer: &Value, taken: bool) -> String {
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    let what = match taken {
        true => format!("It was taken: {}", answer["status"]),
        false => format!("It was not taken: {}", text("error")),
    };
    let said = match text("answer") {
        "" => String::new(),
        said => format!("\n{said}"),
    };
    format!("{what}, after {} ms.{said}", answer["took_ms"])
}
