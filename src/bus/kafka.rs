//! The Kafka bus: rdkafka. What producer, consumer and topic set-up share.

mod client;
mod consumer;
mod delivery;
mod examine;
mod gather;
mod heard;
mod java;
mod lanes;
mod log;
mod marks;
mod options;
mod producer;
mod proof;
mod rebalance;
mod refusals;
mod start;
mod table;
mod tail;
mod topics;
mod turns;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use serde::{Deserialize, Serialize};

use super::{BusError, Halt, ORDERS_TOPIC, PREFIX, landing_group, orders_topic};
use crate::seal::Keyring;
use crate::wire::Unfit;
pub use consumer::KafkaConsumer;
pub use examine::{ClusterFacts, Examination, Right, TopicFacts, Unreached};
pub use log::KafkaLog;
pub use options::{OptionError, Side, check_connection, check_options};
pub use producer::KafkaProducer;
pub use tail::{Follower, Tail};
pub use topics::{TopicReport, WEEK_MS, migrate_topics, wanted_retention};

/// librdkafka logs what this option asks for, at a level of its own.
const DEBUG: &str = "debug";
/// How old the knowledge of a topic's partitions may get: clients notice within this that partitions were added.
const METADATA_AGE_MS: &str = "10000";

const BROKERS: &str = "kafka.brokers";
/// What may stand before a broker, and `://`.
const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const BROKERS_SHAPE: &str = "write host:port, several joined by commas: kafka-1:9092,kafka-2:9092";
/// How long a question to the brokers may take.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// How to reach Kafka, and how to use it: the keys of `[kafka]`, and what a client is besides.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "struct Kafka")]
pub struct Config {
    /// `host:port`, several joined by commas.
    pub brokers: String,
    /// What the names of topics, groups and clients begin with: one per deployment.
    pub prefix: String,
    /// Partitions of every topic that `rushgate migrate` makes.
    pub partitions: u32,
    /// Replicas of every topic that `rushgate migrate` makes.
    pub replication: u16,
    /// Goes into the options as `sasl.password` when the configuration is resolved; so does the content of its file.
    pub sasl_password: Option<String>,
    pub sasl_password_file: Option<PathBuf>,
    /// Options of librdkafka for every client; they win over everything below. [`check_options`] says which are
    /// refused.
    #[serde(deserialize_with = "table::options")]
    pub options: BTreeMap<String, String>,
    /// The same for the producer alone, over [`Self::options`].
    #[serde(deserialize_with = "table::options")]
    pub producer: BTreeMap<String, String>,
    /// The same for consumers alone, over [`Self::options`].
    #[serde(deserialize_with = "table::options")]
    pub consumer: BTreeMap<String, String>,
    /// The orders topic.
    #[serde(skip)]
    pub topic: String,
    /// How the brokers name this client in logs, quotas and lists of a group's members.
    #[serde(skip)]
    pub client_id: String,
    /// How long a producer waits for more orders before it sends what it has.
    #[serde(skip)]
    pub linger_ms: u32,
    /// How long a producer keeps trying before an order counts as not acknowledged. Large, because
    /// giving up loses nothing but makes duplicates, and a frozen broker is not worth them.
    #[serde(skip)]
    pub delivery_timeout_ms: u32,
    /// Consumer group of the landers.
    #[serde(skip)]
    pub group: String,
    /// How long a broker lets a fetch wait for more records after the first, and so a batch. Zero: not at all.
    #[serde(skip)]
    pub fetch_wait: Duration,
    /// How long a batch of records waits for more while they keep coming, counted from its first. Below what a poll is
    /// asked to wait it changes nothing.
    #[serde(skip)]
    pub busy_wait: Duration,
    /// Keys that seal what is produced.
    #[serde(skip)]
    pub seal: Option<Arc<Keyring>>,
    /// Ends the sending of every producer that shares it.
    #[serde(skip)]
    pub halt: Halt,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            prefix: PREFIX.to_owned(),
            partitions: 12,
            replication: 1,
            sasl_password: None,
            sasl_password_file: None,
            options: BTreeMap::new(),
            producer: BTreeMap::new(),
            consumer: BTreeMap::new(),
            topic: ORDERS_TOPIC.to_owned(),
            client_id: PREFIX.to_owned(),
            linger_ms: 0,
            delivery_timeout_ms: 300_000,
            group: landing_group(PREFIX),
            fetch_wait: Duration::ZERO,
            busy_wait: Duration::ZERO,
            seal: None,
            halt: Halt::default(),
        }
    }
}

/// Options by name alone: some hold secrets.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |options: &BTreeMap<String, String>| options.keys().cloned().collect::<Vec<_>>();
        f.debug_struct("Config")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("client_id", &self.client_id)
            .field("group", &self.group)
            .field("options", &names(&self.options))
            .field("producer", &names(&self.producer))
            .field("consumer", &names(&self.consumer))
            .finish_non_exhaustive()
    }
}

impl Config {
    pub fn new(brokers: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            ..Self::default()
        }
    }

    /// The topics, groups and clients of a deployment with this prefix.
    pub fn with_prefix(self, prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            topic: orders_topic(prefix),
            group: landing_group(prefix),
            client_id: prefix.to_owned(),
            ..self
        }
    }

    /// Puts options that were given by the names of Kafka's Java clients under librdkafka's.
    pub fn rename_options(&mut self) -> Result<(), Unfit> {
        for (key, options) in [
            ("kafka.options", &mut self.options),
            ("kafka.producer", &mut self.producer),
            ("kafka.consumer", &mut self.consumer),
        ] {
            *options = java::renamed(options).map_err(|error| Unfit::new(key, error))?;
        }
        Ok(())
    }

    /// Whether the brokers are written so that a client can ask them.
    pub fn check_brokers(&self) -> Result<(), Unfit> {
        let named = self.brokers.split(',').map(str::trim);
        let mut named = named.filter(|broker| !broker.is_empty()).peekable();
        if named.peek().is_none() {
            return Err(Unfit::new(BROKERS, format!("names no broker; {BROKERS_SHAPE}")));
        }
        named
            .try_for_each(check_broker)
            .map_err(|why| Unfit::new(BROKERS, format!("{why}; {BROKERS_SHAPE}")))
    }

    /// Whether the options are such that may be set by hand.
    pub fn check_options(&self) -> Result<(), Unfit> {
        for (key, side, options) in [
            ("kafka.options", Side::Both, &self.options),
            ("kafka.producer", Side::Producer, &self.producer),
            ("kafka.consumer", Side::Consumer, &self.consumer),
        ] {
            check_options(side, options).map_err(|error| Unfit::new(key, error))?;
        }
        check_connection(&self.options).map_err(|error| Unfit::new("kafka.options", error))
    }

    /// A client with its `own` options; `by_hand` are those of its side.
    fn client(&self, own: &[(&str, &str)], by_hand: &BTreeMap<String, String>) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            .set("topic.metadata.refresh.interval.ms", METADATA_AGE_MS)
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.max.ms", "2000");
        for (key, value) in own {
            config.set(*key, *value);
        }
        if let Some((key, value)) = options::authorities(&self.options) {
            config.set(key, value);
        }
        for (key, value) in self.options.iter().chain(by_hand) {
            config.set(key, value);
        }
        config
    }

    /// The same for a client that is to hear why a broker hangs up: librdkafka says it in its log, whatever of that the
    /// process logs itself.
    fn hearing(&self, own: &[(&str, &str)], by_hand: &BTreeMap<String, String>) -> ClientConfig {
        let mut client = self.client(own, by_hand);
        client.set_log_level(match client.get(DEBUG) {
            Some(_) => RDKafkaLogLevel::Debug,
            None => RDKafkaLogLevel::Info,
        });
        client
    }

    /// What a producer's option is, unless options given by hand say otherwise.
    fn producer_number(&self, option: &str, otherwise: u32) -> f64 {
        let by_hand = self.producer.get(option).or(self.options.get(option));
        let number: Option<f64> = by_hand.and_then(|text| text.parse().ok());
        number.unwrap_or(otherwise.into())
    }

    fn producer_ms(&self, option: &str, otherwise: u32) -> Duration {
        let seconds = self.producer_number(option, otherwise) / 1000.0;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn unreachable(&self, error: &KafkaError) -> BusError {
        BusError::Unreachable {
            brokers: self.brokers.clone(),
            cause: error.to_string(),
        }
    }

    /// Partitions of a topic. Blocks.
    fn partitions<C: ClientContext>(&self, client: &Client<C>, topic: &str) -> Result<Vec<i32>, BusError> {
        let metadata = client
            .fetch_metadata(Some(topic), ASK_LIMIT)
            .map_err(|error| self.unreachable(&error))?;
        let found = metadata.topics().iter().find(|each| each.name() == topic);
        let refused = found.and_then(|topic| topic.error());
        if refused == Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
            return Err(BusError::Unreadable(format!(
                "Kafka at {} lets this user not see topic {topic}: docs/CONNECTIONS.md has the rights it needs",
                self.brokers
            )));
        }
        let partitions: Vec<i32> = found
            .filter(|topic| topic.error().is_none())
            .map(|topic| {
                topic
                    .partitions()
                    .iter()
                    .map(|partition| partition.id())
                    .collect()
            })
            .unwrap_or_default();
        if partitions.is_empty() {
            return Err(self.no_topic(topic));
        }
        Ok(partitions)
    }

    fn no_topic(&self, topic: &str) -> BusError {
        BusError::NoTopic {
            brokers: self.brokers.clone(),
            topic: topic.to_owned(),
        }
    }
}

/// A client that could not even be made: a wrong option.
/// An option that librdkafka refuses is named; its value may be a secret whose option was mistyped.
fn unusable(error: KafkaError) -> BusError {
    BusError::Fatal(match error {
        KafkaError::ClientConfig(_, why, name, value) => {
            let why = match value.is_empty() {
                true => why,
                false => why.replace(&value, "…"),
            };
            format!("Kafka client: option {name}: {why}")
        }
        error => format!("Kafka client: {error}"),
    })
}

fn is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal)
}

/// `host`, `host:port` or `[address]:port`, also behind a protocol: `SSL://host:port`. `Err` says what is wrong; what stands
/// before an @ may be a password, and is not shown.
fn check_broker(text: &str) -> Result<(), String> {
    if let Some((_, host)) = text.rsplit_once('@') {
        return Err(format!(
            "a user and a password stand before {host:?}: they are sasl.username and sasl.password of kafka.options"
        ));
    }
    let (scheme, broker) = text.split_once("://").unwrap_or((PROTOCOLS[0], text));
    if !PROTOCOLS.contains(&scheme.to_ascii_uppercase().as_str()) {
        return Err(format!(
            "{text:?} begins with {scheme}://, which is no protocol of Kafka"
        ));
    }
    if broker.rsplit_once(':').is_some_and(|(host, _)| host.is_empty()) {
        return Err(format!("{text:?} names no host"));
    }
    let (host, port) = match broker.rsplit_once(':') {
        Some((host, port)) if !broker.ends_with(']') => (host, port),
        _ => (broker, "9092"),
    };
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(format!("the port of {text:?} is no number from 1 to 65535"));
    }
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = |host: &str| {
        host.chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    let is_plain = address.map_or(is_name(host), |address| address.parse::<Ipv6Addr>().is_ok());
    match is_plain && !host.is_empty() {
        true => Ok(()),
        false => Err(format!("{text:?} is no broker")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_hosts_with_ports() {
        let check = |brokers: &str| Config::new(brokers).check_brokers();
        for good in [
            "127.0.0.1:9092",
            "kafka-1:9092, kafka-2:9092,",
            "kafka",
            "[::1]:9092",
            "[::1]",
            "SSL://kafka:9093",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " , ",
            "kafka:",
            "kafka:0",
            "kafka:99999",
            "kafka:port",
            ":9092",
            "kafka:9092;kafka-2:9092",
            "a:s3cret@kafka:9092",
            "kafka:9092/x",
        ] {
            let error = check(bad).expect_err(bad);
            assert_eq!(error.key, "kafka.brokers");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
        for (bad, told) in [
            (
                "http://a:9092",
                "begins with http://, which is no protocol of Kafka",
            ),
            (
                "me:s3cret@h:9092",
                "a user and a password stand before \"h:9092\"",
            ),
            ("SSL://me:s3cret@h:9092", "sasl.username and sasl.password"),
            (
                "kafka:99999",
                "the port of \"kafka:99999\" is no number from 1 to 65535",
            ),
            (":9092", "\":9092\" names no host"),
        ] {
            let error = check(bad).expect_err(bad).to_string();
            assert!(error.contains(told) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_mistyped_option_is_named_and_its_value_is_not_shown() {
        for (name, value) in [("sasl.pasword", "s3cret"), ("security.protocol", "s3cret")] {
            let config = Config {
                options: BTreeMap::from([(name.to_owned(), value.to_owned())]),
                ..Config::new("127.0.0.1:1")
            };
            let error = KafkaProducer::new(config.clone())
                .err()
                .expect("refused")
                .to_string();
            assert!(error.contains(name) && !error.contains(value), "{error}");
            assert!(!format!("{config:?}").contains(value));
        }
    }
}
