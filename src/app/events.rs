//! What a lander tells everybody else, over a client of its own: orders on their way to retry topics do not wait behind it.

use std::sync::Arc;

use anyhow::Context;

use crate::bus::kafka::{self, KafkaLog, KafkaProducer};
use crate::config::Config;
use crate::events::{Events, Needs};
use crate::needs::Hooks;
use crate::store::Store;

/// How long events wait for more: who reads them is not in the way of anybody's order.
const LINGER_MS: u32 = 5;

/// Starts telling, `hooks` as well.
pub(super) fn spawn(config: &Config, store: &Store, hooks: Arc<dyn Hooks>) -> anyhow::Result<Events> {
    let topics = config.topics()?;
    let orders = config.kafka();
    let kafka = kafka::Config {
        topic: topics.order_events.clone(),
        client_id: format!("{}.events", orders.client_id),
        linger_ms: LINGER_MS,
        seal: None,
        ..orders.clone()
    };
    let needs = Needs {
        store: store.clone(),
        producer: Arc::new(KafkaProducer::new(kafka).context("kafka")?),
        log: Some(Arc::new(KafkaLog::new(orders))),
        topics,
        hooks: Some(hooks),
    };
    Ok(Events::spawn(&config.events, needs))
}
