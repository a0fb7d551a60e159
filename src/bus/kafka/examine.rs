//! Looks at a cluster without using it: who its brokers are, what the topics look like, and what this user may do.
//! Nothing is written, and no group is joined.

mod rights;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::metadata::{Metadata, MetadataTopic};

use super::{Config, unusable};
use crate::bus::BusError;
pub use rights::Right;

/// How long events are waited for that explain a failure, and how many are taken at a time: a client that is refused goes on
/// trying.
const REASONS_LIMIT: Duration = Duration::from_millis(100);
const EVENTS_MAX: usize = 10;
/// Between looks at what was said meanwhile.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Words of failures that waiting does not mend.
const LASTING: &[&str] = &["SSL", "SASL", "security.protocol", "uthentication"];

/// What a cluster says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterFacts {
    /// Where clients are told to go: host and port of every broker.
    pub brokers: Vec<(String, u16)>,
    /// Those of the topics that were asked for and exist, or may be seen.
    pub topics: BTreeMap<String, TopicFacts>,
}

/// What a topic looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicFacts {
    pub partitions: usize,
    /// Partitions that have a leader.
    pub led: usize,
    /// Of the partition that has the fewest.
    pub replicas: usize,
    /// Replicas that have everything, of the partition that has the fewest.
    pub in_sync: usize,
}

/// The cluster gave no answer; what librdkafka said meanwhile, each sentence once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    pub reasons: Vec<String>,
}

/// A client that is only there to look.
pub struct Examination {
    config: Config,
    limit: Duration,
    consumer: BaseConsumer<Listener>,
}

/// Keeps what librdkafka complains about.
#[derive(Clone, Default)]
struct Listener {
    errors: Arc<Mutex<Vec<String>>>,
    /// The first line of its log that says why a connection ended: a broker that hangs up is spoken of there alone.
    ended: Arc<Mutex<Option<String>>>,
}

impl Listener {
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.errors.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ended(&self) -> Option<String> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Listener {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.get_or_insert_with(|| bare(message).to_owned());
        }
    }

    fn error(&self, _: KafkaError, reason: &str) {
        let mut heard = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(reason.to_owned());
    }
}

impl ConsumerContext for Listener {}

impl Examination {
    /// Makes the client. `Fatal` for a wrong option. No question takes longer than `limit`.
    pub fn new(config: Config, limit: Duration) -> Result<Self, BusError> {
        let mut client = config.hearing(&[("group.id", &config.group)], &config.consumer);
        client
            .set("enable.auto.commit", "false")
            .set("socket.timeout.ms", ms(limit))
            .set("socket.connection.setup.timeout.ms", ms(limit));
        let consumer = client
            .create_with_context(Listener::default())
            .map_err(unusable)?;
        Ok(Self {
            config,
            limit,
            consumer,
        })
    }

    /// Asks a broker for the cluster. Blocks; no longer than until librdkafka says something that waiting does not mend.
    pub fn cluster(&self, topics: &[&str]) -> Result<ClusterFacts, Unreached> {
        let begun = Instant::now();
        let mut reasons = Vec::new();
        loop {
            // Asked for all there are: asked for by name, brokers may make one that is missing.
            let error = match self.consumer.client().fetch_metadata(None, ASK_EVERY) {
                Ok(metadata) => return Ok(read(&metadata, topics)),
                Err(error) => error,
            };
            self.listen(&mut reasons);
            let lasts = |reason: &String| LASTING.iter().any(|words| reason.contains(words));
            if reasons.iter().any(lasts) || begun.elapsed() > self.limit {
                if reasons.is_empty() {
                    let ended = self.consumer.context().ended();
                    reasons.push(ended.unwrap_or_else(|| error.to_string()));
                }
                return Err(Unreached { reasons });
            }
        }
    }

    /// Errors are events that somebody has to poll for. One that is told again with other numbers is the same.
    fn listen(&self, reasons: &mut Vec<String>) {
        for _ in 0..EVENTS_MAX {
            // What comes of a poll is the error itself, which the listener has heard.
            if self.consumer.poll(REASONS_LIMIT).is_none() {
                break;
            }
        }
        for reason in self.consumer.context().heard() {
            let reason = bare(&reason).to_owned();
            if !reasons.contains(&reason) && !reason.contains("brokers are down") {
                reasons.push(reason);
            }
        }
    }

    /// The settings of topics by name, those that may be read; the error is why none may.
    pub async fn settings(
        &self,
        topics: &[&str],
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>, String> {
        let admin: AdminClient<DefaultClientContext> = self
            .config
            .client(&[], &BTreeMap::new())
            .create()
            .map_err(|error| error.to_string())?;
        let asked: Vec<_> = topics
            .iter()
            .map(|topic| ResourceSpecifier::Topic(topic))
            .collect();
        let options = AdminOptions::new().request_timeout(Some(self.limit));
        let answers = admin.describe_configs(&asked, &options).await;
        let mut settings = BTreeMap::new();
        for (topic, answer) in topics.iter().zip(answers.map_err(|error| error.to_string())?) {
            let resource = answer.map_err(|code| code.to_string())?;
            let entries = resource.entries.into_iter();
            let known = entries.filter_map(|entry| Some((entry.name, entry.value?)));
            settings.insert((*topic).to_owned(), known.collect());
        }
        Ok(settings)
    }
}

/// Without the times, which differ from one to the next.
fn bare(reason: &str) -> &str {
    reason.split(" (after ").next().unwrap_or_default()
}

fn ms(duration: Duration) -> String {
    duration.as_millis().clamp(1000, 300_000).to_string()
}

fn read(metadata: &Metadata, topics: &[&str]) -> ClusterFacts {
    let brokers = metadata.brokers().iter().map(|broker| {
        let port = u16::try_from(broker.port()).unwrap_or(0);
        (broker.host().to_owned(), port)
    });
    let ours = metadata.topics().iter();
    let ours = ours.filter(|topic| topics.contains(&topic.name()) && topic.error().is_none());
    ClusterFacts {
        brokers: brokers.collect(),
        topics: ours
            .map(|topic| (topic.name().to_owned(), facts(topic)))
            .collect(),
    }
}

fn facts(topic: &MetadataTopic) -> TopicFacts {
    let partitions = topic.partitions();
    let fewest = |count: fn(&rdkafka::metadata::MetadataPartition) -> usize| {
        partitions.iter().map(count).min().unwrap_or(0)
    };
    TopicFacts {
        partitions: partitions.len(),
        led: partitions
            .iter()
            .filter(|partition| partition.leader() >= 0)
            .count(),
        replicas: fewest(|partition| partition.replicas().len()),
        in_sync: fewest(|partition| partition.isr().len()),
    }
}
