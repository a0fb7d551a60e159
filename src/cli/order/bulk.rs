//! Orders cancelled and refunded in bulk by command: somebody is asked, the job is begun, and watched until it ends.

use std::time::Duration;

use anyhow::bail;
use hyper::Method;
use serde_json::Value;

use super::jobs::path;
use crate::cli::client::{Client, ClientError, segment};
use crate::cli::out::{Exit, confirm, counted, print, print_json};
use crate::order::OrderState;

/// Between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After Ctrl-C, as shells have it.
const INTERRUPTED: Exit = Exit(130);

/// Which orders, where no single one is named.
#[derive(Debug, clap::Args)]
#[group(id = "several", multiple = true, conflicts_with = "order")]
pub struct Several {
    /// All that are in this state.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// All of this buyer.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// All of this SKU.
    #[arg(long, value_name = "SKU")]
    sku: Option<String>,
    /// All that were placed at this time or later: 2026-12-01T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<jiff::Timestamp>,
    /// All that were placed before this time.
    #[arg(long, value_name = "TIME")]
    to: Option<jiff::Timestamp>,
    /// Every order of the campaign that can be changed so: of cancel those that are not paid, of refund those that are.
    #[arg(long, conflicts_with_all = ["state", "user", "sku", "from", "to"])]
    all: bool,
    /// So many a second: 1 to 2000.
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Only where it is so many orders.
    #[arg(long, value_name = "N")]
    expect: Option<u64>,
    /// Say which orders it would be, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What is asked for, besides which orders.
pub(super) struct Bulk<'a> {
    pub(super) client: Client,
    pub(super) campaign: &'a str,
    /// `cancel` or `refund`.
    pub(super) act: &'a str,
    /// What is said of the change.
    pub(super) body: Value,
    pub(super) key: String,
    /// The key is this run's alone.
    pub(super) has_own_key: bool,
    /// Nobody is asked.
    pub(super) yes: bool,
    pub(super) json: bool,
}

impl Several {
    fn filter(&self, act: &str) -> Value {
        let state = match (self.all, act) {
            (false, _) => self.state.clone(),
            (true, "refund") => Some(OrderState::Paid.as_str().to_owned()),
            (true, _) => Some(OrderState::Confirmed.as_str().to_owned()),
        };
        let texts = [
            ("state", state),
            ("user", self.user.clone()),
            ("sku", self.sku.clone()),
            ("from", self.from.map(|at| at.to_string())),
            ("to", self.to.map(|at| at.to_string())),
        ];
        let given = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
        Value::Object(given.collect())
    }
}

impl Bulk<'_> {
    /// Begins the job and watches it until it ends; or says what it would be.
    pub(super) async fn change(mut self, several: &Several) -> anyhow::Result<()> {
        self.body["filter"] = several.filter(self.act);
        if let Some(rate) = several.rate {
            self.body["rate"] = rate.into();
        }
        if let Some(expect) = several.expect {
            self.body["expect"] = expect.into();
        }
        if several.dry_run {
            let answer = self.send("?dry_run=true").await?;
            return match self.json {
                true => print_json(&answer),
                false => print(&tried(&answer)),
            };
        }
        if !self.yes {
            self.agreed().await?;
        }
        let begun = self.send("").await?;
        let answer = self.watched(begun["job"].as_str().unwrap_or_default()).await?;
        match self.json {
            true => print_json(&answer)?,
            false => print(&ended(&answer))?,
        }
        match answer["failed"].as_u64() {
            Some(0) | None => Ok(()),
            Some(failed) => bail!(
                "{} could not be changed; the log of a gateway says why",
                counted(failed as usize, "order")
            ),
        }
    }

    async fn send(&self, query: &str) -> Result<Value, ClientError> {
        let path = format!("/campaigns/{}/orders/{}{query}", segment(self.campaign), self.act);
        self.client
            .change(Method::POST, &path, &self.body, Some(&self.key))
            .await
    }

    /// Whether it may be done: where it is more than one order, what it would be is shown, and somebody asked.
    async fn agreed(&mut self) -> anyhow::Result<()> {
        let found = self.send("?dry_run=true").await?;
        let all = found["orders"].as_u64().unwrap_or_default();
        let changed = found["would_change"].as_u64().unwrap_or(all);
        if changed < 2 {
            return Ok(());
        }
        // Standard output is the job's.
        eprintln!("{}", tried(&found));
        let act = if self.act == "refund" { "Refund" } else { "Cancel" };
        let orders = counted(changed as usize, "order");
        confirm(&format!("{act} {orders} of campaign {}?", self.campaign))?;
        // What was agreed to is what was shown. Under a key that comes again, orders are not as they were the first time.
        if self.has_own_key && self.body.get("expect").is_none() {
            self.body["expect"] = all.into();
        }
        Ok(())
    }

    /// The job as it ended. Where that is not waited for, or cannot be seen, it goes on.
    async fn watched(&self, job: &str) -> anyhow::Result<Value> {
        let ended = tokio::select! {
            ended = self.until_ended(job) => ended.map_err(anyhow::Error::from),
            stopped = tokio::signal::ctrl_c() => {
                stopped?;
                Err(INTERRUPTED.into())
            }
        };
        ended.inspect_err(|_| eprintln!("{}", goes_on(self.campaign, job)))
    }

    async fn until_ended(&self, job: &str) -> Result<Value, ClientError> {
        let path = path(self.campaign, job);
        loop {
            let answer: Value = self.client.get(&path).await?;
            if answer["state"] != "running" {
                return Ok(answer);
            }
            eprintln!("job {job}: {}", did(&answer));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn goes_on(campaign: &str, job: &str) -> String {
    format!(
        "job {job} goes on without this command.\n  look at it: rushgate order job show {campaign} {job}\n  stop it:    \
         rushgate order job stop {campaign} {job}"
    )
}

fn did(answer: &Value) -> &str {
    answer["did"].as_str().unwrap_or_default()
}

fn ended(answer: &Value) -> String {
    match answer["skipped"].as_u64() {
        Some(0) | None => did(answer).to_owned(),
        Some(skipped) => format!(
            "{} {skipped} were in a state that does not allow it.",
            did(answer)
        ),
    }
}

/// What a dry run found, by SKU and by state.
fn tried(answer: &Value) -> String {
    let mut text = did(answer).to_owned();
    for by in ["by_sku", "by_state"] {
        for (name, counted) in answer[by].as_object().into_iter().flatten() {
            text += &format!(
                "\n{name:24}  {} orders, {} units",
                counted["orders"], counted["units"]
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_found_and_what_was_done_is_said() {
        let found = json!({"did": "1 of 2 orders would be cancelled.",
            "by_sku": {"mug": {"orders": 2, "units": 3}}, "by_state": {"paid": {"orders": 1, "units": 1}}});
        let told = tried(&found);
        assert_eq!(told.lines().count(), 3, "{told}");
        assert!(
            told.contains("mug                       2 orders, 3 units"),
            "{told}"
        );
        let done = json!({"did": "1 of 2 orders are cancelled.", "skipped": 1});
        assert_eq!(
            ended(&done),
            "1 of 2 orders are cancelled. 1 were in a state that does not allow it."
        );
    }
}
