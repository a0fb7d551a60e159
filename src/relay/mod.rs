//! The relay: brings outbox entries to the bus, and removes each only after the bus acknowledged it.
//!
//! Fresh entries come from this gateway's admission over a channel. What a gateway left behind, dead
//! or cut off, stays in the outbox; every gateway looks for entries older than a few seconds and the
//! one that holds the shard's lease publishes them again. A second copy is harmless: landing knows
//! orders by their id.

mod metrics;
mod settle;
mod stuck;
mod sweep;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use serde::{Deserialize, Serialize};

use crate::bus::{BusError, Outbound, Producer};
use crate::engine::Engine;
use crate::failpoint::{self, Point};
use crate::lua::keys::Shard;
use crate::needs::Rules;
use crate::order::OrderEvent;
use crate::outbox::{Entry, Orders};
use crate::ruleset::Ruleset;
use crate::seal::Keyring;
use crate::seldom::Seldom;
use crate::wire::millis;
pub use metrics::Metrics;

/// What a record counts for in the mean of those that were sent lately.
const RECENT: f64 = 1.0 / 64.0;

/// Between looks at what is left while draining.
const DRAIN_POLL: Duration = Duration::from_millis(5);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Entries younger than this are left to the gateway that made them.
    #[serde(rename = "age_ms", with = "millis")]
    pub age: Duration,
    /// How often the outboxes are searched.
    #[serde(rename = "every_ms", with = "millis")]
    pub every: Duration,
    /// How long one gateway keeps a shard's relaying to itself without renewing.
    #[serde(rename = "lease_ms", with = "millis")]
    pub lease: Duration,
    /// Orders sent and not acknowledged at which sweeping waits.
    #[serde(rename = "in_flight")]
    pub in_flight_max: usize,
    /// Keys that orders were sealed with.
    #[serde(skip)]
    pub keys: Option<Arc<Keyring>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(3),
            every: Duration::from_secs(1),
            lease: Duration::from_secs(5),
            in_flight_max: 50_000,
            keys: None,
        }
    }
}

/// Entries on their way: (shard, stream id).
type InFlight = Arc<Mutex<HashSet<(Shard, String)>>>;

/// The stage.
pub struct Relay {
    config: Config,
    engine: Arc<dyn Engine>,
    producer: Arc<dyn Producer>,
    ruleset: Arc<Ruleset>,
    rules: Arc<dyn Rules>,
    /// Names this gateway in leases.
    owner: String,
    /// Entries published and not yet settled.
    in_flight: InFlight,
    settled: mpsc::UnboundedSender<settle::Settled>,
    metrics: Metrics,
    /// Orders sent and not answered yet.
    on_their_way: AtomicUsize,
    /// Bits of a float.
    per_record: AtomicU64,
    /// Entries that this gateway cannot relay.
    stuck: Mutex<stuck::Stuck>,
    /// Batches that are not acknowledged: while Kafka is away that is each of them, at every sweep.
    refused: Mutex<Seldom>,
}

impl Relay {
    /// Starts publishing what comes through `fresh` and sweeping what was left behind, until `fresh`
    /// is closed and empty.
    pub fn spawn(
        config: Config,
        engine: Arc<dyn Engine>,
        producer: Arc<dyn Producer>,
        ruleset: Arc<Ruleset>,
        rules: Arc<dyn Rules>,
        owner: String,
        fresh: mpsc::UnboundedReceiver<Entry>,
    ) -> Arc<Self> {
        let (settled, queue) = mpsc::unbounded_channel();
        let relay = Arc::new(Self {
            config,
            engine: engine.clone(),
            producer,
            ruleset,
            rules,
            owner,
            in_flight: InFlight::default(),
            settled,
            metrics: Metrics::default(),
            on_their_way: AtomicUsize::new(0),
            per_record: AtomicU64::new(1.0_f64.to_bits()),
            stuck: Mutex::default(),
            refused: Mutex::default(),
        });
        tokio::spawn(settle::run(engine, queue, relay.in_flight.clone()));
        tokio::spawn(publish_fresh(relay.clone(), fresh));
        tokio::spawn(sweep::run(Arc::downgrade(&relay)));
        relay
    }

    /// How many orders a record has carried lately, about.
    pub fn orders_per_record(&self) -> f64 {
        f64::from_bits(self.per_record.load(Ordering::Relaxed))
    }

    fn note_records(&self, orders: usize, records: usize) {
        self.metrics.records.inc_by(records as u64);
        let share = RECENT * records as f64;
        let mean = orders as f64 / records.max(1) as f64;
        let before = self.orders_per_record();
        let now = before + (mean - before) * share.min(1.0);
        self.per_record.store(now.to_bits(), Ordering::Relaxed);
    }

    #[cfg(feature = "testing")]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Outbox entries that no gateway can relay, by campaign, of the shards that this one looks after.
    pub fn stuck(&self) -> BTreeMap<String, u64> {
        self.stuck.lock().expect("no panic holds this lock").count()
    }

    /// Entries published and not yet settled.
    pub fn in_flight(&self) -> usize {
        self.in_flight.lock().expect("no panic holds this lock").len()
    }

    /// Waits until everything published is acknowledged and settled, at most `limit`; says whether
    /// that was reached. What is left stays in the outbox for another gateway.
    pub async fn drain(&self, limit: Duration) -> bool {
        let begun = tokio::time::Instant::now();
        loop {
            if self.in_flight() == 0 {
                return true;
            }
            if begun.elapsed() >= limit {
                return false;
            }
            tokio::time::sleep(DRAIN_POLL).await;
        }
    }

    /// Publishes an entry; it is settled when the bus acknowledged all of its orders.
    fn publish(self: &Arc<Self>, entry: Entry, counter: fn(&Metrics) -> &Counter) {
        let Entry {
            shard,
            id,
            partition,
            orders,
            acknowledged,
        } = entry;
        let key = (shard, id);
        if !self
            .in_flight
            .lock()
            .expect("no panic holds this lock")
            .insert(key.clone())
        {
            return;
        }
        let count = orders.len();
        let batch = outbound(orders, partition);
        let records = batch.len();
        let own = acknowledged.is_some();
        let relay = self.clone();
        self.on_their_way.fetch_add(count, Ordering::Relaxed);
        self.producer.publish(
            batch,
            Box::new(move |result| {
                relay.on_their_way.fetch_sub(count, Ordering::Relaxed);
                if let Err(error) = &result {
                    relay
                        .in_flight
                        .lock()
                        .expect("no panic holds this lock")
                        .remove(&key);
                    relay.metrics.failed.inc();
                    relay.tell_refused(&key.0, error);
                } else {
                    failpoint::hit(if own { Point::G5 } else { Point::R3 });
                    counter(&relay.metrics).inc_by(count as u64);
                    relay.note_records(count, records);
                    let (shard, id) = key;
                    let _ = relay.settled.send(settle::Settled {
                        shard,
                        id,
                        orders: count,
                        own,
                    });
                }
                if let Some(acknowledged) = acknowledged {
                    acknowledged(result.is_ok());
                }
            }),
        );
        failpoint::hit(if own { Point::G4 } else { Point::R2 });
    }
}

impl Relay {
    fn tell_refused(&self, shard: &Shard, error: &BusError) {
        let mut refused = self.refused.lock().expect("no panic holds this lock");
        if let Some(batches) = refused.met(&error.to_string(), Instant::now()) {
            tracing::warn!(campaign = %shard.campaign, batches, %error, "the outbox keeps its entries");
        }
    }
}

fn outbound(orders: Orders, partition: Option<i32>) -> Vec<Outbound> {
    let alone = |event: &OrderEvent| Outbound {
        partition,
        key: event.key(),
        payload: event.encode(),
    };
    match orders {
        Orders::Alone(events) => events.iter().map(alone).collect(),
        Orders::Together { key, record, .. } => vec![Outbound {
            // Nothing but what its seal says tells where it belongs.
            partition: partition.or(Some(0)),
            key,
            payload: record,
        }],
    }
}

async fn publish_fresh(relay: Arc<Relay>, mut fresh: mpsc::UnboundedReceiver<Entry>) {
    while let Some(entry) = fresh.recv().await {
        relay.publish(entry, |metrics| &metrics.published);
    }
}
