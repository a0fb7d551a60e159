//! Makes the topics, and adds partitions to those that have too few; nothing else of what exists is touched.
//!
//! Several processes may do this at once: what another one has made or grown meanwhile is found there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::producer::Producer as _;
use rdkafka::types::RDKafkaErrorCode;
use tokio::time::Instant;

use super::{ASK_LIMIT, Config, KafkaProducer, unusable};
use crate::bus::{BusError, Producer as _, Topics};

/// How long topics that were made or grown may take until every partition has a leader.
const READY_LIMIT: Duration = Duration::from_secs(30);
const READY_POLL: Duration = Duration::from_millis(100);

const DAY_MS: i64 = 24 * 3600 * 1000;
/// 30 days: somebody has to look at dead letters.
const DEAD_LETTER_RETENTION_MS: i64 = 30 * DAY_MS;
/// A week, as brokers have it unless they are told otherwise: a database that is away over a long weekend must
/// not cost an order.
pub const WEEK_MS: i64 = 7 * DAY_MS;
const RETENTION: &str = "retention.ms";

type Admin = AdminClient<DefaultClientContext>;

/// One topic after [`migrate_topics`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReport {
    pub topic: String,
    pub created: bool,
    pub partitions: usize,
    /// How many it had before, where partitions were added.
    pub grown_from: Option<usize>,
    /// What somebody should know or do.
    pub note: Option<String>,
}

/// Partitions of topics: how many there are, and how many of them have a leader.
type Counts = BTreeMap<String, (usize, usize)>;

/// Makes the orders topic, the retry topics, the dead letters and the order events with so many partitions and replicas; a
/// write needs all replicas but one. Topics that have fewer partitions get more: all of them have as many as the orders, so that a
/// record that is moved keeps its partition. The order events keep those that they have. Nothing is taken away. Returns when every partition has a leader, with the
/// reports in the order of [`Topics::names`].
pub async fn migrate_topics(
    config: &Config,
    topics: &Topics,
    partitions: usize,
    replication: usize,
) -> Result<Vec<TopicReport>, BusError> {
    let admin: Admin = config.client(&[], &BTreeMap::new()).create().map_err(unusable)?;
    match migrate(config, &Arc::new(admin), topics, partitions, replication).await {
        // A producer is told why.
        Err(error @ BusError::Unreachable { .. }) => {
            let asked = KafkaProducer::new(config.clone())?.ping().await;
            Err(asked.err().unwrap_or(error))
        }
        migrated => migrated,
    }
}

async fn migrate(
    config: &Config,
    admin: &Arc<Admin>,
    topics: &Topics,
    partitions: usize,
    replication: usize,
) -> Result<Vec<TopicReport>, BusError> {
    let before = counts(config, admin, topics).await?;
    let wanted = before
        .get(&topics.orders)
        .map_or(0, |(all, _)| *all)
        .max(partitions);
    let mut reports = create(config, admin, topics, wanted, replication).await?;
    // The orders last: where one of them may have to go is there before it.
    for report in reports.iter_mut().rev() {
        let has = before.get(&report.topic).map_or(wanted, |(all, _)| *all);
        // A buyer's events stay in one partition: nobody moves them there.
        if !report.created && has < wanted && topics.keeps_partitions(&report.topic) {
            grow(config, admin, &report.topic, wanted).await?;
            report.grown_from = Some(has);
        }
    }
    let after = until_led(config, admin, topics, wanted).await?;
    for report in &mut reports {
        report.partitions = after.get(&report.topic).map_or(0, |(all, _)| *all);
        let retention = match report.created {
            true => None,
            false => short_retention(admin, &report.topic, wanted_retention(topics, &report.topic)).await,
        };
        let more = (report.partitions > partitions).then(|| {
            format!(
                "has {} partitions, not {partitions}: none are ever taken away",
                report.partitions
            )
        });
        let notes: Vec<String> = more.into_iter().chain(retention).collect();
        report.note = (!notes.is_empty()).then(|| notes.join("; "));
    }
    Ok(reports)
}

/// Makes those that do not exist.
async fn create(
    config: &Config,
    admin: &Admin,
    topics: &Topics,
    partitions: usize,
    replication: usize,
) -> Result<Vec<TopicReport>, BusError> {
    let in_sync = replication.saturating_sub(1).max(1).to_string();
    let names = topics.names();
    let retentions: Vec<Option<String>> = names
        .iter()
        .map(|name| wanted_retention(topics, name).map(|ms| ms.to_string()))
        .collect();
    let new = names.iter().zip(&retentions).map(|(name, retention)| {
        let replicas = TopicReplication::Fixed(replication as i32);
        let topic = NewTopic::new(name, partitions as i32, replicas)
            .set("min.insync.replicas", &in_sync)
            .set("cleanup.policy", "delete");
        match retention {
            Some(ms) => topic.set(RETENTION, ms),
            None => topic,
        }
    });
    let answers = admin
        .create_topics(&new.collect::<Vec<_>>(), &options())
        .await
        .map_err(|error| config.unreachable(&error))?;
    let reports = answers.into_iter().map(|answer| {
        let (topic, created) = match answer {
            Ok(topic) => (topic, true),
            Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) => (topic, false),
            Err((topic, code)) => return Err(BusError::Fatal(format!("topic {topic}: {code}"))),
        };
        Ok(TopicReport {
            topic,
            created,
            partitions,
            grown_from: None,
            note: None,
        })
    });
    reports.collect()
}

/// Adds partitions, unless another process has done so meanwhile: whether there are enough is found out afterwards.
async fn grow(config: &Config, admin: &Admin, topic: &str, wanted: usize) -> Result<(), BusError> {
    let more = NewPartitions::new(topic, wanted);
    let answers = admin
        .create_partitions(&[more], &options())
        .await
        .map_err(|error| config.unreachable(&error))?;
    for answer in answers {
        match answer {
            Ok(_) | Err((_, RDKafkaErrorCode::InvalidPartitions)) => {}
            Err((topic, code)) => {
                return Err(BusError::Fatal(format!("topic {topic}: more partitions: {code}")));
            }
        }
    }
    Ok(())
}

/// Waits until all topics have so many partitions, each with a leader.
async fn until_led(
    config: &Config,
    admin: &Arc<Admin>,
    topics: &Topics,
    wanted: usize,
) -> Result<Counts, BusError> {
    let begun = Instant::now();
    loop {
        let counts = counts(config, admin, topics).await?;
        let of = |name: &str| counts.get(name).copied().unwrap_or_default();
        let names = topics.names();
        let least = |name: &str| if topics.keeps_partitions(name) { wanted } else { 1 };
        let late = names.iter().find(|name| of(name).1 < least(name).max(of(name).0));
        let Some(late) = late else {
            return Ok(counts);
        };
        if begun.elapsed() > READY_LIMIT {
            let (all, led) = of(late);
            return Err(BusError::Unreadable(format!(
                "topic {late}: {all} of {wanted} partitions are there and {led} have a leader after {} s: are all brokers \
                 up?",
                READY_LIMIT.as_secs()
            )));
        }
        tokio::time::sleep(READY_POLL).await;
    }
}

async fn counts(config: &Config, admin: &Arc<Admin>, topics: &Topics) -> Result<Counts, BusError> {
    let (config, admin) = (config.clone(), admin.clone());
    let names: Vec<String> = topics.names().into_iter().map(str::to_owned).collect();
    tokio::task::spawn_blocking(move || count(&config, admin.inner(), &names))
        .await
        .unwrap_or_else(|error| Err(BusError::Fatal(error.to_string())))
}

/// Those of the topics that exist. Asks for all there are: asked for by name, brokers may make one that is missing.
fn count<C: ClientContext>(
    config: &Config,
    client: &Client<C>,
    names: &[String],
) -> Result<Counts, BusError> {
    let metadata = client
        .fetch_metadata(None, ASK_LIMIT)
        .map_err(|error| config.unreachable(&error))?;
    let is_ours = |name: &str| names.iter().any(|each| each == name);
    let ours = metadata.topics().iter().filter(|topic| is_ours(topic.name()));
    let counted = ours.map(|topic| {
        let led = topic
            .partitions()
            .iter()
            .filter(|partition| partition.leader() >= 0);
        (topic.name().to_owned(), (topic.partitions().len(), led.count()))
    });
    Ok(counted.collect())
}

impl KafkaProducer {
    /// Those of the topics that do not exist.
    pub fn missing_topics(&self, names: Vec<String>) -> BoxFuture<'_, Result<Vec<String>, BusError>> {
        self.ask(move |config, client| {
            let there = count(config, client.client(), &names)?;
            Ok(names
                .into_iter()
                .filter(|name| !there.contains_key(name))
                .collect())
        })
    }

    /// Partitions of a topic that have no leader: nobody can read them.
    pub fn leaderless(&self, topic: &str) -> BoxFuture<'_, Result<BTreeSet<i32>, BusError>> {
        let topic = topic.to_owned();
        self.ask(move |config, client| {
            let metadata = client.client().fetch_metadata(Some(&topic), ASK_LIMIT);
            let metadata = metadata.map_err(|error| config.unreachable(&error))?;
            let found = metadata.topics().iter().find(|each| each.name() == topic);
            let partitions = found.ok_or_else(|| config.no_topic(&topic))?.partitions();
            let leaderless = partitions.iter().filter(|partition| partition.leader() < 0);
            Ok(leaderless.map(|partition| partition.id()).collect())
        })
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ASK_LIMIT))
        .operation_timeout(Some(ASK_LIMIT))
}

/// How long a topic has to keep its records, in milliseconds; `None` leaves it to the brokers.
pub fn wanted_retention(topics: &Topics, name: &str) -> Option<i64> {
    if name == topics.dead_letters {
        return Some(DEAD_LETTER_RETENTION_MS);
    }
    if name == topics.order_events {
        return Some(WEEK_MS);
    }
    let retry = topics.retries.iter().find(|retry| retry.name == name)?;
    let delay = i64::try_from(retry.delay.as_millis()).unwrap_or(i64::MAX);
    Some(WEEK_MS.saturating_add(delay))
}

/// A note where a topic keeps its records for a shorter time than it should. A topic whose settings may not be
/// read has none.
async fn short_retention(admin: &Admin, topic: &str, wanted: Option<i64>) -> Option<String> {
    let wanted = wanted?;
    let asked = [ResourceSpecifier::Topic(topic)];
    let answers = admin.describe_configs(&asked, &options()).await.ok()?;
    let resource = answers.into_iter().next()?.ok()?;
    let has: i64 = resource.get(RETENTION)?.value.as_ref()?.parse().ok()?;
    // Below zero: for ever.
    (0..wanted).contains(&has).then(|| {
        format!(
            "keeps records for {:.1} days, not {:.1}: set its {RETENTION} to {wanted}",
            has as f64 / DAY_MS as f64,
            wanted as f64 / DAY_MS as f64,
        )
    })
}
