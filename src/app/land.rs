//! `rushgate land`: takes orders from Kafka and writes them into the database; one thread per consumer, several of the
//! orders and one of every retry topic.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::FutureExt;
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::adapters::{close, sending, store_check};
use super::events;
use super::levels::{self, Level};
use super::listeners::{self, Listener, admin_fits};
use super::redrive;
use super::reload::{Reload, Sources};
use super::sealing::Sealing;
use super::shutdown::Shutdown;
use super::standstill;
use super::webhooks::Webhooks;
use super::{leftovers, migration};
use crate::admin::{Check, Health, Readiness};
use crate::bus::Producer;
use crate::bus::kafka::KafkaProducer;
use crate::clock::now_ms;
use crate::config::Config;
use crate::events::{self as telling, Events};
use crate::flow::Flow;
use crate::landing::{self, Watched};
use crate::letters;
use crate::lifecycle::{self, Expiry};
use crate::metrics;
use crate::serving::Tls;
use crate::store::Store;
use crate::telemetry;

/// How long an end waits until what has landed is told: whatever is not, another lander tells.
const END_LIMIT: Duration = Duration::from_secs(3);

/// Runs until asked to stop, or until one of the landing threads cannot go on.
pub async fn land(config: Config, sources: Sources) -> anyhow::Result<()> {
    let shutdown = Shutdown::listen()?;
    let reload = Reload::listen(&config, sources)?;
    let in_force = reload.in_force();
    admin_fits(&config)?;
    let listener = Listener::admin(&config)?;
    let (address, tls) = (listener.address()?, listener.tls.clone());
    let topics = config.topics()?;
    let names = topics.names();
    let there = migration::wait_for_store(&config, &shutdown, &names, &listener);
    let Some(store) = there.await? else {
        return Ok(());
    };
    let mut lander = Lander::start(&config, store).await?;
    let mut registry = telemetry::registry();
    lander.register(&mut registry);
    let readiness = Arc::new(lander.readiness());
    let door = listener.admin_door(&config, &mut registry);
    let health = Health {
        readiness: readiness.clone(),
        registry: Arc::new(registry),
        has_token: config.admin_token.is_some(),
    };
    let topics = lander.topics();
    tracing::info!(kafka = config.kafka.brokers, database = lander.store.place(), health = %address, ?topics, "landing");
    leftovers::tell(&lander.store, &lander.kafka, &topics).await;
    // Served through the drain: `/readyz` has to be able to say so.
    let (close_health, health_closed) = oneshot::channel::<()>();
    let served = tokio::spawn(health.serve(door, health_closed.map(drop)));

    let ended = tokio::select! {
        () = shutdown.asked() => None,
        why = lander.ended() => Some(why),
        () = reload.run(|_| {
            tls.iter().for_each(Tls::refresh);
            Ok(())
        }) => None,
    };
    readiness.drain();
    lander.stop(in_force.load().drain).await;
    drop(close_health);
    listeners::answered(served).await;
    lander.leave().await;
    if let Some(why) = ended {
        bail!("landing ended: {why}");
    }
    tracing::info!("stopped");
    Ok(())
}

/// What runs while it lands.
struct Lander {
    store: Store,
    sealing: Sealing,
    kafka: Arc<KafkaProducer>,
    levels: Vec<Level>,
    /// Hears of what lands, until it is stopped.
    events: Option<Events>,
    /// Until it is stopped, too.
    webhooks: Option<Webhooks>,
    flow: Arc<Flow>,
    letters: letters::Metrics,
    lifecycle: lifecycle::Metrics,
    /// Replays, and what looks for standstills.
    tasks: Vec<JoinHandle<()>>,
}

impl Lander {
    async fn start(config: &Config, store: Store) -> anyhow::Result<Self> {
        let sealing = Sealing::join(config, &store, "land").await?;
        let kafka = Arc::new(KafkaProducer::new(sending(config, &sealing)).context("kafka")?);
        let producer: Arc<dyn Producer> = kafka.clone();
        let webhooks = Webhooks::spawn(config, &store);
        let events = events::spawn(config, &store, webhooks.hooks())?;
        let levels = levels::start(config, &store, &producer, events.teller().as_ref())?;
        let counted: Vec<landing::Metrics> = levels.iter().map(|level| level.metrics.clone()).collect();
        let retries = move || counted.iter().map(|metrics| metrics.retries.get()).sum();
        let redrive = redrive::spawn(config, &store, &sealing, retries)?;
        let (scheduled, letters) = redrive::spawn_scheduled(config, &store, &sealing)?;
        let lifecycle = lifecycle::Metrics::default();
        let expiry = tokio::spawn(expiry(&store, &lifecycle).run());
        let flow = Flow::spawn(levels::flow(config, &levels), producer, store.clone());
        let landed = levels.iter().map(Level::landed).collect();
        let watch = standstill::watch(flow.clone(), kafka.clone(), landed);
        Ok(Self {
            store,
            sealing,
            kafka,
            levels,
            events: Some(events),
            webhooks: Some(webhooks),
            flow,
            letters,
            lifecycle,
            tasks: redrive.into_iter().chain([scheduled, watch, expiry]).collect(),
        })
    }

    fn register(&self, registry: &mut Registry) {
        landing::register(registry, self.levels.iter().map(Level::watched).collect());
        if let Some(events) = &self.events {
            telling::register(registry, &events.metrics);
        }
        if let Some(webhooks) = &self.webhooks {
            webhooks.register(registry);
        }
        letters::metrics::register(&self.store, registry);
        self.sealing.register(registry);
        metrics::register(registry, &self.letters);
        metrics::register(registry, &self.lifecycle);
        self.flow.register_lag(registry);
    }

    fn readiness(&self) -> Readiness {
        let mut checks = vec![
            store_check(&self.store),
            standstill::check(&self.flow),
            self.sealing.check(),
        ];
        checks.extend(self.levels.first().map(|orders| guard_check(orders.watched())));
        Readiness::new(checks).helped_by(vec![self.sealing.retired()])
    }

    fn topics(&self) -> Vec<&str> {
        self.levels
            .iter()
            .map(|level| level.kafka.topic.as_str())
            .collect()
    }

    /// Resolves when it cannot go on: why.
    async fn ended(&self) -> String {
        tokio::select! {
            why = levels::ended(&self.levels) => why,
            // What it cannot land it could not move either: its partitions go to a lander whose seal counts.
            why = self.sealing.halted() => why,
        }
    }

    /// Lands nothing more.
    async fn stop(&mut self, limit: Duration) {
        self.tasks.iter().for_each(JoinHandle::abort);
        levels::stop(std::mem::take(&mut self.levels), limit).await;
        if let Some(events) = self.events.take() {
            events.stop(END_LIMIT.min(limit)).await;
        }
        if let Some(webhooks) = self.webhooks.take() {
            webhooks.stop().await;
        }
    }

    async fn leave(&self) {
        self.sealing.leave().await;
        close(&self.store).await;
    }
}

/// What has orders expire, counted there.
pub(super) fn expiry(store: &Store, metrics: &lifecycle::Metrics) -> Expiry {
    Expiry {
        store: store.clone(),
        owner: uuid::Uuid::now_v7().simple().to_string(),
        clock: now_ms,
        metrics: metrics.clone(),
    }
}

/// Not ready while too many records fail.
fn guard_check(orders: Watched) -> Check {
    Check {
        name: "guard",
        ask: Box::new(move || {
            let answer = match orders.guard() {
                None => Ok(()),
                Some((failing, seen)) => Err(format!(
                    "{failing} of the last {seen} orders fail, more than landing.poison_share allows; landing waits"
                )),
            };
            async move { answer }.boxed()
        }),
    }
}
