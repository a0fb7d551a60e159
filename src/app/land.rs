//! `rushgate land`: takes orders from Kafka and writes them into the database; one thread per consumer, several of the
//! orders and one of every retry topic.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::adapters::{close, sending, store_check};
use super::letters::{Letters, SentAgain};
use super::listeners::{self, Listener, control_fits};
use super::metrics::{LagFigures, LandingFigures, TopicFigures};
use super::redrive;
use super::reload::{Reload, Sources};
use super::sealing::Sealing;
use super::shutdown::Shutdown;
use super::standstill::{self, Landed};
use super::{leftovers, migration};
use crate::admin::{Check, Health, Readiness};
use crate::bus::kafka::{KafkaConsumer, KafkaProducer};
use crate::bus::{self, Producer, StartOffsets};
use crate::config::Config;
use crate::flow::{self, Flow};
use crate::landing::{self, Landing, LandingHandle};
use crate::serving::Tls;
use crate::store::Store;
use crate::telemetry;

/// How often the landing threads are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One topic that is landed.
struct Level {
    /// How its consumers reach Kafka, but for their names.
    kafka: bus::kafka::Config,
    /// How long its records wait before they are tried.
    delay: Duration,
    consumers: Vec<LandingHandle>,
}

impl Level {
    fn landed(&self) -> Landed {
        Landed {
            kafka: self.kafka.clone(),
            consumers: self.consumers.iter().map(LandingHandle::nudger).collect(),
        }
    }

    fn figures(&self) -> TopicFigures {
        TopicFigures {
            topic: self.kafka.topic.clone(),
            consumers: self.consumers.iter().map(LandingHandle::figures).collect(),
        }
    }
}

/// Runs until asked to stop, or until one of the landing threads cannot go on.
pub async fn land(config: Config, sources: Sources) -> anyhow::Result<()> {
    let shutdown = Shutdown::listen()?;
    let reload = Reload::listen(&config, sources)?;
    let in_force = reload.in_force();
    control_fits(&config)?;
    let listener = Listener::control(&config)?;
    let (address, tls) = (listener.address()?, listener.tls.clone());
    let topics = config.topics()?;
    let names = topics.names();
    let there = migration::wait_for_store(&config, &shutdown, &names, &listener);
    let Some(store) = there.await? else {
        return Ok(());
    };
    let sealing = Sealing::join(&config, &store, "land").await?;
    let kafka = Arc::new(KafkaProducer::new(sending(&config, &sealing)).context("kafka")?);
    let producer: Arc<dyn Producer> = kafka.clone();
    let levels = start(&config, &store, &producer)?;
    let tried: Vec<TopicFigures> = levels.iter().map(Level::figures).collect();
    let retries = move || tried.iter().map(|level| level.read().retries).sum();
    let redrive = redrive::spawn(&config, &store, &sealing, retries)?;
    let (scheduled, sent_again) = redrive::spawn_scheduled(&config, &store, &sealing)?;
    let mut registry = telemetry::registry();
    let figures = levels.iter().map(Level::figures);
    registry.register_collector(Box::new(LandingFigures::new(figures)));
    registry.register_collector(Box::new(Letters::watch(&store)));
    registry.register_collector(sealing.figures());
    registry.register_collector(Box::new(SentAgain(sent_again)));
    let flow = Flow::spawn(watched(&config, &levels), producer, store.clone());
    let landed = levels.iter().map(Level::landed).collect();
    let watch = standstill::watch(flow.clone(), kafka.clone(), landed);
    let mut checks = vec![store_check(&store), standstill::check(&flow), sealing.check()];
    registry.register_collector(Box::new(LagFigures(flow)));
    checks.extend(levels.first().map(|orders| guard_check(orders.figures())));
    let readiness = Arc::new(Readiness::new(checks).helped_by(vec![sealing.retired()]));
    let door = listener.control_door(&config, &mut registry);
    let health = Health {
        readiness: readiness.clone(),
        registry: Arc::new(registry),
        has_token: config.admin_token.is_some(),
    };
    let topics: Vec<&str> = levels.iter().map(|level| level.kafka.topic.as_str()).collect();
    tracing::info!(kafka = config.kafka.brokers, database = store.place(), health = %address, ?topics, "landing");
    leftovers::tell(&store, &kafka, &topics).await;
    // Served through the drain: `/readyz` has to be able to say so.
    let (close_health, health_closed) = oneshot::channel::<()>();
    let served = tokio::spawn(health.serve(door, health_closed.map(drop)));

    let ended = tokio::select! {
        () = shutdown.asked() => None,
        figures = ended(&levels) => {
            let error = figures.read().last_error.unwrap_or_default();
            Some(format!("{}: {error}", figures.topic))
        }
        // What it cannot land it could not move either: its partitions go to a lander whose seal counts.
        why = sealing.halted() => Some(why),
        () = reload.run(|_| {
            tls.iter().for_each(Tls::refresh);
            Ok(())
        }) => None,
    };
    readiness.drain();
    watch.abort();
    scheduled.abort();
    if let Some(redrive) = redrive {
        redrive.abort();
    }
    stop(levels, in_force.load().drain).await;
    drop(close_health);
    listeners::answered(served).await;
    sealing.leave().await;
    close(&store).await;
    if let Some(why) = ended {
        bail!("landing ended: {why}");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Every topic that is landed, with how long its records wait there by design.
fn watched(config: &Config, levels: &[Level]) -> flow::Config {
    let topic = |level: &Level| level.kafka.topic.clone();
    flow::Config {
        topics: levels.iter().map(topic).collect(),
        delays: levels.iter().map(|level| (topic(level), level.delay)).collect(),
        ..config.flow()
    }
}

/// Ends the threads, those that do so within the limit. Joining one blocks: it may be in the middle of a
/// transaction, or its consumer in taking leave of a broker that is frozen. The process does not wait for a plain
/// thread when it ends, as it would for one of the runtime's.
async fn stop(mut levels: Vec<Level>, limit: Duration) {
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

fn start(config: &Config, store: &Store, producer: &Arc<dyn Producer>) -> anyhow::Result<Vec<Level>> {
    let topics = config.topics()?;
    let levels = landing::Config::levels(&topics, &config.landing());
    let start = |level: &landing::Config, kafka: &bus::kafka::Config, suffix: String| -> anyhow::Result<_> {
        let kafka = bus::kafka::Config {
            client_id: match config.instance() {
                Some(name) => format!("{}.{name}{suffix}", kafka.client_id),
                None => kafka.client_id.clone(),
            },
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
            fetch_wait: level.batch_wait,
            busy_wait: level.busy_wait,
            ..config.kafka()
        };
        let consumers: anyhow::Result<Vec<LandingHandle>> = match level.topic.strip_prefix(&topics.orders) {
            Some("") | None => (1..=config.landing.consumers)
                .map(|number| start(level, &kafka, format!(".{number}")))
                .collect(),
            // Little is there, unless much is wrong.
            Some(suffix) => start(level, &kafka, suffix.to_owned()).map(|handle| vec![handle]),
        };
        let consumers = consumers?;
        Ok(Level {
            kafka,
            delay: level.delay,
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
