//! Makes the topics; what exists stays as it is.

use std::collections::BTreeMap;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;

use super::{ASK_LIMIT, Config, unusable};
use crate::bus::{BusError, Topics};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// 30 days: somebody has to look at dead letters.
const DEAD_LETTER_RETENTION_MS: i64 = 30 * DAY_MS;
/// A week, as brokers have it unless they are told otherwise: a database that is away over a long weekend must
/// not cost an order.
const RETRY_RETENTION_MS: i64 = 7 * DAY_MS;
const RETENTION: &str = "retention.ms";

type Admin = AdminClient<DefaultClientContext>;

/// One topic after [`migrate_topics`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReport {
    pub topic: String,
    pub created: bool,
    pub partitions: usize,
    /// What somebody should know or do.
    pub note: Option<String>,
}

/// Makes the orders topic, the retry topics and the dead letters with so many partitions and
/// replicas; a write needs all replicas but one. Topics that exist are left alone and reported, in the order of
/// [`Topics::names`].
pub async fn migrate_topics(
    config: &Config,
    topics: &Topics,
    partitions: usize,
    replication: usize,
) -> Result<Vec<TopicReport>, BusError> {
    let admin: Admin = config.client(&[], &BTreeMap::new()).create().map_err(unusable)?;
    let in_sync = replication.saturating_sub(1).max(1).to_string();
    let names = topics.names();
    let retentions: Vec<Option<String>> = names
        .iter()
        .map(|name| retention(topics, name).map(|ms| ms.to_string()))
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
    let mut reports = Vec::new();
    for answer in answers {
        let (topic, created) = match answer {
            Ok(topic) => (topic, true),
            Err((topic, RDKafkaErrorCode::TopicAlreadyExists)) => (topic, false),
            Err((topic, code)) => return Err(BusError::Fatal(format!("topic {topic}: {code}"))),
        };
        reports.push(TopicReport {
            topic,
            created,
            partitions,
            note: None,
        });
    }
    for report in reports.iter_mut().filter(|report| !report.created) {
        let wanted = retention(topics, &report.topic);
        report.note = short_retention(&admin, &report.topic, wanted).await;
    }
    let config = config.clone();
    tokio::task::spawn_blocking(move || compare(&config, &admin, reports, partitions))
        .await
        .unwrap_or_else(|error| Err(BusError::Fatal(error.to_string())))
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ASK_LIMIT))
        .operation_timeout(Some(ASK_LIMIT))
}

/// How long a topic has to keep its records; `None` leaves it to the brokers.
fn retention(topics: &Topics, name: &str) -> Option<i64> {
    if name == topics.dead_letters {
        return Some(DEAD_LETTER_RETENTION_MS);
    }
    let retry = topics.retries.iter().find(|retry| retry.name == name)?;
    let delay = i64::try_from(retry.delay.as_millis()).unwrap_or(i64::MAX);
    Some(RETRY_RETENTION_MS.saturating_add(delay))
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

/// Fills in how many partitions existing topics have.
fn compare(
    config: &Config,
    admin: &Admin,
    mut reports: Vec<TopicReport>,
    wanted: usize,
) -> Result<Vec<TopicReport>, BusError> {
    for report in reports.iter_mut().filter(|report| !report.created) {
        let metadata = admin
            .inner()
            .fetch_metadata(Some(&report.topic), ASK_LIMIT)
            .map_err(|error| config.unreachable(&error))?;
        let topic = metadata
            .topics()
            .iter()
            .find(|topic| topic.name() == report.topic);
        report.partitions = topic.map_or(0, |topic| topic.partitions().len());
        if report.partitions != wanted {
            let note = format!(
                "has {} partitions, not {wanted}; it stays so, because more partitions would move buyers to \
                 others and break the order of their orders",
                report.partitions
            );
            report.note = Some(match report.note.take() {
                Some(other) => format!("{note}; {other}"),
                None => note,
            });
        }
    }
    Ok(reports)
}
