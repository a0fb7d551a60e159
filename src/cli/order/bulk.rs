//! Orders cancelled and refunded in bulk by command: the job is begun, and watched until it ends.

use std::time::Duration;

use anyhow::bail;
use hyper::Method;
use serde_json::Value;

use crate::cli::client::{Client, segment};
use crate::cli::out::{counted, print, print_json};

/// Between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_millis(500);

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
    /// So many a second: 1 to 2000.
    #[arg(long, value_name = "N", requires = "several")]
    rate: Option<u32>,
    /// Only where it is so many orders.
    #[arg(long, value_name = "N", requires = "several")]
    expect: Option<u64>,
    /// Say which orders it would be, and change nothing.
    #[arg(long, requires = "several")]
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
    pub(super) json: bool,
}

impl Several {
    fn filter(&self) -> Value {
        let texts = [
            ("state", self.state.clone()),
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
        self.body["filter"] = several.filter();
        if let Some(rate) = several.rate {
            self.body["rate"] = rate.into();
        }
        if let Some(expect) = several.expect {
            self.body["expect"] = expect.into();
        }
        let (campaign, act) = (segment(self.campaign), self.act);
        let query = if several.dry_run { "?dry_run=true" } else { "" };
        let path = format!("/campaigns/{campaign}/orders/{act}{query}");
        let change = self
            .client
            .change(Method::POST, &path, &self.body, Some(&self.key));
        let answer = change.await?;
        if several.dry_run {
            return match self.json {
                true => print_json(&answer),
                false => print(&tried(&answer)),
            };
        }
        let job = answer["job"].as_str().unwrap_or_default();
        let answer = self.until_ended(job).await?;
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

    async fn until_ended(&self, job: &str) -> anyhow::Result<Value> {
        let path = format!(
            "/campaigns/{}/orders/jobs/{}",
            segment(self.campaign),
            segment(job)
        );
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
