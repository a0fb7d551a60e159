//! `rushgate reconcile`: engine and database, held against each other.
//!
//! Ends with 0 where nothing differs, with 1 where differences are left, with 2 where something could not be
//! compared.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;

use super::out::{Exit, quiet_pipe, user};
use super::settings::{OperatorWithRedis, Settings};
use crate::app::adapters::{sending, store};
use crate::app::sealing::Sealing;
use crate::bus::Producer;
use crate::bus::kafka::KafkaProducer;
use crate::clock::now_ms;
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::redis::Redis;
use crate::reconcile::{CompareError, Comparison, Reconcile, RepairOutcome};
use crate::store::Store;

/// How long Redis and Kafka have to answer at all.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// Differences of a campaign that are printed; `--json` has all.
const PRINTED_MAX: usize = 100;

/// Compares what Redis and the database know of each campaign, while orders flow.
///
/// Ends with 0 where nothing differs, with 1 where differences are left, with 2 where something could not be
/// compared.
#[derive(Clone, Debug, clap::Args)]
pub struct ReconcileArgs {
    /// This one alone; otherwise every campaign whose state is still kept.
    #[arg(long, value_name = "ID")]
    pub campaign: Option<String>,
    /// Put differences right, and compare again: lost orders are sent again, and land. What is oversold is never
    /// touched.
    #[arg(long)]
    pub repair: bool,
    /// Give lost orders up instead of sending them again: they become `revoked`, their units and counts are free again,
    /// and a copy that turns up later does not land.
    #[arg(long, requires = "repair")]
    pub release: bool,
    /// One JSON document.
    #[arg(long)]
    pub json: bool,
    /// Who repairs, for the audit trail [default: $USER].
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    #[command(flatten)]
    pub settings: Settings<OperatorWithRedis>,
}

const DIFFERENT: Exit = Exit(1);
const NOT_COMPARED: Exit = Exit(2);

/// Compares, prints, and says by an [`Exit`] what came of it.
pub async fn reconcile(args: ReconcileArgs) -> anyhow::Result<()> {
    let answer = match compare_all(&args).await {
        Ok(answer) => answer,
        Err(error) => {
            eprintln!("rushgate: {error:#}");
            return Err(NOT_COMPARED.into());
        }
    };
    let text = match args.json {
        true => serde_json::to_string_pretty(&answer.json())? + "\n",
        false => answer.text(args.repair),
    };
    let printed = io::stdout().lock().write_all(text.as_bytes());
    quiet_pipe(printed.map_err(Into::into))?;
    for (campaign, error) in &answer.failed {
        eprintln!("rushgate: campaign {campaign} was not compared: {error}");
    }
    match (answer.failed.is_empty(), answer.left()) {
        (false, _) => Err(NOT_COMPARED.into()),
        (true, 0) => Ok(()),
        (true, _) => Err(DIFFERENT.into()),
    }
}

/// What came of it, campaign by campaign.
#[derive(Default)]
struct Answer {
    compared: Vec<Comparison>,
    failed: Vec<(String, String)>,
    /// Archived ones that were asked for, each with a sentence.
    archived: Vec<(String, String)>,
}

async fn compare_all(args: &ReconcileArgs) -> anyhow::Result<Answer> {
    let config = args.settings.begin()?;
    let store = store(&config).await?;
    let sealing = Sealing::join(&config, &store, "reconcile").await?;
    let answer = compare_with(args, &config, &store, &sealing).await;
    sealing.leave().await;
    store.close().await;
    answer
}

async fn compare_with(
    args: &ReconcileArgs,
    config: &Config,
    store: &Store,
    sealing: &Sealing,
) -> anyhow::Result<Answer> {
    let mut stage = stage(config, store, sealing).await?.telling(Arc::new(told));
    let campaigns = match &args.campaign {
        Some(campaign) => vec![campaign.clone()],
        None => {
            let rows = store.live_campaigns(now_ms()).await?;
            rows.into_iter().map(|row| row.campaign.id).collect()
        }
    };
    let actor = args.repair.then(|| args.actor.clone().unwrap_or_else(user));
    let mut answer = Answer::default();
    for campaign in campaigns {
        let compared = match &actor {
            Some(actor) if args.release => stage.compare_and_release(&campaign, actor).await,
            actor => stage.compare(&campaign, actor.as_deref()).await,
        };
        match compared {
            Ok(comparison) => answer.compared.push(comparison),
            Err(error @ CompareError::Archived { .. }) => answer.archived.push((campaign, error.to_string())),
            Err(error) => {
                if matches!(error, CompareError::Patience { .. }) {
                    stage.lose_patience();
                }
                answer.failed.push((campaign, error.to_string()));
            }
        }
    }
    Ok(answer)
}

/// Whoever waits with it sees for what.
fn told(campaign: &str, what: &str, left: Duration) {
    let left = left.as_secs_f64().ceil();
    eprintln!("rushgate: campaign {campaign} waits, {left} s at most, for {what}");
}

async fn stage(config: &Config, store: &Store, sealing: &Sealing) -> anyhow::Result<Reconcile> {
    let engine = Redis::new(config.redis.clone())?;
    let asked = tokio::time::timeout(ASK_LIMIT, engine.ping()).await;
    asked
        .context("Redis does not answer (--redis-url)")?
        .context("--redis-url")?;
    let producer = KafkaProducer::new(sending(config, sealing)).context("kafka")?;
    match tokio::time::timeout(ASK_LIMIT, producer.ping()).await {
        Ok(answer) => answer?,
        Err(_) => bail!(
            "Kafka at {} does not answer (--kafka-brokers)",
            config.kafka.brokers
        ),
    }
    Ok(Reconcile::new(
        config.reconcile.clone(),
        Arc::new(engine),
        Arc::new(producer),
        store.clone(),
        uuid::Uuid::now_v7().simple().to_string(),
        Arc::new(now_ms),
    ))
}

impl Answer {
    fn left(&self) -> u64 {
        let left = |comparison: &Comparison| comparison.now().len() as u64 + comparison.more;
        self.compared.iter().map(left).sum()
    }

    fn json(&self) -> serde_json::Value {
        let failed = self
            .failed
            .iter()
            .map(|(campaign, error)| json!({"campaign": campaign, "error": error}));
        json!({
            "campaigns": self.compared,
            "failed": failed.collect::<Vec<_>>(),
            "archived": self.archived.iter().map(|(campaign, _)| campaign).collect::<Vec<_>>(),
            "differences_left": self.left(),
        })
    }

    fn text(&self, repair: bool) -> String {
        if self.compared.is_empty() && self.failed.is_empty() && self.archived.is_empty() {
            return "There is no campaign to compare.\n".to_owned();
        }
        let compared = self.compared.iter().map(|comparison| shown(comparison, repair));
        let archived = self
            .archived
            .iter()
            .map(|(campaign, why)| format!("{campaign}: {why}\n"));
        compared.chain(archived).collect()
    }
}

fn shown(comparison: &Comparison, repair: bool) -> String {
    let mut text = String::new();
    let found = match comparison.differences.len() as u64 + comparison.more {
        0 => "no differences".to_owned(),
        1 => "1 difference".to_owned(),
        n => format!("{n} differences"),
    };
    let _ = writeln!(
        text,
        "{}: {} orders, {} SKUs and {} counts compared in {:.1} s: {found}",
        comparison.campaign,
        comparison.orders,
        comparison.skus,
        comparison.subjects,
        comparison.took_ms as f64 / 1000.0
    );
    if comparison.unsettled > 0 {
        let _ = writeln!(
            text,
            "  {} counts changed all the time and were not compared",
            comparison.unsettled
        );
    }
    for difference in comparison.differences.iter().take(PRINTED_MAX) {
        let outcome = match (repair, difference.outcome) {
            (false, _) | (_, RepairOutcome::Found) => "",
            (_, RepairOutcome::Repaired) => "[repaired] ",
            (_, RepairOutcome::SentAgain) => "[sent again] ",
            (_, RepairOutcome::GivenUp) => "[given up] ",
            (_, RepairOutcome::Moved) => "[changed meanwhile] ",
            (_, RepairOutcome::Refused) => "[left alone] ",
        };
        let _ = writeln!(text, "  {outcome}{}", difference.sentence);
    }
    if comparison.differences.len() > PRINTED_MAX || comparison.more > 0 {
        let _ = writeln!(text, "  … --json lists more");
    }
    if comparison.repaired {
        match comparison.left.len() {
            0 => text += "  compared again: no differences are left\n",
            n => {
                let _ = writeln!(text, "  compared again: {n} left");
                for difference in comparison.left.iter().take(PRINTED_MAX) {
                    let _ = writeln!(text, "    {}", difference.sentence);
                }
            }
        }
    }
    text
}
