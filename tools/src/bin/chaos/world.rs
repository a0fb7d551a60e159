//! What all runs share: the stack, the binaries, the settings of every process.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use testkit::deployment::Setup;
use testkit::services;

use crate::cold::{self, Start};
use crate::fleet::Env;
use crate::refusal;
use crate::refused;
use crate::scenario::Scenario;
use crate::stack::Stack;
use crate::topics::{self, Topics};

const PARTITIONS: &str = "RUSHGATE_KAFKA_PARTITIONS";
/// Of the orders topic, unless the run begins cold.
const PARTITIONS_USUAL: usize = 6;
/// Options of the producers.
const PRODUCER: &str = "RUSHGATE_KAFKA_PRODUCER";
const IDEMPOTENCE: &str = "enable.idempotence=true";
/// Times short enough for a run, each as an operator might set it.
const SETTINGS: &[(&str, &str)] = &[
    ("RUSHGATE_RELAY_AGE_MS", "1000"),
    ("RUSHGATE_RELAY_EVERY_MS", "300"),
    ("RUSHGATE_RELAY_LEASE_MS", "2000"),
    ("RUSHGATE_RECONCILE_LEASE_MS", "3000"),
    ("RUSHGATE_LANDING_RETRY_DELAYS", "500ms,1s"),
    ("RUSHGATE_LOG_LEVEL", "info"),
];
/// 6 s is the shortest session that brokers allow.
const CONFIG: &str = "[kafka.options]\n\"topic.metadata.refresh.interval.ms\" = \"5000\"\n\
     \"socket.timeout.ms\" = \"10000\"\n[kafka.consumer]\n\"session.timeout.ms\" = \"6000\"\n\
     \"heartbeat.interval.ms\" = \"500\"\n";
/// Tables that hold what a run left; offsets, modules and lists stay.
const OF_RUNS: &[&str] = &[
    "campaigns",
    "revisions",
    "activations",
    "stock",
    "orders",
    "usage",
    "dead_letters",
    "order_changes",
    "order_jobs",
    "releases",
    "revocations",
    "attempts",
    "samples",
    "attempt_pieces",
    "buyer_samples",
    "audit",
    "webhook_deliveries",
    "webhooks",
    "leases",
];

/// The surroundings.
pub struct World {
    pub stack: Stack,
    pub topics: Topics,
    pub setup: Setup,
    /// The checker's binary.
    pub check: PathBuf,
}

impl World {
    pub async fn open(rushgate: &Path, check: &Path) -> Result<Self> {
        let stack = Stack::open().await?;
        let mut setup = Setup::new(rushgate, "chaos")?;
        setup.env = SETTINGS
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        setup
            .env
            .push((PARTITIONS.to_owned(), PARTITIONS_USUAL.to_string()));
        let config = setup.logs.join("chaos.toml");
        std::fs::write(&config, CONFIG)?;
        setup.config = Some(config);
        setup.migrate()?;
        Ok(Self {
            topics: Topics::new(&stack.urls.kafka)?,
            stack,
            setup,
            check: check.to_owned(),
        })
    }

    /// The setup of one run, with a folder of its own for logs.
    pub fn setup_of(&self, run: &str, scenario: &Scenario, idempotent: bool) -> Result<Setup> {
        let mut setup = self.setup.clone();
        setup.logs = self.setup.logs.join(run);
        std::fs::create_dir_all(&setup.logs)?;
        if scenario.proxied {
            setup.urls = self.stack.proxied.clone();
        }
        if scenario.cold.is_some() {
            setup
                .env
                .push((PARTITIONS.to_owned(), cold::PARTITIONS.to_string()));
        }
        let options = [
            (refused::OPTION, scenario.counts_refused),
            (IDEMPOTENCE, idempotent),
        ];
        let options = options
            .iter()
            .filter(|(_, wanted)| *wanted)
            .map(|(option, _)| *option);
        let options: Vec<&str> = options.collect();
        if !options.is_empty() {
            setup.env.push((PRODUCER.to_owned(), options.join(",")));
        }
        Ok(setup)
    }

    /// Empties what the run before left in Redis and in the tables, so that runs do not weigh on each other.
    pub async fn reset(&self, start: Option<Start>) -> Result<()> {
        self.stack.mend().await?;
        refusal::undo(&self.stack).await?;
        self.reset_topics(start).await?;
        let mut redis = services::redis(&self.stack.urls).await?;
        redis::cmd("FLUSHALL").query_async::<()>(&mut redis).await?;
        let emptied = OF_RUNS.iter().map(|table| format!("TRUNCATE rushgate.`{table}`"));
        let statements = emptied.collect::<Vec<_>>().join("; ");
        self.stack
            .sql(&format!("SET FOREIGN_KEY_CHECKS = 0; {statements}"))
            .await?;
        Ok(())
    }

    /// A cold start begins without topics. After one, or after partitions were added, there are the usual ones again.
    async fn reset_topics(&self, start: Option<Start>) -> Result<()> {
        let placed = self.topics.placed().await?;
        let orders = placed.iter().find(|(name, _)| name == topics::ORDERS);
        let usual = orders.is_some_and(|(_, partitions)| partitions.len() == PARTITIONS_USUAL);
        if start.is_some() || !usual {
            self.topics.landers_left().await?;
            self.topics.delete().await?;
            // Offsets belong to the topics that are gone.
            self.stack.sql("TRUNCATE rushgate.landing_offsets").await?;
        }
        if start.is_none() {
            if !usual {
                self.setup.migrate()?;
                self.topics.made(PARTITIONS_USUAL).await?;
            }
            self.topics.in_sync().await?;
        }
        Ok(())
    }

    /// The checker's findings about a run; its arguments by name, some without a value.
    pub async fn check(&self, arguments: &Env) -> Result<Findings> {
        let mut command = Command::new(&self.check);
        command
            .arg("--json")
            .env("RUSHGATE_DATABASE_URL", &self.stack.urls.database)
            .env("RUSHGATE_KAFKA_BROKERS", &self.stack.urls.kafka);
        for (name, value) in arguments {
            command
                .arg(name)
                .args(Some(value).filter(|value| !value.is_empty()));
        }
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        // It exits with 1 when something is wrong, and says what; with 2 when it could not find out.
        if output.status.code().is_none_or(|code| code > 1) {
            bail!(
                "the checker failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        serde_json::from_slice(&output.stdout).context("the checker's document")
    }
}

/// What the table shows of the checker's document; the whole of it goes into the JSON.
#[derive(Clone, Debug, Deserialize)]
pub struct Findings(pub serde_json::Map<String, serde_json::Value>);

impl Findings {
    pub fn number(&self, name: &str) -> i64 {
        self.0.get(name).and_then(serde_json::Value::as_i64).unwrap_or(0)
    }

    /// What must be 0, and is not, as the checker says it.
    pub fn wrong(&self) -> Vec<String> {
        let Some(serde_json::Value::Object(wrong)) = self.0.get("wrong") else {
            return vec!["the checker does not say what is wrong".to_owned()];
        };
        wrong
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect()
    }

    /// Sum over the members of an object, such as revoked orders by reason.
    pub fn sum(&self, name: &str) -> i64 {
        let object = self.0.get(name).and_then(serde_json::Value::as_object);
        object.map_or(0, |counts| {
            counts.values().filter_map(serde_json::Value::as_i64).sum()
        })
    }

    pub fn cases(&self) -> Vec<&str> {
        let cases = self.0.get("cases").and_then(serde_json::Value::as_array);
        cases
            .into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_str)
            .collect()
    }
}
