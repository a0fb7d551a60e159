//! Flow: how far landing is behind, and whether a gateway takes more orders meanwhile.
//!
//! The lag of a partition is what Kafka holds and the database has not landed, owned by a lander or not. Together with the
//! orders that wait in the outboxes it is the backlog, and a policy says what a backlog above its limit means.

mod metrics;
mod shed;
mod standstill;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::bus::Producer;
use crate::store::Store;
use crate::wire::millis;
pub use metrics::Metrics;
use shed::Valve;
use standstill::Standstill;
pub use standstill::{Ladder, Remedy, StalledPartition};

/// What a backlog above its limit means for new orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// They are taken: nothing is lost, they are confirmed later.
    Accept,
    /// A share of them is answered 429, from none at the limit to all at twice the limit.
    Throttle,
    /// All of them are answered 503 until the backlog is well below the limit.
    Refuse,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub policy: Policy,
    /// Orders that may be on their way.
    pub backlog_max: u64,
    /// How often Kafka and the database are asked.
    #[serde(rename = "every_ms", with = "millis")]
    pub every: Duration,
    /// The first one carries the orders; the others are watched too.
    #[serde(skip)]
    pub topics: Vec<String>,
    /// How long the records of a topic wait before anybody tries to land them.
    #[serde(skip)]
    pub delays: BTreeMap<String, Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: Policy::Accept,
            backlog_max: 500_000,
            every: Duration::from_secs(1),
            topics: vec![crate::bus::ORDERS_TOPIC.to_owned()],
            delays: BTreeMap::new(),
        }
    }
}

/// An order that is not taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shed {
    pub retry_after: Duration,
    /// All orders are refused, not a share.
    pub refused: bool,
}

/// How far one partition has landed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub topic: String,
    pub number: i32,
    /// Records that have not landed.
    pub lag: u64,
    /// The first offset that has not landed.
    pub landed: i64,
}

/// Next offsets of one topic on both sides, by partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Topic {
    /// One past Kafka's last record.
    end: BTreeMap<i32, i64>,
    /// The first that has not landed.
    landed: BTreeMap<i32, i64>,
}

impl Topic {
    /// Records per partition that have not landed.
    fn lag(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        self.end.iter().map(|(partition, end)| {
            let landed = self.landed.get(partition).copied().unwrap_or(0);
            (*partition, u64::try_from(end - landed).unwrap_or(0))
        })
    }

    fn total(&self) -> u64 {
        self.lag().map(|(_, lag)| lag).sum()
    }
}

#[derive(Debug, Default)]
struct Seen {
    topics: BTreeMap<String, Topic>,
    valve: Valve,
    /// Records of the orders topic that have not landed.
    lag: u64,
    /// Orders that a record carries, about.
    per_record: f64,
    /// When the orders topic was last read on both sides, and what had landed of it.
    landed: Option<(Instant, i64)>,
    standstill: Standstill,
    /// Of the topics that could not be read on both sides the last time.
    trouble: BTreeMap<String, String>,
}

impl Seen {
    /// Partitions of one topic.
    fn partitions(&self, name: &str) -> Vec<Partition> {
        let Some(topic) = self.topics.get(name) else {
            return Vec::new();
        };
        let partitions = topic.lag().map(|(number, lag)| Partition {
            topic: name.to_owned(),
            number,
            lag,
            landed: topic.landed.get(&number).copied().unwrap_or(0),
        });
        partitions.collect()
    }
}

/// A database that does not answer within this does not count for a look.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// The stage.
pub struct Flow {
    config: ArcSwap<Config>,
    producer: Arc<dyn Producer>,
    store: Store,
    seen: Mutex<Seen>,
    metrics: Metrics,
}

impl Flow {
    /// Starts asking, until the last handle is gone.
    pub fn spawn(config: Config, producer: Arc<dyn Producer>, store: Store) -> Arc<Self> {
        let flow = Arc::new(Self {
            config: ArcSwap::from_pointee(config),
            producer,
            store,
            seen: Mutex::default(),
            metrics: Metrics::default(),
        });
        tokio::spawn(run(Arc::downgrade(&flow)));
        flow
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more order may be taken, while so many wait in the outboxes and a record carries so many, about.
    pub fn check(&self, in_outbox: u64, per_record: f64) -> Result<(), Shed> {
        let config = self.config.load();
        if config.policy == Policy::Accept {
            return Ok(());
        }
        let mut seen = self.seen();
        seen.per_record = per_record;
        let backlog = (seen.lag as f64 * per_record) as u64 + in_outbox;
        let answer = seen.valve.check(&config, backlog);
        if answer.is_err() {
            self.metrics.shed.inc();
        }
        answer
    }

    /// Puts another policy in force, and how many orders may be on their way.
    pub fn put_in_force(&self, policy: Policy, backlog_max: u64) {
        let there = self.config.load();
        self.config.store(Arc::new(Config {
            policy,
            backlog_max,
            ..Config::clone(&there)
        }));
    }

    #[cfg(feature = "testing")]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Every partition of every topic.
    pub fn partitions(&self) -> Vec<Partition> {
        let seen = self.seen();
        seen.topics
            .keys()
            .flat_map(|name| seen.partitions(name))
            .collect()
    }

    /// Partitions with records of which nothing lands. A topic that cannot be read on both sides has none: what it looks
    /// like is old.
    pub fn stalled(&self) -> Vec<StalledPartition> {
        let (seen, now) = (self.seen(), Instant::now());
        let known = seen
            .topics
            .keys()
            .filter(|name| !seen.trouble.contains_key(*name));
        let partitions = known.flat_map(|name| seen.partitions(name)).collect();
        seen.standstill.find(partitions, &self.config.load().delays, now)
    }

    /// Topics whose lag cannot be read at the moment.
    pub fn unread(&self) -> u64 {
        self.seen().trouble.len() as u64
    }

    /// Asks both sides once. A side that does not answer keeps its last figures: a database that is down
    /// lands nothing, so the lag grows with what Kafka says.
    pub async fn look(&self) {
        for name in &self.config.load_full().topics {
            let offsets = tokio::time::timeout(STORE_PATIENCE, self.store.offsets(name));
            let (end, landed) = tokio::join!(self.producer.high_watermarks(name), offsets);
            let mut seen = self.seen();
            let mut trouble = None;
            let topic = seen.topics.entry(name.clone()).or_default();
            match end {
                Ok(end) => topic.end = end,
                Err(error) => trouble = Some(error.to_string()),
            }
            match landed {
                Ok(Ok(landed)) => topic.landed = landed,
                Ok(Err(error)) => trouble = Some(error.to_string()),
                Err(_) => trouble = Some(format!("{} does not answer", self.store.place())),
            }
            match trouble {
                None => {
                    seen.trouble.remove(name);
                    let partitions = seen.partitions(name);
                    seen.standstill.note(&partitions, Instant::now());
                }
                Some(error) => {
                    if !seen.trouble.contains_key(name) {
                        tracing::warn!(topic = name, error, "the lag cannot be read; the last one stays");
                    }
                    seen.trouble.insert(name.clone(), error);
                }
            }
        }
        self.measure();
    }

    fn measure(&self) {
        let mut seen = self.seen();
        let config = self.config.load();
        let Some(topic) = config.topics.first().and_then(|name| seen.topics.get(name)) else {
            return;
        };
        let (now, landed, lag) = (Instant::now(), topic.landed.values().sum::<i64>(), topic.total());
        seen.lag = lag;
        if let Some((then, before)) = seen.landed.replace((now, landed)) {
            let seconds = now.duration_since(then).as_secs_f64();
            let orders = (landed - before).max(0) as f64 * seen.per_record.max(1.0);
            seen.valve.note_rate(orders / seconds.max(0.001));
        }
    }
}

async fn run(flow: Weak<Flow>) {
    loop {
        let Some(strong) = flow.upgrade() else { return };
        strong.look().await;
        let every = strong.config.load().every;
        drop(strong);
        tokio::time::sleep(every).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_never_landed_lags_by_all_it_holds() {
        let topic = Topic {
            end: BTreeMap::from([(0, 10), (1, 7), (2, 5)]),
            landed: BTreeMap::from([(0, 4), (2, 6)]),
        };
        assert_eq!(topic.lag().collect::<Vec<_>>(), [(0, 6), (1, 7), (2, 0)]);
        assert_eq!(topic.total(), 13);
    }
}
