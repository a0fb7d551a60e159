//! `rushgate land`: takes orders from Kafka and writes them into the database; one thread per consumer, several of the
//! orders and one of every retry topic.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::FutureExt;
use tokio::runtime::Handle;

use super::adapters::{kafka_config, store, store_check};
use super::metrics::{LagFigures, LandingFigures, TopicFigures};
use super::redrive;
use super::seals;
use super::shutdown::Shutdown;
use super::unassigned;
use crate::admin::{self, Check, Health, Readiness};
use crate::bus::kafka::{KafkaConsumer, KafkaProducer};
use crate::bus::{self, Producer, StartOffsets};
use crate::config::Config;
use crate::flow::{self, Flow};
use crate::landing::{self, Landing, LandingHandle};
use crate::store::Store;
use crate::telemetry;

/// How often the landing threads are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One topic that is landed.
struct Level {
    /// How its consumers reach Kafka, but for their names.
    kafka: bus::kafka::Config,
    consumers: Vec<LandingHandle>,
}

impl Level {
    fn figures(&self) -> TopicFigures {
        TopicFigures {
            topic: self.kafka.topic.clone(),
            consumers: self.consumers.iter().map(LandingHandle::figures).collect(),
        }
    }
}

/// Runs until asked to stop, or until one of the landing threads cannot go on.
pub async fn land(config: Config) -> anyhow::Result<()> {
    let shutdown = Shutdown::listen()?;
    let listener = admin::bind(&admin::Config {
        listen: config.admin_listen,
        token: config.admin_token.clone(),
    })?;
    let store = store(&config).await?;
    seals::agree(&config, &store).await?;
    let kafka = Arc::new(KafkaProducer::new(kafka_config(&config)).context("kafka")?);
    let producer: Arc<dyn Producer> = kafka.clone();
    let levels = start(&config, &store, &producer)?;
    let orders = levels.first().map(Level::figures);
    let retries = move || orders.as_ref().map_or(0, |orders| orders.read().retries);
    let redrive = redrive::spawn(&config, &store, retries)?;
    let mut registry = telemetry::registry();
    let figures = levels.iter().map(Level::figures);
    registry.register_collector(Box::new(LandingFigures::new(figures)));
    let watched = flow::Config {
        topics: levels.iter().map(|level| level.kafka.topic.clone()).collect(),
        ..config.flow()
    };
    let flow = Flow::spawn(watched, producer, store.clone());
    let groups = levels.iter().map(|level| level.kafka.clone()).collect();
    let watch = unassigned::watch(flow.clone(), kafka, groups);
    registry.register_collector(Box::new(LagFigures(flow)));
    let mut checks = vec![store_check(&store)];
    checks.extend(levels.first().map(|orders| guard_check(orders.figures())));
    let readiness = Arc::new(Readiness::new(checks));
    let health = Health {
        readiness: readiness.clone(),
        registry: Arc::new(registry),
    };
    let topics: Vec<&str> = levels.iter().map(|level| level.kafka.topic.as_str()).collect();
    tracing::info!(kafka = config.kafka.brokers, database = store.place(), health = %listener.local_addr()?, ?topics, "landing");
    let served = tokio::spawn(health.serve(listener, shutdown.clone().asked()));

    let ended = tokio::select! {
        () = shutdown.asked() => None,
        ended = ended(&levels) => Some(ended),
    };
    readiness.drain();
    watch.abort();
    if let Some(redrive) = redrive {
        redrive.abort();
    }
    if !stop(levels, config.drain()).await {
        tracing::warn!(
            "a landing thread has not ended within drain_ms: most likely Kafka does not answer. Nothing is lost by \
             leaving it"
        );
    }
    served.abort();
    store.close().await;
    if let Some(figures) = ended {
        let error = figures.read().last_error.unwrap_or_default();
        bail!("landing {} ended: {error}", figures.topic);
    }
    tracing::info!("stopped");
    Ok(())
}

/// Ends the threads, and says whether all did within the limit. Joining one blocks: it may be in the middle of a
/// transaction, or its consumer in taking leave of a broker that is frozen. The process does not wait for a plain
/// thread when it ends, as it would for one of the runtime's.
async fn stop(mut levels: Vec<Level>, limit: Duration) -> bool {
    for consumer in levels.iter_mut().flat_map(|level| &mut level.consumers) {
        consumer.ask_to_stop();
    }
    let (done, joined) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        drop(levels);
        // Nobody waits any more once the limit is over.
        let _ = done.send(());
    });
    tokio::time::timeout(limit, joined).await.is_ok()
}

fn start(config: &Config, store: &Store, producer: &Arc<dyn Producer>) -> anyhow::Result<Vec<Level>> {
    let topics = config.topics()?;
    let levels = landing::Config::levels(&topics, &config.landing());
    let start = |level: &landing::Config, kafka: &bus::kafka::Config, suffix: String| -> anyhow::Result<_> {
        let kafka = bus::kafka::Config {
            instance: config.instance().map(|name| name + &suffix),
            ..kafka.clone()
        };
        let consumer = Box::new(KafkaConsumer::new(kafka, start_offsets(store, &level.topic))?);
        let (store, runtime) = (store.clone(), Handle::current());
        Ok(Landing::spawn(
            level.clone(),
            consumer,
            producer.clone(),
            store,
            runtime,
        )?)
    };
    let started = levels.iter().map(|level| {
        let kafka = bus::kafka::Config {
            topic: level.topic.clone(),
            group: level.group.clone(),
            ..kafka_config(config)
        };
        let consumers: anyhow::Result<Vec<LandingHandle>> = match level.topic.strip_prefix(&topics.orders) {
            Some("") | None => (1..=config.landing.consumers)
                .map(|number| start(level, &kafka, format!(".{number}")))
                .collect(),
            // Little is there, unless much is wrong.
            Some(suffix) => start(level, &kafka, suffix.to_owned()).map(|handle| vec![handle]),
        };
        let consumers = consumers?;
        Ok(Level { kafka, consumers })
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

/// Not ready while too many records fail.
fn guard_check(figures: TopicFigures) -> Check {
    Check {
        name: "guard",
        ask: Box::new(move || {
            let tripped = figures.read().guard;
            let answer = match tripped {
                None => Ok(()),
                Some((failing, seen)) => Err(format!(
                    "{failing} of the last {seen} orders fail, more than landing.poison_share allows; landing waits"
                )),
            };
            async move { answer }.boxed()
        }),
    }
}

/// Resolves when one of the threads has ended by itself: what it says.
async fn ended(levels: &[Level]) -> TopicFigures {
    loop {
        for level in levels {
            if let Some(consumer) = level.consumers.iter().find(|consumer| consumer.is_finished()) {
                return TopicFigures {
                    topic: level.kafka.topic.clone(),
                    consumers: vec![consumer.figures()],
                };
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
