//! How orders are landed: the keys of `[landing]`, and what one topic's landing is besides.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bus::{ORDERS_TOPIC, PREFIX, RetryTopic, Topics, landing_group, orders_topic};
use crate::seal::Keyring;
use crate::wire::{Unfit, millis};

/// Classes of errors that landing knows.
const CLASSES: [&str; 6] = [
    "undecodable",
    "unknown-version",
    "invalid",
    "refused",
    "failing",
    "locked",
];
/// Longest [`Config::busy_wait`].
const BUSY_WAIT_MAX: Duration = Duration::from_secs(1);

/// How landing batches, and where it moves what does not land.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "struct Landing")]
pub struct Config {
    /// Consumers of the orders topic in this process.
    pub consumers: usize,
    /// Orders of one transaction at most, unless one record has more; and records of one poll.
    #[serde(rename = "batch")]
    pub batch_records: usize,
    /// How long a batch waits for more records after its first.
    #[serde(rename = "wait_ms", with = "millis")]
    pub batch_wait: Duration,
    /// How long it waits at most while orders keep coming.
    #[serde(rename = "busy_wait_ms", with = "millis")]
    pub busy_wait: Duration,
    /// Delays of the retry topics: `5s,30s,5m`, or empty.
    pub retry_delays: String,
    /// Share of the recent records, 0 to 1, that may fail; above it nothing is moved away any more. 1: any share may.
    pub poison_share: f64,
    /// Records that count as recent.
    pub poison_window: usize,
    /// Name of this lander, by which brokers and lists of the group's members know it.
    pub instance: Option<String>,
    /// Classes of dead letters that are replayed by themselves, joined by commas; none where empty.
    pub redrive: String,
    /// The topic whose offsets the database keeps.
    #[serde(skip)]
    pub topic: String,
    /// The consumer's group: dead letters say who could not land them.
    #[serde(skip)]
    pub group: String,
    /// A retry topic's records are not tried before they have waited so long; zero for the orders topic.
    #[serde(skip)]
    pub delay: Duration,
    /// Where records go that may succeed later; `None`: to the dead letters too.
    #[serde(skip)]
    pub retry: Option<RetryTopic>,
    /// Where all other records go that do not land.
    #[serde(skip)]
    pub dead_letters: String,
    /// So often a batch meets locked rows before the orders behind them are looked for, and moved.
    #[serde(skip)]
    pub locked_tries: u32,
    /// Whether the share counts: not for a retry topic, as what is there has failed before.
    #[serde(skip)]
    pub guarded: bool,
    /// What its records are verified with.
    #[serde(skip)]
    pub seal: SealConfig,
    /// A partition that waits for a key or a revision is looked at again after so long.
    #[serde(skip)]
    pub recheck: Duration,
    /// How long gateways ask for an order at most: `admission.deadline_ms`. Nobody was admitted later, but for what clocks
    /// differ by.
    #[serde(skip)]
    pub deadline: Duration,
}

/// What landing verifies records with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SealConfig {
    /// Without them no seal can be verified.
    pub keys: Option<Arc<Keyring>>,
    /// Every record has to carry a seal, whatever the database says of a cut-over.
    pub only: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            consumers: 2,
            batch_records: 1024,
            batch_wait: Duration::from_millis(20),
            busy_wait: Duration::from_millis(60),
            retry_delays: "5s,30s,5m".to_owned(),
            poison_share: 0.5,
            poison_window: 1000,
            instance: None,
            redrive: String::new(),
            topic: ORDERS_TOPIC.to_owned(),
            group: landing_group(PREFIX),
            delay: Duration::ZERO,
            retry: None,
            dead_letters: crate::bus::DEAD_LETTER_TOPIC.to_owned(),
            locked_tries: 8,
            guarded: true,
            seal: SealConfig::default(),
            recheck: Duration::from_secs(5),
            deadline: Duration::from_secs(2),
        }
    }
}

impl Config {
    /// Whether what is set can be landed by.
    pub fn check(&self) -> Result<(), Unfit> {
        Topics::new(ORDERS_TOPIC, &self.retry_delays)
            .map_err(|error| Unfit::new("landing.retry_delays", error))?;
        self.redriven()?;
        if self.busy_wait > BUSY_WAIT_MAX {
            let (busy, most) = (self.busy_wait.as_millis(), BUSY_WAIT_MAX.as_millis());
            let message = format!("{busy} is more than {most}: orders would be late, and no cheaper");
            return Err(Unfit::new("landing.busy_wait_ms", message));
        }
        let share = self.poison_share;
        match (0.0..=1.0).contains(&share) {
            true => Ok(()),
            false => Err(Unfit::new(
                "landing.poison_share",
                format!("{share} is not within 0 to 1"),
            )),
        }
    }

    /// Classes of errors whose dead letters are replayed by themselves.
    pub fn redriven(&self) -> Result<Vec<String>, Unfit> {
        let named = self.redrive.split(',').map(str::trim);
        let class = |class: &str| match CLASSES.contains(&class) {
            true => Ok(class.to_owned()),
            false => Err(Unfit::new(
                "landing.redrive",
                format!(
                    "{class:?} is no class of errors; classes are {}",
                    CLASSES.join(", ")
                ),
            )),
        };
        named.filter(|class| !class.is_empty()).map(class).collect()
    }

    /// The orders topic of a deployment with this prefix, with what belongs to it.
    pub fn with_prefix(self, prefix: &str) -> Self {
        let topic = orders_topic(prefix);
        Self {
            group: landing_group(prefix),
            dead_letters: format!("{topic}.dlt"),
            topic,
            ..self
        }
    }

    /// One configuration per topic that is landed, the orders first, each leading to the next.
    pub fn levels(topics: &Topics, orders: &Self) -> Vec<Self> {
        let mut levels = vec![Self {
            topic: topics.orders.clone(),
            retry: topics.retries.first().cloned(),
            dead_letters: topics.dead_letters.clone(),
            ..orders.clone()
        }];
        for (at, retry) in topics.retries.iter().enumerate() {
            let suffix = retry.name.strip_prefix(topics.orders.as_str());
            levels.push(Self {
                topic: retry.name.clone(),
                group: format!("{}{}", orders.group, suffix.unwrap_or_default()),
                delay: retry.delay,
                retry: topics.retries.get(at + 1).cloned(),
                guarded: false,
                ..levels[0].clone()
            });
        }
        levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_named_and_checked() {
        let redriven = |text: &str| {
            let config = Config {
                redrive: text.to_owned(),
                ..Config::default()
            };
            assert_eq!(config.check().is_ok(), config.redriven().is_ok());
            config.redriven()
        };
        assert_eq!(redriven("").expect("none"), Vec::<String>::new());
        assert_eq!(redriven(" failing, locked ").expect("two"), ["failing", "locked"]);
        let error = redriven("failed").expect_err("no class");
        assert_eq!(error.key, "landing.redrive");
        let error = error.to_string();
        assert!(
            error.contains("\"failed\"") && error.contains("unknown-version"),
            "{error}"
        );
    }
}
