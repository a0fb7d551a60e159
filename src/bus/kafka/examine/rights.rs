//! What this user may do, found out by asking for what cannot be done: a broker looks at the rights first, and refuses a
//! record that is too large, or the offset of a partition that does not exist, only afterwards.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::Examination;

/// By so much a record is larger than a topic takes.
const ABOVE_BYTES: usize = 64 * 1024;
/// A topic that takes larger records is not tried: the records would have to be larger still.
const RECORD_BYTES_MAX: usize = 8 * 1024 * 1024;
const POLL: Duration = Duration::from_millis(50);

/// Whether this user may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    Granted,
    Denied(String),
    /// Nobody can say, and why.
    Unknown(String),
}

/// What became of each record.
#[derive(Default)]
struct Answers(Mutex<BTreeMap<String, Option<KafkaError>>>);

impl ClientContext for Answers {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Answers {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let (topic, error) = match result {
            Ok(message) => (message.topic(), None),
            Err((error, message)) => (message.topic(), Some(error.clone())),
        };
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(topic.to_owned(), error);
    }
}

impl Examination {
    /// Whether records may be written to the topics: `sizes` holds what each takes at most, in bytes. Blocks.
    pub fn may_produce(&self, sizes: &BTreeMap<String, usize>) -> BTreeMap<String, Right> {
        let unknown = |why: &str| {
            let all = sizes
                .keys()
                .map(|topic| (topic.clone(), Right::Unknown(why.to_owned())));
            all.collect()
        };
        let fits = |size: &&usize| **size <= RECORD_BYTES_MAX;
        let Some(largest) = sizes.values().filter(fits).max() else {
            return unknown("the topics take records of any size");
        };
        let producer = match self.producer(largest + 2 * ABOVE_BYTES) {
            Ok(producer) => producer,
            Err(error) => return unknown(&error.to_string()),
        };
        for (topic, size) in sizes.iter().filter(|(_, size)| fits(size)) {
            let payload = vec![0_u8; size + ABOVE_BYTES];
            let record = BaseRecord::<[u8], [u8]>::to(topic).partition(0).payload(&payload);
            if let Err((error, _)) = producer.send(record) {
                return unknown(&error.to_string());
            }
        }
        let begun = Instant::now();
        while producer.in_flight_count() > 0 && begun.elapsed() < self.limit {
            producer.poll(POLL);
        }
        let answers = producer.context().0.lock();
        let answers = answers.unwrap_or_else(PoisonError::into_inner);
        let right = |topic: &String| match answers.get(topic) {
            Some(answer) => judge(answer.as_ref()),
            None => Right::Unknown("no answer".to_owned()),
        };
        sizes.keys().map(|topic| (topic.clone(), right(topic))).collect()
    }

    fn producer(&self, message_bytes: usize) -> Result<BaseProducer<Answers>, KafkaError> {
        let mut client = self.config.client(&[], &self.config.producer);
        client
            .set("enable.idempotence", "false")
            .set("acks", "all")
            .set("compression.type", "none")
            .set("linger.ms", "0")
            .set("batch.num.messages", "1")
            .set("message.max.bytes", message_bytes.to_string())
            .set("message.timeout.ms", super::ms(self.limit));
        client.create_with_context(Answers::default())
    }

    /// Whether the topic may be read as a member of the landers' group. Blocks.
    pub fn may_consume(&self, topic: &str) -> Right {
        let mut nowhere = TopicPartitionList::new();
        if let Err(error) = nowhere.add_partition_offset(topic, i32::MAX, Offset::Offset(0)) {
            return Right::Unknown(error.to_string());
        }
        match self.consumer.commit(&nowhere, CommitMode::Sync) {
            Err(error) => judge(Some(&error)),
            Ok(()) => Right::Unknown("the broker takes offsets of partitions that do not exist".to_owned()),
        }
    }
}

fn judge(error: Option<&KafkaError>) -> Right {
    use RDKafkaErrorCode as Code;
    let Some(error) = error else {
        return Right::Unknown("the broker took a record that is larger than the topic takes".to_owned());
    };
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge | Code::UnknownTopicOrPartition) => Right::Granted,
        // A group that has members takes no offset from anybody else; that is found out behind the rights.
        Some(Code::UnknownMemberId | Code::IllegalGeneration | Code::RebalanceInProgress) => Right::Granted,
        Some(
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed,
        ) => Right::Denied(error.to_string()),
        _ => Right::Unknown(error.to_string()),
    }
}
