//! The topics that a lander lands, and the threads that do it: started, watched and ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::standstill::Landed;
use crate::bus::kafka::KafkaConsumer;
use crate::bus::{self, Producer, StartOffsets};
use crate::config::Config;
use crate::flow;
use crate::landing::{self, Landing, LandingHandle, Metrics, Watched};
use crate::needs::Teller;
use crate::store::Store;

/// How often the landing threads are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One topic that is landed.
pub(super) struct Level {
    /// How its consumers reach Kafka, but for their names.
    pub(super) kafka: bus::kafka::Config,
    /// How long its records wait before they are tried.
    delay: Duration,
    pub(super) metrics: Metrics,
    consumers: Vec<LandingHandle>,
}

impl Level {
    pub(super) fn landed(&self) -> Landed {
        Landed {
            kafka: self.kafka.clone(),
            consumers: self.consumers.iter().map(LandingHandle::nudger).collect(),
        }
    }

    pub(super) fn watched(&self) -> Watched {
        Watched {
            topic: self.kafka.topic.clone(),
            metrics: self.metrics.clone(),
            consumers: self.consumers.iter().map(LandingHandle::state).collect(),
        }
    }
}

/// Starts a thread per consumer: several of the orders, one of every retry topic. `teller` hears of what lands.
pub(super) fn start(
    config: &Config,
    store: &Store,
    producer: &Arc<dyn Producer>,
    teller: Option<&Arc<dyn Teller>>,
) -> anyhow::Result<Vec<Level>> {
    let topics = config.topics()?;
    let levels = landing::Config::levels(&topics, &config.landing());
    let start = |level: &landing::Config, kafka: &bus::kafka::Config, metrics: &Metrics, suffix: String| {
        let kafka = bus::kafka::Config {
            client_id: match config.instance() {
                Some(name) => format!("{}.{name}{suffix}", kafka.client_id),
                None => kafka.client_id.clone(),
            },
            ..kafka.clone()
        };
        let consumer = Box::new(KafkaConsumer::new(kafka, start_offsets(store, &level.topic))?);
        let (store, runtime) = (store.clone(), Handle::current());
        let (level, producer) = (level.clone(), producer.clone());
        anyhow::Ok(Landing::spawn_telling(
            level,
            consumer,
            producer,
            store,
            runtime,
            metrics.clone(),
            teller.cloned(),
        )?)
    };
    let started = levels.iter().map(|level| {
        let kafka = bus::kafka::Config {
            topic: level.topic.clone(),
            group: level.group.clone(),
            fetch_wait: level.batch_wait,
            busy_wait: level.busy_wait,
            ..config.kafka()
        };
        let metrics = Metrics::default();
        let consumers: anyhow::Result<Vec<LandingHandle>> = match level.topic.strip_prefix(&topics.orders) {
            Some("") | None => (1..=config.landing.consumers)
                .map(|number| start(level, &kafka, &metrics, format!(".{number}")))
                .collect(),
            // Little is there, unless much is wrong.
            Some(suffix) => start(level, &kafka, &metrics, suffix.to_owned()).map(|handle| vec![handle]),
        };
        let consumers = consumers?;
        Ok(Level {
            kafka,
            delay: level.delay,
            metrics,
            consumers,
        })
    });
    started.collect()
}

/// Asks the database where to start; called on the consumer's own thread, which is none of the runtime's.
fn start_offsets(store: &Store, topic: &str) -> StartOffsets {
    let (offsets, topic, runtime) = (store.clone(), topic.to_owned(), Handle::current());
    Box::new(move |partitions: &[i32]| {
        let stored = runtime.block_on(offsets.offsets(&topic));
        let mut stored = stored.map_err(|error| error.to_string())?;
        stored.retain(|partition, _| partitions.contains(partition));
        Ok(stored)
    })
}

/// Every topic that is landed, with how long its records wait there by design.
pub(super) fn flow(config: &Config, levels: &[Level]) -> flow::Config {
    let topic = |level: &Level| level.kafka.topic.clone();
    flow::Config {
        topics: levels.iter().map(topic).collect(),
        delays: levels.iter().map(|level| (topic(level), level.delay)).collect(),
        ..config.flow()
    }
}

/// Resolves when one of the threads has ended by itself: why.
pub(super) async fn ended(levels: &[Level]) -> String {
    loop {
        for level in levels {
            if let Some(consumer) = level.consumers.iter().find(|consumer| consumer.is_finished()) {
                let error = consumer.state().last_error().unwrap_or_default();
                return format!("{}: {error}", level.kafka.topic);
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Ends the threads, those that do so within the limit. Joining one blocks: it may be in the middle of a
/// transaction, or its consumer in taking leave of a broker that is frozen. The process does not wait for a plain
/// thread when it ends, as it would for one of the runtime's.
pub(super) async fn stop(mut levels: Vec<Level>, limit: Duration) {
    for consumer in levels.iter_mut().flat_map(|level| &mut level.consumers) {
        consumer.ask_to_stop();
    }
    let (done, joined) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        drop(levels);
        // Nobody waits any more once the limit is over.
        let _ = done.send(());
    });
    if tokio::time::timeout(limit, joined).await.is_err() {
        tracing::warn!(
            "a landing thread has not ended within drain_ms: most likely Kafka does not answer. Nothing is lost by \
             leaving it"
        );
    }
}
