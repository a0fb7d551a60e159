//! `rushgate simulate`: what other rules would have answered, as a merchant reads it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

use crate::cli::client::{Connection, segment};
use crate::cli::out::grouped;
use crate::control::simulate::{EstimateAnswer, ExampleAnswer, FlipAnswer, OutcomeAnswer, Simulation};
use crate::order::{array, shown_sku};

/// Replays recorded attempts of a campaign under its active revision and under other rules.
///
/// Nothing is stored, and the sale does not notice.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The campaign.
    #[arg(long, value_name = "ID")]
    pub campaign: String,
    /// JSON: the rules as in a revision, `[{"module":"n-per-user","params":{"limit":1}}]` or `{"rules":[…]}`.
    #[arg(long, value_name = "FILE")]
    pub rules: PathBuf,
    /// `sample` (recorded attempts), `orders` (landed orders), or a file with one attempt per line.
    #[arg(long, value_name = "sample|orders|FILE", default_value = "sample")]
    pub from: String,
    /// Let each attempt's own revision decide on the old side, instead of the active one.
    #[arg(long)]
    pub as_recorded: bool,
    /// The whole answer as JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub connection: Connection,
}

/// Asks the control plane and prints what it answers.
pub async fn main(args: Args) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let mut body = rules(&args.rules)?;
    if args.as_recorded {
        body["old"] = "recorded".into();
    }
    let path = format!("/campaigns/{}/simulate", segment(&args.campaign));
    let answer = match args.from.as_str() {
        from @ ("sample" | "orders") => {
            body["from"] = from.into();
            client
                .send(
                    Method::POST,
                    &path,
                    Some("application/json"),
                    body.to_string().into(),
                )
                .await?
        }
        file => {
            let lines = lines(&body, Path::new(file))?;
            client
                .send(Method::POST, &path, Some("application/x-ndjson"), lines)
                .await?
        }
    };
    if args.json {
        println!("{}", String::from_utf8_lossy(&answer.body).trim_end());
        return Ok(());
    }
    let simulation: Simulation = client.read(&path, &answer)?;
    print!("{}", shown(&simulation));
    Ok(())
}

fn rules(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read(file).with_context(|| format!("cannot read the rules in {}", file.display()))?;
    let value: Value = serde_json::from_slice(&text).map_err(|error| {
        anyhow::anyhow!("{}:{}:{}: {error}", file.display(), error.line(), error.column())
    })?;
    match value {
        Value::Array(_) => Ok(serde_json::json!({"rules": value})),
        Value::Object(_) if value.get("rules").is_some() => Ok(value),
        _ => bail!(
            "{} holds neither a list of rules nor an object with \"rules\": write \
             [{{\"module\":\"n-per-user\",\"params\":{{\"limit\":1}}}}]",
            file.display()
        ),
    }
}

/// The rules on one line, then the file.
fn lines(body: &Value, file: &Path) -> anyhow::Result<Bytes> {
    let attempts = std::fs::read(file).with_context(|| {
        format!(
            "cannot read the attempts in {}; --from takes sample, orders, or a file",
            file.display()
        )
    })?;
    let mut lines = body.to_string().into_bytes();
    lines.push(b'\n');
    lines.extend_from_slice(&attempts);
    Ok(lines.into())
}

/// The answer as a table and sentences.
fn shown(simulation: &Simulation) -> String {
    let mut text = String::new();
    let revision = simulation
        .old
        .revision
        .map_or("the old rules".to_owned(), |number| format!("revision {number}"));
    let span = match (&simulation.first_at, &simulation.last_at) {
        (Some(first), Some(last)) => format!(" ({first} to {last})"),
        _ => String::new(),
    };
    let share = simulation.sample.as_ref().map_or(1.0, |sample| sample.share);
    let buyers = match share < 1.0 {
        true => format!(" of {:.3} % of the buyers", share * 100.0),
        false => String::new(),
    };
    let _ = writeln!(
        text,
        "{}: {} attempts{buyers}{span}, replayed under {revision} and under the new rules.\n",
        simulation.campaign,
        grouped(simulation.attempts)
    );
    let _ = writeln!(text, "The new rules:");
    for sentence in &simulation.new.explain {
        let _ = writeln!(text, "  {sentence}");
    }
    text.push('\n');
    table(&mut text, &revision, &simulation.outcomes);
    text.push('\n');
    if simulation.attempts > 0 {
        text.push_str(&changed(simulation));
        flips(&mut text, &simulation.flips);
        text.push_str(&held_against_record(simulation, &revision));
        flips(&mut text, &simulation.recorded.kinds);
    }
    for note in &simulation.notes {
        let _ = writeln!(text, "Note: {note}");
    }
    text
}

fn table(text: &mut String, revision: &str, outcomes: &[OutcomeAnswer]) {
    let width = outcomes
        .iter()
        .map(|row| row.outcome.len())
        .max()
        .unwrap_or(0)
        .max(16);
    let all = match outcomes.iter().any(|row| row.all.is_some()) {
        true => format!(" {:>24}", "new rules, all buyers"),
        false => String::new(),
    };
    let _ = writeln!(
        text,
        "{:width$} {:>12} {revision:>14} {:>12} {:>12}{all}",
        "outcome", "recorded", "new rules", "change"
    );
    for row in outcomes {
        let change = row.new as i64 - row.old as i64;
        let sign = match change {
            ..0 => "-",
            0 => "",
            1.. => "+",
        };
        let _ = writeln!(
            text,
            "{:width$} {:>12} {:>14} {:>12} {:>12}{}",
            row.outcome,
            grouped(row.recorded),
            grouped(row.old),
            grouped(row.new),
            format!("{sign}{}", grouped(change.unsigned_abs())),
            row.all
                .map_or(String::new(), |all| format!(" {:>24}", about(all.new))),
        );
    }
}

fn changed(simulation: &Simulation) -> String {
    let all = simulation.flipped_all.map_or(String::new(), |all| {
        format!("; of all buyers, about {}", about(all))
    });
    match simulation.flipped {
        0 => format!(
            "Every attempt would be answered as it is now{}.\n",
            otherwise(simulation)
        ),
        1 => format!("1 attempt would be answered otherwise{all}:\n"),
        n => format!("{} attempts would be answered otherwise{all}:\n", grouped(n)),
    }
}

/// Nothing was found in the sample; how much there may be.
fn otherwise(simulation: &Simulation) -> String {
    simulation.flipped_all.map_or(String::new(), |all| {
        format!("; of all buyers, fewer than {} would not", grouped(all.margin))
    })
}

fn about(estimate: EstimateAnswer) -> String {
    format!("{} ± {}", grouped(estimate.count), grouped(estimate.margin))
}

fn held_against_record(simulation: &Simulation, revision: &str) -> String {
    match (simulation.recorded.attempts, simulation.recorded.differ) {
        (0, _) => "Nothing says how the attempts were answered then.\n".to_owned(),
        (_, 0) => format!("The replay under {revision} answers every attempt as it was answered then.\n"),
        (all, differ) => format!(
            "The replay under {revision} answers {} of {} attempts otherwise than they were answered then:\n",
            grouped(differ),
            grouped(all)
        ),
    }
}

fn flips(text: &mut String, flips: &[FlipAnswer]) {
    for flip in flips {
        let all = flip
            .all
            .map_or(String::new(), |all| format!(" ({} of all buyers)", about(all)));
        let _ = writeln!(
            text,
            "  {:>9}  {} → {}{all}",
            grouped(flip.count),
            flip.from,
            flip.to
        );
        for example in &flip.examples {
            let _ = writeln!(text, "             {}", line(example));
        }
    }
}

fn line(example: &ExampleAnswer) -> String {
    let ExampleAnswer {
        at,
        user,
        sku,
        quantity,
        attributes,
    } = example;
    let mut line = format!("{at}  {user}  {quantity} × {}", shown_sku(sku));
    for (name, value) in attributes {
        let elements: Vec<&str> = array::elements(value).collect();
        let _ = write!(line, "  {name}={}", elements.join(","));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::simulate::{AllBuyers, AttemptSource, Compared, SampleAnswer, SideAnswer};

    #[test]
    fn a_merchant_reads_a_table_and_sentences() {
        let side = |revision, sentence: &str| SideAnswer {
            revision,
            explain: vec![sentence.to_owned()],
            plan_digest: String::new(),
        };
        let outcome = |name: &str, recorded, old, new| OutcomeAnswer {
            outcome: name.to_owned(),
            recorded,
            old,
            new,
            all: None,
        };
        let mut simulation = Simulation {
            campaign: "spring".into(),
            from: AttemptSource::Sample,
            attempts: 12_345,
            first_at: Some("2026-11-21T10:00:00.000Z".into()),
            last_at: Some("2026-11-21T10:05:00.000Z".into()),
            sample: None,
            old: side(Some(3), "Each user may place at most 3 orders."),
            new: side(None, "Each user may place at most 1 order."),
            outcomes: vec![
                outcome("admitted", 12_000, 12_000, 10_999),
                outcome("n-per-user/limit-per-user", 345, 345, 1346),
            ],
            flipped: 1001,
            flipped_all: None,
            flips: vec![FlipAnswer {
                from: "admitted".into(),
                to: "n-per-user/limit-per-user".into(),
                count: 1001,
                all: None,
                examples: vec![ExampleAnswer {
                    at: "2026-11-21T10:00:07.000Z".into(),
                    user: "ada".into(),
                    sku: "mug".into(),
                    quantity: 2,
                    attributes: [("client:device".to_owned(), "d 1".to_owned())].into(),
                }],
            }],
            recorded: Compared {
                attempts: 12_345,
                differ: 0,
                kinds: vec![],
            },
            notes: vec!["The sample holds everybody.".into()],
        };
        insta::assert_snapshot!(shown(&simulation), @r"
        spring: 12,345 attempts (2026-11-21T10:00:00.000Z to 2026-11-21T10:05:00.000Z), replayed under revision 3 and under the new rules.

        The new rules:
          Each user may place at most 1 order.

        outcome                       recorded     revision 3    new rules       change
        admitted                        12,000         12,000       10,999       -1,001
        n-per-user/limit-per-user          345            345        1,346       +1,001

        1,001 attempts would be answered otherwise:
              1,001  admitted → n-per-user/limit-per-user
                     2026-11-21T10:00:07.000Z  ada  2 × mug  client:device=d 1
        The replay under revision 3 answers every attempt as it was answered then.
        Note: The sample holds everybody.
        ");

        // The same from a share of the buyers.
        let estimate = |count, margin| EstimateAnswer { count, margin };
        let all = |new| AllBuyers {
            recorded: new,
            old: new,
            new,
        };
        simulation.sample = Some(SampleAnswer {
            share: 0.125,
            decided: Some(99_000),
            dropped: 0,
        });
        simulation.outcomes[0].all = Some(all(estimate(87_992, 1810)));
        simulation.outcomes[1].all = Some(all(estimate(10_768, 702)));
        simulation.flipped_all = Some(estimate(8008, 611));
        simulation.flips[0].all = simulation.flipped_all;
        simulation.flips[0].examples.clear();
        insta::assert_snapshot!(shown(&simulation), @r"
        spring: 12,345 attempts of 12.500 % of the buyers (2026-11-21T10:00:00.000Z to 2026-11-21T10:05:00.000Z), replayed under revision 3 and under the new rules.

        The new rules:
          Each user may place at most 1 order.

        outcome                       recorded     revision 3    new rules       change    new rules, all buyers
        admitted                        12,000         12,000       10,999       -1,001           87,992 ± 1,810
        n-per-user/limit-per-user          345            345        1,346       +1,001             10,768 ± 702

        1,001 attempts would be answered otherwise; of all buyers, about 8,008 ± 611:
              1,001  admitted → n-per-user/limit-per-user (8,008 ± 611 of all buyers)
        The replay under revision 3 answers every attempt as it was answered then.
        Note: The sample holds everybody.
        ");
        (simulation.flipped, simulation.flipped_all) = (0, Some(estimate(0, 21)));
        assert_eq!(
            changed(&simulation),
            "Every attempt would be answered as it is now; of all buyers, fewer than 21 would not.\n"
        );
    }
}
