//! `rushgate campaign watch`: a running sale, looked at once a second.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use super::api::{Shown, shown_with_answer};
use super::list::stock;
use crate::cli::client::{Client, ClientError, Connection};
use crate::cli::out::{grouped, quiet_pipe};
use crate::order::shown_sku;

#[derive(Debug, clap::Args)]
pub struct Watch {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// Each look is a line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

const EVERY: Duration = Duration::from_secs(1);
/// To the upper left corner.
const HOME: &str = "\x1b[H";
/// What the line has behind the cursor, and what stands below it, goes.
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_PAGE: &str = "\x1b[J";
/// The terminal's other page, which leaves the first as it was.
const OTHER_PAGE: &str = "\x1b[?1049h\x1b[?25l";
const FIRST_PAGE: &str = "\x1b[?25h\x1b[?1049l";

pub(super) async fn watch(args: &Watch) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    // What is wrong from the start is an error; later it is shown, and looked at again.
    let first = look(&client, &args.campaign).await?;
    let form = match (args.json, io::stdout().is_terminal()) {
        (true, _) => Form::Json,
        (false, true) => Form::Page,
        (false, false) => Form::Line,
    };
    if form == Form::Page {
        write(OTHER_PAGE)?;
    }
    let watched = tokio::select! {
        watched = looks(&client, &args.campaign, first, form) => watched,
        stopped = tokio::signal::ctrl_c() => stopped.map_err(Into::into),
    };
    if form == Form::Page {
        write(FIRST_PAGE)?;
    }
    quiet_pipe(watched)
}

/// How a look is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// In a terminal, drawn anew.
    Page,
    Line,
    Json,
}

async fn look(client: &Client, campaign: &str) -> Result<Look, ClientError> {
    let (shown, answer) = shown_with_answer(client, campaign).await?;
    Ok(Look::new(shown, answer))
}

async fn looks(client: &Client, campaign: &str, mut last: Look, form: Form) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval_at(Instant::now() + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    write(&last.shown(None, form))?;
    loop {
        ticks.tick().await;
        match look(client, campaign).await {
            Ok(look) => {
                write(&look.shown(Some(&last), form))?;
                last = look;
            }
            Err(error) if passes(&error) => write(&last.unanswered(&error, form))?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// A gateway that restarts, or a service behind it that is away, comes back.
fn passes(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::Broken { .. } | ClientError::Slow { .. } => true,
        ClientError::Refused { document, .. } => document.retryable,
        _ => false,
    }
}

/// Over what the terminal shows.
fn drawn(page: &str) -> String {
    let lines = page.lines().map(|line| format!("{line}{REST_OF_LINE}\r\n"));
    format!("{HOME}{}{REST_OF_PAGE}", lines.collect::<String>())
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// What was seen, and when.
struct Look {
    at: jiff::Timestamp,
    when: Instant,
    campaign: Shown,
    /// The control plane's answer.
    answer: Value,
}

impl Look {
    fn new(campaign: Shown, answer: Value) -> Self {
        Self {
            at: jiff::Timestamp::now(),
            when: Instant::now(),
            campaign,
            answer,
        }
    }

    fn shown(&self, before: Option<&Self>, form: Form) -> String {
        match form {
            Form::Page => drawn(&self.told(before)),
            Form::Line => self.line(before) + "\n",
            Form::Json => format!("{}\n", self.json(before)),
        }
    }

    /// Nobody has answered since.
    fn unanswered(&self, error: &ClientError, form: Form) -> String {
        match form {
            Form::Page => drawn(&format!("{}\nno answer since: {error}\n", self.told(None))),
            Form::Line => format!("no answer: {error}\n"),
            Form::Json => {
                let at = format!("{:.3}", jiff::Timestamp::now());
                format!("{}\n", json!({"at": at, "error": error.to_string()}))
            }
        }
    }

    /// What the control plane answered, and what can be said of it beside the look before.
    fn json(&self, before: Option<&Self>) -> Value {
        let rejected = self.rejected(before).into_iter();
        let rejected: BTreeMap<&str, u64> = rejected.map(|(reason, _, speed)| (reason, speed)).collect();
        json!({
            "at": format!("{:.3}", self.at),
            "admitted_per_second": self.speed(before),
            "rejected_per_second": rejected,
            "campaign": self.answer,
        })
    }

    fn admitted(&self) -> i64 {
        self.campaign.skus.iter().map(|sku| sku.admitted).sum()
    }

    /// So many a second since `before`.
    fn rate(&self, before: &Self, more: i64) -> u64 {
        let seconds = (self.when - before.when).as_secs_f64().max(0.001);
        (more.max(0) as f64 / seconds).round() as u64
    }

    /// Units admitted a second.
    fn speed(&self, before: Option<&Self>) -> u64 {
        before.map_or(0, |before| self.rate(before, self.admitted() - before.admitted()))
    }

    /// Reason, all so far, and so many a second.
    fn rejected(&self, before: Option<&Self>) -> Vec<(&str, u64, u64)> {
        let none = BTreeMap::new();
        let earlier = before.map_or(&none, |before| &before.campaign.rejected);
        let rejected = self.campaign.rejected.iter();
        let mut rejected: Vec<_> = rejected
            .map(|(reason, count)| {
                let known = earlier.get(reason).copied().unwrap_or(0);
                let speed = before.map_or(0, |before| self.rate(before, *count as i64 - known as i64));
                (reason.as_str(), *count, speed)
            })
            .collect();
        rejected.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
        rejected
    }

    fn state(&self) -> &str {
        match self.campaign.redis_whole || self.campaign.state == "archived" {
            true => &self.campaign.state,
            false => "gate closed",
        }
    }

    /// A page.
    fn told(&self, before: Option<&Self>) -> String {
        let campaign = &self.campaign;
        let mut page = format!(
            "{} ({})   {}   revision {}   {:.0}\nopens {:.3}   closes {:.3}\n\n{}\n",
            campaign.id,
            campaign.title,
            self.state(),
            campaign.revision,
            self.at,
            campaign.opens_at,
            campaign.closes_at,
            stock(campaign)
        );
        let _ = writeln!(
            page,
            "admitted  {:>10} units a second",
            grouped(self.speed(before))
        );
        for (reason, count, speed) in self.rejected(before) {
            let _ = writeln!(
                page,
                "rejected  {:>10} a second, {:>12} in all   {reason}",
                grouped(speed),
                grouped(count)
            );
        }
        let _ = writeln!(
            page,
            "on the way: {} orders to Kafka, {} units to the database",
            grouped(campaign.orders_to_kafka),
            grouped(campaign.units_to_database)
        );
        page
    }

    /// The same in one line.
    fn line(&self, before: Option<&Self>) -> String {
        let campaign = &self.campaign;
        let mut line = format!(
            "{:.0} {} {}",
            self.at,
            campaign.id,
            self.state().replace(' ', "-")
        );
        for sku in &campaign.skus {
            let _ = write!(line, " {}={}/{}", shown_sku(&sku.id), sku.remaining, sku.stock);
        }
        let _ = write!(
            line,
            " admitted={} per-second={}",
            self.admitted(),
            self.speed(before)
        );
        for (reason, count, _) in self.rejected(before) {
            let _ = write!(line, " {reason}={count}");
        }
        let (kafka, database) = (campaign.orders_to_kafka, campaign.units_to_database);
        let _ = write!(line, " to-kafka={kafka} to-database={database}");
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_and_a_line_say_what_goes_on() {
        let look = |admitted: i64, sold_out: u64, seconds: u64| {
            let shown = json!({
                "id": "spring", "title": "Spring sale", "revision": 3, "state": "open",
                "opens_at": "2026-12-01T10:00:00.000Z", "closes_at": "2026-12-03T10:00:00.000Z", "retention_days": 7,
                "rejected": {"sold-out": sold_out, "n-per-user/limit-per-user": 7}, "orders_to_kafka": 12,
                "units_to_database": 1500, "redis_whole": true,
                "skus": [{"id": "mug", "stock": 5000, "remaining": 5000 - admitted, "admitted": admitted, "landed": 1}],
            });
            Look {
                at: "2026-12-01T10:00:07Z".parse().expect("a time"),
                when: Instant::now() + Duration::from_secs(seconds),
                campaign: serde_json::from_value(shown.clone()).expect("an answer"),
                answer: shown,
            }
        };
        let (before, now) = (look(1000, 5, 0), look(3000, 25, 2));
        insta::assert_snapshot!(now.told(Some(&before)), @r"
        spring (Spring sale)   open   revision 3   2026-12-01T10:00:07Z
        opens 2026-12-01T10:00:00.000Z   closes 2026-12-03T10:00:00.000Z

        SKU         units          left      admitted        landed
        mug         5,000         2,000         3,000             1

        admitted       1,000 units a second
        rejected          10 a second,           25 in all   sold-out
        rejected           0 a second,            7 in all   n-per-user/limit-per-user
        on the way: 12 orders to Kafka, 1,500 units to the database
        ");
        insta::assert_snapshot!(
            now.line(Some(&before)),
            @"2026-12-01T10:00:07Z spring open mug=2000/5000 admitted=3000 per-second=1000 sold-out=25 n-per-user/limit-per-user=7 to-kafka=12 to-database=1500"
        );
        assert!(before.line(None).contains("per-second=0"));
        let json = now.json(Some(&before));
        assert_eq!(json["admitted_per_second"], 1000);
        assert_eq!(json["rejected_per_second"]["sold-out"], 10);
        assert_eq!(json["campaign"]["units_to_database"], 1500);
        assert_eq!(json["at"], "2026-12-01T10:00:07.000Z");
    }
}
