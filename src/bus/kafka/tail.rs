//! Following a topic from its end on: a consumer that is given all partitions by hand, joins no group and commits nothing, and that
//! is there only while somebody wants to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::{ASK_LIMIT, Config, unusable};
use crate::bus::BusError;

const POLL: Duration = Duration::from_millis(100);
/// Between two looks at whether somebody wants to know.
const IDLE: Duration = Duration::from_millis(100);
/// After everything went wrong.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
/// Whoever is gone may be back soon: the consumer stays for so long.
const UNWANTED_FOR: Duration = Duration::from_secs(10);

/// Who is told what a topic says.
pub trait Follower: Send + 'static {
    /// Whether anybody wants to know.
    fn is_wanted(&self) -> bool;

    /// From here on every record is taken, or not any more.
    fn is_complete(&self, complete: bool);

    fn take(&self, payload: &[u8]);
}

/// Follows a topic on a thread of its own, until it is dropped.
pub struct Tail {
    ends: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Tail {
    pub fn follow(config: Config, topic: String, follower: impl Follower) -> std::io::Result<Self> {
        let ends = Arc::new(AtomicBool::new(false));
        let follows = ends.clone();
        let run = move || {
            while !follows.load(Ordering::Relaxed) {
                if !follower.is_wanted() {
                    thread::sleep(IDLE);
                    continue;
                }
                let followed = follow(&config, &topic, &follower, &follows);
                follower.is_complete(false);
                if let Err(error) = followed {
                    tracing::debug!(topic, %error, "what changes is found out by asking the database");
                    thread::sleep(TROUBLE_PAUSE);
                }
            }
        };
        let thread = thread::Builder::new().name("tail".to_owned()).spawn(run)?;
        Ok(Self {
            ends,
            thread: Some(thread),
        })
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::debug!("whoever followed a topic has panicked");
        }
    }
}

/// Until nobody wants to know any more, or something goes wrong.
fn follow(config: &Config, topic: &str, follower: &impl Follower, ends: &AtomicBool) -> Result<(), BusError> {
    let own = [
        // The landers' own, which this process may read as; nothing joins it.
        ("group.id", config.group.as_str()),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "latest"),
        ("queued.max.messages.kbytes", "16384"),
    ];
    let consumer: BaseConsumer = config.client(&own, &config.consumer).create().map_err(unusable)?;
    let partitions = at_the_end(config, &consumer, topic)?;
    consumer
        .assign(&partitions)
        .map_err(|error| config.unreachable(&error))?;
    follower.is_complete(true);
    let mut wanted = Instant::now();
    while !ends.load(Ordering::Relaxed) {
        match consumer.poll(POLL) {
            Some(Ok(message)) => follower.take(message.payload().unwrap_or_default()),
            Some(Err(error)) => return Err(config.unreachable(&error)),
            None => {}
        }
        if follower.is_wanted() {
            wanted = Instant::now();
        } else if wanted.elapsed() > UNWANTED_FOR {
            break;
        }
    }
    Ok(())
}

/// Every partition, from the record on that comes next. The offsets are asked for here and now: from this moment on nothing is
/// passed over.
fn at_the_end(config: &Config, consumer: &BaseConsumer, topic: &str) -> Result<TopicPartitionList, BusError> {
    let unreachable = |error: KafkaError| config.unreachable(&error);
    let metadata = consumer
        .fetch_metadata(Some(topic), ASK_LIMIT)
        .map_err(unreachable)?;
    let known = metadata.topics().iter().filter(|known| known.error().is_none());
    let partitions: Vec<i32> = known
        .flat_map(|known| known.partitions())
        .map(|partition| partition.id())
        .collect();
    if partitions.is_empty() {
        return Err(BusError::NoTopic {
            brokers: config.brokers.clone(),
            topic: topic.to_owned(),
        });
    }
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        let (_, end) = consumer
            .fetch_watermarks(topic, partition, ASK_LIMIT)
            .map_err(unreachable)?;
        list.add_partition_offset(topic, partition, Offset::Offset(end))
            .map_err(unreachable)?;
    }
    Ok(list)
}
