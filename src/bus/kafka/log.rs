//! Reading a partition once more, beside the landers: a consumer that is given partitions by hand, joins no group and commits
//! nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::gather::{POLL_BYTES_MAX, headers};
use super::{ASK_LIMIT, Config, unusable};
use crate::bus::{BusError, Held, Log, Record};

const POLL: Duration = Duration::from_millis(100);
/// A read that brings nothing for so long is given up for now.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// Reads logs again. It has a client only from the first read on.
pub struct KafkaLog {
    config: Config,
    reader: Arc<Mutex<Option<Reader>>>,
}

struct Reader {
    consumer: BaseConsumer,
    /// Topic, partition and offset that it would read next.
    at: Option<(String, i32, i64)>,
}

/// What is read: topic, partition, and from where to where.
struct Asked {
    topic: String,
    partition: i32,
    from: i64,
    to: i64,
    max: usize,
}

impl KafkaLog {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            reader: Arc::default(),
        }
    }
}

impl Log for KafkaLog {
    fn read<'a>(
        &'a self,
        topic: &'a str,
        partition: i32,
        (from, to): (i64, i64),
        max: usize,
    ) -> BoxFuture<'a, Result<Held, BusError>> {
        let (config, reader) = (self.config.clone(), self.reader.clone());
        let asked = Asked {
            topic: topic.to_owned(),
            partition,
            from,
            to,
            max,
        };
        let read = move || {
            let mut slot = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let mut own = match slot.take() {
                Some(reader) => reader,
                None => Reader::new(&config)?,
            };
            let read = own.read(&config, &asked);
            // After an error the next one begins with a client of its own.
            *slot = read.is_ok().then_some(own);
            read
        };
        async move {
            let read = tokio::task::spawn_blocking(read).await;
            read.unwrap_or_else(|error| Err(BusError::Fatal(error.to_string())))
        }
        .boxed()
    }
}

impl Reader {
    fn new(config: &Config) -> Result<Self, BusError> {
        let own = [
            // The landers' own, which they may read as; nothing joins it.
            ("group.id", config.group.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("enable.partition.eof", "true"),
            ("queued.max.messages.kbytes", "16384"),
        ];
        let consumer = config.client(&own, &config.consumer).create().map_err(unusable)?;
        Ok(Self { consumer, at: None })
    }

    /// Blocks.
    fn read(&mut self, config: &Config, asked: &Asked) -> Result<Held, BusError> {
        let Asked {
            topic,
            partition,
            from,
            to,
            max,
        } = asked;
        let place = (topic.clone(), *partition, *from);
        if self.at.take() != Some(place) && !self.go_to(config, asked)? {
            return Ok(Held::Gone);
        }
        let (mut records, mut bytes, mut next) = (Vec::new(), 0, *from);
        let mut heard = Instant::now();
        while next < *to && records.len() < *max && bytes < POLL_BYTES_MAX {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) if message.offset() >= *to => next = *to,
                Some(Ok(message)) => {
                    next = message.offset() + 1;
                    bytes += message.payload_len();
                    records.push(Record {
                        offset: message.offset(),
                        key: message.key().unwrap_or_default().to_vec(),
                        payload: message.payload().unwrap_or_default().to_vec(),
                        headers: headers(&message),
                        timestamp: message.timestamp().to_millis().unwrap_or(0),
                    });
                    heard = Instant::now();
                }
                // What lies before the end and is no record is a mark of Kafka's own.
                Some(Err(KafkaError::PartitionEOF(_))) => next = *to,
                Some(Err(error)) if is_gone(&error) => return Ok(Held::Gone),
                Some(Err(error)) => return Err(config.unreachable(&error)),
                None if !records.is_empty() => break,
                None if heard.elapsed() > READ_LIMIT => {
                    return Err(BusError::Unreadable(format!(
                        "{topic}/{partition} gave nothing from offset {next} on within {READ_LIMIT:?}"
                    )));
                }
                None => {}
            }
        }
        if next < *to {
            self.at = Some((topic.clone(), *partition, next));
        }
        Ok(Held::Records { records, next })
    }

    /// Begins a partition at an offset; says whether its log holds what is asked for.
    fn go_to(&mut self, config: &Config, asked: &Asked) -> Result<bool, BusError> {
        let Asked {
            topic,
            partition,
            from,
            to,
            ..
        } = asked;
        let unreachable = |error: KafkaError| config.unreachable(&error);
        let (low, high) = match self.consumer.fetch_watermarks(topic, *partition, ASK_LIMIT) {
            Err(error) if is_gone(&error) => return Ok(false),
            answered => answered.map_err(unreachable)?,
        };
        if *from < low || *to > high {
            return Ok(false);
        }
        let mut list = TopicPartitionList::new();
        let added = list.add_partition_offset(topic, *partition, Offset::Offset(*from));
        added.map_err(unreachable)?;
        self.consumer.assign(&list).map_err(unreachable)?;
        Ok(true)
    }
}

/// Whether the log does not hold the offset, or there is no such log.
fn is_gone(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let gone = [
        Code::AutoOffsetReset,
        Code::OffsetOutOfRange,
        Code::UnknownTopic,
        Code::UnknownPartition,
        Code::UnknownTopicOrPartition,
    ];
    error
        .rdkafka_error_code()
        .is_some_and(|code| gone.contains(&code))
}
