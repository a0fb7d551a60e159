//! Makes the topics; what exists stays as it is.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;

use super::{ASK_LIMIT, Config, unusable};
use crate::bus::{BusError, DEAD_LETTER_TOPIC, RETRY_TOPICS};

/// 30 days: somebody has to look at dead letters.
const DEAD_LETTER_RETENTION_MS: &str = "2592000000";

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
/// replicas; a write needs all replicas but one. Topics that exist are left alone and reported.
pub async fn migrate_topics(
    config: &Config,
    partitions: usize,
    replication: usize,
) -> Result<Vec<TopicReport>, BusError> {
    let admin: AdminClient<DefaultClientContext> = config.client(&[]).create().map_err(unusable)?;
    let in_sync = replication.saturating_sub(1).max(1).to_string();
    let mut names = vec![config.topic.as_str()];
    names.extend(RETRY_TOPICS);
    names.push(DEAD_LETTER_TOPIC);
    let topics: Vec<NewTopic<'_>> = names
        .iter()
        .map(|name| {
            let topic = NewTopic::new(
                name,
                partitions as i32,
                TopicReplication::Fixed(replication as i32),
            )
            .set("min.insync.replicas", &in_sync)
            .set("cleanup.policy", "delete");
            match *name == DEAD_LETTER_TOPIC {
                true => topic.set("retention.ms", DEAD_LETTER_RETENTION_MS),
                false => topic,
            }
        })
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(ASK_LIMIT))
        .operation_timeout(Some(ASK_LIMIT));
    let answers = admin
        .create_topics(&topics, &options)
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
    let config = config.clone();
    tokio::task::spawn_blocking(move || compare(&config, &admin, reports, partitions))
        .await
        .unwrap_or_else(|error| Err(BusError::Fatal(error.to_string())))
}

/// Fills in how many partitions existing topics have.
fn compare(
    config: &Config,
    admin: &AdminClient<DefaultClientContext>,
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
            report.note = Some(format!(
                "has {} partitions, not {wanted}; it stays so, because more partitions would move buyers to \
                 others and break the order of their orders",
                report.partitions
            ));
        }
    }
    Ok(reports)
}
